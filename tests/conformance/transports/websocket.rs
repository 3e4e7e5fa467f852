//! WebSocket (section 6), frame by frame.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use skein_protocol::{Connect, Packet, QoS, Version};

use crate::harness::{Broker, Case, Doors, PATIENCE, Way, connect, eventually, ping, will};

const HEADERS: &str = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// A request for the path, with more header fields.
fn request(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{HEADERS}{more}\r\n")
}

/// A client that says any bytes.
struct Raw(TcpStream);

impl Raw {
    fn open(doors: &Doors) -> Self {
        let socket = doors.socket(Way::WebSocket);
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self(socket)
    }

    /// One whose request was agreed to.
    fn upgraded(doors: &Doors) -> Self {
        let mut raw = Self::open(doors);
        raw.send(request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n").as_bytes());
        let answer = raw.head();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "[MQTT-6.0.0-4] {answer}");
        raw
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the broker reads");
    }

    /// The head of an HTTP answer.
    fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("an answer comes");
            head.extend_from_slice(&byte);
        }
        String::from_utf8(head).expect("HTTP is text")
    }

    /// All that comes until the broker closes.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("an end in order");
        rest
    }

    /// The next frame's first byte and payload.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("a frame comes");
        assert!(head[1] < 126, "an unmasked frame with a short payload");
        let mut payload = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut payload).expect("it is whole");
        (head[0], payload)
    }
}

/// A frame with a mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0xA5, 0x5A, 0x3C, 0xC3];
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            let length = u16::try_from(payload.len()).expect("a payload that is not long");
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn bytes_of(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(Version::V5, &mut bytes);
    bytes
}

fn hello(doors: &Doors, name: &str) -> Vec<u8> {
    bytes_of(&Packet::Connect(connect(Version::V5, &doors.case.name(name))))
}

/// The close frame that a wrong frame is answered with.
fn close_code(doors: &Doors, wrong: &[u8]) -> u16 {
    let mut raw = Raw::upgraded(doors);
    raw.send(wrong);
    let (first, payload) = raw.frame();
    assert_eq!((first, payload.len()), (0x88, 2));
    assert_eq!(raw.rest(), b"");
    u16::from_be_bytes([payload[0], payload[1]])
}

/// [MQTT-6.0.0-1].
#[test]
fn w01_a_text_frame_is_closed_with_1003() {
    let doors = Doors::open(2);
    assert_eq!(close_code(&doors, &frame(0x81, b"text")), 1003);
    let is_told = || doors.case.broker.log().contains("[MQTT-6.0.0-1]");
    assert!(eventually(Duration::from_secs(2), is_told), "{}", doors.case.broker.log());
}

/// [MQTT-6.0.0-2].
#[test]
fn w02_packets_lie_across_frames_and_frames_hold_several() {
    let doors = Doors::open(2);
    let ping = bytes_of(&ping());
    let stream = [hello(&doors, "frames"), ping.clone(), ping.clone(), ping].concat();
    for size in [1, 2, 3, 7, stream.len()] {
        let mut raw = Raw::upgraded(&doors);
        for (index, piece) in stream.chunks(size).enumerate() {
            // Fragments of a message, and a new message now and then.
            let is_first = index % 3 == 0;
            let is_last = index % 3 == 2 || (index + 1) * size >= stream.len();
            let first = if is_last { 0x80 } else { 0 } | if is_first { 0x02 } else { 0 };
            raw.send(&frame(first, piece));
        }
        let mut heard = Vec::new();
        while !heard.ends_with(b"\xD0\0\xD0\0\xD0\0") {
            let (first, payload) = raw.frame();
            assert_eq!(first, 0x82, "[MQTT-6.0.0-1]");
            heard.extend(payload);
        }
        assert_eq!(heard[0], 0x20, "CONNACK came before");
    }
}

/// [MQTT-6.0.0-3] [MQTT-6.0.0-4].
#[test]
fn w03_without_the_subprotocol_mqtt_there_is_no_websocket() {
    let doors = Doors::open(2);
    for more in ["", "Sec-WebSocket-Protocol: mqttv3.1\r\n", "Sec-WebSocket-Protocol: chat\r\n"] {
        let mut raw = Raw::open(&doors);
        raw.send(request("/mqtt", more).as_bytes());
        let answer = String::from_utf8(raw.rest()).expect("HTTP is text");
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("[MQTT-6.0.0-3]"));
    }
}

