//! Section C: PUBLISH of MQTT 5.0, its properties and its quota.

use std::thread;
use std::time::Duration;

use skein_protocol::{PacketType, Publish, PublishProperties, QoS, Version};

use crate::harness::{Case, each_shard_count_v5, publish, publish_as, pubrel, raw_publish, sized};

/// A PUBLISH with these properties closes the connection with this reason.
fn assert_closed(properties: &[u8], reason: u8) {
    assert_packet_closes(&raw_publish("a", properties, b"x"), reason);
}

fn assert_packet_closes(packet: &[u8], reason: u8) {
    let case = Case::new();
    let mut peer = case.connect(Version::V5, "peer");
    peer.send(packet);
    peer.expect_closed_with(reason);
}

/// A message that lives for so long.
fn expiring<'a>(topic: &'a str, payload: &'a [u8], seconds: u32) -> Publish<'a> {
    let properties =
        PublishProperties { message_expiry_s: Some(seconds), ..PublishProperties::default() };
    Publish { qos: QoS::AtLeastOnce, properties, ..publish(topic, payload) }
}

/// 3.3.2.1
#[test]
fn c08_empty_topic_without_alias_closes() {
    assert_packet_closes(&raw_publish("", &[], b"x"), 0x82);
}

/// [MQTT-3.3.2-8]
#[test]
fn c11_topic_alias_0_closes() {
    assert_closed(&[0x23, 0, 0], 0x94);
}

/// [MQTT-3.3.2-9]: above what the CONNACK allowed.
#[test]
fn c12_topic_alias_above_the_maximum_closes() {
    let case = Case::new();
    let mut peer = case.open(Version::V5);
    peer.send(&crate::harness::connect(Version::V5, &case.name("peer")));
    let connack = peer.receive();
    let most = connack.connack().properties.topic_alias_maximum.expect("aliases are on");
    let [high, low] = most.to_be_bytes();
    peer.send(&raw_publish("a", &[0x23, high, low], b"x"));
    peer.expect_nothing();
    let [high, low] = (most + 1).to_be_bytes();
    peer.send(&raw_publish("a", &[0x23, high, low], b"x"));
    peer.expect_closed_with(0x94);
    assert_closed(&[0x23, 0xFF, 0xFF], 0x94);
}

/// 3.3.2.3.4
#[test]
fn c13_topic_alias_that_was_never_set_closes() {
    assert_packet_closes(&raw_publish("", &[0x23, 0, 3], b"x"), 0x82);
}

/// [MQTT-3.3.4-6]
#[test]
fn c14_subscription_identifier_from_a_client_closes() {
    assert_closed(&[0x0B, 1], 0x82);
}

/// [MQTT-3.3.2-14]
#[test]
fn c15_response_topic_with_a_wildcard_closes() {
    for topic in ["a/#", "+", "a/+/b"] {
        let case = Case::new();
        let mut peer = case.connect(Version::V5, "peer");
        peer.send(&raw_publish("a", &[&[0x08][..], &sized(topic)].concat(), b"x"));
        let came = peer.receive();
        let reason = came.disconnect().reason as u8;
        assert!([0x82, 0x90].contains(&reason), "{}", came.packet());
        peer.expect_closed();
    }
}

/// 2.2.2.2: each of them once.
#[test]
fn c16_duplicate_property_closes() {
    let content_type = [0x03, 0, 1, b't'];
    let properties: [&[u8]; 6] = [
        &content_type,
        &[0x01, 0],
        &[0x02, 0, 0, 0, 9],
        &[0x08, 0, 1, b'r'],
        &[0x09, 0, 1, 9],
        &[0x23, 0, 1],
    ];
    for property in properties {
        assert_closed(&[property, property].concat(), 0x82);
    }
}

/// [MQTT-3.3.2-19], [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.7-1]
#[test]
fn c17_content_type_or_user_property_that_is_no_text_closes() {
    for text in [&b"a\xFFb"[..], b"a\0b", b"a\xED\xA0\x80b"] {
        assert_closed(&[&[0x03][..], &sized(text)].concat(), 0x81);
        assert_closed(&[&[0x26][..], &sized(text), &sized("v")].concat(), 0x81);
    }
}

