//! Section A: framing, and what may come when.

use std::thread;

use skein_protocol::{Connect, Packet, QoS, Version};

use crate::harness::{
    Bytes, Case, Heard, PATIENCE, Peer, RawConnect, bytes, connect, disconnect, each_shard_count,
    each_version, no_properties, options, ping, puback, pubcomp, publish, publish_as, pubrec,
    pubrel, raw, sized, subscribe, unsubscribe, varint, will,
};

/// What is no CONNECT closes a new connection without an answer.
fn assert_refused_as_first(packet: &[u8]) {
    let case = Case::new();
    let mut peer = case.open(Version::V3_1_1);
    peer.send(packet);
    peer.expect_closed();
}

/// [MQTT-3.1.0-1], [MQTT-3.1.0-1 of 3.1.1]
#[test]
fn a01_publish_as_first_packet_closes_silently() {
    assert_refused_as_first(&bytes(&publish("a", b"x"), Version::V3_1_1));
    assert_refused_as_first(&bytes(&publish("a", b"x"), Version::V5));
}

/// [MQTT-3.1.0-1], [MQTT-3.1.0-1 of 3.1.1]
#[test]
fn a02_pingreq_as_first_packet_closes_silently() {
    assert_refused_as_first(&[0xC0, 0]);
}

/// [MQTT-3.1.0-1], [MQTT-3.1.0-1 of 3.1.1]
#[test]
fn a03_puback_as_first_packet_closes_silently() {
    assert_refused_as_first(&[0x40, 2, 0, 1]);
}

/// [MQTT-3.1.0-2], [MQTT-3.1.0-2 of 3.1.1]; the will is due as no DISCONNECT came [MQTT-3.1.2-8].
#[test]
fn a04_second_connect_closes_and_publishes_the_will() {
    each_version(|case, version| {
        let topic = case.name("will");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let client_id = case.name("client");
        let with_will =
            Connect { will: Some(will(&topic, b"gone")), ..connect(version, &client_id) };
        let (mut peer, _) = case.connect_as(&with_will);
        peer.send(&with_will);
        peer.expect_closed_with(0x82);
        watcher.expect_message(&topic, b"gone");
        // One that could not be a first one is a second one all the same: 0x84 is for a CONNACK.
        let (mut peer, _) = case.connect_as(&with_will);
        peer.send(&raw(0x10, &[0, 1, 0xF9, 0x0A, 0xFF]));
        peer.expect_closed_with(0x82);
        watcher.expect_message(&topic, b"gone");
    });
}

/// 2.1.4 (2.2.3 of 3.1.1): the Remaining Length has at most four bytes.
#[test]
fn a05_remaining_length_of_five_bytes_closes() {
    each_version(|case, version| {
        let too_long = [0x30, 0x80, 0x80, 0x80, 0x80, 0x01];
        let mut first = case.open(version);
        first.send(&too_long);
        first.expect_closed();
        let mut peer = case.connect(version, "peer");
        peer.send(&too_long);
        peer.expect_closed_with(0x81);
    });
}

/// 2.1.2 (2.2.1 of 3.1.1): packet type 0 is reserved.
#[test]
fn a06_packet_type_0_closes() {
    each_version(|case, version| {
        for packet in [&[0x00, 0][..], &[0x0F, 0], &[0x00]] {
            let mut first = case.open(version);
            first.send(packet);
            first.expect_closed();
            let mut peer = case.connect(version, "peer");
            peer.send(packet);
            peer.expect_closed_with(0x81);
        }
    });
}

/// 2.2.1 of 3.1.1: packet type 15 is reserved.
#[test]
fn a07_packet_type_15_closes_before_5_0() {
    let case = Case::new();
    for packet in [&[0xF0, 0][..], &[0xF0, 2, 0, 0]] {
        let mut peer = case.connect(Version::V3_1_1, "peer");
        peer.send(packet);
        peer.expect_closed_with(0x81);
    }
}

/// [MQTT-4.13.1-1], [MQTT-4.8.0-1 of 3.1.1]
#[test]
fn a08_packets_of_a_server_from_a_client_close() {
    each_version(|case, version| {
        let none = no_properties(version);
        let connack = raw(0x20, &[&[0, 0], none].concat());
        let suback = raw(0x90, &[&[0, 1], none, &[0]].concat());
        let codes: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let unsuback = raw(0xB0, &[&[0, 1], none, codes].concat());
        let pingresp = vec![0xD0, 0];
        for packet in [connack, suback, unsuback, pingresp] {
            let mut first = case.open(version);
            first.send(&packet);
            first.expect_closed();
            let mut peer = case.connect(version, "peer");
            peer.send(&packet);
            peer.expect_closed_with(0x82);
        }
    });
}

