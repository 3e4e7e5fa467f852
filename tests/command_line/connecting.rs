//! What the programs say to connect.

use std::fs;

use crate::program::{BOTH, Whose, command, start};
use crate::server::{Script, Server};

/// What a program says to a server that agrees to everything.
pub(crate) fn heard(whose: Whose, name: &str, words: &[&str], input: &[u8]) -> Vec<String> {
    let server = Server::start(Script::default());
    let port = server.port.to_string();
    let mut command = command(whose, name);
    if !words.contains(&"-L") {
        command.args(["-p", &port]);
    }
    command.args(words.iter().map(|word| word.replace("PORT", &port)));
    let ended = start(&mut command, Some(input)).wait();
    assert_eq!(ended.code, Some(0), "{whose:?} {words:?}: {}", ended.err);
    server.heard()
}

fn assert_same(name: &str, words: &[&str], normal: impl Fn(&str) -> String) {
    let [theirs, ours] = BOTH.map(|whose| {
        heard(whose, name, words, b"").iter().map(|packet| normal(packet)).collect::<Vec<_>>()
    });
    assert_eq!(ours, theirs, "{name} {words:?}");
}

/// The digits of a process are its own.
fn without_digits_of_ids(packet: &str) -> String {
    match packet.split_once("client_id=\"pre-") {
        Some((head, tail)) => {
            let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{head}client_id=\"pre-N{tail}")
        }
        None => packet.to_owned(),
    }
}

const PUBLISH: [&str; 4] = ["-t", "t", "-m", "x"];

pub(crate) fn connect_is_the_same() {
    let rows: [&[&str]; 19] = [
        &[],
        &["-i", "me"],
        &["--id", "me"],
        &["-I", "pre-"],
        &["-k", "30"],
        &["--keepalive", "5"],
        &["-c", "-i", "me"],
        &["-u", "user"],
        &["-u", "user", "-P", "secret"],
        &["--username", "user", "--pw", "-secret"],
        &["--will-topic", "w"],
        &["--will-topic", "w", "--will-payload", "gone", "--will-qos", "2", "--will-retain"],
        &["-V", "mqttv31", "-i", "me"],
        &["-V", "311"],
        &["-A", "127.0.0.1"],
        &["--nodelay", "--quiet", "-M", "3"],
        &["-h", "nowhere.invalid", "-h", "127.0.0.1"],
        &["-x", "60"],
        &["-x", "-1"],
    ];
    for row in rows {
        assert_same("pub", &[row, &PUBLISH].concat(), without_digits_of_ids);
    }
    assert_same("pub", &["-L", "mqtt://user:se:cret@127.0.0.1:PORT/a/b", "-m", "x"], str::to_owned);
    for row in &rows[..3] {
        assert_same("sub", &[row, &["-t", "t", "-E"][..]].concat(), str::to_owned);
    }
}

/// Limits of this side are told apart: they are the client library's.
fn without_limits(packet: &str) -> String {
    let limits = ["receive_maximum=", "maximum_packet_size=", "topic_alias_maximum="];
    let words = packet.split(' ').filter(|word| !limits.iter().any(|it| word.starts_with(it)));
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) fn connect_of_5_is_the_same() {
    let rows: [&[&str]; 8] = [
        &[],
        &["-c", "-i", "me"],
        &["-c", "-i", "me", "-x", "60"],
        &["-x", "-1", "-i", "me"],
        &["-x", "∞", "-i", "me"],
        &["-D", "connect", "user-property", "key", "a value"],
        &[
            "--will-topic",
            "w",
            "-D",
            "will",
            "will-delay-interval",
            "7",
            "-D",
            "will",
            "content-type",
            "text",
            "-D",
            "will",
            "user-property",
            "k",
            "v",
        ],
        &[
            "-D",
            "disconnect",
            "reason-string",
            "done",
            "-D",
            "disconnect",
            "user-property",
            "k",
            "v",
        ],
    ];
    for row in rows {
        assert_same("pub", &[&["-V", "5"], row, &PUBLISH].concat(), without_limits);
    }
    let told =
        heard(Whose::Ours, "pub", &["-D", "connect", "receive-maximum", "9", "-t", "t", "-n"], b"");
    assert!(told[0].contains(" receive_maximum=9"), "{}", told[0]);
    let told = heard(
        Whose::Skein,
        "pub",
        &["--will-topic", "w", "--will-delay", "3", "-t", "t", "-n"],
        b"",
    );
    assert!(told[0].contains("delay_interval_s=3"), "{}", told[0]);
}

/// The file that is read without being told, and what stands in front of it.
pub(crate) fn a_file_means_the_same() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let lines = "# a comment\n-i from-file\n-k 33\n-r\n-u user name\n";
    fs::write(folder.path().join("mosquitto_pub"), lines).expect("room for some lines");
    let [theirs, ours] = BOTH.map(|whose| {
        let server = Server::start(Script::default());
        let mut command = command(whose, "pub");
        command.env("XDG_CONFIG_HOME", folder.path());
        command.args(["-p", &server.port.to_string(), "-k", "44"]).args(PUBLISH);
        start(&mut command, Some(b"")).wait().succeeded();
        server.heard()
    });
    assert_eq!(ours, theirs);
    assert!(ours[0].contains("\"from-file\"") && ours[0].contains("keep_alive_s=44"), "{ours:?}");
    let file = folder.path().join("mosquitto_pub");
    let file = file.to_str().expect("UTF-8");
    let named = heard(Whose::Skein, "pub", &["-o", file, "-V", "311", "-t", "t", "-m", "x"], b"");
    assert!(named[0].contains("\"from-file\"") && named[0].contains("\"user name\""), "{named:?}");
}
