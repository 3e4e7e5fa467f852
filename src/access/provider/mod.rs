//! Providers say who a client is. A listener has several in order; the first that vouches for the
//! client decides.
//!
//! ```text
//! CONNECT ──▶ Providers::decide ──▶ Allow, Deny          at once, on the shard
//!                     └──────────▶ Later(Work)           to the gate and a worker
//!                                     Work::run ──▶ Outcome ──▶ back to the shard
//! CONNECT with SCRAM ──▶ Providers::challenge ──▶ AUTH out, AUTH in ──▶ Work::prove ──▶ as above
//! ```
//!
//! A provider that does not know the client passes it on; so does a password file when the password
//! is wrong, since stopping there would tell by the time it takes which users the file has. Only
//! the HTTP hook can say no for all that follow.

mod http;
mod work;

use std::sync::Arc;

pub use self::http::{HttpHook, HttpReply};
pub use self::work::{Outcome, Outside, Work};
use super::certificate::CertificateName;
use super::credentials::Credentials;
use super::denial::Denial;
use super::identity::{Identity, Voucher};
use super::jwt::Jwt;
use super::password::PasswordFile;
use super::scram::{Exchange, Mechanism, ScramFile};

/// One way to find out who a client is.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Takes everybody for anonymous, whatever they show: a listener without authentication.
    Everybody,
    /// Takes a bridge of this process for whom it says it is.
    Inside,
    /// Lets in whoever shows nothing: neither user name nor password nor certificate.
    Anonymous,
    /// Takes the user name out of the certificate that TLS verified.
    Certificate(CertificateName),
    /// Compares the password with a file.
    Password(Arc<PasswordFile>),
    /// Takes the password for a signed token, if it looks like one.
    Jwt(Arc<Jwt>),
    /// Asks a web server.
    Http(Arc<HttpHook>),
    /// Enhanced authentication (4.12), for clients that ask for it.
    Scram(Arc<ScramFile>),
}

/// The providers of one listener, in the order in which they are asked.
#[derive(Clone, Debug)]
pub struct Providers {
    chain: Arc<[Provider]>,
    /// How long a verified password need not be verified again; 0 = it always is.
    password_cache_ms: u64,
    /// Makes up what unknown users appear to have.
    decoy_key: [u8; 32],
}

/// What can be said about a client without waiting.
#[derive(Debug)]
pub enum Decision {
    /// It may connect.
    Allow(Identity),
    /// It may not.
    Deny(Denial),
    /// It depends on something slow, to be run elsewhere.
    Later(Work),
}

/// What one provider says.
#[derive(Debug)]
enum Answer {
    Allow(Identity),
    /// This client is nobody it knows, for this reason if it has one.
    Pass(Option<Denial>),
    /// No, whatever others say.
    Deny(Denial),
}

impl Providers {
    /// Providers in this order. The key is random and stays the same while the process runs.
    pub fn new(chain: Vec<Provider>, password_cache_ms: u64, decoy_key: [u8; 32]) -> Self {
        Self { chain: chain.into(), password_cache_ms, decoy_key }
    }

    /// Who the client is, as far as that can be said at once.
    pub fn decide(&self, credentials: Credentials) -> Decision {
        let mut denial = Denial::NoCredentials;
        for (at, provider) in self.chain.iter().enumerate() {
            match provider.answer_at_once(&credentials) {
                None => return Decision::Later(Work::ask(self.clone(), at, credentials, denial)),
                Some(Answer::Allow(identity)) => return Decision::Allow(identity),
                Some(Answer::Deny(denial)) => return Decision::Deny(denial),
                Some(Answer::Pass(reason)) => denial = reason.unwrap_or(denial),
            }
        }
        Decision::Deny(denial)
    }

    /// Answers the first Authentication Data of a client that asks for this Authentication Method.
    /// The nonce is random, printable and without a comma, at least 18 characters. When the client
    /// has sent the next data, [`Work::prove`] finds out.
    ///
    /// # Errors
    /// A method that is not offered [MQTT-4.12.0-1], or data that is malformed.
    pub fn challenge(
        &self,
        method: &str,
        data: &[u8],
        nonce: &str,
    ) -> Result<(Exchange, Box<[u8]>), Denial> {
        let unknown = || Denial::UnknownMethod(method.into());
        let mechanism = Mechanism::named(method).ok_or_else(unknown)?;
        let file = self.chain.iter().find_map(|provider| match provider {
            Provider::Scram(file) => Some(file),
            _ => None,
        });
        let file = file.ok_or_else(unknown)?;
        Ok(Exchange::start(file, mechanism, data, nonce, &self.decoy_key)?)
    }

