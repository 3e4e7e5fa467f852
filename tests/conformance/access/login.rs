//! Logins: passwords, bans, a queue that is full, SCRAM, and other people's clients.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use skein_client::{Client, Scram};
use skein_protocol::Version;

use super::scene::{Scene, USERS, guarded, of_user, with};
use crate::harness::{PATIENCE, connect, eventually};

const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];

#[test]
fn a_password_lets_its_user_in_and_nobody_else() {
    let scene = Scene::with_passwords("", "login_failures_max = 1000\n", &[]);
    for version in VERSIONS {
        scene.user(version, "alice").leave();
        let id = |name| connect(version, name);
        scene.refuses(&with(id("a"), "alice", "of bob"), 0x86, 4);
        scene.refuses(&with(id("a"), "nobody", "of alice"), 0x86, 4);
        scene.refuses(&with(id("a"), "alice", ""), 0x86, 4);
        scene.refuses(&id("a"), 0x86, 4);
    }
}

/// What an MQTT 5 client is told does not say whether the user exists, nor does the time it takes:
/// the hash of somebody else is computed for unknown users.
#[test]
fn g18_an_unknown_user_is_refused_like_a_wrong_password() {
    let slow = skein::access::password::PasswordHash::make(
        skein::access::password::Scheme::Sha512Pbkdf2 { iterations: 100_000 },
        b"of alice",
        &[7; 12],
    );
    let file = format!("alice:{}\n", slow.expect("it is allowed"));
    let access = "login_failures_max = 1000\nlogin_user_failures_max = 1000\n\
                  login_workers = 1\npassword_cache_ms = 0\n";
    let scene = Scene::with_passwords("", access, &[("passwords", &file)]);
    let refusal = |name: &str| {
        let started = Instant::now();
        let mut peer = scene.open(Version::V5);
        peer.send(&with(connect(Version::V5, "guesser"), name, "wrong"));
        let connack = peer.receive();
        (connack.bytes, started.elapsed())
    };
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..9 {
        let (known, known_time) = refusal("alice");
        let (unknown, unknown_time) = refusal("nobody");
        assert_eq!(known, unknown);
        times[0].push(known_time);
        times[1].push(unknown_time);
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let ratio = unknown.as_secs_f64() / known.as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "unknown {unknown:?}, known {known:?}");
}

#[test]
fn g18_who_guesses_is_banned_and_others_are_served() {
    let access = "login_failures_max = 5\nlogin_ban_s = 600\n";
    let scene = Scene::with_passwords("", access, &[]);
    // Who has logged in from here before is not locked out by others.
    scene.user(Version::V5, "bob").leave();
    let mut reasons = Vec::new();
    for guess in 0..8 {
        let mut peer = scene.open(Version::V5);
        let password = guess.to_string();
        peer.send(&with(connect(Version::V5, "guesser"), "alice", &password));
        reasons.push(peer.receive().any_connack().reason as u8);
    }
    assert_eq!(reasons, [0x86, 0x86, 0x86, 0x86, 0x86, 0x8A, 0x8A, 0x8A]);
    scene.refuses(&of_user(connect(Version::V5, "a"), "alice"), 0x8A, 5);
    scene.user(Version::V5, "bob").leave();
    let is_told_once =
        || scene.case.broker.log().matches("the user at this address has failed").count() == 1;
    assert!(eventually(PATIENCE, is_told_once), "{}", scene.case.broker.log());
}

/// With one worker that waits for an answer, more logins come than may wait: those are refused at
/// once, and whoever is connected does not notice.
#[test]
fn g18_logins_that_do_not_fit_the_queue_are_refused_at_once() {
    // The kernel accepts what comes here, and nobody reads it.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", silent.local_addr().expect("it is bound"));
    let sections = format!(
        "[access]\nlogin_workers = 1\nlogins_waiting_max = 2\n\
         [http_hook]\nurl = \"{url}\"\ntimeout_ms = 600\n"
    );
    let scene = Scene::start(&guarded("auth = \"http\"\n", &sections), &[]);
    let mut onlooker = scene.onlooker();
    let started = Instant::now();
    let mut peers: Vec<_> = (0..12)
        .map(|index| {
            let mut peer = scene.open(Version::V5);
            peer.send(&connect(Version::V5, &format!("storm-{index}")));
            peer
        })
        .collect();
    onlooker.expect_nothing();
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    let mut reasons: Vec<u8> =
        peers.iter_mut().map(|peer| peer.receive().any_connack().reason as u8).collect();
    reasons.sort_unstable();
    // Two wait, and one more if the worker was quick to take the first: nobody answers in time.
    assert_eq!(reasons[..2], [0x88; 2]);
    assert!([0x88, 0x89].contains(&reasons[2]), "{reasons:02X?}");
    assert_eq!(reasons[3..], [0x89; 9]);
}

#[test]
fn scram_proves_both_sides_to_each_other() {
    let made = |mechanism, name: &str, password: &str| {
        let made =
            skein::access::scram::ScramCredentials::make(mechanism, password, &[7; 16], 4_096);
        format!("{name}:{}\n", made.expect("it is allowed"))
    };
    use skein::access::scram::Mechanism::{Sha256, Sha512};
    let file = made(Sha256, "alice", "of alice") + &made(Sha512, "alice", "of alice");
    let keys = "auth = [\"scram\"]\nacl_file = \"FOLDER/acl\"\n";
    let text = guarded(keys, "[access]\nscram_file = \"FOLDER/scram\"\nlogin_delay_ms = 0\n");
    let files = [("scram", file.as_str()), ("acl", "user alice\ntopic readwrite a/#\n")];
    let scene = Scene::start(&text, &files);
    let address = &scene.case.broker.addresses[1];
    let login = |scram| Client::builder(&format!("mqtt://{address}")).auth(scram).connect();
    for scram in [Scram::sha256("alice", "of alice"), Scram::sha512("alice", "of alice")] {
        let client = login(scram).expect("it is proved");
        client.close().expect("it says goodbye");
    }
    for scram in [
        Scram::sha256("alice", "wrong"),
        Scram::sha256("nobody", "of alice"),
        Scram::sha1("alice", "of alice"),
    ] {
        assert!(login(scram).is_err());
    }
    scene.refuses(&connect(Version::V5, "alice"), 0x86, 4);
}

/// `mosquitto_pub -u -P`, as everybody's first try is.
#[test]
fn mosquittos_client_logs_in_with_a_password() {
    let acl = "pattern readwrite of/%u/#\n";
    let scene = Scene::with_list(acl);
    let mut onlooker = scene.onlooker();
    onlooker.subscribe("#", skein_protocol::QoS::AtMostOnce);
    let (_, port) = scene.case.broker.addresses[1].rsplit_once(':').expect("it has a port");
    let publish = |user: &str, password: &str, topic: &str| {
        let mut command = Command::new("mosquitto_pub");
        command
            .args(["-p", port, "-q", "1", "-u", user, "-P", password, "-t", topic, "-m", "hello"]);
        let output = command.output();
        output.expect("apt-get install mosquitto-clients").status.success()
    };
    let (name, password) = USERS[0];
    assert!(publish(name, password, "of/alice/1"));
    onlooker.expect_message("of/alice/1", b"hello");
    publish(name, password, "of/bob/1");
    assert!(!publish(name, "wrong", "of/alice/1"));
    onlooker.expect_nothing();
}
