//! Signed tokens in place of passwords, with keys from a file and from an address.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use skein_protocol::Version;

use super::scene::{Scene, guarded, publishes, with};
use crate::harness::{PATIENCE, connect, eventually};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

fn token(secret: &str, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&json!({"alg": "HS256", "typ": "JWT"})), encode(claims));
    let signed = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    let signature = signed.chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn in_seconds(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    now.as_secs() + seconds
}

pub(super) fn alice(secret: &str, seconds: u64) -> String {
    token(secret, &json!({"sub": "alice", "exp": in_seconds(seconds), "publish": ["a/#"]}))
}

#[test]
fn a_token_lets_in_says_what_for_and_ends_the_session() {
    let sections =
        "[access]\nlogin_delay_ms = 0\n[jwt]\nsecret_file = \"FOLDER/secret\"\nleeway_s = 0\n";
    let files = [("secret", SECRET)];
    let scene = Scene::start(&guarded("auth = \"jwt\"\n", sections), &files);
    for version in [Version::V3_1_1, Version::V5] {
        let good = alice(SECRET, 3);
        let mut peer = scene.come(&with(connect(version, "thing"), "ignored", &good));
        assert_eq!(publishes(&mut peer, "a/1", b"x"), 0);
        let denied = if version == Version::V5 { 0x87 } else { 0 };
        assert_eq!(publishes(&mut peer, "b/1", b"x"), denied);
        peer.expect_closed_with(0x87);
        scene.refuses(&with(connect(version, "thing"), "", &good), 0x86, 4);
        scene.refuses(&with(connect(version, "thing"), "", &alice(OTHER_SECRET, 60)), 0x86, 4);
    }
}

/// Serves what it is told to as a JWK set, and fails while that is empty.
fn keys_at_an_address() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/keys", listener.local_addr().expect("it is bound"));
    let set = Arc::new(Mutex::new(String::new()));
    let served = Arc::clone(&set);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4_096]);
            let set = served.lock().expect("no test panics with it").clone();
            let status = if set.is_empty() { "503 Later" } else { "200 OK" };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{set}",
                set.len()
            );
        }
    });
    (url, set)
}

pub(super) fn key_set(secrets: &[&str]) -> String {
    let key = |secret: &&str| json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)});
    json!({"keys": secrets.iter().map(key).collect::<Vec<_>>()}).to_string()
}

#[test]
fn keys_from_an_address_come_when_they_can_and_are_fetched_again() {
    let (url, set) = keys_at_an_address();
    let serve = |text: String| *set.lock().expect("no test panics with it") = text;
    let sections = format!(
        "[access]\nlogin_delay_ms = 0\nlogin_failures_max = 100000\n\
         login_user_failures_max = 100000\n[jwt]\nkeys_url = \"{url}\"\nkeys_refresh_s = 1\n"
    );
    let keys = "auth = \"jwt\"\nacl_file = \"FOLDER/acl\"\n";
    let scene = Scene::start(&guarded(keys, &sections), &[("acl", "topic readwrite #\n")]);
    // Whoever is changing a list right now does not keep new keys away.
    scene.folder.write("acl", "topik");
    let comes_in = |secret: &str| {
        let mut peer = scene.open(Version::V5);
        peer.send(&with(connect(Version::V5, "thing"), "", &alice(secret, 60)));
        !peer.receive().any_connack().reason.is_error()
    };
    assert!(!comes_in(SECRET), "without keys no token is believed");
    let is_said =
        || scene.case.broker.log().contains("until there are keys, every token is refused");
    assert!(eventually(PATIENCE, is_said), "{}", scene.case.broker.log());
    serve(key_set(&[SECRET]));
    assert!(eventually(PATIENCE, || comes_in(SECRET)));
    serve(String::new());
    scene.expect_log("those fetched before stay in use", || {});
    assert!(comes_in(SECRET));
    serve(key_set(&[OTHER_SECRET]));
    assert!(eventually(PATIENCE, || comes_in(OTHER_SECRET)));
    assert!(!comes_in(SECRET));
}

/// A token is as good as its key: those whom a key has let in go with it, wherever it stood.
#[test]
fn a_key_that_is_taken_away_ends_the_sessions_that_it_let_in() {
    let both = key_set(&[SECRET, OTHER_SECRET]);
    for (keys, file, before, after) in [
        ("keys_file = \"FOLDER/keys\"", "keys", both.as_str(), &*key_set(&[OTHER_SECRET])),
        ("secret_file = \"FOLDER/secret\"", "secret", SECRET, OTHER_SECRET),
    ] {
        let sections = format!("[access]\nlogin_delay_ms = 0\n[jwt]\n{keys}\n");
        let scene = Scene::start(&guarded("auth = \"jwt\"\n", &sections), &[(file, before)]);
        let (old, new) = (alice(SECRET, 60), alice(OTHER_SECRET, 60));
        let mut gone: Vec<_> = [Version::V3_1_1, Version::V5]
            .map(|version| scene.come(&with(connect(version, &format!("{version:?}")), "", &old)))
            .into();
        scene.reload();
        assert!(gone.iter_mut().all(|peer| publishes(peer, "a/1", b"x") == 0), "nothing changed");
        let mut stays =
            (file == "keys").then(|| scene.come(&with(connect(Version::V5, "stays"), "", &new)));
        scene.change(file, after);
        gone.iter_mut().for_each(|peer| peer.expect_closed_with(0x87));
        if let Some(stays) = &mut stays {
            assert_eq!(publishes(stays, "a/1", b"x"), 0);
        }
        scene.refuses(&with(connect(Version::V5, "late"), "", &old), 0x86, 4);
    }
}

#[test]
fn a_key_that_its_address_has_no_more_ends_the_sessions_that_it_let_in() {
    let (url, set) = keys_at_an_address();
    let serve = |text: String| *set.lock().expect("no test panics with it") = text;
    serve(key_set(&[SECRET, OTHER_SECRET]));
    let sections =
        format!("[access]\nlogin_delay_ms = 0\n[jwt]\nkeys_url = \"{url}\"\nkeys_refresh_s = 1\n");
    let scene = Scene::start(&guarded("auth = \"jwt\"\n", &sections), &[]);
    let are_there = || scene.case.broker.log().contains("the keys of tokens were fetched");
    assert!(eventually(PATIENCE, are_there), "{}", scene.case.broker.log());
    let (gone, stays) = (alice(SECRET, 60), alice(OTHER_SECRET, 60));
    let mut gone = scene.come(&with(connect(Version::V5, "gone"), "", &gone));
    let mut stays = scene.come(&with(connect(Version::V5, "stays"), "", &stays));
    serve(String::new());
    scene.expect_log("those fetched before stay in use", || {});
    assert_eq!(publishes(&mut gone, "a/1", b"x"), 0, "who cannot be asked has taken nothing away");
    // Another address has not said anything yet.
    let (other, keys) = keys_at_an_address();
    let text = std::fs::read_to_string(scene.folder.path("skein.toml")).expect("it was written");
    scene.folder.configure(&text.replace(&url, &other));
    scene.reload();
    assert_eq!(publishes(&mut gone, "a/1", b"x"), 0, "nor has it");
    *keys.lock().expect("no test panics with it") = key_set(&[OTHER_SECRET]);
    gone.expect_closed_with(0x87);
    assert_eq!(publishes(&mut stays, "a/1", b"x"), 0);
}