#[test]
fn w04_a_frame_without_a_mask_is_closed_with_1002() {
    let doors = Doors::open(2);
    assert_eq!(close_code(&doors, b"\x82\x02hi"), 1002);
}

#[test]
fn w05_a_length_beyond_reason_is_closed() {
    let doors = Doors::open(2);
    assert_eq!(close_code(&doors, b"\x82\xFF\x80\0\0\0\0\0\0\0\0\0\0\0"), 1002);
    assert_eq!(close_code(&doors, b"\x82\xFF\x40\0\0\0\0\0\0\0\0\0\0\0"), 1009);
}

#[test]
fn w06_a_hundred_thousand_fragments_of_a_byte_take_no_memory() {
    let doors = Doors::open(2);
    let mut raw = Raw::upgraded(&doors);
    raw.send(&frame(0x82, &hello(&doors, "fragments")));
    assert_eq!(raw.frame().1[0], 0x20);
    let before = doors.case.broker.memory_bytes();
    // The beginning of a PUBLISH that never ends, byte by byte.
    raw.send(&frame(0x02, b"\x30\x80\x80\x3F\0\x01t\0"));
    let fragments = frame(0x00, b"x").repeat(1_000);
    for _ in 0..100 {
        raw.send(&fragments);
    }
    raw.send(&frame(0x89, b"are you there"));
    assert_eq!(raw.frame(), (0x8A, b"are you there".to_vec()));
    let grown = doors.case.broker.memory_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes for 100,000");
}

#[test]
fn w07_a_large_request_is_answered_with_431() {
    let doors = Doors::open(2);
    let long = format!("X-Long: {}\r\n", "y".repeat(8_192));
    let many = "X-Many: y\r\n".repeat(101);
    for more in [long, many] {
        let mut raw = Raw::open(&doors);
        raw.send(request("/mqtt", &more).as_bytes());
        assert!(raw.rest().starts_with(b"HTTP/1.1 431 "));
    }
}

#[test]
fn w08_compression_is_never_agreed_to() {
    let doors = Doors::open(2);
    let mut raw = Raw::open(&doors);
    let offer = "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    raw.send(request("/mqtt", offer).as_bytes());
    let answer = raw.head();
    assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains("Extensions"), "{answer}");
    // A frame that claims to be compressed.
    assert_eq!(close_code(&doors, &frame(0xC2, b"x")), 1002);
}

#[test]
fn w09_a_packet_longer_than_its_frame_waits_for_the_next() {
    let doors = Doors::open(2);
    let mut raw = Raw::upgraded(&doors);
    raw.send(&frame(0x82, &hello(&doors, "longer")));
    assert_eq!(raw.frame().1[0], 0x20);
    let ping = bytes_of(&ping());
    raw.send(&frame(0x82, &ping[..1]));
    raw.0.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket option");
    assert!(raw.0.read(&mut [0]).is_err(), "nothing was whole");
    raw.0.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    raw.send(&frame(0x82, &ping[1..]));
    assert_eq!(raw.frame(), (0x82, b"\xD0\0".to_vec()));
}

#[test]
fn w10_a_flood_of_pings_is_answered_now_and_then() {
    let doors = Doors::open(2);
    let mut raw = Raw::upgraded(&doors);
    let flood = frame(0x89, b"flood").repeat(1_000);
    for _ in 0..50 {
        raw.send(&flood);
    }
    raw.send(&frame(0x89, b"last"));
    let mut answers = 0;
    loop {
        answers += 1;
        let (first, payload) = raw.frame();
        assert_eq!(first, 0x8A);
        if payload == b"last" {
            break;
        }
    }
    assert!(answers < 10_000, "{answers} answers to 50,000");
}

