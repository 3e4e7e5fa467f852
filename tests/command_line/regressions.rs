//! What users of such programs have complained of: each is a test.

use std::thread;
use std::time::Duration;

use skein_client::{Publish, QoS, ReasonCode};

use crate::broker::{Broker, free_port};
use crate::program::{PATIENCE, Whose, command, run, run_with, start};
use crate::server::{Script, Server};

/// A pipe without anything in it is the end, and no reason to wait for ever.
pub(crate) fn no_input_is_no_hang() {
    let broker = Broker::start();
    for whose in [Whose::Ours, Whose::Skein] {
        for qos in ["0", "1", "2"] {
            run_with(whose, "pub", broker.port, &["-t", "t", "-l", "-q", qos], b"").succeeded();
        }
    }
}

pub(crate) fn a_last_line_is_sent() {
    let broker = Broker::start();
    let (_client, all) = broker.observe();
    for qos in ["0", "1", "2"] {
        let words = ["-t", "t", "-l", "-q", qos];
        run_with(Whose::Skein, "pub", broker.port, &words, b"first\nlast").succeeded();
        for expected in ["first", "last"] {
            let message = all.receive_for(PATIENCE).expect("it was published");
            assert_eq!(message.text(), Ok(expected), "QoS {qos}");
        }
    }
}

/// A line that makes no payload ends the program, but not before the broker has those before it.
pub(crate) fn what_comes_before_a_wrong_line_is_published() {
    let broker = Broker::start();
    let (_client, all) = broker.observe();
    let lines = "68 69\n".repeat(200) + "no\n68 69\n";
    for qos in ["0", "1", "2"] {
        let words = ["-t", "t", "-l", "--from-hex", "-q", qos];
        let ended = run_with(Whose::Skein, "pub", broker.port, &words, lines.as_bytes());
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        assert!(ended.err.contains("message 201: 'n' is no hexadecimal digit"), "{}", ended.err);
        for number in 1..=200 {
            let message = all.receive_for(PATIENCE).unwrap_or_else(|| panic!("{number} of {qos}"));
            assert_eq!(message.text(), Ok("hi"));
        }
        broker.publish([Publish::new("end", qos)]);
        let next = all.receive_for(PATIENCE).expect("it was published");
        assert_eq!(next.topic(), "end", "nothing behind the wrong line");
    }
}

/// While the broker is away no line is read, and none is lost; when it is back all go on.
pub(crate) fn input_waits() {
    let port = free_port();
    let mut command = command(Whose::Skein, "pub");
    // Retained: whoever is back first, what is published is seen.
    command.args(["-p", &port.to_string(), "-t", "t", "-l", "-q", "1", "-i", "pipe", "-r"]);
    let broker = Broker::start_on(port);
    let (client, all) = broker.observe();
    let mut running = start(&mut command, None);
    running.say("before\n");
    assert_eq!(all.receive_for(PATIENCE).expect("it was published").text(), Ok("before"));
    drop((client, all));
    drop(broker);
    thread::sleep(Duration::from_millis(300));
    running.say("meanwhile\n");
    thread::sleep(Duration::from_millis(300));
    let broker = Broker::start_on(port);
    let (_client, all) = broker.observe();
    running.say("after\n");
    for expected in ["meanwhile", "after"] {
        let message = all.receive_for(PATIENCE).expect("nothing was lost");
        assert_eq!(message.text(), Ok(expected));
    }
    running.wait().succeeded();
}

/// Refused, a program ends, however much there is to read.
pub(crate) fn a_bad_password_ends_a_pipe() {
    let server =
        Server::start(Script { connect: ReasonCode::BadUserNameOrPassword, ..Script::default() });
    let mut command = command(Whose::Skein, "pub");
    command.args([
        "-p",
        &server.port.to_string(),
        "-V",
        "5",
        "-t",
        "t",
        "-l",
        "-u",
        "u",
        "-P",
        "p",
    ]);
    // Its input stays open.
    let mut running = start(&mut command, None);
    running.say("a line\n");
    assert_eq!(server.heard().len(), 1, "CONNECT, and nothing else");
    let ended = running.wait();
    assert_eq!(ended.code, Some(0x86), "{}", ended.err);
}

/// What was published is with the broker when the program says so: PUBACK and PUBCOMP were waited
/// for.
pub(crate) fn success_means_acknowledged() {
    let broker = Broker::start();
    for qos in ["1", "2"] {
        let words = ["-t", "kept", "-m", qos, "-r", "-q", qos];
        run(Whose::Skein, "pub", broker.port, &words).succeeded();
        let words = ["-t", "kept", "-C", "1", "-W", "10"];
        let printed = run(Whose::Skein, "sub", broker.port, &words).succeeded();
        assert_eq!(printed.text(), format!("{qos}\n"));
    }
}

pub(crate) fn a_binary_payload_is_whole() {
    let broker = Broker::start();
    let payload = &b"a\0b\xff"[..];
    broker.publish([Publish::new("kept", payload).qos(QoS::AtLeastOnce).retain()]);
    let printed = |words: &[&str]| {
        let words = [&["-t", "kept", "-C", "1", "-W", "10"], words].concat();
        run(Whose::Skein, "sub", broker.port, &words).succeeded()
    };
    assert_eq!(printed(&["-N"]).out, payload);
    assert_eq!(printed(&["--hex"]).text(), "610062ff\n");
    let json = printed(&["--json"]).text();
    assert!(json.contains("\"payload_base64\":\"YQBi/w==\""), "{json}");
}

/// A message of QoS 0 that fills every buffer on the way is there before the connection is closed.
pub(crate) fn a_large_message_arrives() {
    let broker = Broker::start();
    let client = broker.client();
    let all = client.subscribe("large").wait().expect("everybody may");
    let payload = vec![b'x'; 900_000];
    run_with(Whose::Skein, "pub", broker.port, &["-t", "large", "-s"], &payload).succeeded();
    let message = all.receive_for(PATIENCE).expect("it was published");
    assert_eq!(message.payload().len(), payload.len());
}

/// What is not printed is not taken from the session either.
pub(crate) fn a_count_takes_no_more() {
    let broker = Broker::start();
    for version in ["311", "5"] {
        let session = ["-V", version, "-i", "one", "-c", "-q", "1", "-t", "queue"];
        run(Whose::Skein, "sub", broker.port, &[&session[..], &["-E"]].concat()).succeeded();
        broker.publish((1..=5).map(|n| Publish::new("queue", n.to_string()).qos(QoS::AtLeastOnce)));
        for expected in ["1\n2\n", "3\n4\n", "5\n"] {
            let count = expected.lines().count().to_string();
            let words = [&session[..], &["-C", &count, "-W", "10"]].concat();
            assert_eq!(run(Whose::Skein, "sub", broker.port, &words).succeeded().text(), expected);
        }
    }
}
