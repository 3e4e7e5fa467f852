//! What is too slow for a shard: hashing a password, verifying a signature, asking a web server.

use super::http::{HttpReply, Verdict};
use super::{Answer, Provider, Providers};
use crate::access::credentials::Credentials;
use crate::access::denial::Denial;
use crate::access::identity::{Identity, PermissionSource, Voucher};
use crate::access::jwt::Jwt;
use crate::access::password::PasswordFile;
use crate::access::scram::Exchange;

/// A question about one client, to be answered on a worker. A value: it borrows nothing, and what it
/// asks stays in force for it even if the providers change meanwhile.
#[derive(Debug)]
pub struct Work {
    credentials: Credentials,
    task: Task,
}

#[derive(Debug)]
enum Task {
    /// Go on with the provider at this place. The denial is what is known against the client so
    /// far.
    Ask { providers: Providers, at: usize, denial: Denial },
    /// Check the proof of an enhanced authentication.
    Prove { exchange: Box<Exchange>, data: Box<[u8]> },
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Who the client is, or why it may not connect.
    pub result: Result<Identity, Denial>,
    /// The Authentication Data for CONNACK or AUTH, if this was an enhanced authentication.
    pub data: Option<Box<[u8]>>,
    /// How long the same credentials need not be asked about again; 0 = they have to be.
    pub cache_ms: u64,
}

/// What workers can do and pure code cannot.
pub trait Outside {
    /// Sends a JSON document to an address by POST and waits for the answer.
    ///
    /// # Errors
    /// What went wrong, for the log: no connection, no answer in time, an answer that is too long.
    fn post_json(&mut self, url: &str, body: &str, timeout_ms: u64) -> Result<HttpReply, String>;
}

impl Work {
    pub(super) fn ask(
        providers: Providers,
        at: usize,
        credentials: Credentials,
        denial: Denial,
    ) -> Self {
        Self { credentials, task: Task::Ask { providers, at, denial } }
    }

    /// Checks what a client answered to [`Providers::challenge`]. The user name of the credentials
    /// becomes the one of the exchange.
    pub fn prove(exchange: Exchange, data: &[u8], credentials: Credentials) -> Self {
        let user_name = Some(exchange.user_name().into());
        let credentials = Credentials { user_name, ..credentials };
        Self { credentials, task: Task::Prove { exchange: Box::new(exchange), data: data.into() } }
    }

    /// Whom it is about.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Whether it may come to asking somebody outside, who takes as long as they like.
    pub fn asks_outside(&self) -> bool {
        let Task::Ask { providers, at, .. } = &self.task else { return false };
        providers.chain.iter().skip(*at).any(|provider| matches!(provider, Provider::Http(_)))
    }

    /// All that the answer depends on, besides the providers. `None` when the answer must not be
    /// kept: a proof is good once.
    pub(in crate::access) fn cache_parts(&self) -> Option<[Vec<u8>; 5]> {
        let Task::Ask { .. } = &self.task else { return None };
        let Credentials { client_id, user_name, password, certificate, address } =
            &self.credentials;
        // "No name" and "the empty name" are different questions.
        let optional = |part: Option<&[u8]>| match part {
            None => vec![0],
            Some(bytes) => [&[1], bytes].concat(),
        };
        let address = address.filter(|_| self.asks_outside()).map(|address| address.to_string());
        Some([
            client_id.as_bytes().to_vec(),
            optional(user_name.as_deref().map(str::as_bytes)),
            optional(password.as_ref().map(|password| password.as_bytes())),
            optional(certificate.as_deref()),
            optional(address.as_deref().map(str::as_bytes)),
        ])
    }

    /// Finds out. `now_s` is the time in seconds since the Unix epoch. May take seconds.
    pub fn run(self, now_s: u64, outside: &mut dyn Outside) -> Outcome {
        match self.task {
            Task::Ask { providers, at, denial } => {
                ask(&providers, at, &self.credentials, denial, now_s, outside)
            }
            Task::Prove { exchange, data } => match exchange.finish(&data) {
                Ok(proved) => Outcome {
                    result: Ok(Identity::user(
                        &proved.user_name,
                        Voucher::Scram(proved.fingerprint),
                    )),
                    data: Some(proved.server_final),
                    cache_ms: 0,
                },
                Err(error) => Outcome::denied(error.into()),
            },
        }
    }
}

