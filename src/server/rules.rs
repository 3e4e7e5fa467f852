//! From the files that the settings name to the rules of the broker: who clients are, what they may
//! do.

mod reader;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use x509_parser::time::ASN1Time;

use self::reader::{Kind, Line, Reader};
use super::tls::{self, TlsError};
use crate::access::acl::Acl;
use crate::access::certificate::CertificateName;
use crate::access::jwt::{Jwt, JwtKeys, JwtSettings};
use crate::access::password::PasswordFile;
use crate::access::provider::{HttpHook, Provider, Providers};
use crate::access::scram::ScramFile;
use crate::access::{Access, ListenerAccess};
use crate::config::{self, Authentication, ConfigError, Listener, Problem, Settings};
use crate::session::ListenerId;

/// Why the rules cannot be had: what is wrong, where, and what to do.
#[derive(Debug)]
pub enum RulesError {
    /// A file cannot be read.
    File {
        /// Where the configuration names it, for the front of the message.
        place: String,
        /// What is wrong and what to do.
        text: String,
    },
    /// What is in a file, or in the configuration, is wrong.
    Content(ConfigError),
    /// It cannot be said which certificates are revoked.
    Revoked(TlsError),
}

impl fmt::Display for RulesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { place, text } => write!(formatter, "{place}{text}"),
            Self::Content(error) => error.fmt(formatter),
            Self::Revoked(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for RulesError {}

/// The rules, and what an operator should hear of them.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) access: Arc<Access>,
    pub(super) warnings: Vec<String>,
}

/// What the rules need besides files.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// Random; stays the same while the process runs.
    pub(super) decoy_key: [u8; 32],
    /// The keys that were fetched from `jwt.keys_url`.
    pub(super) fetched_keys: Option<JwtKeys>,
}

/// A listener whose connections need rules.
pub(super) struct Place<'a> {
    pub(super) listener: &'a Listener,
    /// What held for it until now, if a reload has removed it: that stays in force for those who
    /// are still there, as far as there is nothing newer.
    pub(super) removed: Option<&'a ListenerAccess>,
}

impl Rules {
    /// Reads all files. The rules are in the order of the places.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn load(
        settings: &Settings,
        places: &[Place<'_>],
        given: &Given,
    ) -> Result<Self, Vec<RulesError>> {
        let mut reader = Reader::new(settings);
        if let Err(error) = config::check_identities(settings) {
            reader.errors.push(RulesError::Content(error));
        }
        let sources = Sources::load(settings, given, &mut reader);
        let rules_of = |place: &Place<'_>| match place.removed {
            None => sources.of(place.listener, settings, given, &mut reader),
            Some(before) => {
                let mut reader = Reader::new(settings);
                let rules = sources.of(place.listener, settings, given, &mut reader);
                let is_whole = reader.errors.is_empty() && sources.serve(place.listener);
                if is_whole { rules } else { before.clone() }
            }
        };
        let listeners: Vec<ListenerAccess> = places.iter().map(rules_of).collect();
        if !reader.errors.is_empty() {
            return Err(reader.errors);
        }
        let access = Access::new(listeners, &settings.access).with_inside(sources.acl.clone());
        let access = Arc::new(access);
        Ok(Self { access, warnings: reader.warnings })
    }

    /// Whether the lines that were skipped have left a listener without users that has some now: so
    /// looks a file that was cut, or overwritten with something else.
    ///
    /// # Errors
    /// Says so, and which lines those were.
    pub(super) fn check_users(
        &self,
        settings: &Settings,
        places: &[Place<'_>],
        before: &Access,
    ) -> Result<(), RulesError> {
        if !settings.access.skips_lines {
            return Ok(());
        }
        let ids = (0..=u16::MAX).map(ListenerId);
        for (place, id) in places.iter().zip(ids) {
            let found = self.access.of(id).providers.password_file();
            let had = before.of(id).providers.password_file().is_some_and(|file| !file.is_empty());
            let (Some(file), Some(path)) = (found, &place.listener.password_file) else { continue };
            if had && file.is_empty() && place.removed.is_none() {
                let mut problems = file.warnings().to_vec();
                let text =
                    "there were users in it, and those stay: restart the broker to have none";
                problems.push(Problem { line: None, text: text.to_owned() });
                let file = path.display().to_string();
                return Err(RulesError::Content(ConfigError { file, problems }));
            }
        }
        Ok(())
    }
}

/// The rules that are in force on so many listeners, with keys that have been fetched since. No file
/// is read: what is in it may be half of a change.
pub(super) fn renew_keys(
    access: &Access,
    listeners: usize,
    settings: &Settings,
    keys: JwtKeys,
) -> Access {
    let jwt = Arc::new(Jwt::new(keys, jwt_settings(&settings.jwt)));
    let ids = (0..listeners).map_while(|index| u16::try_from(index).ok()).map(ListenerId);
    let renewed = ids.map(|id| {
        let before = access.of(id);
        ListenerAccess { providers: before.providers.with_tokens(&jwt), ..before.clone() }
    });
    let inside = access.of(ListenerId::INSIDE).acl.clone();
    Access::new(renewed.collect(), &settings.access).with_inside(inside)
}

/// What the listeners share, read once.
struct Sources {
    passwords: Option<Arc<PasswordFile>>,
    scram: Option<Arc<ScramFile>>,
    jwt: Option<Arc<Jwt>>,
    hook: Option<Arc<HttpHook>>,
    acl: Option<Arc<Acl>>,
}

