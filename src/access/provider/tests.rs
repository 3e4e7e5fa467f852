use std::net::IpAddr;

use serde_json::{Value, json};
use skein_protocol::TopicName;

use super::*;
use crate::access::credentials::Secret;
use crate::access::identity::PermissionSource;
use crate::access::jwt::{JwtError, JwtKeys, JwtSettings};
use crate::access::password::{PasswordHash, Scheme};
use crate::access::scram::ScramCredentials;

const NOW_S: u64 = 1_500_000_000;
const KEYS: &[u8] = include_bytes!("../jwt/examples/keys.json");
const TOKENS: &str = include_str!("../jwt/examples/tokens.json");
const CERTIFICATE: &[u8] = include_bytes!("../certificate/examples/full.der");
const NAMELESS: &[u8] = include_bytes!("../certificate/examples/nameless.der");

/// A web server that answers always the same, and keeps what it was asked.
struct Server {
    reply: Result<HttpReply, String>,
    asked: Vec<(String, Value, u64)>,
}

impl Server {
    fn new(status: u16, body: &Value) -> Self {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        Self { reply: Ok(HttpReply { status, body }), asked: Vec::new() }
    }

    /// One that must not be asked at all.
    fn silent() -> Self {
        Self { reply: Err("timeout".to_owned()), asked: Vec::new() }
    }
}

impl Outside for Server {
    fn post_json(&mut self, url: &str, body: &str, timeout_ms: u64) -> Result<HttpReply, String> {
        let body = serde_json::from_str(body).expect("the question is JSON");
        self.asked.push((url.to_owned(), body, timeout_ms));
        self.reply.clone()
    }
}

fn nobody() -> Credentials {
    Credentials {
        client_id: "client".into(),
        user_name: None,
        password: None,
        certificate: None,
        address: Some(IpAddr::from([192, 0, 2, 1])),
    }
}

fn user(name: &str, password: &[u8]) -> Credentials {
    let password = Some(Secret::new(password));
    Credentials { user_name: Some(name.into()), password, ..nobody() }
}

fn shows(certificate: &[u8]) -> Credentials {
    Credentials { certificate: Some(certificate.into()), ..nobody() }
}

fn passwords(name: &str, password: &[u8]) -> Provider {
    let hash = PasswordHash::make(Scheme::Sha512, password, &[1; 12]).expect("it costs nothing");
    let file = PasswordFile::parse(format!("{name}:{hash}\n").as_bytes(), "passwords");
    Provider::Password(Arc::new(file.expect("it was written here")))
}

fn tokens() -> Provider {
    let settings = JwtSettings { audience: Some("skein".into()), ..JwtSettings::default() };
    let keys = JwtKeys::parse(KEYS, "keys").expect("a valid set");
    Provider::Jwt(Arc::new(Jwt::new(keys, settings)))
}

fn hook() -> Provider {
    let url = "http://192.0.2.2/auth".into();
    Provider::Http(Arc::new(HttpHook { url, timeout_ms: 700, cache_ms: 5_000 }))
}

fn providers(chain: Vec<Provider>) -> Providers {
    Providers::new(chain, 60_000, [3; 32])
}

/// The whole way, with the work done at once.
fn outcome(chain: Vec<Provider>, credentials: Credentials, server: &mut Server) -> Outcome {
    match providers(chain).decide(credentials) {
        Decision::Allow(identity) => Outcome { result: Ok(identity), data: None, cache_ms: 0 },
        Decision::Deny(denial) => Outcome::denied(denial),
        Decision::Later(work) => work.run(NOW_S, server),
    }
}

fn result(chain: Vec<Provider>, credentials: Credentials) -> Result<Option<Arc<str>>, Denial> {
    let outcome = outcome(chain, credentials, &mut Server::silent());
    outcome.result.map(|identity| identity.user_name)
}

/// H14: nothing is anonymous by accident.
#[test]
fn only_who_shows_nothing_is_anonymous_and_only_where_that_is_allowed() {
    let anonymous = || vec![passwords("u", b"secret"), Provider::Anonymous];
    assert_eq!(result(anonymous(), nobody()), Ok(None));
    assert_eq!(result(anonymous(), user("u", b"wrong")), Err(Denial::WrongPassword));
    let without = Credentials { password: None, ..user("u", b"") };
    assert_eq!(result(anonymous(), without), Err(Denial::NoCredentials));
    assert_eq!(result(anonymous(), shows(CERTIFICATE)), Err(Denial::NoCredentials));
    assert_eq!(result(vec![passwords("u", b"secret")], nobody()), Err(Denial::NoCredentials));
    assert_eq!(result(vec![], nobody()), Err(Denial::NoCredentials));
    assert!(
        providers(anonymous()).allows_anonymous() && !providers(vec![hook()]).allows_anonymous()
    );
}

