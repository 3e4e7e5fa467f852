//! What the programs publish, and what they subscribe to.

use std::fs;

use crate::connecting::heard;
use crate::program::{BOTH, Whose};

/// What is said behind CONNECT.
fn after_connect(whose: Whose, name: &str, words: &[&str], input: &[u8]) -> Vec<String> {
    heard(whose, name, words, input).split_off(1)
}

fn assert_same(name: &str, words: &[&str], input: &[u8]) -> Vec<String> {
    let [theirs, ours] = BOTH.map(|whose| after_connect(whose, name, words, input));
    assert_eq!(ours, theirs, "{name} {words:?}");
    ours
}

pub(crate) fn messages_are_the_same() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), b"two\nlines\n").expect("room for two lines");
    let file = file.path().to_str().expect("UTF-8");
    let rows: [&[&str]; 18] = [
        &["-m", "x"],
        &["-m", ""],
        &["-m", "-5"],
        &["--message", "é", "-q", "1"],
        &["-m", "x", "-q", "2", "-r"],
        &["-n", "-r"],
        &["--null-message"],
        &["-f", file],
        &["--file", file, "--qos", "1", "--retain"],
        &["-s"],
        &["--stdin-file", "-q", "2"],
        &["-l"],
        &["--stdin-line", "-q", "1"],
        &["-m", "x", "--repeat", "3"],
        &["-m", "x", "-q", "1", "--repeat", "2", "--repeat-delay", "0.1"],
        &["-m", "x", "-D", "publish", "content-type", "text/plain"],
        &[
            "-m",
            "x",
            "-D",
            "publish",
            "user-property",
            "k",
            "v",
            "-D",
            "publish",
            "user-property",
            "k",
            "w",
        ],
        &[
            "-m",
            "x",
            "-D",
            "publish",
            "message-expiry-interval",
            "9",
            "-D",
            "publish",
            "payload-format-indicator",
            "1",
        ],
    ];
    for row in rows {
        let told = assert_same("pub", &[&["-t", "a/b"], row].concat(), b"one\ntwo\n");
        assert!(told.iter().any(|packet| packet.starts_with("PUBLISH")), "{row:?}: {told:?}");
    }
    let request = ["-m", "x", "-D", "publish", "correlation-data", "c", "-t", "q"];
    let response = ["-D", "publish", "response-topic", "r"];
    assert_same("pub", &[&request[..], &response].concat(), b"");
}

/// mosquitto_sub closes its socket with answers unread, and then DISCONNECT may not arrive.
fn without_goodbye(whose: Whose, words: &[&str]) -> Vec<String> {
    let mut told = after_connect(whose, "sub", words, b"");
    told.retain(|packet| !packet.starts_with("DISCONNECT"));
    told
}

pub(crate) fn subscriptions_are_the_same() {
    let rows: [&[&str]; 12] = [
        &["-t", "a"],
        &["-t", "a/#", "-t", "+/b", "-q", "2"],
        &["--topic", "$share/g/a", "--qos", "1"],
        &["-t", "a", "-U", "b", "-U", "c/#"],
        &["-V", "5", "-t", "a"],
        &["-V", "5", "-t", "a", "--retain-as-published"],
        &["-V", "5", "-t", "a", "-R"],
        &["-V", "5", "-t", "a", "-D", "subscribe", "subscription-identifier", "5"],
        &["-V", "5", "-t", "a", "-D", "subscribe", "user-property", "k", "v"],
        &["-V", "5", "-t", "a", "-U", "b", "-D", "unsubscribe", "user-property", "k", "v"],
        &["-V", "31", "-i", "me", "-t", "a", "-q", "1"],
        &["-t", "a", "-t", "a"],
    ];
    for row in rows {
        let words = [row, &["-E"]].concat();
        let [theirs, ours] = BOTH.map(|whose| without_goodbye(whose, &words));
        assert_eq!(ours, theirs, "{row:?}");
        assert!(ours[0].starts_with("SUBSCRIBE"), "{row:?}: {ours:?}");
    }
    let never = ["-t", "a", "-E", "--retain-handling", "never"];
    let told = after_connect(Whose::Skein, "sub", &never, b"");
    assert!(told[0].contains("retain_handling"), "{told:?}");
}
