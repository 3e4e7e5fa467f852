//! What the programs print of the same messages.

use std::time::Duration;

use skein_client::{Publish, QoS};

use crate::broker::Broker;
use crate::program::{BOTH, Ended, Whose, command, run, start};

/// Messages that wait for a session of each program.
fn messages() -> Vec<Publish> {
    let message = |topic: &'static str, payload: &'static [u8]| {
        Publish::new(topic, payload).qos(QoS::AtLeastOnce)
    };
    vec![
        message("a/text", b"hello"),
        message("a/empty", b""),
        message("a/json", br#"{"b": [1, 2.5, "x\u00e9"], "a": {"c": null}}"#),
        message("a/lines", b"two\nlines"),
        message("a/binary", b"\x01\xfe\xff"),
        message("a/quoted", b"say \"hi\"\t\\"),
        message("a/float", &[0, 0, 192, 63]),
    ]
}

/// What each program prints of what has waited for it.
fn printed(broker: &Broker, words: &[&str]) -> [Ended; 2] {
    printed_of(broker, words, messages())
}

fn printed_of(broker: &Broker, words: &[&str], messages: Vec<Publish>) -> [Ended; 2] {
    let session =
        |whose| ["-i", if whose == Whose::Ours { "ours" } else { "theirs" }, "-c", "-q", "1"];
    let count = messages.len().to_string();
    for whose in BOTH {
        let forget = ["-i", session(whose)[1], "-t", "none", "-E"];
        run(whose, "sub", broker.port, &forget).succeeded();
        let words = [&session(whose)[..], &["-t", "a/#", "-E"], version(words)].concat();
        run(whose, "sub", broker.port, &words).succeeded();
    }
    broker.publish(messages);
    BOTH.map(|whose| {
        let words = [&session(whose)[..], &["-t", "a/#", "-C", &count], words].concat();
        run(whose, "sub", broker.port, &words)
    })
}

fn version<'a>(words: &[&'a str]) -> &'a [&'a str] {
    if words.contains(&"-V") { &["-V", "5"] } else { &[] }
}

fn assert_same(broker: &Broker, words: &[&str]) {
    let [theirs, ours] = printed(broker, words);
    assert_eq!(ours, theirs, "{words:?}");
    assert!(!ours.out.is_empty(), "{words:?}");
}

pub(crate) fn printing_is_the_same() {
    let broker = Broker::start();
    for words in [
        &[][..],
        &["-v"],
        &["--verbose"],
        &["-N"],
        &["-N", "-v"],
        &["-T", "a/text", "-T", "a/+/x", "-C", "6"],
        &["-V", "5", "-v"],
    ] {
        assert_same(&broker, words);
    }
    // 100 is everything, which mosquitto_sub 2.0 takes for a tenth.
    let [_, ours] = printed(&broker, &["--random-filter", "100"]);
    assert_eq!(ours.out, printed(&broker, &[])[1].out);
}

pub(crate) fn formats_are_the_same() {
    let broker = Broker::start();
    for format in [
        "%p",
        "%t %q %r %l",
        "%t|%5q|%-5l|%05l|",
        "%20t|%-20t|%.3t|%8.3t|%-8.3t|",
        "%x",
        "%X",
        "%10p|%-10p|%3p|",
        "100%% @@ a\\tb\\\\c\\e\\a\\v\\r\\0|",
        "[%A][%C][%D][%E][%F][%P][%R][%S]",
        "[%3A][%3C][%5E][%2F][%4S]",
        "@Y-@m-@d",
    ] {
        assert_same(&broker, &["-F", format]);
    }
    assert_same(&broker, &["-F", "%p", "-N"]);
    let rich = || {
        let message = Publish::new("a/rich", "x").qos(QoS::AtLeastOnce).text();
        vec![
            message
                .content_type("text/plain")
                .response_topic("answers")
                .correlation_data("c-1")
                .expires(Duration::from_secs(600))
                .user_property("k", "v")
                .user_property("k", "w"),
        ]
    };
    for format in ["%C|%12C|%-12C|%.4C", "%R|%D|%P|%F|%3F", "%t"] {
        let [theirs, ours] = printed_of(&broker, &["-V", "5", "-F", format], rich());
        assert_eq!(ours, theirs, "{format}");
    }
}

/// Mosquitto 2.1 writes `retain` as a boolean, no `Z` in the time and user properties as a list; 2.0,
/// which is installed here, does not. Ours is as 2.1.
pub(crate) fn json_is_the_same() {
    let broker = Broker::start();
    let as_2_1 = |ended: &Ended| {
        let text = ended.text().replace("\"retain\":0", "\"retain\":false");
        let text = text.replace("\"retain\":\t0", "\"retain\":\tfalse");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for line in &mut lines {
            if let Some((head, tail)) =
                line.split_once("tst\":").map(|(a, b)| (a.to_owned(), b.to_owned()))
            {
                let rest = tail.split_once("+0000\"").expect("the time zone is UTC").1;
                *line = format!("{head}tst\":TIME{rest}");
            }
        }
        lines
    };
    let texts =
        || messages().into_iter().filter(|it| it.topic() != "a/binary" && it.topic() != "a/float");
    for words in [&["-F", "%j"][..], &["-F", "%j", "--pretty"], &["-F", "%t %J"]] {
        let [theirs, ours] = printed_of(&broker, words, texts().collect());
        assert_eq!(as_2_1(&ours), as_2_1(&theirs), "{words:?}");
        assert_eq!(ours.err, theirs.err, "{words:?}");
        assert_eq!(ours.code, theirs.code);
    }
}