    /// Whether this client could still log in as what it is: it has shown what is believed here,
    /// and that has neither gone nor changed. Of a token that is its key; what it says, and what the
    /// hook has answered, is believed until it ends.
    pub fn still_vouches(&self, identity: &Identity) -> bool {
        self.chain.iter().any(|provider| provider.still_vouches(identity))
    }

    /// The same, where tokens are verified by this.
    #[must_use]
    pub fn with_tokens(&self, jwt: &Arc<Jwt>) -> Self {
        let renewed = |provider: &Provider| match provider {
            Provider::Jwt(_) => Provider::Jwt(Arc::clone(jwt)),
            other => other.clone(),
        };
        Self { chain: self.chain.iter().map(renewed).collect(), ..self.clone() }
    }

    /// The first password file that is asked.
    pub fn password_file(&self) -> Option<&PasswordFile> {
        self.chain.iter().find_map(|provider| match provider {
            Provider::Password(file) => Some(&**file),
            _ => None,
        })
    }

    /// Whether nobody can ever connect.
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Whether a client that shows nothing can connect.
    pub fn allows_anonymous(&self) -> bool {
        let is_anonymous =
            |provider: &Provider| matches!(provider, Provider::Anonymous | Provider::Everybody);
        self.chain.iter().any(is_anonymous)
    }
}

impl Provider {
    /// What it says if that takes no time worth speaking of; `None` when it has to be asked
    /// elsewhere.
    fn answer_at_once(&self, credentials: &Credentials) -> Option<Answer> {
        match self {
            Self::Everybody => Some(Answer::Allow(Identity::anonymous())),
            Self::Inside => Some(Answer::Allow(Identity::bridge(credentials.user_name.as_deref()))),
            Self::Anonymous if credentials.are_none() => Some(Answer::Allow(Identity::anonymous())),
            Self::Certificate(name) => Some(of_certificate(*name, credentials)),
            Self::Password(_) if shows_password(credentials) => None,
            Self::Jwt(_) if shows_token(credentials) => None,
            Self::Http(_) => None,
            Self::Anonymous | Self::Password(_) | Self::Jwt(_) | Self::Scram(_) => {
                Some(Answer::Pass(None))
            }
        }
    }

    fn still_vouches(&self, identity: &Identity) -> bool {
        let user_name = identity.user_name.as_deref();
        match (self, identity.voucher) {
            (Self::Everybody | Self::Anonymous, Voucher::Nothing)
            | (Self::Inside, Voucher::Inside)
            | (Self::Certificate(_), Voucher::Certificate)
            | (Self::Http(_), Voucher::Hook) => true,
            (Self::Password(file), Voucher::Password(line)) => {
                user_name.and_then(|name| file.fingerprint(name)) == Some(line)
            }
            (Self::Jwt(jwt), Voucher::Token(key)) => jwt.still_has(key),
            (Self::Scram(file), Voucher::Scram(line)) => {
                user_name.is_some_and(|name| file.has(name, line))
            }
            _ => false,
        }
    }
}

fn of_certificate(name: CertificateName, credentials: &Credentials) -> Answer {
    match &credentials.certificate {
        None => Answer::Pass(None),
        Some(certificate) => match name.of(certificate) {
            Ok(user_name) => Answer::Allow(Identity::user(&user_name, Voucher::Certificate)),
            Err(error) => Answer::Pass(Some(error.into())),
        },
    }
}

fn shows_password(credentials: &Credentials) -> bool {
    credentials.user_name.is_some() && credentials.password.is_some()
}

fn shows_token(credentials: &Credentials) -> bool {
    credentials.password.as_ref().is_some_and(|password| Jwt::is_token(password.as_bytes()))
}

#[cfg(test)]
mod tests;