/// Sends a valid packet under each wrong set of header flags.
fn assert_flags_matter(packet: impl Fn(Version) -> Vec<u8> + Sync) {
    each_version(|case, version| {
        let right = packet(version);
        for flags in (0..16).filter(|flags| flags ^ right[0] & 0x0F != 0) {
            let mut wrong = right.clone();
            wrong[0] = right[0] & 0xF0 | flags;
            let mut peer = case.connect(version, "peer");
            peer.send(&wrong);
            peer.expect_closed_with(0x81);
        }
    });
}

/// [MQTT-3.8.1-1], [MQTT-3.8.1-1 of 3.1.1]
#[test]
fn a09_wrong_flags_in_subscribe_close() {
    assert_flags_matter(|version| {
        bytes(&subscribe(1, &[("a", options(QoS::AtMostOnce))]), version)
    });
}

/// [MQTT-3.10.1-1], [MQTT-3.10.1-1 of 3.1.1]
#[test]
fn a10_wrong_flags_in_unsubscribe_close() {
    assert_flags_matter(|version| bytes(&unsubscribe(1, &["a"]), version));
}

/// [MQTT-3.6.1-1], [MQTT-3.6.1-1 of 3.1.1]
#[test]
fn a11_wrong_flags_in_pubrel_close() {
    assert_flags_matter(|version| bytes(&pubrel(1), version));
}

/// [MQTT-2.1.3-1], [MQTT-2.2.2-2 of 3.1.1]
#[test]
fn a12_wrong_flags_in_pingreq_close() {
    assert_flags_matter(|version| bytes(&ping(), version));
}

/// [MQTT-3.14.1-1], [MQTT-3.14.1-1 of 3.1.1]
#[test]
fn a13_wrong_flags_in_disconnect_close() {
    assert_flags_matter(|version| bytes(&disconnect(), version));
}

/// [MQTT-2.1.3-1], [MQTT-2.2.2-2 of 3.1.1]
#[test]
fn a14_wrong_flags_in_connect_close() {
    each_version(|case, version| {
        for flags in 1..16 {
            let mut peer = case.open(version);
            let right = RawConnect::new(version, &case.name("peer"));
            peer.send(&RawConnect { header: 0x10 | flags, ..right });
            peer.expect_connect_malformed(0x81);
        }
    });
}

/// [MQTT-1.5.5-1]: of the Remaining Length, of a Property Length, of a Subscription Identifier.
#[test]
fn a15_a_length_in_more_bytes_than_it_needs_closes_in_5_0() {
    let case = Case::new();
    let filter = [&sized("a")[..], &[0]].concat();
    let packets = [
        vec![0xC0, 0x80, 0x00],
        raw(0x30, &[&sized("a")[..], &[0x80, 0x00]].concat()),
        raw(0x82, &[&[0, 1, 3, 0x0B, 0x81, 0x00][..], &filter].concat()),
    ];
    for packet in packets {
        let mut peer = case.connect(Version::V5, "peer");
        peer.send(&packet);
        peer.expect_closed_with(0x81);
    }
    let mut peer = case.open(Version::V5);
    let right = bytes(&RawConnect::new(Version::V5, &case.name("peer")), Version::V5);
    let long = [&[right[0], right[1] | 0x80, 0x00], &right[2..]].concat();
    peer.send(&long);
    peer.expect_refused(0x81, 0);
}

/// [MQTT-4.13.1-1], [MQTT-4.8.0-1 of 3.1.1]: nothing of half a packet is done.
#[test]
fn a16_a_packet_cut_at_every_byte_is_not_applied() {
    each_version(|case, version| {
        let topic = case.name("topic");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::ExactlyOnce);
        let message = |qos| bytes(&publish_as(qos, 7, &topic, b"half"), version);
        let packets = [
            bytes(&publish(&topic, b"half"), version),
            message(QoS::AtLeastOnce),
            message(QoS::ExactlyOnce),
            bytes(&puback(7), version),
            bytes(&pubrec(7), version),
            bytes(&pubrel(7), version),
            bytes(&pubcomp(7), version),
            bytes(&subscribe(7, &[(&topic, options(QoS::ExactlyOnce))]), version),
            bytes(&unsubscribe(7, &[&topic]), version),
            bytes(&ping(), version),
            bytes(&disconnect(), version),
        ];
        for packet in packets {
            for cut in 1..packet.len() {
                let mut peer = case.connect(version, "peer");
                peer.send(&packet[..cut]);
                peer.finish();
                peer.expect_closed();
            }
        }
        let mut peer = case.connect(version, "peer");
        peer.publish(&topic, b"whole", QoS::AtMostOnce);
        watcher.expect_message(&topic, b"whole");
    });
}

