//! Section B: what is wrong in a CONNECT of either version.

use std::thread;
use std::time::{Duration, Instant};

use skein_protocol::{
    Connect, ConnectProperties, Packet, Publish, QoS, Version, Will, WillProperties,
};

use crate::harness::{
    Broker, Case, Heard, PATIENCE, Peer, RawConnect, block, bytes, connect, disconnect,
    each_version, persistent, ping, puback, publish_as, sized, will,
};

const FLAG_WILL: u8 = 0x04;
const FLAG_WILL_RETAIN: u8 = 0x20;
const FLAG_PASSWORD: u8 = 0x40;
const FLAG_USER_NAME: u8 = 0x80;

/// Strings that are no valid text [MQTT-1.5.4-1] [MQTT-1.5.4-2]: a byte that UTF-8 never has, the
/// null character, a surrogate, and a null character in two bytes.
const BAD_TEXT: [&[u8]; 4] = [b"a\xFFb", b"a\0b", b"a\xED\xA0\x80b", b"a\xC0\x80b"];

/// A CONNECT with this changed is malformed.
fn assert_malformed(change: impl Fn(&mut RawConnect, Version) + Sync) {
    assert_malformed_with(0x81, change);
}

/// A CONNECT with this changed is malformed; MQTT 5 is told so by the reason.
fn assert_malformed_with(reason: u8, change: impl Fn(&mut RawConnect, Version) + Sync) {
    each_version(|case, version| {
        let mut wrong = RawConnect::new(version, &case.name("peer"));
        change(&mut wrong, version);
        let mut peer = case.open(version);
        peer.send(&wrong);
        peer.expect_connect_malformed(reason);
    });
}

/// A will's part of the payload, for flags that announce one.
fn will_fields(version: Version, topic: impl AsRef<[u8]>) -> Vec<u8> {
    let properties = if version == Version::V5 { block(&[]) } else { Vec::new() };
    [properties, sized(topic), sized("gone")].concat()
}

/// [MQTT-3.1.2-1], [MQTT-3.1.2-1 of 3.1.1]: the version is not known, so the answer is that of the
/// oldest.
#[test]
fn b01_unknown_protocol_name_is_refused() {
    each_version(|case, version| {
        for name in ["MQTX", "mqtt", "MQTTT", ""] {
            let right = RawConnect::new(version, &case.name("peer"));
            let mut peer = case.open(Version::V3_1_1);
            peer.send(&RawConnect { name: name.into(), ..right });
            peer.expect_refused(0x84, 0x01);
        }
    });
}

/// [MQTT-3.1.2-2], [MQTT-3.1.2-2 of 3.1.1]
#[test]
fn b02_unknown_protocol_level_is_refused() {
    let case = Case::new();
    let right = RawConnect::new(Version::V3_1_1, &case.name("peer"));
    for (level, version) in
        [(6, Version::V5), (0x7F, Version::V5), (0, Version::V3_1_1), (3, Version::V3_1_1)]
    {
        let mut peer = case.open(version);
        peer.send(&RawConnect { level, ..right.clone() });
        peer.expect_refused(0x84, 0x01);
    }
}

/// [MQTT-3.1.2-3], [MQTT-3.1.2-3 of 3.1.1]
#[test]
fn b03_reserved_connect_flag_closes() {
    assert_malformed(|connect, _| connect.flags |= 0x01);
}

/// [MQTT-3.1.2-11], [MQTT-3.1.2-13 of 3.1.1]
#[test]
fn b04_will_qos_without_will_flag_closes() {
    for qos in 1..=2 {
        assert_malformed(|connect, _| connect.flags |= qos << 3);
    }
}

/// [MQTT-3.1.2-13], [MQTT-3.1.2-15 of 3.1.1]
#[test]
fn b05_will_retain_without_will_flag_closes() {
    assert_malformed(|connect, _| connect.flags |= FLAG_WILL_RETAIN);
}

/// [MQTT-3.1.2-12], [MQTT-3.1.2-14 of 3.1.1]
#[test]
fn b06_will_qos_3_closes() {
    assert_malformed(|connect, version| {
        connect.flags |= FLAG_WILL | 3 << 3;
        connect.payload.extend(will_fields(version, "will"));
    });
}

/// [MQTT-3.1.2-9], [MQTT-3.1.2-9 of 3.1.1]: with none of the fields, and with the topic only.
#[test]
fn b07_will_flag_without_will_fields_closes() {
    assert_malformed(|connect, _| connect.flags |= FLAG_WILL);
    assert_malformed(|connect, version| {
        connect.flags |= FLAG_WILL;
        let whole = will_fields(version, "will");
        connect.payload.extend(&whole[..whole.len() - sized("gone").len()]);
    });
}