/// 3.3.2.3.2
#[test]
fn c18_payload_format_2_closes() {
    assert_closed(&[0x01, 2], 0x82);
}

/// 2.2.2.2: unknown, and one of another packet.
#[test]
fn c19_unknown_property_closes() {
    assert_closed(&[0x7F, 0], 0x81);
    assert_closed(&[0x00], 0x81);
    assert_closed(&[0x11, 0, 0, 0, 1], 0x81);
}

/// 2.2.2.2
#[test]
fn c20_topic_alias_twice_closes() {
    assert_closed(&[0x23, 0, 1, 0x23, 0, 1], 0x82);
    assert_closed(&[0x23, 0, 1, 0x23, 0, 2], 0x82);
}

/// [MQTT-3.3.4-7], [MQTT-3.3.4-9]: more than the broker allowed is refused, and as many as it
/// allowed are not.
#[test]
fn c25_more_open_messages_than_the_receive_maximum_close() {
    let case = Case::with_settings("[limits]\nreceive_maximum = 4");
    let mut peer = case.open(Version::V5);
    peer.send(&crate::harness::connect(Version::V5, &case.name("peer")));
    let connack = peer.receive();
    let receive_maximum = connack.connack().properties.receive_maximum;
    assert_eq!(receive_maximum.map(std::num::NonZero::get), Some(4));
    for id in 1..=4 {
        peer.send(&publish_as(QoS::ExactlyOnce, id, "a", b"x"));
        peer.expect_ack(PacketType::PubRec, id, 0x10);
    }
    // One exchange ends, one may begin; QoS 0 never counts.
    peer.send(&pubrel(2));
    peer.expect_ack(PacketType::PubComp, 2, 0);
    peer.send(&publish("a", b"x"));
    peer.send(&publish_as(QoS::ExactlyOnce, 5, "a", b"x"));
    peer.expect_ack(PacketType::PubRec, 5, 0x10);
    peer.send(&publish_as(QoS::ExactlyOnce, 6, "a", b"x"));
    peer.expect_closed_with(0x93);
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]: a message that waits loses its time and is not delivered without
/// any; the longest time there is does no harm. (The clock that counts is monotonic: setting the
/// clock of the machine changes nothing.)
#[test]
fn c28_expired_messages_are_not_delivered_and_others_lose_their_time() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let (mut sleeper, _) = case.resume(Version::V5, "sleeper");
        sleeper.subscribe(&topic, QoS::AtLeastOnce);
        sleeper.leave();
        let mut peer = case.connect(Version::V5, "peer");
        for (payload, seconds) in
            [("at once", 0), ("soon", 1), ("later", 60), ("never", u32::MAX), ("last", 9)]
        {
            peer.say(&expiring(&topic, payload.as_bytes(), seconds));
        }
        thread::sleep(Duration::from_millis(1_100));
        let (mut sleeper, _) = case.resume(Version::V5, "sleeper");
        let mut left_of = |payload: &str| {
            let message = sleeper.expect_message(&topic, payload.as_bytes());
            sleeper.acknowledge(&message);
            message.publish().properties.message_expiry_s.expect("it still expires")
        };
        let left = left_of("later");
        assert!((57..=59).contains(&left), "{left}");
        let left = left_of("never");
        assert!((u32::MAX - 4..u32::MAX).contains(&left), "{left}");
        let left = left_of("last");
        assert!((6..=8).contains(&left), "{left}");
        sleeper.expect_nothing();
        case.forget("sleeper");
    });
}

/// 3.3.2.3.2: the payload is the application's; the broker passes it on as it came.
#[test]
fn c29_payload_format_1_with_invalid_utf8_is_passed_on() {
    let case = Case::new();
    let topic = case.name("topic");
    let mut peer = case.connect(Version::V5, "peer");
    peer.subscribe(&topic, QoS::AtMostOnce);
    peer.send(&raw_publish(&topic, &[0x01, 1], b"a\xFF\xC0\x80"));
    let message = peer.expect_message(&topic, b"a\xFF\xC0\x80");
    assert!(message.publish().properties.payload_format.is_some());
}
