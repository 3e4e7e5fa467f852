//! Standard output that takes nothing, as on a disk that is full.

use std::fs::{self, OpenOptions};
use std::process::Command;

use skein_client::{Publish, QoS};

use crate::broker::Broker;
use crate::program::{Ended, Running, Whose, command, skein, start, start_onto};
use crate::sniffing::recording;

/// What was not printed is no success, and nobody learns it from a panic.
pub(crate) fn a_full_output_is_an_error() {
    let (broker, mqtt) = (Broker::start(), 14);
    broker.publish([Publish::new("a", "one").qos(QoS::AtLeastOnce).retain()]);
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (config, users, store) = (path("skein.toml"), path("users"), path("store"));
    fs::write(&config, "").expect("room for a file");
    run(&["store", "import", &store], b"").wait().succeeded();
    let record = b"{\"topic\":\"b\",\"payload\":\"x\"}\n";
    let port = broker.port.to_string();
    for (code, words, input) in [
        (mqtt, &["sub", "-t", "a", "-p", &port][..], &b""[..]),
        (mqtt, &["sub", "-t", "a", "--watch", "-p", &port], b""),
        (mqtt, &["conn", "--hold", "0", "-p", &port], b""),
        (mqtt, &["conn", "--connections", "2", "--hold", "0", "-p", &port], b""),
        (mqtt, &["probe", "-p", &port], b""),
        (mqtt, &["retained", "export", "--idle", "0.3", "-p", &port], b""),
        (mqtt, &["retained", "list", "--idle", "0.3", "-p", &port], b""),
        (mqtt, &["retained", "get", "a", "--idle", "0.3", "-p", &port], b""),
        (mqtt, &["retained", "import", "-p", &port], record),
        (mqtt, &["retained", "clear", "b", "--idle", "0.3", "-p", &port], b""),
        (mqtt, &["top", "--once", "-p", &port], b""),
        (mqtt, &["top", "--once", "--json", "-p", &port], b""),
        (mqtt, &["sniff", "--read", "-"], &recording()),
        (1, &["check-config", &config], b""),
        (1, &["passwd", "-c", "-b", &users, "bob", "x"], b""),
        (1, &["passwd", "-c", "-b", "-", "bob", "x"], b""),
        (1, &["scram", "-c", "-b", "-I", "4096", "-", "bob", "x"], b""),
        (1, &["store", "check", &store], b""),
        (1, &["store", "import", &path("other")], b""),
        (1, &["completions", "bash"], b""),
        (1, &["man"], b""),
        (1, &["--help"], b""),
        (1, &["--version"], b""),
    ] {
        check(words, &run_full(Command::new(skein()).args(words), input), code);
    }
    let mut request = command(Whose::Skein, "rr");
    request.args(["-p", &port, "-t", "a", "-e", "a", "-m", "x"]);
    check(&["rr"], &run_full(&mut request, b""), mqtt);
    let bare = run(&["retained", "list", "--idle", "0.3", "-p", &port], b"").wait().succeeded();
    assert_eq!(bare.text(), "a\t1\t3\n", "b was published and removed all the same");
}

fn run(words: &[&str], input: &[u8]) -> Running {
    start(Command::new(skein()).args(words), Some(input))
}

/// Runs a program whose standard output is a device that is always full.
fn run_full(command: &mut Command, input: &[u8]) -> Ended {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has one");
    start_onto(command, full.into(), Some(input)).wait()
}

fn check(words: &[&str], ended: &Ended, code: i32) {
    assert_eq!(ended.code, Some(code), "{words:?}: {}", ended.err);
    let cause = "standard output: No space left on device";
    assert!(ended.err.contains(cause), "{words:?}: {}", ended.err);
    assert!(!ended.err.contains("panicked"), "{words:?}: {}", ended.err);
}