/// [MQTT-3.1.2-17], [MQTT-3.1.2-19 of 3.1.1]
#[test]
fn b08_user_name_flag_without_user_name_closes() {
    assert_malformed(|connect, _| connect.flags |= FLAG_USER_NAME);
}

/// [MQTT-3.1.2-19], [MQTT-3.1.2-21 of 3.1.1]
#[test]
fn b08_password_flag_without_password_closes() {
    assert_malformed(|connect, _| {
        connect.flags |= FLAG_USER_NAME | FLAG_PASSWORD;
        connect.payload.extend(sized("user"));
    });
}

/// [MQTT-3.1.2-22 of 3.1.1], and 3.1.2.9 of MQTT 5.0, which allows it.
#[test]
fn b09_password_without_user_name_is_for_5_0_only() {
    each_version(|case, version| {
        let mut connect = RawConnect::new(version, &case.name("peer"));
        connect.flags |= FLAG_PASSWORD;
        connect.payload.extend(sized("word"));
        let mut peer = case.open(version);
        peer.send(&connect);
        match version {
            Version::V5 => drop(peer.receive().connack()),
            Version::V3_1 | Version::V3_1_1 => peer.expect_closed(),
        }
    });
}

/// [MQTT-3.1.3-8 of 3.1.1], [MQTT-3.1.3-6], [MQTT-3.1.3-7]: MQTT 5 clients are told their id.
#[test]
fn b10_empty_client_id_without_clean_session_is_for_5_0_only() {
    each_version(|case, version| {
        let mut peer = case.open(version);
        peer.send(&Connect { clean_start: false, ..connect(version, "") });
        if version == Version::V3_1_1 {
            peer.expect_refused(0x85, 0x02);
            return;
        }
        let connack = peer.receive();
        let client_id = connack.connack().properties.assigned_client_id;
        assert!(client_id.is_some_and(|client_id| client_id.len() > 16), "unguessable");
    });
}

/// [MQTT-3.1.3-6 of 3.1.1]: the broker makes an id of its own, for each a different one.
#[test]
fn b10_empty_client_id_with_clean_session_is_accepted() {
    each_version(|case, version| {
        let (mut one, _) = case.connect_as(&connect(version, ""));
        let (mut other, _) = case.connect_as(&connect(version, ""));
        one.expect_nothing();
        other.expect_nothing();
    });
}

/// [MQTT-3.1.3-4], [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-3.1.3-4 of 3.1.1], [MQTT-1.5.3-1 of
/// 3.1.1], [MQTT-1.5.3-2 of 3.1.1]
#[test]
fn b11_client_id_that_is_no_text_closes() {
    for text in BAD_TEXT {
        assert_malformed(|connect, _| connect.payload = sized(text));
    }
}

/// [MQTT-3.1.3-12], [MQTT-3.1.3-11 of 3.1.1]
#[test]
fn b27_user_name_that_is_no_text_closes() {
    for text in BAD_TEXT {
        assert_malformed(|connect, _| {
            connect.flags |= FLAG_USER_NAME;
            connect.payload.extend(sized(text));
        });
    }
}

/// [MQTT-3.1.4-1], [MQTT-3.1.4-1 of 3.1.1]
#[test]
fn b12_bytes_after_the_payload_close_without_accepting() {
    assert_malformed(|connect, _| connect.payload.push(0));
    assert_malformed(|connect, _| connect.payload.extend(sized("user")));
}

/// [MQTT-3.3.2-2], [MQTT-4.7.1-1 of 3.1.1]
#[test]
fn b24_will_topic_with_a_wildcard_closes() {
    for topic in ["a/#", "a/+/b", "#", "+"] {
        assert_malformed_with(0x90, |connect, version| {
            connect.flags |= FLAG_WILL;
            connect.payload.extend(will_fields(version, topic));
        });
    }
}

/// [MQTT-4.7.3-1], [MQTT-4.7.3-1 of 3.1.1]
#[test]
fn b25_empty_will_topic_closes() {
    assert_malformed_with(0x90, |connect, version| {
        connect.flags |= FLAG_WILL;
        connect.payload.extend(will_fields(version, ""));
    });
}

