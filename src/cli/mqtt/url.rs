//! `-L`: everything in one URL.

use skein_client::Login;

use super::usage::UsageError;

/// `mqtt://user:password@host:port/topic`, as Mosquitto's programs read it: nothing in it is
/// escaped.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Url {
    pub(super) is_tls: bool,
    pub(super) is_ws: bool,
    pub(super) login: Login,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) topic: String,
}

impl Url {
    /// # Errors
    /// What is none, or has no topic.
    pub(super) fn parse(text: &str) -> Result<Self, UsageError> {
        let unsupported =
            || UsageError::new("Unsupported URL scheme; use mqtt://, mqtts://, ws:// or wss://.");
        let (scheme, rest) = text.split_once("://").ok_or_else(unsupported)?;
        let (is_ws, is_tls) = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => (false, false),
            "mqtts" => (false, true),
            "ws" => (true, false),
            "wss" => (true, true),
            _ => return Err(unsupported()),
        };
        let (authority, topic) = rest.split_once('/').ok_or_else(|| {
            UsageError::new("Invalid URL for -L argument specified - topic missing.")
        })?;
        let (login, place) = match authority.split_once('@') {
            Some((login, place)) => (parse_login(login), place),
            None => (Login::default(), authority),
        };
        let (host, port) = parse_place(place)?;
        let port = port.unwrap_or(if is_tls { 8883 } else { 1883 });
        Ok(Self { is_tls, is_ws, login, host, port, topic: topic.to_owned() })
    }
}

fn parse_login(text: &str) -> Login {
    match text.split_once(':') {
        Some((user_name, password)) => Login::new(user_name, password.to_owned()),
        None => Login { user_name: Some(text.to_owned()), password: None },
    }
}

/// Host and port; an IPv6 address stands in brackets.
fn parse_place(text: &str) -> Result<(String, Option<u16>), UsageError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map(str::parse).transpose().map_err(|_| {
        UsageError::new(format!("Invalid port in the URL: {}", port.unwrap_or_default()))
    })?;
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_in_it() {
        let url = Url::parse("mqtts://me:p:w@broker:99/a/b").expect("a URL");
        assert_eq!((url.is_tls, url.is_ws, url.port), (true, false, 99));
        assert_eq!((url.host.as_str(), url.topic.as_str()), ("broker", "a/b"));
        assert_eq!(url.login, Login::new("me", "p:w"));
        let url = Url::parse("WS://[::1]/t").expect("a URL");
        assert_eq!((url.is_ws, url.host.as_str(), url.port), (true, "::1", 1883));
        assert_eq!(Url::parse("wss://h/t").expect("a URL").port, 8883);
        assert_eq!(Url::parse("mqtt://u@h/").expect("a URL").login.password, None);
    }

    #[test]
    fn what_is_none_is_refused() {
        for (text, words) in [
            ("broker/t", "scheme"),
            ("http://broker/t", "scheme"),
            ("mqtt://broker", "topic missing"),
            ("mqtt://broker:x/t", "port"),
        ] {
            let error = Url::parse(text).expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
