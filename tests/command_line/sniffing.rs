//! `skein sniff`: between Mosquitto's programs and skein, and of a recording.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use serde_json::Value;
use skein_client::{Client, QoS};

use crate::broker::{Broker, free_port};
use crate::program::{Ended, PATIENCE, Running, Whose, run, skein, start};
use crate::transports::Listeners;

/// A proxy, and the port that it listens on.
struct Sniffer {
    running: Running,
    port: u16,
}

impl Sniffer {
    fn start(to: &str, words: &[&str]) -> Self {
        Self::start_as(Command::new(skein()), to, words)
    }

    /// The same within a limit.
    fn start_within(limit: &str, to: &str, words: &[&str]) -> Self {
        Self::start_as(within(limit), to, words)
    }

    fn start_as(mut command: Command, to: &str, words: &[&str]) -> Self {
        let port = free_port();
        command.args(["sniff", "--listen", &format!("127.0.0.1:{port}"), "--to", to]).args(words);
        command.env("TZ", "UTC");
        let running = start(&mut command, None);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the proxy does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Self { running, port }
    }

    /// What it has printed, when it is told to end.
    fn stop(self) -> Ended {
        // What has just been passed on is printed first.
        thread::sleep(Duration::from_millis(300));
        self.running.signal("TERM");
        self.running.wait().succeeded()
    }

    /// The packets among it.
    fn packets(self) -> Vec<Value> {
        let lines = self.stop().text();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line.get("event").is_none()).collect()
    }
}

/// The binary, to which the shell has set a limit with these words of `ulimit`.
fn within(limit: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]).arg(skein());
    command
}

pub(crate) fn sniff_tells_what_passes() {
    let broker = Broker::start();
    let sniffer = Sniffer::start(&format!("127.0.0.1:{}", broker.port), &["--json"]);
    let publish = [
        "-V",
        "5",
        "-i",
        "talker",
        "-t",
        "home/hall",
        "-m",
        "hello",
        "-q",
        "2",
        "-r",
        "-u",
        "ann",
        "-P",
        "secret",
        "-D",
        "publish",
        "user-property",
        "k",
        "v",
    ];
    run(Whose::Mosquitto, "pub", sniffer.port, &publish).succeeded();
    let words = ["-V", "311", "-i", "listener", "-t", "home/#", "-C", "1", "-q", "1"];
    let heard = run(Whose::Mosquitto, "sub", sniffer.port, &words).succeeded();
    assert_eq!(heard.text(), "hello\n");
    let packets = sniffer.packets();
    let of = |client: &str| -> Vec<&Value> {
        packets.iter().filter(|packet| packet["client"] == client).collect()
    };
    let names = |packets: &[&Value]| -> Vec<String> {
        let name = |it: &&Value| format!("{} {}", it["to"], it["packet"]).replace('"', "");
        packets.iter().map(name).collect()
    };
    let talker = of("talker");
    assert_eq!(
        names(&talker),
        [
            "broker CONNECT",
            "client CONNACK",
            "broker PUBLISH",
            "client PUBREC",
            "broker PUBREL",
            "client PUBCOMP",
            "broker DISCONNECT",
        ]
    );
    assert_eq!(
        (&talker[0]["password"], &talker[0]["user_name"]),
        (&"hidden".into(), &"ann".into())
    );
    let (publish, pubcomp) = (talker[2], talker[5]);
    assert_eq!((&publish["topic"], &publish["payload"]), (&"home/hall".into(), &"hello".into()));
    assert_eq!(publish["properties"]["user_property"], serde_json::json!([["k", "v"]]));
    assert_eq!(pubcomp["of"], serde_json::json!(["home/hall"]));
    let listener = of("listener");
    assert!(names(&listener).contains(&"client PUBLISH".to_owned()), "{listener:?}");
    assert_eq!(listener[0]["version"], "3.1.1");
}

