//! What `skein pub` and `skein sub` have on top of the options of Mosquitto's programs.

use std::fs;
use std::path::Path;

use skein_client::{Publish, QoS};

use crate::broker::Broker;
use crate::connecting::heard;
use crate::program::{Ended, PATIENCE, Whose, command, run, run_with, start};

fn retained(topic: &'static str, payload: &'static [u8]) -> Publish {
    Publish::new(topic, payload).qos(QoS::AtLeastOnce).retain()
}

/// What `skein sub` prints of one retained message.
fn printed(broker: &Broker, topic: &str, words: &[&str]) -> String {
    let words = [&["-t", topic, "-C", "1", "-W", "20"], words].concat();
    run(Whose::Skein, "sub", broker.port, &words).succeeded().text()
}

/// `2020-05-06T21:48:00.001+0200`
fn is_time(text: &str) -> bool {
    text.len() == 28 && text.as_bytes()[10] == b'T' && text.as_bytes()[19] == b'.'
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("the names of temporary folders are ASCII")
}

pub(crate) fn payloads_are_written_as_asked() {
    let broker = Broker::start();
    broker.publish([retained("bytes", b"\x00\xff,"), retained("text", b"a \"b\"")]);
    assert_eq!(printed(&broker, "bytes", &["--base64"]), "AP8s\n");
    assert_eq!(printed(&broker, "bytes", &["--hex", "-v"]), "bytes 00ff2c\n");
    let timed = printed(&broker, "text", &["--timestamps", "-v"]);
    let (time, rest) = timed.split_once(' ').expect("the time stands in front");
    assert!(is_time(time) && rest == "text a \"b\"\n", "{timed}");
    let table = printed(&broker, "text", &["--csv"]);
    let (head, row) = table.split_once('\n').expect("two lines");
    let (time, row) = row.split_once(',').expect("five fields");
    assert_eq!((head, row), ("time,topic,qos,retain,payload", "text,0,true,\"a \"\"b\"\"\"\n"));
    assert!(is_time(time), "{time}");
}

pub(crate) fn messages_go_into_files() {
    let broker = Broker::start();
    broker.publish([retained("a/b", b"\x00\xff"), retained("text", b"hello")]);
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (file, files) = (folder.path().join("out"), folder.path().join("files"));
    for _ in 0..2 {
        assert_eq!(printed(&broker, "text", &["--out", as_text(&file)]), "");
        assert_eq!(printed(&broker, "a/b", &["--out-dir", as_text(&files)]), "");
    }
    assert_eq!(fs::read_to_string(&file).expect("it was written"), "hello\nhello\n");
    for name in ["00000001-a%2Fb", "00000002-a%2Fb"] {
        assert_eq!(fs::read(files.join(name)).expect("it was written"), b"\x00\xff");
    }
    printed(&broker, "text", &["-v", "--out-dir", as_text(&files)]);
    let third = fs::read_to_string(files.join("00000003-text"));
    assert_eq!(third.expect("it was written"), "text hello\n");
    let nowhere = ["-t", "t", "--out", as_text(folder.path())];
    let refused = run(Whose::Skein, "sub", broker.port, &nowhere);
    assert_eq!(refused.code, Some(1), "a folder is no file");
    // A disk that is full is no end like any other.
    let full = ["-t", "text", "-C", "1", "-W", "20", "--out", "/dev/full"];
    let refused = run(Whose::Skein, "sub", broker.port, &full);
    assert_eq!(refused.code, Some(14), "{}", refused.err);
}

/// A message is acknowledged when its command has ended, whichever way.
pub(crate) fn a_command_is_run_for_each_message() {
    let broker = Broker::start();
    let session = ["-i", "worker", "-c", "-q", "1", "-t", "jobs/#"];
    run(Whose::Skein, "sub", broker.port, &[&session[..], &["-E"]].concat()).succeeded();
    broker.publish((1..=5).map(|n| {
        Publish::new(format!("jobs/{n} ;x"), format!("payload {n}")).qos(QoS::AtLeastOnce)
    }));
    let exec = |count: &str, command: &str| {
        let words = ["-C", count, "-W", "20", "--exec", command];
        run(Whose::Skein, "sub", broker.port, &[&session[..], &words].concat())
    };
    let ended = exec("2", "sleep 0.2; printf '%s|%s|' \"$MQTT_TOPIC\" $MQTT_QOS; cat; echo");
    let expected = "jobs/1 ;x|1|payload 1\njobs/2 ;x|1|payload 2\n";
    assert_eq!(ended.succeeded().text(), expected);
    let failed = exec("1", "cat; exit 3");
    assert_eq!((failed.code, failed.text().as_str()), (Some(1), "payload 3"));
    assert!(failed.err.contains("exit status: 3"), "{}", failed.err);
    // What was not taken is still there.
    assert_eq!(exec("2", "cat").succeeded().text(), "payload 4payload 5");
}

pub(crate) fn a_filter_has_a_qos_of_its_own() {
    let words = ["-t", "a", "-q", "1", "--qos-per-topic", "a=2", "--qos-per-topic", "b/#=0", "-E"];
    let told = heard(Whose::Skein, "sub", &words, b"");
    assert!(told[1].contains("\"a\" qos=2, \"b/#\" qos=0"), "{}", told[1]);
}

