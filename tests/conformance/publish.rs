//! Section C: PUBLISH of either version.

use skein_protocol::{PacketType, Publish, QoS, Version};

use crate::harness::{
    block, bytes, each_shard_count, each_version, no_properties, publish, publish_as, pubrel, raw,
    sized,
};

/// A PUBLISH whose header and body may be wrong, in the shape of the version.
fn raw_message(header: u8, version: Version, topic: impl AsRef<[u8]>, id: Option<u16>) -> Vec<u8> {
    let id = id.map(u16::to_be_bytes);
    let id = id.as_ref().map_or(&[][..], |id| &id[..]);
    raw(header, &[&sized(topic)[..], id, no_properties(version), b"payload"].concat())
}

/// A live connection that sends this is closed with the reason, and nobody gets a message.
fn assert_closed(reason: u8, packet: impl Fn(Version) -> Vec<u8> + Sync) {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        peer.send(&packet(version));
        peer.expect_closed_with(reason);
    });
}

/// [MQTT-3.3.1-4], [MQTT-3.3.1-4 of 3.1.1]
#[test]
fn c01_qos_3_closes() {
    assert_closed(0x81, |version| raw_message(0x36, version, "a", Some(1)));
}

/// [MQTT-3.3.2-2], [MQTT-3.3.2-2 of 3.1.1]
#[test]
fn c02_topic_with_a_wildcard_closes() {
    for topic in ["a/#", "#", "a/+/b", "+", "a#", "a+b"] {
        assert_closed(0x90, |version| raw_message(0x30, version, topic, None));
    }
}

/// [MQTT-4.7.3-2], [MQTT-4.7.3-2 of 3.1.1]
#[test]
fn c03_topic_with_a_null_character_closes() {
    assert_closed(0x90, |version| raw_message(0x30, version, "a\0b", None));
}

/// [MQTT-3.3.2-1], [MQTT-1.5.4-1], [MQTT-3.3.2-1 of 3.1.1], [MQTT-1.5.3-1 of 3.1.1]
#[test]
fn c04_topic_that_is_no_utf8_closes() {
    for topic in [&b"a\xFF"[..], b"a\xED\xA0\x80", b"a\xC0\x80", b"\xF8\x88\x80\x80\x80"] {
        assert_closed(0x90, |version| raw_message(0x30, version, topic, None));
    }
}

/// [MQTT-4.7.3-1 of 3.1.1], and 3.3.2.1 of MQTT 5.0: empty without an alias.
#[test]
fn c05_empty_topic_closes() {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        peer.send(&raw_message(0x30, version, "", None));
        peer.expect_closed_with(0x82);
    });
}

/// [MQTT-2.2.1-3], [MQTT-2.3.1-1 of 3.1.1]
#[test]
fn c06_packet_identifier_0_closes() {
    assert_closed(0x82, |version| raw_message(0x32, version, "a", Some(0)));
    assert_closed(0x82, |version| raw_message(0x34, version, "a", Some(0)));
}

/// [MQTT-3.3.1-2], [MQTT-3.3.1-2 of 3.1.1]
#[test]
fn c07_dup_with_qos_0_closes() {
    assert_closed(0x81, |version| raw_message(0x38, version, "a", None));
}

/// [MQTT-4.13.1-1], [MQTT-4.8.0-1 of 3.1.1]
#[test]
fn c09_topic_length_past_the_end_closes() {
    assert_closed(0x81, |_| raw(0x30, &[0, 10, b'a', b'b']));
    assert_closed(0x81, |_| raw(0x30, &[0]));
    assert_closed(0x81, |_| raw(0x30, &[]));
}

/// [MQTT-4.13.1-1], [MQTT-4.8.0-1 of 3.1.1]
#[test]
fn c10_packet_that_ends_before_its_identifier_closes() {
    assert_closed(0x81, |_| raw(0x32, &sized("a")));
    assert_closed(0x81, |_| raw(0x34, &[&sized("a")[..], &[1]].concat()));
}

/// CVE-2019-11779: a topic of 65,535 slashes is refused by the cap on levels, one at the cap is
/// delivered.
#[test]
fn c21_topic_of_65_535_slashes_closes() {
    each_shard_count(|case, version| {
        let mut peer = case.connect(version, "peer");
        peer.send(&publish(&"/".repeat(65_535), b"deep"));
        peer.expect_closed_with(0x90);
        let deepest = format!("{}{}", case.name("deep"), "/x".repeat(126));
        let mut peer = case.connect(version, "peer");
        peer.subscribe(&deepest, QoS::AtMostOnce);
        peer.subscribe(&format!("{}/#", case.name("deep")), QoS::AtMostOnce);
        peer.publish(&deepest, b"deep", QoS::AtMostOnce);
        peer.expect_message(&deepest, b"deep");
        peer.expect_nothing();
    });
}

/// [MQTT-4.3.3-11], [MQTT-4.3.3-2 of 3.1.1]: PUBREL is answered, whatever it is for.
#[test]
fn c22_pubrel_for_an_unknown_identifier_is_answered() {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        for id in [1, 4711, 65_535] {
            peer.send(&pubrel(id));
            peer.expect_ack(PacketType::PubComp, id, 0x92);
        }
    });
}

