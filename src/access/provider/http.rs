//! A web server that is asked who a client is: what it is sent, and what its answers mean.
//!
//! It is sent one JSON document by POST, in which nothing a client chooses can become anything else
//! than the value of its field:
//!
//! ```json
//! {"client_id": "c", "user_name": "u", "password": "p", "address": "192.0.2.1",
//!  "certificate_subject": null}
//! ```
//!
//! What is missing is `null`; a password that is not UTF-8 stands in `password_base64`. The answer
//! is status 200 with `{"result": "allow"}`, `"deny"` or `"ignore"`, and beside `allow` if it likes
//! `user_name`, `publish` and `subscribe` (lists of filters) and `expires_at` (seconds since the
//! Unix epoch). 204 allows, 401 and 403 deny. Everything else, and no answer in time, denies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use skein_protocol::TopicFilter;

use super::Outside;
use crate::access::certificate::CertificateName;
use crate::access::credentials::Credentials;
use crate::access::identity::{Identity, PermissionSource, Voucher, is_user_name};
use crate::access::permissions::Permissions;

/// A web server that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpHook {
    /// Where it is: `http://…` or `https://…`.
    pub url: Box<str>,
    /// How long its answer may take.
    pub timeout_ms: u64,
    /// How long an answer that allows need not be asked for again; 0 = always.
    pub cache_ms: u64,
}

/// What a web server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// What that means.
#[derive(Debug)]
pub(super) enum Verdict {
    Allow(Identity),
    Pass,
    Deny,
    NoAnswer(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    result: Result,
    user_name: Option<Box<str>>,
    publish: Option<Vec<Box<str>>>,
    subscribe: Option<Vec<Box<str>>>,
    expires_at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Result {
    Allow,
    Deny,
    Ignore,
}

impl HttpHook {
    pub(super) fn ask(&self, credentials: &Credentials, outside: &mut dyn Outside) -> Verdict {
        let body = question(credentials);
        match outside.post_json(&self.url, &body, self.timeout_ms) {
            Ok(reply) => verdict(&reply, credentials),
            Err(error) => Verdict::NoAnswer(error),
        }
    }
}

fn question(credentials: &Credentials) -> String {
    let subject = credentials.certificate.as_ref().map(|certificate| {
        // A subject that cannot be written is still a certificate that was shown.
        CertificateName::DistinguishedName.of(certificate).unwrap_or_default()
    });
    let mut question = json!({
        "client_id": credentials.client_id,
        "user_name": credentials.user_name,
        "password": null,
        "address": credentials.address,
        "certificate_subject": subject,
    });
    if let Some(password) = &credentials.password {
        match str::from_utf8(password.as_bytes()) {
            Ok(text) => question["password"] = text.into(),
            Err(_) => question["password_base64"] = STANDARD.encode(password.as_bytes()).into(),
        }
    }
    question.to_string()
}

fn verdict(reply: &HttpReply, credentials: &Credentials) -> Verdict {
    let own_name = credentials.user_name.as_deref();
    let anything = PermissionSource::AccessList;
    match reply.status {
        200 => match serde_json::from_slice::<Answer>(&reply.body) {
            Ok(answer) => answer.verdict(own_name),
            Err(error) => Verdict::NoAnswer(format!("its answer is not understood: {error}")),
        },
        204 => allow(own_name, anything, None),
        401 | 403 => Verdict::Deny,
        status => Verdict::NoAnswer(format!("its answer has the status {status}")),
    }
}

impl Answer {
    fn verdict(self, own_name: Option<&str>) -> Verdict {
        match self.result {
            Result::Deny => Verdict::Deny,
            Result::Ignore => Verdict::Pass,
            Result::Allow => {
                let mut filters = self.publish.iter().chain(&self.subscribe).flatten();
                if let Some(bad) = filters.find(|filter| !is_filter(filter)) {
                    return Verdict::NoAnswer(format!("{bad:?} is not a topic filter"));
                }
                let source = match (self.publish, self.subscribe) {
                    (None, None) => PermissionSource::AccessList,
                    (publish, subscribe) => PermissionSource::Given(Permissions::of_filters(
                        &publish.unwrap_or_default(),
                        &subscribe.unwrap_or_default(),
                    )),
                };
                allow(self.user_name.as_deref().or(own_name), source, self.expires_at)
            }
        }
    }
}

fn allow(user_name: Option<&str>, source: PermissionSource, expiry_s: Option<u64>) -> Verdict {
    match user_name {
        Some(name) if !is_user_name(name) => {
            Verdict::NoAnswer("it allows a client whose user name cannot be one".to_owned())
        }
        user_name => {
            let user_name = user_name.map(Into::into);
            Verdict::Allow(Identity { user_name, source, expiry_s, voucher: Voucher::Hook })
        }
    }
}

fn is_filter(text: &str) -> bool {
    TopicFilter::new(text).is_ok_and(|filter| filter.share().is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::access::credentials::Secret;

    /// The documents of `docs/authentication.md`.
    fn documents() -> Vec<Value> {
        let page = include_str!("../../../docs/authentication.md");
        let blocks = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
        let stream = |text| serde_json::Deserializer::from_str(text).into_iter::<Value>();
        blocks.flat_map(stream).map(|document| document.expect("it is JSON")).collect()
    }

    #[test]
    fn the_page_says_what_is_sent_and_what_is_answered() {
        let credentials = Credentials {
            client_id: "thermometer".into(),
            user_name: Some("alice".into()),
            password: Some(Secret::new(b"secret")),
            certificate: None,
            address: "192.0.2.1".parse().ok(),
        };
        let documents = documents();
        let [sent, answers @ ..] = &documents[..] else { panic!("a question and its answers") };
        let asked: Value = serde_json::from_str(&question(&credentials)).expect("it is JSON");
        assert_eq!(*sent, asked);
        let verdicts = answers.iter().map(|answer| {
            let body = answer.to_string().into_bytes();
            verdict(&HttpReply { status: 200, body }, &credentials)
        });
        let verdicts: Vec<Verdict> = verdicts.collect();
        let [Verdict::Allow(_), Verdict::Deny, Verdict::Pass, Verdict::Allow(whole)] =
            &verdicts[..]
        else {
            panic!("{verdicts:?}");
        };
        assert_eq!(whole.expiry_s, Some(1_900_000_000));
        assert!(matches!(whole.source, PermissionSource::Given(_)));
    }
}