#[test]
fn the_first_provider_that_vouches_decides() {
    let files = || vec![passwords("u", b"one"), passwords("u", b"two"), passwords("v", b"three")];
    for (name, password, expected) in [
        ("u", "one", Ok(Some("u".into()))),
        ("u", "two", Ok(Some("u".into()))),
        ("v", "three", Ok(Some("v".into()))),
        ("v", "one", Err(Denial::WrongPassword)),
        ("w", "one", Err(Denial::WrongPassword)),
    ] {
        assert_eq!(result(files(), user(name, password.as_bytes())), expected, "{name} {password}");
    }
    let kept = outcome(files(), user("u", b"one"), &mut Server::silent());
    assert_eq!(kept.cache_ms, 60_000);
}

#[test]
fn a_certificate_is_decided_on_at_once() {
    let chain =
        || vec![Provider::Certificate(CertificateName::CommonName), passwords("u", b"secret")];
    let decision = providers(chain()).decide(shows(CERTIFICATE));
    let Decision::Allow(identity) = decision else { panic!("{decision:?}") };
    assert_eq!(identity.user_name.as_deref(), Some("device-1"));
    let denial = result(chain(), shows(NAMELESS)).expect_err("it has no name");
    assert!(matches!(denial, Denial::Certificate(_)), "{denial}");
    let both = Credentials { certificate: Some(NAMELESS.into()), ..user("u", b"secret") };
    assert_eq!(result(chain(), both), Ok(Some("u".into())), "the password still counts");
}

#[test]
fn tokens_bring_permissions_and_an_end() {
    let tokens_of: Value = serde_json::from_str(TOKENS).expect("JSON");
    let token = tokens_of["EdDSA"].as_str().expect("text");
    let chain = || vec![tokens(), passwords("u", b"secret")];
    let outcome = outcome(chain(), user("any", token.as_bytes()), &mut Server::silent());
    let identity = outcome.result.expect("the token is valid");
    assert_eq!((identity.user_name.as_deref(), outcome.cache_ms), (Some("alice"), 0));
    assert!(identity.has_expired(2_000_000_030) && !identity.has_expired(2_000_000_029));
    assert!(matches!(identity.source, PermissionSource::Given(_)));
    assert_eq!(result(chain(), user("u", b"secret")), Ok(Some("u".into())), "no token at all");
    let damaged = token.replace('A', "B");
    let denial = result(vec![tokens()], user("any", damaged.as_bytes())).expect_err("damaged");
    assert!(denial.is_failure(), "{denial}");
    let cut = token.rsplit_once('.').expect("three parts").0.to_owned() + ".";
    let denial = result(vec![tokens()], user("any", cut.as_bytes())).expect_err("unsigned");
    assert_eq!(denial, Denial::Token(JwtError::Signature));
}

/// H16: no template, so nothing to inject into; missing credentials are `null`.
#[test]
fn the_hook_is_asked_in_json() {
    let mut server = Server::new(204, &Value::Null);
    let tricky = user("a\"&b=c%00\n", b"\xff\xfe");
    outcome(vec![hook()], tricky, &mut server);
    outcome(vec![hook()], nobody(), &mut server);
    outcome(vec![hook()], shows(CERTIFICATE), &mut server);
    let [(url, first, timeout_ms), (_, second, _), (_, third, _)] = &server.asked[..] else {
        panic!("it was asked three times: {:?}", server.asked)
    };
    assert_eq!((url.as_str(), *timeout_ms), ("http://192.0.2.2/auth", 700));
    assert_eq!(first["user_name"], "a\"&b=c%00\n");
    assert_eq!((&first["password"], &first["password_base64"]), (&Value::Null, &json!("//4=")));
    assert_eq!(first["address"], "192.0.2.1");
    assert_eq!((&second["user_name"], &second["password"]), (&Value::Null, &Value::Null));
    assert!(third["certificate_subject"].as_str().is_some_and(|text| text.contains("CN=device-1")));
}

