//! What must hold between the ways in which clients prove who they are, and what these need.

use super::access::{Authentication, HttpHook, Jwt};
use super::error::{ConfigError, Problem};
use super::table::{Listener, Settings};
use super::transport::ClientCertificates;
use super::value::{Value, quote};

/// Says what would let in everybody, or nobody, without having been asked for; and what a way to
/// prove an identity lacks. [`parse`](super::parse()) does this for files; this is for settings that
/// were made otherwise.
///
/// # Errors
/// Everything that is wrong, with its line where it was written in a file.
pub fn check_identities(settings: &Settings) -> Result<(), ConfigError> {
    let problems = problems(settings);
    let file = settings.listeners.iter().map(|listener| listener.written.file()).next();
    let file = file.filter(|file| !file.is_empty()).unwrap_or("listeners").to_owned();
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { file, problems }) }
}

/// What an operator should hear of a hook that is told passwords in the clear.
#[must_use]
pub fn told_in_the_clear(hook: &HttpHook) -> Option<String> {
    let HttpHook { url, written, .. } = hook;
    let is_clear = url.starts_with("http://") && !LOCAL.iter().any(|local| url.starts_with(local));
    let place = written.place("http_hook", "url");
    is_clear.then(|| {
        format!("{place}url: passwords are told to {url} in the clear; write https:// if it can")
    })
}

pub(super) fn problems(settings: &Settings) -> Vec<Problem> {
    let mut problems = Vec::new();
    for listener in &settings.listeners {
        let mut say = |key: &str, text: String| {
            let name = quote(&listener.name);
            let lines = &listener.written;
            let line = lines.line("listener", key).or_else(|| lines.line("listener", "address"));
            problems.push(Problem { line, text: format!("listener {name}: {text}") });
        };
        if listener.auth.is_empty()
            && let Some(text) = unsaid(listener, settings)
        {
            say("auth", text);
        }
        for way in &listener.auth {
            if let Some(text) = lacks(*way, listener, settings) {
                say("auth", format!("auth names {}, {text}", way.show()));
            }
        }
    }
    problems.extend(of_sources(settings));
    problems
}

/// What is wrong with a listener that does not say who may connect.
fn unsaid(listener: &Listener, settings: &Settings) -> Option<String> {
    let is_behind_proxy = !listener.proxy_protocol_from.is_empty();
    let sources = sources(settings);
    if let Some((way, key)) = sources.first() {
        return Some(format!(
            "{key} is set and this listener does not say whether it is used; write auth = [{}], or \
             auth = [\"anonymous\"] if everybody may connect here",
            way.show()
        ));
    }
    if !settings.access.anonymous || (listener.address.is_local() && !is_behind_proxy) {
        return None;
    }
    Some(format!(
        "everybody who reaches {} could connect; write auth = [\"anonymous\"] if that is meant (on \
         the command line: --anonymous), or auth = [\"password\"] and in [access] password_file = \
         \"/etc/skein/passwords\"",
        listener.address
    ))
}

/// What is missing for a way that a listener names.
fn lacks(way: Authentication, listener: &Listener, settings: &Settings) -> Option<String> {
    let text = match way {
        Authentication::Anonymous if !settings.access.anonymous => {
            "and access.anonymous is false; remove one of the two"
        }
        Authentication::Certificate
            if listener.tls.client_certificates == ClientCertificates::None =>
        {
            "and clients are asked for no certificates; write client_certificates = \"required\" \
             and client_ca in [listener.tls]"
        }
        Authentication::Password
            if settings.access.password_file.is_none() && listener.password_file.is_none() =>
        {
            "and there are no passwords; write password_file = \"/etc/skein/passwords\" in [access]"
        }
        Authentication::Scram if settings.access.scram_file.is_none() => {
            "and there are no credentials for it; write scram_file = \"/etc/skein/scram\" in \
             [access]"
        }
        Authentication::Jwt if key_sources(&settings.jwt).is_empty() => {
            "and there are no keys for it; write keys_file = \"/etc/skein/keys.json\" in [jwt]"
        }
        Authentication::Http if settings.http_hook.url.is_empty() => {
            "and there is nobody to ask; write url = \"https://auth.example/mqtt\" in [http_hook]"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// What the file sets for each way, by the way and the key.
fn sources(settings: &Settings) -> Vec<(Authentication, &'static str)> {
    let access = &settings.access;
    let sources = [
        (access.password_file.is_some(), Authentication::Password, "access.password_file"),
        (access.scram_file.is_some(), Authentication::Scram, "access.scram_file"),
        (!key_sources(&settings.jwt).is_empty(), Authentication::Jwt, "a key in [jwt]"),
        (!settings.http_hook.url.is_empty(), Authentication::Http, "http_hook.url"),
    ];
    sources.into_iter().filter(|(is_set, ..)| *is_set).map(|(_, way, key)| (way, key)).collect()
}

/// The keys of `[jwt]` that say where keys come from.
fn key_sources(jwt: &Jwt) -> Vec<&'static str> {
    let sources = [
        (jwt.keys_file.is_some(), "keys_file"),
        (!jwt.keys_url.is_empty(), "keys_url"),
        (jwt.secret_file.is_some(), "secret_file"),
    ];
    sources.into_iter().filter(|(is_set, _)| *is_set).map(|(_, key)| key).collect()
}

/// What is wrong with where identities come from, whoever asks for them.
fn of_sources(settings: &Settings) -> Vec<Problem> {
    let (access, jwt, hook) = (&settings.access, &settings.jwt, &settings.http_hook);
    let mut problems = Vec::new();
    for (way, key) in sources(settings) {
        if !settings.listeners.iter().any(|listener| listener.auth.contains(&way)) {
            let line = access.written.line("access", key.trim_start_matches("access."));
            let text = format!(
                "{key} is set and no listener uses it; write {} into the auth of one",
                way.show()
            );
            problems.push(Problem { line, text });
        }
    }
    if let [first, second, ..] = key_sources(jwt)[..] {
        let text = format!("keys come from one place; remove {first} or {second}");
        problems.push(Problem { line: jwt.written.line("jwt", second), text });
    }
    for (key, claim) in [
        ("user_name_claim", &jwt.user_name_claim),
        ("publish_claim", &jwt.publish_claim),
        ("subscribe_claim", &jwt.subscribe_claim),
    ] {
        if claim.is_empty() {
            let text = format!("{key} is empty; write the name of a claim, or leave it out");
            problems.push(Problem { line: jwt.written.line("jwt", key), text });
        }
    }
    let urls = [
        (&jwt.keys_url, jwt.written.line("jwt", "keys_url"), "keys_url", &["https://"][..]),
        (&hook.url, hook.written.line("http_hook", "url"), "url", &["https://", "http://"]),
    ];
    for (url, line, key, schemes) in urls {
        let is_local = LOCAL.iter().any(|local| url.starts_with(local));
        let has_scheme = schemes.iter().any(|scheme| url.starts_with(scheme));
        if !(url.is_empty() || is_local || has_scheme) {
            let text = format!("{key}: {} has to begin with {}", quote(url), schemes.join(" or "));
            problems.push(Problem { line, text });
        }
    }
    problems
}

/// What may be asked in the clear: nobody listens in between.
const LOCAL: [&str; 3] = ["http://127.0.0.1", "http://[::1]", "http://localhost"];

#[cfg(test)]
mod tests;
