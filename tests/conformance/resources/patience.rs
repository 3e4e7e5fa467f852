//! Those who say nothing, or too little.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use skein_protocol::{Connect, Version};

use super::{counted, is_closed_within, say, socket};
use crate::harness::{Case, Doors, Heard, Way, connect, eventually, varint};

/// Whoever does not get to a CONNECT is closed within ten seconds, by default, at whatever layer.
#[test]
fn g05_silence_and_half_a_connect_end_within_ten_seconds() {
    let doors = Doors::open(2);
    let started = Instant::now();
    let open = |way, bytes: &[u8]| {
        let socket = doors.socket(way);
        say(&socket, bytes);
        socket
    };
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03";
    let silent: [(Way, TcpStream); 6] = [
        (Way::Plain, open(Way::Plain, b"")),
        (Way::Plain, open(Way::Plain, b"\x10\x0C\0\x04MQ")),
        (Way::Tls13, open(Way::Tls13, b"")),
        (Way::Tls13, open(Way::Tls13, hello)),
        (Way::WebSocket, open(Way::WebSocket, b"GET /mqtt HTTP/1.1\r\n")),
        (Way::ProxyText, open(Way::ProxyText, b"PROXY ")),
    ];
    for (way, socket) in &silent {
        assert!(is_closed_within(socket, Duration::from_secs(12)), "{way:?}");
    }
    let elapsed = started.elapsed();
    assert!((9..13).contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[test]
fn g05_a_thousand_silent_connections_cost_no_time() {
    let case = Case::with_settings("[limits]\nconnect_timeout_ms = 60000\n");
    let silent: Vec<TcpStream> = (0..1_000).map(|_| socket(&case)).collect();
    std::thread::sleep(Duration::from_millis(500));
    let load = case.load_during(Duration::from_secs(3));
    assert!(load < 0.01, "{load} of a core");
    drop(silent);
}

/// The handshakes below MQTT have a time of their own.
#[test]
fn g06_a_handshake_that_does_not_end_is_ended() {
    let doors = Doors::open_with(2, "[limits]\ntls_handshake_ms_max = 500\n");
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03";
    let started = Instant::now();
    for (way, bytes) in [
        (Way::Tls12, &b""[..]),
        (Way::Tls13, &hello[..]),
        (Way::SecureWebSocket, &hello[..]),
        (Way::WebSocket, &b"GET /mqtt"[..]),
        (Way::ProxyText, &b"PROXY TCP4 "[..]),
    ] {
        let socket = doors.socket(way);
        say(&socket, bytes);
        assert!(is_closed_within(&socket, Duration::from_secs(4)), "{way:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    // Without layers there is no handshake.
    let plain = doors.socket(Way::Plain);
    assert!(!is_closed_within(&plain, Duration::from_secs(1)));
    assert_eq!(counted(&doors.case, "handshake_timeouts"), 5);
}

/// [MQTT-3.2.2-21]: a client of MQTT 5 that asks for a keep alive without end is given another, and
/// held to it.
#[test]
fn g07_a_keep_alive_without_end_is_not_granted() {
    let case = Case::with_settings("[limits]\nkeep_alive_s_max = 1\n");
    for keep_alive_s in [0, 65_535] {
        let name = case.name("idle");
        let hello = Connect { keep_alive_s, ..connect(Version::V5, &name) };
        let mut peer = case.open(Version::V5);
        peer.send(&hello);
        assert_eq!(peer.receive().connack().properties.server_keep_alive_s, Some(1));
        let started = Instant::now();
        peer.expect_closed_with(0x8D);
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
}

/// Half a packet, and then nothing or next to nothing.
#[test]
fn g08_a_packet_that_stalls_ends_its_connection() {
    let case = Case::with_settings("[limits]\npacket_stalled_ms_max = 500\n");
    for version in [Version::V3_1_1, Version::V5] {
        let mut peer = case.connect(version, "half");
        peer.send(&[&[0x30][..], &varint(100_000), b"\0\x05topic"].concat());
        let started = Instant::now();
        peer.expect_closed_with(0x83);
        let elapsed = started.elapsed();
        assert!(elapsed > Duration::from_millis(400) && elapsed < Duration::from_secs(4));
    }
    let mut peer = case.connect(Version::V3_1_1, "trickle");
    peer.send(&[&[0x30][..], &varint(100_000), b"\0\x05topic"].concat());
    let started = Instant::now();
    let is_over = || {
        // A byte now and then is not enough.
        !peer.try_send(b"x") || matches!(peer.hear(Duration::from_millis(20)), Heard::Closed)
    };
    assert!(eventually(Duration::from_secs(8), is_over));
    assert!(started.elapsed() < Duration::from_secs(6));
}

/// Who is slow and goes on is heard to the end; who says nothing between packets may.
#[test]
fn g08_a_slow_packet_becomes_whole() {
    let case = Case::with_settings("[limits]\npacket_stalled_ms_max = 400\n");
    let (mut peer, topic) = (case.connect(Version::V5, "slow"), case.name("topic"));
    peer.subscribe(&topic, skein_protocol::QoS::AtMostOnce);
    let payload = vec![b'x'; 60_000];
    let packet = crate::harness::bytes(&crate::harness::publish(&topic, &payload), Version::V5);
    for piece in packet.chunks(5_000) {
        peer.send(piece);
        std::thread::sleep(Duration::from_millis(200));
    }
    peer.expect_message(&topic, &payload);
    peer.expect_silence(Duration::from_millis(1_500));
    peer.expect_nothing();
}
