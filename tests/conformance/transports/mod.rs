//! What lies below MQTT: the same promises over every transport, and what each of them refuses.

mod proxy;
mod tls;
mod unix;
mod websocket;

use std::time::{Duration, Instant};

use skein_protocol::{Connect, QoS, Version};

use crate::harness::{
    BEYOND_THE_PROXY, Broker, Doors, Peer, Way, connect, disconnect, eventually, persistent, will,
};

/// Says this CONNECT and is accepted; and the Session Present flag.
fn accepted(doors: &Doors, way: Way, connect: &Connect<'_>) -> (Peer, bool) {
    let mut peer = doors.peer(way, connect.version);
    peer.send(connect);
    let connack = peer.receive();
    let session_present = connack.connack().session_present;
    (peer, session_present)
}

/// Runs a test of each way on brokers of one, two and four shards, all ways of one broker at once.
fn each_way(test: impl Fn(&Doors, Way) + Sync) {
    for shards in [1, 2, 4] {
        let doors = Doors::open(shards);
        std::thread::scope(|scope| {
            for way in Way::ALL {
                let (doors, test) = (&doors, &test);
                scope.spawn(move || test(doors, way));
            }
        });
    }
}

/// 4.2: one listener has an address of IPv4, the other one of IPv6.
#[test]
fn clients_of_both_internet_protocols_meet() {
    let listen = ["127.0.0.1:0", "[::1]:0"].map(|at| format!("[[listener]]\naddress = \"{at}\"\n"));
    let broker = Broker::start_as_configured(2, &listen.concat());
    let [mut four, mut six] = [0, 1].map(|listener| {
        let address = broker.addresses[listener].parse().expect("an IP address");
        let mut peer = Peer::open(address, Version::V5);
        peer.send(&connect(Version::V5, &format!("client-{listener}")));
        peer.receive().connack();
        peer
    });
    assert!(broker.addresses[1].starts_with("[::1]:"), "{:?}", broker.addresses);
    six.subscribe("t", QoS::AtLeastOnce);
    four.publish("t", b"x", QoS::AtMostOnce);
    six.expect_message("t", b"x");
    four.leave();
    six.leave();
}

/// 4.2: whatever the transport, the bytes come in order and whole.
#[test]
fn messages_of_every_size_and_qos_pass_over_every_transport() {
    each_way(|doors, way| {
        for version in [Version::V3_1_1, Version::V5] {
            let name = doors.case.name(&format!("{way:?}-{version:?}"));
            let (mut peer, _) = accepted(doors, way, &connect(version, &name));
            peer.subscribe(&name, QoS::ExactlyOnce);
            for size in [0, 1, 126, 16_385, 70_000, 700_000] {
                // Small frames of a large message are many, and the same as those before.
                let size = if way == Way::SmallFrames { size.min(20_000) } else { size };
                let payload: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
                for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    peer.publish(&name, &payload, qos);
                    let message = peer.expect_message(&name, &payload);
                    peer.acknowledge(&message);
                }
            }
            peer.send(&disconnect());
            peer.expect_closed();
        }
    });
}

/// Law 6 of the design: a connection moves to its session's shard with everything below MQTT, in
/// the middle of what its client says.
#[test]
fn a_session_is_taken_over_from_every_transport_to_every_other() {
    for shards in [1, 2, 4] {
        let doors = Doors::open(shards);
        std::thread::scope(|scope| {
            for start in 0..Way::ALL.len() {
                let doors = &doors;
                scope.spawn(move || {
                    let name = doors.case.name(&format!("wanderer-{start}"));
                    let hello = persistent(Version::V5, &name, 60);
                    let (mut peer, _) = accepted(doors, Way::ALL[start], &hello);
                    peer.subscribe(&name, QoS::AtLeastOnce);
                    for step in 1..2 * Way::ALL.len() {
                        let way = Way::ALL[(start + step) % Way::ALL.len()];
                        let mut next = doors.peer(way, Version::V5);
                        next.send(&hello);
                        // Behind the CONNECT and before its answer: it moves as unread bytes.
                        let payload = format!("{way:?}").into_bytes();
                        let message = crate::harness::publish(&name, &payload);
                        next.send(&message);
                        assert!(next.receive().connack().session_present, "{way:?}");
                        peer.expect_closed_with(0x8E);
                        next.expect_message(&name, &payload);
                        peer = next;
                    }
                    peer.leave();
                    doors.case.forget(&format!("wanderer-{start}"));
                });
            }
        });
    }
}