/// [MQTT-3.3.1-4]
pub(crate) fn sniff_names_what_is_malformed_and_passes_it_on() {
    let broker = Broker::start();
    let sniffer = Sniffer::start(&format!("127.0.0.1:{}", broker.port), &["--type", "connack"]);
    let mut stream = TcpStream::connect(("127.0.0.1", sniffer.port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    stream.write_all(b"\x10\x0F\0\x04MQTT\x05\x02\0\x3c\0\0\x02me").expect("it reads");
    stream.write_all(b"\x36\x04\0\x01ax").expect("it reads");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("the broker says goodbye and closes");
    // CONNACK, then DISCONNECT with 0x81: the broker has seen it.
    let goodbye = heard.get(2 + usize::from(heard[1])..).unwrap_or_default();
    assert_eq!((heard[0], goodbye[0], goodbye[2]), (0x20, 0xE0, 0x81), "{heard:02x?}");
    let text = sniffer.stop().text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" me ")).collect();
    let malformed = "> MALFORMED PUBLISH at byte 17: [MQTT-3.3.1-4] QoS 3 in PUBLISH";
    for words in ["< CONNACK reason=0x00 Success", malformed] {
        assert!(lines.iter().any(|line| line.contains(words)), "{text}");
    }
    assert_eq!(lines.len(), 2, "nothing else was asked for: {text}");
}

pub(crate) fn sniff_tells_of_connections_with_the_packets_that_are_asked_for() {
    let broker = Broker::start();
    let to = format!("127.0.0.1:{}", broker.port);
    let sniffer = Sniffer::start(&to, &["--client", "wanted", "--type", "publish"]);
    for client in ["another", "wanted"] {
        let words = ["-i", client, "-t", "a", "-m", "x", "-q", "1"];
        run(Whose::Skein, "pub", sniffer.port, &words).succeeded();
    }
    let text = sniffer.stop().text();
    // Behind the time and the number of the connection.
    let told: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(told, ["connected", "wanted", "closed"], "{text}");
    // What is wrong is told in any case.
    let nobody = format!("127.0.0.1:{}", free_port());
    let sniffer = Sniffer::start(&nobody, &["--client", "wanted"]);
    let text = sniffer.stop().text();
    assert!(text.contains(" closed as the broker cannot be reached"), "{text}");
}

/// Large messages in both directions at once, unchanged.
pub(crate) fn sniff_passes_bytes_unchanged() {
    let broker = Broker::start();
    let sniffer = Sniffer::start(&format!("127.0.0.1:{}", broker.port), &["--type", "pingreq"]);
    let client =
        Client::connect(&format!("mqtt://127.0.0.1:{}", sniffer.port)).expect("it listens");
    let subscription = client.subscribe("big").qos(QoS::AtLeastOnce).wait().expect("it may");
    let payload: Vec<u8> = (0..700_000_u32).map(|number| (number % 251) as u8).collect();
    let tickets: Vec<_> =
        (0..10).map(|_| client.publish("big", payload.clone()).qos(QoS::AtLeastOnce)).collect();
    for ticket in tickets {
        ticket.wait().expect("it is acknowledged");
    }
    for _ in 0..10 {
        let message = subscription.receive_for(PATIENCE).expect("it comes back");
        assert!(message.payload()[..] == payload[..], "not a byte is another");
    }
    drop(client);
    let text = sniffer.stop().text();
    assert!(!text.contains("MALFORMED") && !text.contains("PUBLISH"), "{text}");
}

pub(crate) fn sniff_speaks_tls_to_the_broker() {
    let listeners = Listeners::start();
    let ca = listeners.files.text("ca.pem");
    let to = format!("mqtts://localhost:{}", listeners.tls);
    let sniffer = Sniffer::start(&to, &["--cafile", &ca, "--json"]);
    run(Whose::Skein, "pub", sniffer.port, &["-t", "a", "-m", "x", "-q", "1"]).succeeded();
    let packets = sniffer.packets();
    assert!(packets.iter().any(|it| it["packet"] == "PUBACK"), "{packets:?}");
    // Without it nobody is trusted, and the client learns that nobody is there.
    let sniffer = Sniffer::start(&to, &[]);
    let ended = run(Whose::Skein, "pub", sniffer.port, &["-t", "a", "-m", "x"]);
    assert!(ended.code != Some(0), "{}", ended.err);
    let text = sniffer.stop().text();
    assert!(text.contains("the broker cannot be reached"), "{text}");
}