/// H16: everything but a clear yes is a no.
#[test]
fn only_a_clear_yes_of_the_hook_lets_a_client_in() {
    let chain = || vec![hook(), passwords("u", b"secret")];
    let ask = |status, body: Value| {
        outcome(chain(), user("u", b"secret"), &mut Server::new(status, &body)).result
    };
    let named = |result: Result<Identity, Denial>| result.map(|identity| identity.user_name);
    assert_eq!(named(ask(200, json!({"result": "allow"}))), Ok(Some("u".into())));
    assert_eq!(
        named(ask(200, json!({"result": "allow", "user_name": "other"}))),
        Ok(Some("other".into()))
    );
    assert_eq!(named(ask(204, Value::Null)), Ok(Some("u".into())));
    assert_eq!(named(ask(200, json!({"result": "ignore"}))), Ok(Some("u".into())), "the file does");
    for (status, body) in [(200, json!({"result": "deny"})), (401, Value::Null), (403, Value::Null)]
    {
        assert_eq!(named(ask(status, body)), Err(Denial::Refused));
    }
    for (status, body) in [
        (200, Value::Null),
        (200, json!({"result": "ALLOW"})),
        (200, json!({"result": "allow", "admin": true})),
        (200, json!({"result": "allow", "user_name": ""})),
        (200, json!({"result": "allow", "publish": ["a/#/b"]})),
        (200, json!({"result": "allow", "subscribe": ["$share/g/a"]})),
        (200, json!([])),
        (302, Value::Null),
        (500, json!({"result": "allow"})),
    ] {
        let denial = ask(status, body.clone()).expect_err("it is no clear yes");
        assert!(matches!(denial, Denial::NoAnswer(_)), "{status} {body}: {denial}");
    }
    let late = outcome(chain(), user("u", b"secret"), &mut Server::silent()).result;
    assert!(matches!(late, Err(Denial::NoAnswer(why)) if &*why == "timeout"));
}

#[test]
fn the_hook_may_say_what_a_client_may_do_and_until_when() {
    let body = json!({"result": "allow", "publish": ["up/#"], "expires_at": NOW_S + 3});
    let answer = outcome(vec![hook()], nobody(), &mut Server::new(200, &body));
    assert_eq!(answer.cache_ms, 3_000, "it is not kept longer than it holds");
    let identity = answer.result.expect("it is allowed");
    assert_eq!((identity.user_name.clone(), identity.expiry_s), (None, Some(NOW_S + 3)));
    let permissions = identity.permissions(None, "client");
    assert!(permissions.may_publish(TopicName::new("up/a").expect("a valid topic")));
    assert!(!permissions.may_receive_all("up/a"));
    let over = json!({"result": "allow", "expires_at": NOW_S});
    let answer = outcome(vec![hook()], nobody(), &mut Server::new(200, &over));
    assert_eq!(answer.result.expect_err("it is over"), Denial::Refused);
}

/// B21: a method nobody offers is refused before anything else.
#[test]
fn scram_is_offered_where_it_is_configured() {
    let mechanism = Mechanism::Sha256;
    let credentials = ScramCredentials::make(mechanism, "pencil", &[1; 16], 4096).expect("valid");
    let file = ScramFile::parse(format!("user:{credentials}").as_bytes(), "scram").expect("valid");
    let scram = providers(vec![Provider::Scram(Arc::new(file))]);
    let first = b"n,,n=user,r=abc";
    let (exchange, _) = scram.challenge("SCRAM-SHA-256", first, "nonce").expect("it is offered");
    let work = Work::prove(exchange, b"c=biws,r=abcnonce,p=AAAA", nobody());
    assert_eq!(work.credentials().user_name.as_deref(), Some("user"));
    assert!(work.cache_parts().is_none(), "a proof is good once");
    let denial = work.run(NOW_S, &mut Server::silent()).result.expect_err("no proof");
    assert!(denial.is_failure(), "{denial}");
    for (offered, method) in [(scram, "GS2-KRB5"), (providers(vec![hook()]), "SCRAM-SHA-256")] {
        let denial = offered.challenge(method, first, "nonce").expect_err("it is not offered");
        assert_eq!(denial, Denial::UnknownMethod(method.into()));
    }
    assert_eq!(result(vec![Provider::Scram(Arc::default())], nobody()), Err(Denial::NoCredentials));
}

#[test]
fn work_and_its_answer_may_travel_to_another_thread() {
    fn travels<T: Send + 'static>() {}
    travels::<Work>();
    travels::<Outcome>();
    travels::<Providers>();
}

#[test]
fn no_password_is_ever_shown() {
    let Decision::Later(work) = providers(vec![hook()]).decide(user("u", b"hunter2")) else {
        panic!("a hook is never asked at once")
    };
    assert!(!format!("{work:?}").contains("hunter2") && format!("{work:?}").contains("Secret"));
}