/// 4.7.2: topics of the broker are the broker's.
#[test]
fn c23_publish_to_sys_is_neither_routed_nor_retained() {
    each_shard_count(|case, version| {
        let topic = format!("$SYS/{}", case.name("forged"));
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::ExactlyOnce);
        watcher.subscribe(&case.name("end"), QoS::AtMostOnce);
        let mut peer = case.connect(version, "peer");
        peer.send(&Publish { retain: true, ..publish(&topic, b"0") });
        peer.send(&Publish { retain: true, ..publish_as(QoS::AtLeastOnce, 1, &topic, b"1") });
        peer.expect_ack(PacketType::PubAck, 1, 0x87);
        peer.send(&Publish { retain: true, ..publish_as(QoS::ExactlyOnce, 2, &topic, b"2") });
        peer.expect_ack(PacketType::PubRec, 2, 0x87);
        if version == Version::V3_1_1 {
            peer.send(&pubrel(2));
            peer.expect_ack(PacketType::PubComp, 2, 0);
        }
        peer.publish(&case.name("end"), b"end", QoS::AtMostOnce);
        watcher.expect_message(&case.name("end"), b"end");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        peer.expect_nothing();
    });
}

/// [MQTT-3.2.2-15]: decided by the header, so that the body need not be read.
#[test]
fn c24_packet_above_the_maximum_packet_size_closes_without_its_body() {
    each_version(|case, version| {
        let mut peer = case.open(version);
        peer.send(&crate::harness::connect(version, &case.name("peer")));
        let connack = peer.receive();
        let announced = connack.connack().properties.maximum_packet_size;
        let size_max = announced.map_or(1 << 20, |size| size.get() as usize);
        assert_eq!(announced.is_some(), version == Version::V5);
        let topic = case.name("topic");
        let fixed = bytes(&publish_as(QoS::AtLeastOnce, 1, &topic, b""), version).len() + 2;
        let largest = vec![b'x'; size_max - fixed];
        let message = bytes(&publish_as(QoS::AtLeastOnce, 1, &topic, &largest), version);
        assert_eq!(message.len(), size_max);
        peer.send(&message);
        peer.expect_ack(PacketType::PubAck, 1, 0x10);
        let header = [&[0x30][..], &crate::harness::varint(size_max - 3)].concat();
        peer.send(&header);
        peer.expect_closed_with(0x95);
    });
}

/// [MQTT-4.3.3-10], [MQTT-4.3.3-2 of 3.1.1]: until PUBREL an identifier is that of the message that
/// was taken over, whatever comes under it.
#[test]
fn c26_another_payload_under_an_identifier_in_use_is_not_delivered() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let mut peer = case.connect(version, "peer");
        peer.send(&publish_as(QoS::ExactlyOnce, 9, &topic, b"first"));
        peer.expect_ack(PacketType::PubRec, 9, 0);
        for dup in [false, true] {
            peer.send(&Publish { dup, ..publish_as(QoS::ExactlyOnce, 9, &topic, b"second") });
            peer.expect_ack(PacketType::PubRec, 9, 0);
        }
        peer.send(&pubrel(9));
        peer.expect_ack(PacketType::PubComp, 9, 0);
        peer.publish(&topic, b"end", QoS::AtMostOnce);
        watcher.expect_message(&topic, b"first");
        watcher.expect_message(&topic, b"end");
    });
}

/// [MQTT-2.2.1-3], [MQTT-2.3.1-2 of 3.1.1]: MQTT 5 is told in the acknowledgement, which is the
/// only place for it; the exchange that has the identifier goes on.
#[test]
fn c27_identifier_of_the_other_qos_in_use_is_refused() {
    each_version(|case, version| {
        let topic = case.name("topic");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let mut peer = case.connect(version, "peer");
        peer.send(&publish_as(QoS::ExactlyOnce, 9, &topic, b"two"));
        peer.expect_ack(PacketType::PubRec, 9, 0);
        peer.send(&publish_as(QoS::AtLeastOnce, 9, &topic, b"one"));
        if version == Version::V3_1_1 {
            peer.expect_closed();
        } else {
            peer.expect_ack(PacketType::PubAck, 9, 0x91);
            peer.send(&pubrel(9));
            peer.expect_ack(PacketType::PubComp, 9, 0);
        }
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"end", QoS::AtMostOnce);
        watcher.expect_message(&topic, b"two");
        watcher.expect_message(&topic, b"end");
    });
}

/// [MQTT-3.3.1-6], [MQTT-3.3.1-7], [MQTT-3.3.1-10 of 3.1.1], [MQTT-3.3.1-11 of 3.1.1]
#[test]
fn c30_empty_retained_payload_deletes_and_is_delivered_live() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        peer.publish_retained(&topic, b"kept");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtLeastOnce);
        let kept = watcher.expect_message(&topic, b"kept");
        assert!(kept.publish().retain);
        watcher.acknowledge(&kept);
        peer.publish_retained(&topic, b"");
        let live = watcher.expect_message(&topic, b"");
        assert!(!live.publish().retain);
        watcher.acknowledge(&live);
        let mut late = case.connect(version, "late");
        late.subscribe(&topic, QoS::AtLeastOnce);
        late.expect_silence(std::time::Duration::from_millis(30));
    });
}

/// A property block where MQTT 3.1.1 has none is payload.
#[test]
fn c00_what_5_0_reads_as_properties_is_payload_before() {
    each_version(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        peer.subscribe(&topic, QoS::AtMostOnce);
        peer.send(&raw(0x30, &[&sized(&topic)[..], &block(&[]), b"x"].concat()));
        let payload: &[u8] = if version == Version::V5 { b"x" } else { b"\0x" };
        peer.expect_message(&topic, payload);
    });
}