#[test]
fn w11_only_listed_origins_may_connect() {
    let settings = "[[listener]]\naddress = \"127.0.0.1:0\"\n\
                    [[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"websocket\"\n\
                    [listener.websocket]\norigins = [\"https://a.example\"]\npath = \"/x\"\n";
    let case = Case::on(std::sync::Arc::new(Broker::start_as_configured(2, settings)));
    let answer = |path: &str, origin: &str| {
        let socket = TcpStream::connect(&case.broker.addresses[1]).expect("the broker listens");
        let mut raw = Raw(socket);
        let fields = format!("Sec-WebSocket-Protocol: mqtt\r\n{origin}");
        raw.send(request(path, &fields).as_bytes());
        raw.head()
    };
    let long = format!("Origin: https://a.example{}\r\n", "x".repeat(6_000));
    for (path, origin, status) in [
        ("/x", "Origin: https://a.example\r\n", "101"),
        ("/x", "", "101"),
        ("/x", "Origin: https://b.example\r\n", "403"),
        ("/x", "Origin: https://a.example.org\r\n", "403"),
        ("/x", &long, "403"),
        ("/mqtt", "", "404"),
    ] {
        let answer = answer(path, origin);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {origin}: {answer}");
    }
}

#[test]
fn a_close_is_answered_and_what_came_before_it_counts() {
    let doors = Doors::open(2);
    let mut raw = Raw::upgraded(&doors);
    let bytes = [frame(0x82, &hello(&doors, "closing")), frame(0x82, b"\xC0\0")].concat();
    raw.send(&bytes);
    let mut heard = Vec::new();
    while !heard.ends_with(b"\xD0\0") {
        heard.extend(raw.frame().1);
    }
    raw.send(&frame(0x88, b"\x03\xE8bye"));
    assert_eq!(raw.rest(), b"\x88\x02\x03\xE8");
}

/// [MQTT-3.1.2-8]: whoever breaks the rules below MQTT has not said DISCONNECT. It is counted.
#[test]
fn a_client_that_breaks_the_websocket_protocol_leaves_its_will() {
    let doors = Doors::open(2);
    let topic = doors.case.name("will");
    let mut heir = doors.case.connect(Version::V5, "heir");
    heir.subscribe(&topic, QoS::AtMostOnce);
    let name = doors.case.name("mortal");
    let mortal = Connect { will: Some(will(&topic, b"gone")), ..connect(Version::V5, &name) };
    let mut raw = Raw::upgraded(&doors);
    raw.send(&frame(0x82, &bytes_of(&Packet::Connect(mortal))));
    assert_eq!(raw.frame().1[0], 0x20);
    raw.send(&frame(0x83, b"?"));
    heir.expect_message(&topic, b"gone");
    assert_eq!(raw.frame(), (0x88, vec![0x03, 0xEA]));
    doors.case.broker.signal("USR1");
    let is_counted = || doors.case.broker.log().contains("transport_errors=1 ");
    assert!(eventually(Duration::from_secs(2), is_counted), "{}", doors.case.broker.log());
}

#[test]
fn the_last_packet_comes_before_the_close() {
    let doors = Doors::open(2);
    let mut raw = Raw::upgraded(&doors);
    raw.send(&frame(0x82, &hello(&doors, "wrong")));
    assert_eq!(raw.frame().1[0], 0x20);
    raw.send(&frame(0x82, &hello(&doors, "wrong")));
    let (first, disconnect) = raw.frame();
    assert_eq!((first, disconnect[0], disconnect[2]), (0x82, 0xE0, 0x82), "{disconnect:02X?}");
    assert_eq!(raw.rest(), b"\x88\x02\x03\xE8");
}

#[test]
fn w14_mqtt_and_tls_on_the_websocket_port_are_closed() {
    let doors = Doors::open(2);
    for bytes in [&hello(&doors, "lost")[..], b"\x16\x03\x01\x02\0\x01\0\x01\xFC"] {
        let mut raw = Raw::open(&doors);
        raw.send(bytes);
        assert!(raw.rest().starts_with(b"HTTP/1.1 400 "));
    }
    // And a browser's handshake for a page, on the same port.
    let mut raw = Raw::open(&doors);
    raw.send(b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(raw.rest().starts_with(b"HTTP/1.1 400 "));
}
