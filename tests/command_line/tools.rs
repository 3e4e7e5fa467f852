//! `skein conn`, `retained`, `probe`, `bench`, `completions` and `man`.

use std::fs;
use std::process::Command;

use serde_json::Value;
use skein_client::{Publish, QoS, ReasonCode};

use crate::broker::{Broker, free_port};
use crate::program::{Ended, skein, start};
use crate::server::{Script, Server};

fn run(words: &[&str], input: &[u8]) -> Ended {
    start(Command::new(skein()).args(words), Some(input)).wait()
}

pub(crate) fn conn_prints_the_terms() {
    let broker = Broker::start();
    let port = broker.port.to_string();
    let words = ["conn", "-p", &port, "-i", "me", "-k", "33", "--hold", "0", "--json"];
    let terms: Value = serde_json::from_slice(&run(&words, b"").succeeded().out).expect("JSON");
    assert_eq!((&terms["client_id"], &terms["version"]), (&"me".into(), &"5.0".into()));
    assert_eq!((&terms["keep_alive_s"], &terms["maximum_qos"]), (&33.into(), &2.into()));
    let text = run(&words[..words.len() - 1], b"").succeeded().text();
    assert!(text.lines().any(|line| line.starts_with("receive maximum ")), "{text}");
    let server = Server::start(Script { connect: ReasonCode::Banned, ..Script::default() });
    let refused = run(&["conn", "-V", "5", "-p", &server.port.to_string()], b"");
    assert_eq!(refused.code, Some(0x8A), "{}", refused.err);
    assert_eq!(run(&["conn", "-p", &free_port().to_string()], b"").code, Some(1));
}

pub(crate) fn retained_goes_round() {
    let broker = Broker::start();
    let retained = |topic: &'static str, payload: &'static [u8]| {
        Publish::new(topic, payload).qos(QoS::AtLeastOnce).retain()
    };
    broker.publish([
        retained("a/1", b"one").content_type("text/plain").user_property("k", "v"),
        retained("a/2", b"\x00\xff"),
        retained("b", b"other"),
    ]);
    let port = broker.port.to_string();
    let retained =
        |words: &[&str], input: &[u8]| run(&[&["retained"], words, &["-p", &port]].concat(), input);
    let list = || retained(&["list", "--idle", "0.5"], b"").succeeded().text();
    let all = "a/1\t1\t3\na/2\t1\t2\nb\t1\t5\n";
    assert_eq!(list(), all);
    assert_eq!(retained(&["get", "a/2"], b"").succeeded().out, b"\x00\xff");
    let nothing = retained(&["get", "nothing"], b"");
    assert_eq!((nothing.code, nothing.err.as_str()), (Some(1), "nothing: nothing is retained\n"));
    let exported = retained(&["export"], b"").succeeded();
    assert_eq!(retained(&["clear", "a/#"], b"").succeeded().text(), "2 removed\n");
    assert_eq!(list(), "b\t1\t5\n");
    assert_eq!(retained(&["import"], &exported.out).succeeded().text(), "3 published\n");
    assert_eq!(list(), all);
    assert_eq!(retained(&["export"], b"").succeeded().text(), exported.text());
    let broken = retained(&["import"], b"{\"topic\":\"t\",\"payload\":\"x\"}\nnonsense\n");
    assert_eq!(broken.code, Some(1));
    assert!(broken.err.starts_with("Error: line 2: "), "{}", broken.err);
    assert!(broken.err.ends_with("; 1 published before\n"), "{}", broken.err);
    let filter = retained(&["import"], b"{\"topic\":\"a/#\",\"payload\":\"x\"}\n");
    assert_eq!(filter.code, Some(1));
    assert!(filter.err.starts_with("Error: line 1: Invalid publish topic"), "{}", filter.err);
}

pub(crate) fn probe_finds_what_a_broker_has() {
    let broker = Broker::start();
    let port = broker.port.to_string();
    let found = run(&["probe", "-p", &port, "--json", "--patience", "20"], b"").succeeded();
    let found: Value = serde_json::from_slice(&found.out).expect("JSON");
    for version in ["3.1", "3.1.1", "5.0"] {
        assert_eq!(found["versions"][version], "accepted", "{version}");
    }
    let tried = found["tried"].as_object().expect("an object");
    assert!(tried.len() > 10 && tried.values().all(|it| it["works"] == true), "{tried:?}");
    // Nothing is left behind.
    let left = run(&["retained", "list", "--idle", "0.5", "-p", &port], b"").succeeded();
    assert_eq!(left.text(), "");
    let nobody = run(&["probe", "-p", &free_port().to_string()], b"");
    assert_eq!(nobody.code, Some(1), "{}", nobody.err);
}

pub(crate) fn bench_says_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let copy = folder.path().join("skein");
    fs::copy(skein(), &copy).expect("room for the binary");
    let help = {
        let mut command = Command::new(&copy);
        command.env("PATH", "").args(["bench", "--help"]);
        start(&mut command, Some(b"")).wait().succeeded().text()
    };
    assert!(help.contains("cargo build --release -p skein-loadtest"), "{help}");
    let bench = || {
        let mut command = Command::new(&copy);
        command.env("PATH", "").args(["bench", "flood", "--help"]);
        start(&mut command, Some(b"")).wait()
    };
    let missing = bench();
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("cargo build --release -p skein-loadtest"), "{}", missing.err);
    std::os::unix::fs::symlink("/bin/echo", folder.path().join("skein-loadtest"))
        .expect("a link can be made");
    assert_eq!(bench().succeeded().text(), "flood --help\n");
}

pub(crate) fn shells_and_man_are_told() {
    for shell in ["bash", "zsh", "fish"] {
        let text = run(&["completions", shell], b"").succeeded().text();
        for word in ["retained", "will-topic", "mosquitto-conf"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    let page = run(&["man", "sub"], b"").succeeded().text();
    assert!(page.contains(".TH skein-sub 1") && page.contains("retained\\-only"), "{page}");
    assert_eq!(run(&["man", "nonsense"], b"").code, Some(1));
    let folder = tempfile::tempdir().expect("a folder for the test");
    let folder = folder.path().join("share/man1");
    let path = folder.to_str().expect("UTF-8");
    run(&["man", "--folder", path], b"").succeeded();
    for page in ["skein.1", "skein-pub.1", "skein-serve.1"] {
        assert!(folder.join(page).is_file(), "{page}");
    }
}