/// [MQTT-3.1.2-8]: a connection that ends without DISCONNECT leaves its will, however it ends.
#[test]
fn a_cut_connection_leaves_its_will_over_every_transport() {
    each_way(|doors, way| {
        let topic = doors.case.name(&format!("will-{way:?}"));
        let (mut heir, _) =
            accepted(doors, Way::Plain, &connect(Version::V5, &format!("{topic}-heir")));
        heir.subscribe(&topic, QoS::AtMostOnce);
        let name = format!("{topic}-mortal");
        let mortal =
            Connect { will: Some(will(&topic, b"gone")), ..connect(Version::V3_1_1, &name) };
        accepted(doors, way, &mortal).0.cut();
        heir.expect_message(&topic, b"gone");
        let (mut peer, _) = accepted(doors, way, &mortal);
        peer.finish();
        heir.expect_message(&topic, b"gone");
        peer.expect_closed();
        // With DISCONNECT there is none [MQTT-3.14.4-3].
        let (mut peer, _) = accepted(doors, way, &mortal);
        peer.send(&disconnect());
        peer.expect_closed();
        heir.expect_nothing();
    });
}

/// A message that a transport carries late or in part makes no packet appear that was not whole.
#[test]
fn a_packet_of_which_the_end_is_missing_is_nothing() {
    each_way(|doors, way| {
        let name = doors.case.name(&format!("half-{way:?}"));
        let (mut peer, _) = accepted(doors, way, &connect(Version::V5, &name));
        peer.subscribe(&name, QoS::AtMostOnce);
        let mut bytes = vec![0x30, 30];
        bytes.extend_from_slice(&u16::try_from(name.len()).expect("short").to_be_bytes());
        bytes[1] = u8::try_from(name.len() + 2 + 1 + 4).expect("a short packet");
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b"\0wh");
        peer.send(&bytes);
        peer.expect_silence(Duration::from_millis(100));
        peer.send(b"ol");
        peer.expect_message(&name, b"whol");
    });
}

/// G05, G06: whoever says nothing, at whatever layer, is closed when the time for CONNECT is over,
/// and costs nothing until then.
#[test]
fn g06_silence_at_any_layer_ends_when_the_time_for_connect_is_over() {
    let doors = Doors::open_with(2, "[limits]\nconnect_timeout_ms = 700\n");
    let beginnings: [(Way, &[u8]); 9] = [
        (Way::Plain, b""),
        (Way::Plain, b"\x10\x0C\0\x04MQ"),
        (Way::Tls13, b""),
        (Way::Tls13, b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"),
        (Way::WebSocket, b""),
        (Way::WebSocket, b"GET /mqtt HTTP/1.1\r\nHost: "),
        (Way::ProxyText, b""),
        (Way::ProxyText, b"PROXY TCP4 192.0"),
        (Way::Everything, b"PROXY UNKNOWN\r\n"),
    ];
    let started = Instant::now();
    let mut peers: Vec<Peer> = beginnings
        .iter()
        .map(|(way, beginning)| {
            let socket = doors.socket(*way);
            let stream = socket.try_clone().expect("there are descriptors");
            let mut peer = Peer::over(socket, stream, Version::V5);
            peer.send(*beginning);
            peer
        })
        .collect();
    // Those whose handshakes are over, and who do not say CONNECT.
    peers.push(doors.peer(Way::Tls13, Version::V5));
    peers.push(doors.peer(Way::SecureWebSocket, Version::V5));
    for peer in &mut peers {
        peer.expect_raw_end();
    }
    let elapsed = started.elapsed();
    let expected = Duration::from_millis(600)..Duration::from_secs(4);
    assert!(expected.contains(&elapsed), "{elapsed:?}");
}

/// The log names the client's address, not the proxy's.
#[test]
fn the_log_names_the_address_beyond_the_proxy() {
    let doors = Doors::open(2);
    for way in [Way::ProxyText, Way::ProxyBinary, Way::Everything] {
        let name = doors.case.name(&format!("{way:?}"));
        let (peer, _) = accepted(&doors, way, &connect(Version::V5, &name));
        let is_named = || {
            let log = doors.case.broker.log();
            log.lines().any(|line| line.contains(&name) && line.contains(BEYOND_THE_PROXY))
        };
        assert!(eventually(Duration::from_secs(2), is_named), "{}", doors.case.broker.log());
        peer.leave();
    }
}
