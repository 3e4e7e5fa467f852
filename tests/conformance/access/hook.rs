//! H16: a web server that says who may connect.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skein_protocol::Version;

use super::scene::{Scene, guarded, publishes, subscribes, with};
use crate::harness::connect;

/// A web server that answers by user name, and passes on what it was asked.
fn server() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/mqtt/auth", listener.local_addr().expect("it is bound"));
    let (asked, questions) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let asked = asked.clone();
            // One that never answers must not keep the others.
            thread::spawn(move || {
                let question = question(&stream);
                let _ = asked.send(question.clone());
                answer(&stream, &question);
            });
        }
    });
    (url, questions)
}

fn question(mut stream: &TcpStream) -> Value {
    let mut text = Vec::new();
    loop {
        let mut piece = [0; 4_096];
        let count = stream.read(&mut piece).unwrap_or(0);
        text.extend_from_slice(&piece[..count]);
        let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") else {
            assert!(count > 0, "the head ends");
            continue;
        };
        let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
        if text.len() >= end + 4 + length {
            return serde_json::from_slice(&text[end + 4..]).expect("the question is JSON");
        }
        assert!(count > 0, "the body ends");
    }
}

fn answer(mut stream: &TcpStream, question: &Value) {
    let (status, body) = match question["user_name"].as_str() {
        Some("silent") => {
            thread::sleep(Duration::from_secs(5));
            return;
        }
        Some("alice") => {
            ("200 OK", json!({"result": "allow", "publish": ["a/#"], "subscribe": ["a/#"]}))
        }
        Some("odd &=%?\"") => ("200 OK", json!({"result": "allow"})),
        Some("nonsense") => ("200 OK", json!("certainly")),
        Some("broken") => ("500 Internal Server Error", json!({"result": "allow"})),
        Some("elsewhere") => ("302 Found", json!({"result": "allow"})),
        _ => ("200 OK", json!({"result": "deny"})),
    };
    let body = body.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn scene(url: &str) -> Scene {
    scene_with(url, "")
}

/// With more settings of the hook (TOML).
fn scene_with(url: &str, more: &str) -> Scene {
    let hook = format!(
        "[access]\nlogin_failures_max = 1000\nlogin_delay_ms = 0\n\
         [http_hook]\nurl = \"{url}\"\ntimeout_ms = 500\n{more}"
    );
    Scene::start(&guarded("auth = \"http\"\nacl_strict = true\n", &hook), &[])
}

#[test]
fn h16_the_hook_allows_denies_and_says_what_for() {
    let (url, questions) = server();
    let scene = scene(&url);
    for version in [Version::V3_1_1, Version::V5] {
        let mut alice = scene.come(&with(connect(version, "thing"), "alice", "secret"));
        let asked = questions.recv().expect("it was asked");
        assert_eq!(
            asked,
            json!({
                "client_id": "thing", "user_name": "alice", "password": "secret",
                "address": "127.0.0.1", "certificate_subject": null,
            })
        );
        subscribes(&mut alice, "a/+", 1);
        subscribes(&mut alice, "b", 0x87);
        let denied = if version == Version::V5 { 0x87 } else { 0 };
        assert_eq!(publishes(&mut alice, "b", b"x"), denied);
        alice.leave();
        scene.refuses(&with(connect(version, "thing"), "mallory", "secret"), 0x87, 5);
        questions.recv().expect("it was asked");
    }
}

#[test]
fn h16_what_a_client_says_stays_within_its_field() {
    let (url, questions) = server();
    let scene = scene(&url);
    let name = "odd &=%?\"";
    let password = "\",\"user_name\":\"alice\",\"x\":\"%22&user_name=alice";
    scene.come(&with(connect(Version::V5, "?client_id=%00&x"), name, password)).leave();
    let asked = questions.recv().expect("it was asked");
    assert_eq!(
        (asked["user_name"].as_str(), asked["password"].as_str()),
        (Some(name), Some(password))
    );
    assert_eq!(asked["client_id"], "?client_id=%00&x");
    // Credentials that are missing are said to be (CVE-2026-32696).
    scene.refuses(&connect(Version::V5, "bare"), 0x87, 5);
    let asked = questions.recv().expect("it was asked");
    assert_eq!((&asked["user_name"], &asked["password"]), (&Value::Null, &Value::Null));
}

/// An answer holds for whoever asks the same, and for nobody else.
#[test]
fn h16_the_hook_is_asked_once_while_its_answer_is_kept() {
    let (url, questions) = server();
    let scene = scene_with(&url, "cache_ms = 60000\n");
    for version in [Version::V3_1_1, Version::V5] {
        scene.come(&with(connect(version, "thing"), "alice", "secret")).leave();
    }
    assert_eq!(questions.try_iter().count(), 1);
    scene.come(&with(connect(Version::V5, "thing"), "alice", "another")).leave();
    scene.come(&with(connect(Version::V5, "other"), "alice", "secret")).leave();
    assert_eq!(questions.try_iter().count(), 2, "another password, another client");
}

#[test]
fn h16_what_is_no_answer_in_time_denies() {
    let (url, _questions) = server();
    let scene = scene(&url);
    for name in ["silent", "nonsense", "broken", "elsewhere"] {
        let started = Instant::now();
        for version in [Version::V3_1_1, Version::V5] {
            scene.refuses(&with(connect(version, "thing"), name, "secret"), 0x88, 3);
        }
        assert!(started.elapsed() < Duration::from_secs(4), "{name}: {:?}", started.elapsed());
    }
    // Nobody listens there.
    let scene = self::scene("http://127.0.0.1:9/");
    scene.refuses(&with(connect(Version::V5, "thing"), "alice", "secret"), 0x88, 3);
}
