use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use skein_protocol::TopicName;

use super::*;

/// Keys and tokens made by OpenSSL; the claims are those of [`claims`].
const KEYS: &str = include_str!("examples/keys.json");
const TOKENS: &str = include_str!("examples/tokens.json");
const NOW_S: u64 = 1_500_000_000;

fn claims() -> Value {
    json!({
        "sub": "alice", "exp": 2_000_000_000, "nbf": 1_000_000_000, "iss": "https://issuer.example",
        "aud": ["skein", "other"], "publish": ["up/alice/#"], "subscribe": ["down/+"],
    })
}

fn settings() -> JwtSettings {
    JwtSettings {
        issuer: Some("https://issuer.example".into()),
        audience: Some("skein".into()),
        ..JwtSettings::default()
    }
}

fn jwt(settings: JwtSettings) -> Jwt {
    Jwt::new(JwtKeys::parse(KEYS.as_bytes(), "keys").expect("a valid set"), settings)
}

/// Signs with the secret of the example, bytes 0 to 63.
fn sign(header: &Value, claims: &Value) -> String {
    sign_text(header, &claims.to_string())
}

fn sign_text(header: &Value, claims: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let secret: Vec<u8> = (0..64).collect();
    let signed =
        Hmac::<Sha256>::new_from_slice(&secret).expect("any length").chain_update(&message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed.finalize().into_bytes()))
}

/// The example's claims with some of them replaced, `null` for taken away.
fn with(changes: &Value) -> String {
    let mut changed = claims();
    for (name, value) in changes.as_object().expect("an object") {
        let claims = changed.as_object_mut().expect("an object");
        match value {
            Value::Null => drop(claims.remove(name)),
            value => drop(claims.insert(name.clone(), value.clone())),
        }
    }
    sign(&json!({"alg": "HS256"}), &changed)
}

fn verify(token: &str) -> Result<Token, JwtError> {
    jwt(settings()).verify(token.as_bytes(), "client", NOW_S)
}

#[test]
fn tokens_of_every_algorithm_are_verified() {
    let tokens: Map<String, Value> = serde_json::from_str(TOKENS).expect("JSON");
    assert_eq!(tokens.len(), 8);
    for (algorithm, token) in &tokens {
        let text = token.as_str().expect("text");
        assert!(Jwt::is_token(text.as_bytes()));
        let token = verify(text).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        assert_eq!((&*token.user_name, token.expiry_s), ("alice", 2_000_000_030));
        let permissions = token.permissions.expect("the token says so");
        let topic = |text| TopicName::new(text).expect("a valid topic");
        assert!(permissions.may_publish(topic("up/alice/a")));
        assert!(!permissions.may_publish(topic("down/a")) && permissions.may_receive_all("down/+"));
        let (message, signature) = text.rsplit_once('.').expect("three parts");
        let swapped = format!("{message}.{}", signature.chars().rev().collect::<String>());
        assert!(verify(&swapped).is_err(), "{algorithm}");
        let (header, _) = message.split_once('.').expect("three parts");
        let other = URL_SAFE_NO_PAD.encode(claims().to_string().replace("alice", "admin"));
        assert!(
            matches!(verify(&format!("{header}.{other}.{signature}")), Err(JwtError::Signature)),
            "{algorithm}"
        );
    }
}

#[test]
fn a_token_is_valid_for_a_time() {
    let token = with(&json!({"exp": NOW_S, "nbf": NOW_S}));
    let at = |now_s| jwt(settings()).verify(token.as_bytes(), "client", now_s).map(|t| t.expiry_s);
    assert_eq!(at(NOW_S + 29), Ok(NOW_S + 30));
    assert_eq!(at(NOW_S + 30), Err(JwtError::Expired));
    assert_eq!(at(NOW_S - 30), Ok(NOW_S + 30));
    assert_eq!(at(NOW_S - 31), Err(JwtError::NotYet));
    let halves = verify(&with(&json!({"exp": 1_600_000_000.5}))).expect("a date").expiry_s;
    assert_eq!(halves, 1_600_000_030);
    let last = verify(&with(&json!({"exp": u64::MAX}))).expect("a date, if a late one").expiry_s;
    assert_eq!(last, u64::MAX);
}