pub(crate) fn payloads_are_made_from_a_template() {
    let broker = Broker::start();
    let (_client, all) = broker.observe();
    let received = |count: usize| {
        let texts = (0..count).map(|_| {
            let message = all.receive_for(PATIENCE).expect("it was published");
            String::from_utf8_lossy(message.payload()).into_owned()
        });
        texts.collect::<Vec<_>>()
    };
    let publish = |words: &[&str], input: &[u8]| -> Ended {
        let words = [&["-t", "t", "-q", "1"], words].concat();
        run_with(Whose::Skein, "pub", broker.port, &words, input)
    };
    publish(&["--template", "id={seq} of {topic}", "--repeat", "3"], b"").succeeded();
    assert_eq!(received(3), ["id=1 of t", "id=2 of t", "id=3 of t"]);
    publish(&["-l", "--template", "{seq}: {line}"], b"one\ntwo").succeeded();
    assert_eq!(received(2), ["1: one", "2: two"]);
    publish(&["-m", "68 69", "--from-hex"], b"").succeeded();
    publish(&["-s", "--from-base64"], b"aGk=\n").succeeded();
    publish(&["-l", "--from-hex"], b"68 69\n").succeeded();
    assert_eq!(received(3), ["hi", "hi", "hi"]);
    let wrong = publish(&["-l", "--from-hex"], b"68\nno\n");
    assert_eq!((wrong.code, received(1)), (Some(1), vec!["h".to_owned()]));
    assert!(wrong.err.contains("message 2: 'n' is no hexadecimal digit"), "{}", wrong.err);
    assert_eq!(publish(&["--template", "{nonsense}"], b"").code, Some(1));
}

pub(crate) fn statistics_are_told_at_the_end() {
    let broker = Broker::start();
    let words = ["-t", "t", "-q", "1", "-r", "-m", "four", "--repeat", "2", "--stats"];
    let told = run(Whose::Skein, "pub", broker.port, &words).succeeded();
    assert!(told.err.starts_with("2 messages, 8 bytes of payload in "), "{}", told.err);
    assert!(told.err.contains("; acknowledged after "), "{}", told.err);
    let words = ["-t", "t", "-C", "1", "-W", "20", "--stats"];
    let told = run(Whose::Skein, "sub", broker.port, &words).succeeded();
    assert_eq!(told.text(), "four\n");
    assert!(told.err.starts_with("1 messages, 4 bytes of payload in "), "{}", told.err);
}

pub(crate) fn a_password_is_taken_from_a_variable() {
    let server = crate::server::Server::start(crate::server::Script::default());
    let mut command = command(Whose::Skein, "pub");
    command.env("MY_SECRET", "s3cret").args(["-p", &server.port.to_string(), "-u", "me"]);
    command.args(["--password-env", "MY_SECRET", "-t", "t", "-m", "x"]);
    start(&mut command, Some(b"")).wait().succeeded();
    let heard = server.heard();
    assert!(heard[0].contains("password=Some") && heard[0].contains("user_name"), "{}", heard[0]);
    let words = ["--password-env", "MY_OTHER_SECRET", "-t", "t", "-m", "x"];
    let missing = run(Whose::Skein, "pub", 1, &words);
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("MY_OTHER_SECRET: there is no such variable"), "{}", missing.err);
}

pub(crate) fn many_connections_are_held() {
    let broker = Broker::start();
    let port = broker.port.to_string();
    let conn = |words: &[&str]| {
        let mut command = std::process::Command::new(crate::program::skein());
        command.args(["conn", "--connections", "300", "--hold", "0", "-i", "c"]).args(words);
        start(&mut command, Some(b"")).wait()
    };
    let found = conn(&["-p", &port, "--json"]).succeeded();
    let found: serde_json::Value = serde_json::from_slice(&found.out).expect("JSON");
    assert_eq!(
        (&found["accepted"], found["failed"].as_object().map(|it| it.len())),
        (&300.into(), Some(0))
    );
    let text = conn(&["-p", &port, "--rate", "3000"]).succeeded().text();
    assert!(
        text.lines().any(|line| line.starts_with("accepted ") && line.ends_with(" 300")),
        "{text}"
    );
    drop(broker);
    let refused = conn(&["-p", &port]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("300 of 300 connections failed"), "{}", refused.err);
    // Whoever waits for a broker that never comes does not wait for ever.
    for words in [
        &["--timeout", "1", "--reconnect"][..],
        &["--timeout", "1", "--reconnect", "--connections", "1"],
    ] {
        let late = conn(&[&["-p", &port], words].concat());
        assert_eq!(late.code, Some(27), "{}", late.err);
    }
}

/// Who does not know a broker is told what may help.
pub(crate) fn errors_say_what_to_do() {
    let broker = Broker::start();
    let port = broker.port.to_string();
    let rows: [(&[&str], &str); 7] = [
        (&["pub", "-t", "t"], "try 'skein pub --help'"),
        (&["pub", "--nonsense"], "try 'skein pub --help'"),
        (&["sub", "-t", "t", "-p", &port, "--tls-use-os-certs"], "does this port speak TLS?"),
        (&["sub", "-t", "t", "-p", &port, "--ws"], "does this port speak WebSocket?"),
        (&["pub", "-t", "t", "-m", "x", "-h", "nowhere.invalid"], "check the name of the host"),
        (&["conn", "-p", "1"], "that the server is running"),
        (&["store", "check", "/nonexistent"], "--data-dir"),
    ];
    for (words, advice) in rows {
        let mut command = std::process::Command::new(crate::program::skein());
        let ended = start(command.args(words), Some(b"")).wait();
        assert!(ended.code.is_some_and(|code| code == 1 || code == 8), "{words:?}: {ended:?}");
        assert!(ended.err.contains(advice), "{words:?}: {}", ended.err);
    }
    // The environment gives way to what stands there.
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut command = command(Whose::Skein, "pub");
    command.env("SKEIN_PASSWORD", "x").env("SKEIN_MESSAGE", "x").env("SKEIN_PORT", &port);
    command.args(["-u", "me", "--password-file", as_text(file.path()), "-t", "t", "-n"]);
    start(&mut command, Some(b"")).wait().succeeded();
}