impl Sources {
    fn load(settings: &Settings, given: &Given, reader: &mut Reader) -> Self {
        let access = &settings.access;
        let at = |key: &'static str| Line { written: &access.written, section: "access", key };
        let passwords = access.password_file.as_deref();
        let passwords = passwords.and_then(|file| reader.passwords(file, at("password_file")));
        let scram = access.scram_file.as_deref().and_then(|file| {
            let scram = reader.parse(file, at("scram_file"), Kind::Secret, ScramFile::parse)?;
            reader.warn(file, scram.warnings().as_slice());
            Some(Arc::new(scram))
        });
        let acl = access.acl_file.as_deref().and_then(|file| reader.acl(file, at("acl_file")));
        let hook = (!settings.http_hook.url.is_empty()).then(|| {
            reader.warnings.extend(config::told_in_the_clear(&settings.http_hook));
            let config::HttpHook { url, timeout_ms, cache_ms, .. } = &settings.http_hook;
            let (timeout_ms, cache_ms) = (*timeout_ms, *cache_ms);
            Arc::new(HttpHook { url: url.as_str().into(), timeout_ms, cache_ms })
        });
        let jwt = keys(&settings.jwt, given, reader)
            .map(|keys| Arc::new(Jwt::new(keys, jwt_settings(&settings.jwt))));
        Self { passwords, scram, jwt, hook, acl }
    }

    /// The rules of one listener.
    fn of(
        &self,
        listener: &Listener,
        settings: &Settings,
        given: &Given,
        reader: &mut Reader,
    ) -> ListenerAccess {
        let access = &settings.access;
        let mut rules = ListenerAccess::without_providers(access);
        rules.is_strict = access.acl_strict || listener.acl_strict;
        for warning in tls::warnings(&listener.tls, ASN1Time::now()) {
            reader.warn_once(warning);
        }
        listener.tls.key.iter().for_each(|file| reader.warn_if_open(file));
        match tls::load_revoked(listener) {
            Ok(revoked) => rules.revoked = revoked,
            Err(error) => reader.errors.push(RulesError::Revoked(error)),
        }
        let at = |key: &'static str| Line { written: &listener.written, section: "listener", key };
        rules.acl = match &listener.acl_file {
            Some(file) => reader.acl(file, at("acl_file")),
            None => self.acl.clone(),
        };
        let passwords = match &listener.password_file {
            Some(file) => reader.passwords(file, at("password_file")),
            None => self.passwords.clone(),
        };
        if !matches!(listener.auth[..], [] | [Authentication::Anonymous]) {
            let ways = listener.auth.iter();
            let passwords = passwords.as_ref();
            let provider = |way: &Authentication| self.provider(*way, listener, passwords);
            let chain = ways.filter_map(provider).collect();
            rules.providers = Providers::new(chain, access.password_cache_ms, given.decoy_key);
        }
        rules
    }

    /// Whether there is what each way of the listener needs.
    fn serve(&self, listener: &Listener) -> bool {
        let has_own = |way: &Authentication| {
            *way == Authentication::Password && listener.password_file.is_some()
        };
        let passwords = self.passwords.as_ref();
        let mut ways = listener.auth.iter();
        ways.all(|way| has_own(way) || self.provider(*way, listener, passwords).is_some())
    }

    /// `None` where what it needs is missing, which is an error that has been said.
    fn provider(
        &self,
        way: Authentication,
        listener: &Listener,
        passwords: Option<&Arc<PasswordFile>>,
    ) -> Option<Provider> {
        match way {
            Authentication::Anonymous => Some(Provider::Anonymous),
            Authentication::Certificate => {
                Some(Provider::Certificate(match listener.certificate_name {
                    config::CertificateName::Cn => CertificateName::CommonName,
                    config::CertificateName::San => CertificateName::AlternativeName,
                    config::CertificateName::Dn => CertificateName::DistinguishedName,
                }))
            }
            Authentication::Password => passwords.cloned().map(Provider::Password),
            Authentication::Jwt => self.jwt.clone().map(Provider::Jwt),
            Authentication::Http => self.hook.clone().map(Provider::Http),
            Authentication::Scram => self.scram.clone().map(Provider::Scram),
        }
    }
}

/// The keys of tokens, if there are to be tokens at all. Those of an address come later, and until
/// then no token is believed.
fn keys(jwt: &config::Jwt, given: &Given, reader: &mut Reader) -> Option<JwtKeys> {
    let at = |key: &'static str| Line { written: &jwt.written, section: "jwt", key };
    if let Some(file) = &jwt.keys_file {
        let keys = reader.parse(file, at("keys_file"), Kind::Public, JwtKeys::parse)?;
        if keys.have_secrets() {
            reader.warn_if_open(file);
        }
        reader.warn(file, keys.warnings());
        return Some(keys);
    }
    if let Some(file) = &jwt.secret_file {
        return reader.parse(file, at("secret_file"), Kind::Secret, secret);
    }
    (!jwt.keys_url.is_empty()).then(|| given.fetched_keys.clone().unwrap_or_default())
}

/// A secret as a set of one key.
fn secret(bytes: &[u8], file: &str) -> Result<JwtKeys, ConfigError> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let key = URL_SAFE_NO_PAD.encode(bytes);
    let set = serde_json::json!({ "keys": [{ "kty": "oct", "k": key }] });
    JwtKeys::parse(set.to_string().as_bytes(), file)
}

fn jwt_settings(jwt: &config::Jwt) -> JwtSettings {
    let named = |text: &String| (!text.is_empty()).then(|| text.as_str().into());
    JwtSettings {
        issuer: named(&jwt.issuer),
        audience: named(&jwt.audience),
        leeway_s: jwt.leeway_s,
        user_name_claim: jwt.user_name_claim.as_str().into(),
        publish_claim: jwt.publish_claim.as_str().into(),
        subscribe_claim: jwt.subscribe_claim.as_str().into(),
        client_id_claim: named(&jwt.client_id_claim),
    }
}

#[cfg(test)]
mod tests;