pub(crate) fn what_is_retained_is_the_same() {
    let broker = Broker::start();
    let retained = |topic: &'static str| Publish::new(topic, topic).qos(QoS::AtLeastOnce).retain();
    let keep = || broker.publish(["r/1", "r/2", "r/3"].map(retained));
    keep();
    for words in [
        &["-t", "r/#", "-C", "3", "-v"][..],
        &["-t", "r/#", "-C", "1", "-T", "r/1", "-T", "r/2"],
        &["-t", "r/1", "-C", "1", "-F", "%t %r %q"],
        &["-t", "r/+", "-W", "1"],
        &["-t", "r/+", "-R", "-W", "1"],
    ] {
        let [theirs, ours] = BOTH.map(|whose| sorted(run(whose, "sub", broker.port, words)));
        assert_eq!(ours, theirs, "{words:?}");
    }
    let removed = BOTH.map(|whose| {
        keep();
        let words = ["-t", "r/#", "--remove-retained", "-v", "-W", "1"];
        let printed = sorted(run(whose, "sub", broker.port, &words));
        let left = run(whose, "sub", broker.port, &["-t", "r/#", "-W", "1"]);
        assert_eq!((left.code, left.out), (Some(27), Vec::new()), "{whose:?}");
        printed
    });
    assert_eq!(removed[1], removed[0]);
    // With a count mosquitto_sub 2.0 does not find its end.
    keep();
    let words = ["-t", "r/#", "--remove-retained", "-C", "3"];
    let printed = run(Whose::Ours, "sub", broker.port, &words).succeeded();
    assert_eq!(printed.text().lines().count(), 3);
    for whose in BOTH {
        keep();
        let mut command = command(whose, "sub");
        command.args([
            "-p",
            &broker.port.to_string(),
            "-t",
            "r/#",
            "-t",
            "live",
            "--retained-only",
        ]);
        let running = start(&mut command, None);
        // The first message that is not retained ends it, whenever it comes.
        broker.publish_to_somebody("live", "x");
        let ended = sorted(running.wait());
        assert_eq!((ended.code, ended.text().as_str()), (Some(0), "r/1\nr/2\nr/3\n"), "{whose:?}");
    }
}

/// What is retained comes in no order of its own.
fn sorted(ended: Ended) -> Ended {
    let mut lines: Vec<&[u8]> = ended.out.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    Ended { out: lines.concat(), ..ended }
}

pub(crate) fn packets_are_told_the_same() {
    let broker = Broker::start();
    for (name, words) in [
        ("pub", &["-t", "t", "-m", "x", "-q", "1"][..]),
        ("pub", &["-t", "t", "-m", "x", "-q", "2", "-r"]),
        ("pub", &["-t", "t", "-m", "x", "-q", "1", "-V", "5"]),
        ("sub", &["-t", "u", "-t", "v", "-q", "1", "-E", "-R"]),
        ("sub", &["-t", "u", "-U", "v", "-W", "1"]),
        ("sub", &["-t", "t", "-q", "1", "-C", "1"]),
    ] {
        let words = [&["-d", "-i", "me"], words].concat();
        let [theirs, ours] = BOTH.map(|whose| run(whose, name, broker.port, &words));
        // Whether a message or SUBACK comes first is up to the broker's turn; who of both sends its
        // acknowledgement when, to the programs.
        let lines = |ended: &Ended| {
            let mut lines: Vec<String> = ended.text().lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!((ours.code, lines(&ours)), (theirs.code, lines(&theirs)), "{words:?}");
    }
}

pub(crate) fn responses_are_the_same() {
    let broker = Broker::start();
    let client = broker.client();
    let service = client.on("ask/#", |cx| {
        let _ = cx.reply(format!("answer to {}", String::from_utf8_lossy(cx.payload())));
    });
    let _service = service.wait().expect("everybody may subscribe");
    for words in [
        &["-m", "one"][..],
        &["-m", "two", "-v", "-q", "1"],
        &["-n", "-F", "%t %p"],
        &["-m", "three", "-N"],
        &["-m", "x", "-D", "publish", "correlation-data", "c", "-F", "%D %p"],
        &["-m", "x", "-t", "nobody", "-W", "1"],
        &["-m", "x", "-R", "-F", "%j", "--pretty", "-F", "%p"],
        &["-m", "x", "-c", "-i", "me"],
    ] {
        let words = [&["-t", "ask/x", "-e", "answers/me"], words].concat();
        let [theirs, ours] =
            BOTH.map(|whose| crate::program::run_with(whose, "rr", broker.port, &words, b"in"));
        assert_eq!(ours, theirs, "{words:?}");
    }
    // mosquitto_rr 2.0 asks without what it has read.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "in").expect("room for it");
    let path = file.path().to_str().expect("the names of temporary folders are ASCII");
    for read in [&["-s"][..], &["-f", path]] {
        let words = [&["-t", "ask/x", "-e", "answers/me"], read].concat();
        let ended = crate::program::run_with(Whose::Ours, "rr", broker.port, &words, b"in");
        assert_eq!(ended.succeeded().text(), "answer to in\n");
    }
    let words = ["-t", "ask/x", "-e", "answers/me", "-m", "x", "--latency"];
    let text = run(Whose::Ours, "rr", broker.port, &words).succeeded().text();
    assert!(text.starts_with("answer to x\nLatency: "), "{text}");
}