/// [MQTT-3.1.0-1]: half a CONNECT makes no session and has no will.
#[test]
fn a16_a_connect_cut_at_every_byte_is_not_applied() {
    each_version(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let whole = Connect {
            clean_start: false,
            user_name: Some("user"),
            password: Some(b"word"),
            will: Some(will(&topic, b"half")),
            ..connect(version, &client_id)
        };
        let whole = bytes(&whole, version);
        for cut in 1..whole.len() {
            let mut peer = case.open(version);
            peer.send(&whole[..cut]);
            peer.finish();
            peer.expect_closed();
        }
        let (_peer, session_present) = case.resume(version, "peer");
        assert!(!session_present);
        case.forget("peer");
        watcher.expect_nothing();
    });
}

/// What a peer says that publishes and subscribes in every way, and how many answers it gets.
fn conversation(case: &Case, client: &str, version: Version) -> (Vec<u8>, usize) {
    let (client_id, topic) = (case.name(client), case.name("nobody"));
    let mut said = bytes(&connect(version, &client_id), version);
    let mut say = |what: &dyn Fn(&mut Vec<u8>)| what(&mut said);
    for id in 1..=200 {
        say(&|out| publish(&topic, b"zero").put(version, out));
        say(&|out| publish_as(QoS::AtLeastOnce, id, &topic, b"one").put(version, out));
        say(&|out| publish_as(QoS::ExactlyOnce, id, &topic, b"two").put(version, out));
        say(&|out| pubrel(id).put(version, out));
        say(&|out| ping().put(version, out));
    }
    (said, 1 + 200 * 4)
}

fn replies(peer: &mut Peer, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| peer.receive().bytes).collect()
}

/// A stream has no borders: the replies are the same, however it is cut.
#[test]
fn a17_one_byte_per_segment_and_a_thousand_packets_in_one_get_the_same_replies() {
    each_version(|case, version| {
        let (said, count) = conversation(case, "at-once", version);
        let mut at_once = case.open(version);
        at_once.send(&said);
        let expected = replies(&mut at_once, count);

        let (said, _) = conversation(case, "by-bytes", version);
        let mut by_bytes = case.open(version);
        for (index, byte) in said.iter().enumerate() {
            by_bytes.send(&[*byte]);
            // Let the broker see single bytes at the start, and whatever the kernel joins later.
            if index < 200 {
                thread::yield_now();
            }
        }
        assert_eq!(replies(&mut by_bytes, count), expected);
        at_once.expect_nothing();
        by_bytes.expect_nothing();
    });
}

/// [MQTT-3.14.4-1], [MQTT-3.14.4-2 of 3.1.1]
#[test]
fn a18_bytes_after_disconnect_are_ignored() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let mut peer = case.connect(version, "peer");
        let message = bytes(&publish(&topic, b"too late"), version);
        peer.send(&[bytes(&disconnect(), version), message].concat());
        peer.expect_closed();
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"end", QoS::AtMostOnce);
        watcher.expect_message(&topic, b"end");
    });
}

/// [MQTT-3.1.2-8], [MQTT-3.1.2-8 of 3.1.1]: a client that says no more is gone, and said no
/// DISCONNECT; what it had said before counts.
#[test]
fn a19_half_close_after_publish_keeps_the_message_and_publishes_the_will() {
    each_shard_count(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("topic"));
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtLeastOnce);
        let with_will =
            Connect { will: Some(will(&topic, b"will")), ..connect(version, &client_id) };
        let message = publish_as(QoS::AtLeastOnce, 1, &topic, b"whole");
        let mut peer = case.open(version);
        peer.send(&[bytes(&with_will, version), bytes(&message, version)].concat());
        peer.finish();
        peer.receive().connack();
        // The acknowledgement may come or not, but the message came whole.
        match peer.hear(PATIENCE) {
            Heard::Packet(ack) => ack.assert_is(&puback(1)),
            Heard::Closed => {}
            Heard::Silence => panic!("the broker was to close"),
        }
        watcher.expect_message(&topic, b"whole");
        watcher.expect_message(&topic, b"will");
    });
}

/// 2.1.4: the longest length that four bytes can say is refused by the header alone, before and
/// after CONNECT.
#[test]
fn a05_a_claim_of_256_mib_closes_before_the_body() {
    each_version(|case, version| {
        let claim = [&[0x10][..], &varint(268_435_455)].concat();
        let mut first = case.open(version);
        first.send(&claim);
        first.expect_closed();
        let claim = [&[0x30][..], &varint(268_435_455)].concat();
        let mut peer = case.connect(version, "peer");
        peer.send(&claim);
        peer.expect_closed_with(0x95);
    });
}

/// 3.12: the simplest exchange there is, for comparison.
#[test]
fn a00_pingreq_is_answered() {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        peer.send(&ping());
        peer.expect(&Packet::PingResp);
    });
}