/// [MQTT-4.7.3-2], [MQTT-3.1.3-11], [MQTT-4.7.3-2 of 3.1.1], [MQTT-3.1.3-10 of 3.1.1]
#[test]
fn b26_will_topic_that_is_no_text_closes() {
    for topic in BAD_TEXT {
        assert_malformed_with(0x90, |connect, version| {
            connect.flags |= FLAG_WILL;
            connect.payload.extend(will_fields(version, topic));
        });
    }
}

/// 5.4.2: a will obeys the rules of a PUBLISH, when it is set.
#[test]
fn b29_will_on_a_topic_of_the_broker_or_a_denied_one_is_refused() {
    let denied = Case::with_settings("sys_interval_s = 0\n[access]\ndeny_publish = [\"denied/#\"]");
    for version in [Version::V3_1_1, Version::V5] {
        let mut watcher = denied.connect(version, "watcher");
        for filter in ["$SYS/#", "$CONTROL/#", "denied/#"] {
            watcher.subscribe(filter, QoS::AtMostOnce);
        }
        for topic in ["$SYS/broker/uptime", "$CONTROL/x", "denied/x"] {
            let mut peer = denied.open(version);
            let retained = Will { retain: true, ..will(topic, b"forged") };
            peer.send(&Connect { will: Some(retained), ..connect(version, &denied.name("peer")) });
            peer.expect_refused(0x87, 0x05);
        }
        watcher.expect_silence(Duration::from_millis(50));
    }
}

/// [MQTT-3.1.3-5]: ids of up to 23 letters are a must, those of a kilobyte a habit; the limit has a
/// name, and what is beyond it is said.
#[test]
fn b30_long_client_ids_are_accepted_or_refused_by_name() {
    each_version(|case, version| {
        let longest = format!("{:x<1024}", case.name("long"));
        let (mut peer, _) = case.connect_as(&connect(version, &longest));
        peer.expect_nothing();
        let mut peer = case.open(version);
        peer.send(&connect(version, &"x".repeat(60_000)));
        peer.expect_refused(0x85, 0x02);
        // The packet around the longest id there can be is longer than what is read of a stranger.
        let mut peer = case.open(version);
        peer.try_send(&connect(version, &"x".repeat(65_535)));
        peer.expect_closed();
    });
    let case = Case::with_settings(
        "[limits]\npacket_bytes_before_connect_max = 131072\nclient_id_bytes_max = 65535",
    );
    for version in [Version::V3_1_1, Version::V5] {
        let (mut peer, _) = case.connect_as(&connect(version, &"x".repeat(65_535)));
        peer.expect_nothing();
        peer.send(&disconnect());
        peer.expect_closed();
    }
}

/// How often the race of B31 is run.
const ROUNDS: usize = 10_000;

/// [MQTT-3.1.4-3], [MQTT-3.1.4-2 of 3.1.1]: whatever shards they meet on, of two connections with
/// one client id the one that was opened last lives, the other was taken over or refused, and no
/// message of the session is lost.
#[test]
fn b31_of_two_connections_at_once_with_one_client_id_the_newer_lives() {
    let case = Case::with_shards(4);
    let racers = 4;
    thread::scope(|scope| {
        for racer in 0..racers {
            let case = &case;
            scope.spawn(move || race(case, &format!("racer-{racer}"), ROUNDS / racers));
        }
    });
}

fn race(case: &Case, client: &str, rounds: usize) {
    let topic = case.name(client);
    let mut publisher = case.connect(Version::V5, &format!("publisher-of-{client}"));
    let (mut live, _) = case.resume(Version::V5, client);
    live.subscribe(&topic, QoS::AtLeastOnce);
    for round in 0..rounds {
        let payload = round.to_string();
        let client_id = case.name(client);
        let again = persistent(Version::V5, &client_id, 60);
        let mut older = case.open(Version::V5);
        older.send(&again);
        let mut newer = case.open(Version::V5);
        newer.send(&again);
        publisher.publish(&topic, payload.as_bytes(), QoS::AtLeastOnce);
        assert!(newer.receive().connack().session_present);
        // By now the one before was taken over.
        assert!(!survives(&mut live, &payload));
        let answer = older.receive();
        match answer.any_connack().reason as u8 {
            0x00 => assert!(!survives(&mut older, &payload)),
            reason => assert_eq!(reason, 0x83),
        }
        assert!(survives(&mut newer, &payload));
        live = newer;
    }
    live.send(&disconnect());
    live.expect_closed();
    case.forget(client);
}