/// Clients that have said CONNECT.
fn clients(port: u16, count: usize) -> Vec<TcpStream> {
    let connected = |number| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_millis(10))).expect("it is not zero");
        let connect = format!("\x10\x0E\0\x04MQTT\x04\x02\0\x3c\0\x02{number:02}");
        stream.write_all(connect.as_bytes()).expect("there is room in a socket");
        stream
    };
    (0..count).map(connected).collect()
}

/// Whether there is an answer, or the end.
fn is_served(mut client: &TcpStream) -> bool {
    !matches!(client.read(&mut [0; 4]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

pub(crate) fn sniff_lets_nobody_wait_for_ever_without_open_files() {
    let broker = Broker::start();
    let to = format!("127.0.0.1:{}", broker.port);
    let sniffer = Sniffer::start_within("-n 40", &to, &["--type", "connack"]);
    let mut waiting = clients(sniffer.port, 60);
    let deadline = Instant::now() + PATIENCE;
    // Who was served leaves, and makes room for others; nobody else comes.
    while !waiting.is_empty() {
        assert!(Instant::now() < deadline, "{} still wait", waiting.len());
        waiting.retain(|client| !is_served(client));
    }
    let text = sniffer.stop().text();
    assert!(text.contains("#0 cannot accept"), "it was short of them: {text}");
    assert!(text.matches("cannot accept").count() < 30, "it says so now and then: {text}");
}

pub(crate) fn sniff_takes_as_many_open_files_as_it_may() {
    let broker = Broker::start();
    let to = format!("127.0.0.1:{}", broker.port);
    let sniffer = Sniffer::start_within("-S -n 40", &to, &["--json"]);
    let clients = clients(sniffer.port, 60);
    let deadline = Instant::now() + PATIENCE;
    let mut waiting: Vec<&TcpStream> = clients.iter().collect();
    while !waiting.is_empty() {
        assert!(Instant::now() < deadline, "{} still wait", waiting.len());
        waiting.retain(|client| !is_served(client));
    }
    let packets = sniffer.packets();
    assert_eq!(packets.iter().filter(|it| it["packet"] == "CONNACK").count(), 60);
}

pub(crate) fn sniff_says_what_it_lacks() {
    let ended = |limit: &str, listen: &str| {
        start(within(limit).args(["sniff", "--listen", listen]), Some(b"")).wait()
    };
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let no_port = ended("-n 99", &taken);
    assert!(no_port.code == Some(1) && no_port.err.contains("another port"), "{}", no_port.err);
    // Too few open files for a listener and what waits for it: no other port would help.
    for limit in 3..=7 {
        let no_file = ended(&format!("-n {limit}"), "127.0.0.1:0");
        assert!(no_file.code != Some(0), "{}", no_file.err);
        assert!(!no_file.err.contains("another port"), "{}", no_file.err);
    }
}

/// A recording: frames of Ethernet, each with the moment at which it was recorded.
struct Recording(Vec<u8>);

impl Recording {
    fn new() -> Self {
        let mut file = 0xA1B2_C3D4_u32.to_le_bytes().to_vec();
        file.extend([2, 0, 4, 0]);
        file.extend([0; 8]);
        file.extend(65_535_u32.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        Self(file)
    }

    /// What one side has sent; its first byte has this number.
    fn add(&mut self, from_client: bool, sequence: u32, payload: &[u8]) {
        let (client, broker) = (([10, 0, 0, 1], 50_000), ([10, 0, 0, 2], 1_883));
        let (from, to) = if from_client { (client, broker) } else { (broker, client) };
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4(from.0, to.0, 64)
            .tcp(from.1, to.1, sequence, 1_024);
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).expect("a Vec takes everything");
        let number = self.0.len() as u32;
        for field in [1_600_000_000, number, frame.len() as u32, frame.len() as u32] {
            self.0.extend(field.to_le_bytes());
        }
        self.0.extend(frame);
    }
}

/// What a client and its broker said to one another.
pub(crate) fn recording() -> Vec<u8> {
    let connect = b"\x10\x0E\0\x04MQTT\x04\x02\0\x3c\0\x02me";
    let publish = b"\x32\x07\0\x01a\0\x07hi";
    let mut recording = Recording::new();
    recording.add(true, 100, connect);
    recording.add(false, 900, b"\x20\x02\0\0");
    // The second half before the first, and that twice.
    recording.add(true, 120, &publish[4..]);
    recording.add(true, 116, &publish[..4]);
    recording.add(true, 116, &publish[..4]);
    recording.add(false, 904, b"\x40\x02\0\x07");
    // Nobody has recorded the next five bytes.
    recording.add(true, 130, b"\xC0\0");
    recording.0
}

pub(crate) fn sniff_reads_recordings() {
    let recording = recording();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("mqtt.pcap");
    fs::write(&file, &recording).expect("room for a file");
    let read = |words: &[&str]| {
        let mut command = Command::new(skein());
        command.args(["sniff", "--read"]).arg(&file).args(words).env("TZ", "UTC");
        start(&mut command, Some(b"")).wait()
    };
    let text = read(&[]).succeeded().text();
    let told: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("#1 ")).map(|it| it.1).collect();
    assert_eq!(
        told,
        [
            "connected from 10.0.0.1:50000 to 10.0.0.2:1883",
            "me > CONNECT version=3.1.1 client_id=\"me\" clean_start keep_alive_s=60",
            "me < CONNACK reason=0 Success",
            "me > PUBLISH topic=\"a\" qos=1 id=7 payload=\"hi\"",
            "me < PUBACK id=7 of=[\"a\"]",
            "me > 5 bytes are missing in the recording from byte 25 on",
            "me > PINGREQ",
        ]
    );
    assert!(text.starts_with("2020-09-13\n12:26:40."), "{text}");
    assert_eq!(text.matches("2020-09-13").count(), 1, "it is the same day");
    let both = read(&["--listen", "127.0.0.1:0"]);
    assert_eq!(both.code, Some(1));
    assert!(both.err.contains("cannot be used with"), "{}", both.err);
    let only = read(&["--type", "puback", "--topic", "a", "--json"]).succeeded().text();
    let packets = only.lines().filter(|line| line.contains("\"packet\""));
    let [packet] = packets.collect::<Vec<_>>()[..] else { panic!("one was asked for: {only}") };
    let packet: Value = serde_json::from_str(packet).expect("JSON");
    assert_eq!((&packet["packet"], &packet["id"]), (&"PUBACK".into(), &7.into()));
    // A frame of no protocol that is known here.
    let (mut other, frame) = (Recording::new().0, [0; 60]);
    for field in [1_600_000_000, 0, frame.len() as u32, frame.len() as u32] {
        other.extend(field.to_le_bytes());
    }
    other.extend(frame);
    fs::write(&file, &other).expect("room for a file");
    let none = read(&[]).succeeded().err;
    assert!(none.contains("No MQTT among 1 packets, 1 of them without TCP. "), "{none}");
    fs::write(&file, &recording[..recording.len() - 1]).expect("room for a file");
    let broken = read(&["--count", "99"]);
    assert_eq!(broken.code, Some(1));
    assert!(broken.err.contains("in the middle of a packet (after 6 packets)"), "{}", broken.err);
    assert!(broken.text().contains("PUBACK"), "what was read before is told");
    let nobody = read(&["--port", "9", "--type", "nonsense"]);
    assert!(nobody.err.contains("there is no such packet"), "{}", nobody.err);
}