impl Outcome {
    /// A denial, which is never kept.
    pub fn denied(denial: Denial) -> Self {
        Self { result: Err(denial), data: None, cache_ms: 0 }
    }

    fn allowed(identity: Identity, cache_ms: u64) -> Self {
        Self { result: Ok(identity), data: None, cache_ms }
    }
}

fn ask(
    providers: &Providers,
    at: usize,
    credentials: &Credentials,
    mut denial: Denial,
    now_s: u64,
    outside: &mut dyn Outside,
) -> Outcome {
    for provider in providers.chain.iter().skip(at) {
        let (answer, cache_ms) = match provider.answer_at_once(credentials) {
            Some(answer) => (answer, 0),
            None => slow_answer(provider, providers, credentials, now_s, outside),
        };
        match answer {
            Answer::Allow(identity) => return Outcome::allowed(identity, cache_ms),
            Answer::Deny(denial) => return Outcome::denied(denial),
            Answer::Pass(reason) => denial = reason.unwrap_or(denial),
        }
    }
    Outcome::denied(denial)
}

fn slow_answer(
    provider: &Provider,
    providers: &Providers,
    credentials: &Credentials,
    now_s: u64,
    outside: &mut dyn Outside,
) -> (Answer, u64) {
    match provider {
        Provider::Password(file) => (of_password(file, credentials), providers.password_cache_ms),
        // Tokens end by themselves, and to verify one is as quick as to look it up.
        Provider::Jwt(jwt) => (of_token(jwt, credentials, now_s), 0),
        Provider::Http(hook) => {
            let answer = of_hook(hook.ask(credentials, outside), now_s);
            let cache_ms = match &answer {
                Answer::Allow(Identity { expiry_s: Some(expiry_s), .. }) => {
                    expiry_s.saturating_sub(now_s).saturating_mul(1_000).min(hook.cache_ms)
                }
                _ => hook.cache_ms,
            };
            (answer, cache_ms)
        }
        Provider::Everybody
        | Provider::Inside
        | Provider::Anonymous
        | Provider::Certificate(_)
        | Provider::Scram(_) => (Answer::Pass(None), 0),
    }
}

fn of_password(file: &PasswordFile, credentials: &Credentials) -> Answer {
    let (Some(user_name), Some(password)) = (&credentials.user_name, &credentials.password) else {
        return Answer::Pass(None);
    };
    let is_password = file.verify(user_name, password.as_bytes());
    match is_password.then(|| file.fingerprint(user_name)).flatten() {
        Some(line) => Answer::Allow(Identity::user(user_name, Voucher::Password(line))),
        None => Answer::Pass(Some(Denial::WrongPassword)),
    }
}

fn of_token(jwt: &Jwt, credentials: &Credentials, now_s: u64) -> Answer {
    let Some(password) = &credentials.password else { return Answer::Pass(None) };
    match jwt.verify(password.as_bytes(), &credentials.client_id, now_s) {
        Ok(token) => Answer::Allow(Identity {
            user_name: Some((*token.user_name).into()),
            source: token.permissions.map_or(PermissionSource::AccessList, PermissionSource::Given),
            expiry_s: Some(token.expiry_s),
            voucher: Voucher::Token(token.key),
        }),
        Err(error) => Answer::Pass(Some(error.into())),
    }
}

fn of_hook(verdict: Verdict, now_s: u64) -> Answer {
    match verdict {
        Verdict::Allow(identity) if identity.has_expired(now_s) => Answer::Deny(Denial::Refused),
        Verdict::Allow(identity) => Answer::Allow(identity),
        Verdict::Pass => Answer::Pass(None),
        Verdict::Deny => Answer::Deny(Denial::Refused),
        Verdict::NoAnswer(why) => Answer::Deny(Denial::NoAnswer(why.into())),
    }
}