/// Whether the connection lives. If it does, it gets this message, which it acknowledges with all
/// that comes again; if not, it was told why.
fn survives(peer: &mut Peer, payload: &str) -> bool {
    peer.try_send(&ping());
    let (mut lives, mut has_message, mut was_told) = (false, false, false);
    while !(lives && has_message) {
        let received = match peer.hear(PATIENCE) {
            Heard::Packet(received) => received,
            Heard::Closed => {
                assert!(was_told && !lives, "a connection that was taken over is told");
                return false;
            }
            Heard::Silence => panic!("lives: {lives}, message {payload} came: {has_message}"),
        };
        match received.packet() {
            Packet::Publish(publish) => {
                let is_this = publish.payload == payload.as_bytes();
                assert!(is_this || publish.dup, "what comes again is marked: {publish}");
                has_message |= is_this;
                peer.try_send(&puback(received.id()));
            }
            Packet::PingResp => lives = true,
            Packet::Disconnect(disconnect) => {
                assert_eq!(disconnect.reason as u8, 0x8E, "{disconnect}");
                was_told = true;
            }
            other => panic!("not to be expected: {other}"),
        }
    }
    true
}

/// [MQTT-3.1.2-8], [MQTT-3.1.3-9]: a will with a delay is published when the delay is over or the
/// session ends, whichever is first, and once.
#[test]
fn b32_will_is_published_at_the_earlier_of_delay_and_session_end() {
    let case = Case::new();
    let topic = case.name("will");
    let mut watcher = case.connect(Version::V5, "watcher");
    watcher.subscribe(&topic, QoS::AtLeastOnce);
    // (will delay, session expiry, published after), seconds
    for (delay_s, expiry_s, due_s) in [(60, 0, 0), (60, 1, 1), (1, 60, 1), (0, 60, 0)] {
        let payload = format!("delay {delay_s}, expiry {expiry_s}");
        let client_id = case.name("peer");
        let (peer, _) = case.connect_as(&Connect {
            properties: ConnectProperties {
                session_expiry_s: Some(expiry_s),
                ..ConnectProperties::default()
            },
            will: Some(Will {
                properties: WillProperties {
                    delay_interval_s: Some(delay_s),
                    ..WillProperties::default()
                },
                ..will(&topic, payload.as_bytes())
            }),
            ..connect(Version::V5, &client_id)
        });
        let cut_at = Instant::now();
        peer.cut();
        let message = watcher.expect_message(&topic, payload.as_bytes());
        let took = cut_at.elapsed();
        // The broker's clock counts whole milliseconds.
        let (least, most) = (due_s * 1000 - due_s * 2, due_s * 1000 + 700);
        let took_ms = took.as_millis() as u64;
        assert!((least..most).contains(&took_ms), "{payload}: {took:?}");
        watcher.acknowledge(&message);
    }
    watcher.expect_silence(Duration::from_millis(50));
    case.forget("peer");
    watcher.expect_nothing();
}

/// [MQTT-3.1.4-6], [MQTT-3.1.4-5 of 3.1.1]: what follows a CONNECT that is refused is not done.
#[test]
fn b33_data_behind_a_refused_connect_is_never_processed() {
    each_version(|case, version| {
        let topic = case.name("topic");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtLeastOnce);
        let client_id = case.name("peer");
        let refused =
            Connect { will: Some(will("$SYS/will", b"x")), ..connect(version, &client_id) };
        let message =
            Publish { retain: true, ..publish_as(QoS::AtLeastOnce, 1, &topic, b"from a stranger") };
        let mut peer = case.open(version);
        peer.send(&[bytes(&refused, version), bytes(&message, version)].concat());
        peer.expect_refused(0x87, 0x05);
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"end", QoS::AtMostOnce);
        watcher.expect_message(&topic, b"end");
        other.subscribe(&topic, QoS::AtMostOnce);
        other.expect_nothing();
    });
}

/// 3.1.2.4 and 4.2: who may not come in is told so, and heard no further.
#[test]
fn b33_anonymous_clients_are_refused_where_they_are_not_wanted() {
    let broker = Broker::start(2, "[access]\nanonymous = false");
    for version in [Version::V3_1_1, Version::V5] {
        let mut peer = Peer::open(broker.address, version);
        let message = publish_as(QoS::AtLeastOnce, 1, "topic", b"from a stranger");
        peer.send(&[bytes(&connect(version, "peer"), version), bytes(&message, version)].concat());
        peer.expect_refused(0x86, 0x04);
    }
    assert!(broker.is_alive());
}