#[test]
fn claims_that_do_not_fit_are_refused() {
    for (changes, claim) in [
        (json!({"exp": null}), "exp"),
        (json!({"exp": "2000000000"}), "exp"),
        (json!({"exp": -1}), "exp"),
        (json!({"exp": 1e300}), "exp"),
        (json!({"nbf": "soon"}), "nbf"),
        (json!({"iss": null}), "iss"),
        (json!({"iss": "https://issuer.example/"}), "iss"),
        (json!({"aud": null}), "aud"),
        (json!({"aud": "skeins"}), "aud"),
        (json!({"aud": [1]}), "aud"),
        (json!({"sub": null}), "sub"),
        (json!({"sub": ""}), "sub"),
        (json!({"sub": "a\u{0}"}), "sub"),
        (json!({"sub": 5}), "sub"),
        (json!({"publish": 5}), "publish"),
        (json!({"publish": ["a/#/b"]}), "publish"),
        (json!({"subscribe": ["$share/g/a"]}), "subscribe"),
    ] {
        let error = verify(&with(&changes)).expect_err(claim);
        assert_eq!(error, JwtError::Claim(claim.into()), "{changes}");
    }
    assert!(verify(&with(&json!({"aud": "skein", "nbf": null}))).is_ok());
}

#[test]
fn what_nobody_asked_for_is_not_asked_of_the_token() {
    let open = jwt(JwtSettings::default());
    let bare = with(&json!({"iss": null, "aud": null, "publish": null, "subscribe": null}));
    let token = open.verify(bare.as_bytes(), "client", NOW_S).expect("nothing is asked of it");
    assert!(token.permissions.is_none());
    let error = open.verify(with(&json!({})).as_bytes(), "client", NOW_S).expect_err("it has aud");
    assert_eq!(error, JwtError::Claim("aud".into()));
    let half = verify(&with(&json!({"publish": null}))).expect("it may subscribe");
    assert!(!half.permissions.expect("a claim is there").may_receive_all("up/#"));
}

#[test]
fn a_token_can_be_for_one_client_only() {
    let bound = JwtSettings { client_id_claim: Some("client".into()), ..settings() };
    let token = with(&json!({"client": "one"}));
    let verify = |id| jwt(bound.clone()).verify(token.as_bytes(), id, NOW_S).map(|t| t.user_name);
    assert_eq!(verify("one"), Ok("alice".into()));
    assert_eq!(verify("two"), Err(JwtError::Claim("client".into())));
}

#[test]
fn a_token_is_believed_as_long_as_its_key_is_there() {
    let set = |keys: &[Value]| {
        let text = json!({ "keys": keys }).to_string();
        let keys = JwtKeys::parse(text.as_bytes(), "keys").expect("a valid set");
        Jwt::new(keys, settings())
    };
    let list: Value = serde_json::from_str(KEYS).expect("JSON");
    let list = list["keys"].as_array().expect("a list");
    let tokens: Map<String, Value> = serde_json::from_str(TOKENS).expect("JSON");
    let mut found = std::collections::BTreeSet::new();
    for (algorithm, token) in &tokens {
        let token = verify(token.as_str().expect("text")).expect("it is good");
        let has = |key: &&Value| set(&[(*key).clone()]).still_has(token.key);
        let keys: Vec<&Value> = list.iter().filter(has).collect();
        let [key] = keys[..] else { panic!("{algorithm}: {} keys", keys.len()) };
        found.insert(token.key);
        let others: Vec<Value> = list.iter().filter(|other| *other != key).cloned().collect();
        assert!(!set(&others).still_has(token.key), "{algorithm}");
        let mut said = key.clone();
        said["x5t"] = "AAAA".into();
        assert!(set(&[said]).still_has(token.key), "{algorithm}: it is the same key");
        let mut renamed = key.clone();
        renamed["kid"] = "another name".into();
        assert!(!set(&[renamed]).still_has(token.key), "{algorithm}: no token asks for it");
    }
    assert_eq!(found.len(), list.len(), "every key is another");
    let unfetched = Jwt::new(JwtKeys::default(), settings());
    assert!(found.iter().all(|key| unfetched.still_has(*key)), "nobody knows yet");
}

