//! How the programs end when something is wrong.

use std::thread;
use std::time::Duration;

use skein_client::ReasonCode;

use crate::broker::{Broker, free_port};
use crate::program::{BOTH, Ended, Whose, command, run, start};
use crate::server::{Script, Server};

/// What each of the programs is run with.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("pub", &["-t", "t", "-m", "x"]),
    ("pub", &["-t", "t", "-l"]),
    ("sub", &["-t", "t"]),
    ("rr", &["-t", "t", "-e", "r", "-m", "x"]),
];

pub(crate) fn refusals_end_the_same() {
    for (reason, version, code) in [
        (ReasonCode::UnsupportedProtocolVersion, "311", 1),
        (ReasonCode::ClientIdentifierNotValid, "311", 2),
        (ReasonCode::ServerUnavailable, "311", 3),
        (ReasonCode::BadUserNameOrPassword, "311", 4),
        (ReasonCode::NotAuthorized, "311", 5),
        (ReasonCode::NotAuthorized, "5", 135),
        (ReasonCode::ServerBusy, "5", 137),
    ] {
        for (name, words) in PROGRAMS {
            let words = [words, &["-V", version]].concat();
            let [theirs, ours] = BOTH.map(|whose| {
                let server = Server::start(Script { connect: reason, ..Script::default() });
                let ended = run(whose, name, server.port, &words);
                server.heard();
                ended
            });
            assert_eq!(theirs.code, Some(code), "{words:?}");
            assert_eq!((ours.code, ours.out), (theirs.code, theirs.out), "{words:?}");
            assert!(ours.err.starts_with("Connection error: "), "{words:?}: {}", ours.err);
            // mosquitto_rr looks up numbers of 3.1.1 among those of 5.0.
            if name != "rr" {
                assert_eq!(ours.err.lines().next(), theirs.err.lines().next(), "{words:?}");
            }
        }
    }
    let port = free_port();
    for (name, words) in PROGRAMS {
        let [theirs, ours] = BOTH.map(|whose| run(whose, name, port, words));
        assert_eq!(ours, theirs, "nobody listens: {name} {words:?}");
        assert_eq!(ours.code, Some(1));
    }
}

pub(crate) fn bad_options_end_the_same() {
    let rows: [(&str, &[&str]); 34] = [
        ("pub", &[]),
        ("pub", &["-t", "t"]),
        ("pub", &["-m", "x"]),
        ("pub", &["-X"]),
        ("pub", &["-t"]),
        ("pub", &["-t", "a/+", "-m", "x"]),
        ("pub", &["-t", "t", "-m", "x", "-l"]),
        ("pub", &["-t", "t", "-m", "x", "-q", "3"]),
        ("pub", &["-t", "t", "-m", "x", "-k", "4"]),
        ("pub", &["-t", "t", "-m", "x", "-c"]),
        ("pub", &["-t", "t", "-m", "x", "-p", "70000"]),
        ("pub", &["-t", "t", "-m", "x", "-V", "4"]),
        ("pub", &["-t", "t", "-m", "x", "--will-payload", "x"]),
        ("pub", &["-t", "t", "-m", "x", "--will-topic", "#"]),
        ("pub", &["-t", "t", "-m", "x", "-i", "a", "-I", "b"]),
        ("pub", &["-t", "t", "-m", "x", "-D", "publish", "nonsense", "x"]),
        ("pub", &["-t", "t", "-m", "x", "-D", "publish"]),
        ("pub", &["-t", "t", "-f", "/nonexistent"]),
        ("pub", &["-t", "t", "-m", "x", "--cert", "/nonexistent"]),
        ("pub", &["-L", "http://x/t", "-m", "x"]),
        ("pub", &["-t", "t", "-m", "x", "-m", "y"]),
        ("pub", &["-t", "t", "-m", "x", "-P", "p"]),
        ("pub", &["-t", "t", "-m", "x", "-M", "0"]),
        ("pub", &["-t", "t", "-m", "x", "-x", "x"]),
        ("pub", &["-t", "t", "-m", "x", "--repeat", "0"]),
        ("pub", &["-t", "t", "-m", "x", "--repeat-delay", "-1"]),
        ("pub", &["-t", "t", "-m", "x", "--tls-version", "nonsense"]),
        ("pub", &["-t", "t", "-m", "x", "--keyform", "pem"]),
        ("sub", &[]),
        ("sub", &["-t", "a/#/b"]),
        ("sub", &["-t", "t", "-F", "%z"]),
        ("sub", &["-t", "t", "-C", "0"]),
        ("sub", &["-t", "t", "-R", "--retained-only"]),
        ("rr", &["-t", "t", "-m", "x"]),
    ];
    for (name, words) in rows {
        let [theirs, ours] = BOTH.map(|whose| run(whose, name, 1, words));
        assert_eq!(ours.code, theirs.code, "{name} {words:?}: {}", ours.err);
        assert_eq!(ours.code, Some(1), "{name} {words:?}");
        assert!(ours.out.is_empty() && ours.err.starts_with("Error: "), "{name} {words:?}");
    }
    for words in [&["-X"][..], &["-t", "a/#/b"], &["-t", "t", "-F", "%z"], &["-t", "t", "-F", "a%"]]
    {
        let [theirs, ours] = BOTH.map(|whose| run(whose, "sub", 1, words));
        assert_eq!(ours.err, theirs.err, "{words:?}");
    }
}

pub(crate) fn timeouts_end_the_same() {
    let broker = Broker::start();
    let [theirs, ours] =
        BOTH.map(|whose| run(whose, "sub", broker.port, &["-t", "nothing", "-W", "1"]));
    assert_eq!(ours, theirs);
    let expected = Ended { code: Some(27), out: Vec::new(), err: "Timed out\n".to_owned() };
    assert_eq!(ours, expected);
    let words = ["-t", "nothing", "-W", "1", "--quiet"];
    let [theirs, ours] = BOTH.map(|whose| run(whose, "sub", broker.port, &words));
    assert_eq!((ours, theirs.err.as_str()), (Ended { err: String::new(), ..expected }, ""));
}

pub(crate) fn signals_end_the_same() {
    let broker = Broker::start();
    for signal in ["INT", "TERM"] {
        let ended = BOTH.map(|whose| {
            let mut command = command(whose, "sub");
            command.args(["-p", &broker.port.to_string(), "-t", "t", "-d", "-i", "s"]);
            let running = start(&mut command, None);
            thread::sleep(Duration::from_millis(700));
            running.signal(signal);
            running.wait()
        });
        let [theirs, ours] = ended;
        assert_eq!(ours, theirs, "{signal}");
        assert!(ours.text().ends_with("sending DISCONNECT\n"), "{}", ours.text());
    }
    // MQTT 5.0 can ask for the will on the way out.
    let server = Server::start(Script::default());
    let mut command = command(Whose::Skein, "sub");
    command.args(["-p", &server.port.to_string(), "-t", "t"]);
    let running = start(&mut command, None);
    thread::sleep(Duration::from_millis(700));
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    let heard = server.heard();
    assert!(
        heard.last().is_some_and(|last| last.starts_with("DISCONNECT reason=0x04")),
        "{heard:?}"
    );
}
