//! PUBLISH, byte by byte.

use super::super::tests::{assert_codec, decode};
use super::*;
use crate::{Packet, PropertyId};

fn publish(topic: &str, qos: QoS, number: u16) -> Publish<'_> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(TopicName::new(topic).unwrap()),
        packet_id: PacketId::new(number),
        properties: PublishProperties::default(),
        payload: b"hi",
    }
}

/// The variable header of figure 3-9: topic `a/b`, packet identifier 10.
#[test]
fn the_example_of_the_standard_is_read_and_written() {
    let packet = Packet::Publish(publish("a/b", QoS::AtLeastOnce, 10));
    assert_codec(b"\x32\x09\0\x03a/b\0\x0Ahi", &packet, Version::V3_1);
    assert_codec(b"\x32\x09\0\x03a/b\0\x0Ahi", &packet, Version::V3_1_1);
    assert_codec(b"\x32\x0A\0\x03a/b\0\x0A\0hi", &packet, Version::V5);
}

#[test]
fn the_header_holds_dup_qos_and_retain() {
    let mut publish = publish("a", QoS::AtMostOnce, 0);
    assert_codec(b"\x30\x05\0\x01ahi", &Packet::Publish(publish.clone()), Version::V3_1_1);
    publish.retain = true;
    publish.payload = b"";
    assert_codec(b"\x31\x03\0\x01a", &Packet::Publish(publish.clone()), Version::V3_1_1);
    (publish.dup, publish.qos, publish.packet_id) = (true, QoS::ExactlyOnce, PacketId::new(1));
    assert_codec(b"\x3D\x05\0\x01a\0\x01", &Packet::Publish(publish), Version::V3_1_1);
}

#[test]
fn every_property_has_its_place() {
    let properties = PublishProperties {
        payload_format: Some(PayloadFormat::Utf8),
        message_expiry_s: Some(2),
        topic_alias: NonZeroU16::new(3),
        response_topic: Some(TopicName::new("r").unwrap()),
        correlation_data: Some(&[0xFF]),
        content_type: Some("t"),
        user_properties: UserProperties::from_pairs(&[("k", "v")]),
        subscription_identifiers: SubscriptionIdentifiers::from_slice(&[1, 128]),
    };
    let mut forwarded = Vec::new();
    properties.encode_forwarded(&mut forwarded);
    let packet = Packet::Publish(Publish { properties, ..publish("a", QoS::AtMostOnce, 0) });
    let bytes = b"\x30\x28\0\x01a\x22\x01\x01\x02\0\0\0\x02\x03\0\x01t\x08\0\x01r\x09\0\x01\xFF\
        \x0B\x01\x0B\x80\x01\x23\0\x03\x26\0\x01k\0\x01vhi";
    assert_codec(bytes, &packet, Version::V5);
    assert_eq!(forwarded, b"\x01\x01\x03\0\x01t\x08\0\x01r\x09\0\x01\xFF\x26\0\x01k\0\x01v");
}

/// [MQTT-3.3.2-18]: what is forwarded can be read back, pairs in order.
#[test]
fn forwarded_properties_read_back() {
    let pairs = [("b", "1"), ("a", "2"), ("b", "1")];
    let properties = PublishProperties {
        user_properties: UserProperties::from_pairs(&pairs),
        content_type: Some("t"),
        ..PublishProperties::default()
    };
    let mut forwarded = Vec::new();
    properties.encode_forwarded(&mut forwarded);
    assert_eq!(PublishProperties::decode(&forwarded), Ok(properties));
}

/// 3.3.2.3.4: an alias stands for a topic of no length.
#[test]
fn a_topic_may_be_an_alias_in_5_0() {
    let properties =
        PublishProperties { topic_alias: NonZeroU16::new(5), ..PublishProperties::default() };
    let aliased = Publish { topic: None, properties, ..publish("a", QoS::AtMostOnce, 0) };
    assert_codec(b"\x30\x08\0\0\x03\x23\0\x05hi", &Packet::Publish(aliased), Version::V5);
    assert_eq!(decode(b"\x30\x03\0\0\0", Version::V5), Err(Error::TopicMissing));
    assert_eq!(decode(b"\x30\x02\0\0", Version::V3_1_1), Err(Error::TopicNameEmpty));
}