/// A good signature is not blamed for what it is under.
#[test]
fn claims_that_cannot_be_read_are_said_to_be_that() {
    let twice = claims().to_string().replacen('{', "{\"sub\":\"bob\",", 1);
    for (claims, why) in [
        (twice.as_str(), "duplicate field `sub`"),
        ("[]", "expected a map"),
        ("{\"sub\":", "EOF"),
        ("nonsense", "expected"),
    ] {
        let token = sign_text(&json!({"alg": "HS256"}), claims);
        let error = verify(&token).expect_err(why);
        assert!(matches!(error, JwtError::Claims(_)), "{claims}: {error}");
        assert!(error.to_string().contains(why), "{error}");
        let (message, _) = token.rsplit_once('.').expect("three parts");
        assert_eq!(verify(&format!("{message}.AAAA")).expect_err(why), JwtError::Signature);
    }
}

/// A public key is no secret, an unsigned token no token, and a name in the header no key.
#[test]
fn headers_choose_nothing_dangerous() {
    let keys: Value = serde_json::from_str(KEYS).expect("JSON");
    for kid in ["rsa", "es256", "ed", "nobody"] {
        let token = sign(&json!({"alg": "HS256", "kid": kid}), &claims());
        assert_eq!(verify(&token).expect_err(kid), JwtError::UnknownKey);
    }
    let embedded = json!({"alg": "ES256", "jwk": keys["keys"][1], "jku": "http://example.com"});
    assert!(verify(&sign(&embedded, &claims())).is_err());
    let critical = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    assert_eq!(verify(&sign(&critical, &claims())).expect_err("crit"), JwtError::Critical);
    let signed = sign(&json!({"alg": "none"}), &claims());
    let (message, _) = signed.rsplit_once('.').expect("three parts");
    assert_eq!(verify(&format!("{message}.")).expect_err("none"), JwtError::Malformed);
    for text in ["", "..", "a.b.c", "password", "a.b.c.d", "\u{e9}.."] {
        assert!(!Jwt::is_token(text.as_bytes()), "{text}");
        assert_eq!(verify(text).expect_err(text), JwtError::Malformed);
    }
}

#[test]
fn sets_of_keys_are_read_strictly() {
    let parse = |text: &str| JwtKeys::parse(text.as_bytes(), "keys.json");
    for (text, problem) in [
        ("", "this is not JSON"),
        ("[]", "write a JWK set"),
        ("{\"keys\": 1}", "write a JWK set"),
        ("{\"keys\": []}", "there is no key for signatures in it"),
        (
            r#"{"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}"#,
            "key 1: a secret needs at least 32 bytes",
        ),
        (r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}"#, "key 1: an RSA key needs 2048"),
        (r#"{"keys": [{"kty": "oct", "k": "*"}]}"#, "key 1: a part of it is not Base64url"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("keys.json: {problem}")), "{error}");
    }
    let other = KEYS.replace("\"EdDSA\"", "\"RS256\"");
    let error = parse(&other).expect_err("an RSA algorithm for another key").to_string();
    assert!(error.contains("key 4: its \"alg\" does not go with its kind"), "{error}");
    let encrypting = KEYS.replace("\"sig\"", "\"enc\"");
    let set = parse(&encrypting).expect("the others stay");
    assert_eq!(set.warnings().len(), 1, "{:?}", set.warnings());
    let strange = KEYS.replace("\"OKP\"", "\"XYZ\"");
    assert_eq!(parse(&strange).expect("the others stay").warnings().len(), 1);
    assert!(!format!("{:?}", jwt(settings())).contains("SecretOrDer"), "no secrets in logs");
}