/// [MQTT-3.3.1-2] [MQTT-3.3.1-4] [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.3-2] [MQTT-2.2.1-3]
#[test]
fn broken_publishes_are_refused_in_every_version() {
    let rows: [(&[u8], Error, u8); 9] = [
        (b"\x36\x06\0\x01a\0\x01\0", Error::PublishQoS, 0x81),
        (b"\x3E\x06\0\x01a\0\x01\0", Error::PublishQoS, 0x81),
        (b"\x30\x04\0\x01+\0", Error::TopicNameWildcard, 0x90),
        (b"\x30\x06\0\x03a/#\0", Error::TopicNameWildcard, 0x90),
        (b"\x30\x04\0\x01\0\0", Error::TopicNameWithNull, 0x90),
        (b"\x30\x04\0\x01\xFF\0", Error::TopicNameNotUtf8, 0x90),
        (b"\x32\x06\0\x01a\0\0\0", Error::PacketIdZero, 0x82),
        (b"\x30\x03\0\x05a", Error::Truncated, 0x81),
        (b"\x32\x04\0\x01a\0", Error::Truncated, 0x81),
    ];
    for version in Version::ALL {
        for (bytes, error, reason) in rows {
            assert_eq!(decode(bytes, version), Err(error), "{bytes:02X?}");
            assert_eq!(error.reason() as u8, reason);
        }
    }
    for version in [Version::V3_1_1, Version::V5] {
        assert_eq!(decode(b"\x38\x04\0\x01a\0", version), Err(Error::PublishDup));
    }
    assert!(decode(b"\x38\x04\0\x01a\0", Version::V3_1).is_ok());
}

/// [MQTT-3.3.2-8] [MQTT-3.3.2-14] [MQTT-3.3.2-19] and 3.3.2.3
#[test]
fn broken_properties_are_refused() {
    let rows: [(&[u8], Error, u8); 11] = [
        (b"\x23\0\0", Error::TopicAliasZero, 0x94),
        (b"\x23\0\x01\x23\0\x01", Error::PropertyDuplicate(PropertyId::TopicAlias), 0x82),
        (b"\x08\0\x03r/#", Error::ResponseTopicWildcard, 0x82),
        (b"\x08\0\0", Error::TopicNameEmpty, 0x90),
        (b"\x03\0\0\x03\0\0", Error::PropertyDuplicate(PropertyId::ContentType), 0x82),
        (b"\x03\0\x01\xFF", Error::StringNotUtf8, 0x81),
        (b"\x03\0\x01\0", Error::StringWithNull, 0x81),
        (b"\x01\x02", Error::PayloadFormatInvalid, 0x82),
        (b"\x7F", Error::PropertyUnknown(0x7F), 0x81),
        (b"\x11\0\0\0\0", Error::PropertyNotAllowed(PropertyId::SessionExpiryInterval), 0x81),
        (b"\x0B\x80\x80\x80\x80\x01", Error::VarintTooLong, 0x81),
    ];
    for (properties, error, reason) in rows {
        let length = properties.len() as u8;
        let bytes = [&[0x30, length + 4, 0, 1, b'a', length], properties].concat();
        assert_eq!(decode(&bytes, Version::V5), Err(error), "{properties:02X?}");
        assert_eq!(error.reason() as u8, reason, "{error}");
    }
}

/// [MQTT-1.5.5-1]
#[test]
fn lengths_are_minimal_in_5_0() {
    let long = b"\x30\x84\0\0\x01a\0";
    assert_eq!(decode(long, Version::V5), Err(Error::VarintNotMinimal));
    assert!(decode(long, Version::V3_1_1).is_ok());
}

/// What is known saves looking at the same text again, and changes nothing else.
#[test]
fn a_topic_is_the_known_one_only_if_it_is_the_same() {
    let known = TopicName::new("a/b").ok();
    let topic = |bytes| {
        let (frame, _) = Frame::decode(bytes, 100).unwrap().unwrap();
        let publish = Publish::decode_knowing(frame, Version::V3_1_1, known)?;
        Ok(publish.topic.map(TopicName::as_str))
    };
    assert_eq!(topic(b"\x30\x05\0\x03a/b"), Ok(Some("a/b")));
    assert_eq!(topic(b"\x30\x05\0\x03a/c"), Ok(Some("a/c")));
    assert_eq!(topic(b"\x30\x05\0\x03a/#"), Err(Error::TopicNameWildcard));
    assert_eq!(topic(b"\x30\x02\0\0"), Err(Error::TopicNameEmpty));
}
