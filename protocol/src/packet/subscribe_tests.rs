//! SUBSCRIBE, byte by byte.

use smallvec::smallvec;

use super::super::tests::{assert_codec, decode};
use super::*;
use crate::{Packet, PropertyId};

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::new(text).unwrap()
}

fn subscribe<'a>(filters: &[(&'a str, SubscriptionOptions)]) -> Subscribe<'a> {
    Subscribe {
        packet_id: PacketId::new(10).unwrap(),
        identifier: None,
        user_properties: UserProperties::default(),
        filters: filters.iter().map(|(text, options)| (filter(text), *options)).collect(),
    }
}

/// The payload of figure 3-21: `a/b` at QoS 1, `c/d` at QoS 2.
#[test]
fn the_example_of_the_standard_is_read_and_written() {
    let packet = Packet::Subscribe(subscribe(&[
        ("a/b", SubscriptionOptions::with_qos(QoS::AtLeastOnce)),
        ("c/d", SubscriptionOptions::with_qos(QoS::ExactlyOnce)),
    ]));
    assert_codec(b"\x82\x0E\0\x0A\0\x03a/b\x01\0\x03c/d\x02", &packet, Version::V3_1);
    assert_codec(b"\x82\x0E\0\x0A\0\x03a/b\x01\0\x03c/d\x02", &packet, Version::V3_1_1);
    assert_codec(b"\x82\x0F\0\x0A\0\0\x03a/b\x01\0\x03c/d\x02", &packet, Version::V5);
}

#[test]
fn options_and_identifier_are_read_and_written() {
    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let mut subscribe = subscribe(&[("a", options)]);
    subscribe.identifier = NonZeroU32::new(300);
    let bytes = b"\x82\x0A\0\x0A\x03\x0B\xAC\x02\0\x01a\x2E";
    assert_codec(bytes, &Packet::Subscribe(subscribe), Version::V5);
}

/// MQTT 3.1, 3.8: the upper six bits of the requested QoS are not used.
#[test]
fn version_3_1_ignores_the_other_bits_of_the_qos() {
    let read = decode(b"\x82\x06\0\x0A\0\x01a\xFD", Version::V3_1);
    let expected = subscribe(&[("a", SubscriptionOptions::with_qos(QoS::AtLeastOnce))]);
    assert_eq!(read, Ok(Packet::Subscribe(expected)));
}

/// [MQTT-3.8.3-1] [MQTT-3.8.3-2] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2]
/// [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-2.2.1-3], with the reason code each is answered with.
#[test]
fn broken_requests_are_refused_in_every_version() {
    let rows: [(&[u8], Error, u8); 11] = [
        (b"", Error::SubscribeEmpty, 0x82),
        (b"\0\0\0", Error::TopicFilterEmpty, 0x8F),
        (b"\0\x01\0\0", Error::TopicFilterWithNull, 0x8F),
        (b"\0\x01\xFF\0", Error::TopicFilterNotUtf8, 0x8F),
        (b"\0\x05a/#/b\0", Error::TopicFilterMultiLevel, 0x8F),
        (b"\0\x04a+/b\0", Error::TopicFilterSingleLevel, 0x8F),
        (b"\0\x09$share//x\0", Error::ShareNameEmpty, 0x8F),
        (b"\0\x08$share/g\0", Error::ShareNameInvalid, 0x8F),
        (b"\0\x01a", Error::Truncated, 0x81),
        (b"\0\x02a", Error::Truncated, 0x81),
        (b"\0\x01a\x03", Error::SubscriptionQoS, 0x82),
    ];
    for (payload, error, reason) in rows {
        let length = payload.len() as u8;
        let v3_1_1 = [&[0x82, length + 2, 0, 1], payload].concat();
        let v5 = [&[0x82, length + 3, 0, 1, 0], payload].concat();
        assert_eq!(decode(&v3_1_1, Version::V3_1), Err(error), "{payload:02X?}");
        assert_eq!(decode(&v3_1_1, Version::V3_1_1), Err(error), "{payload:02X?}");
        assert_eq!(decode(&v5, Version::V5), Err(error), "{payload:02X?}");
        assert_eq!(error.reason() as u8, reason, "{error}");
    }
    assert_eq!(decode(b"\x82\x06\0\0\0\x01a\0", Version::V3_1_1), Err(Error::PacketIdZero));
}

/// [MQTT-3.8.3-4] [MQTT-3.8.3-5] and 3.8.3.1, 3.8.2.1
#[test]
fn options_and_properties_are_checked() {
    let twice = Error::PropertyDuplicate(PropertyId::SubscriptionIdentifier);
    let rows: [(&[u8], Error); 8] = [
        (b"\x82\x07\0\x01\0\0\x01a\x40", Error::SubscriptionOptionsReserved),
        (b"\x82\x07\0\x01\0\0\x01a\x80", Error::SubscriptionOptionsReserved),
        (b"\x82\x07\0\x01\0\0\x01a\x30", Error::RetainHandlingInvalid),
        (b"\x82\x10\0\x01\0\0\x0A$share/g/a\x04", Error::NoLocalOnShared),
        (b"\x82\x09\0\x01\x02\x0B\0\0\x01a\0", Error::SubscriptionIdentifierZero),
        (b"\x82\x0B\0\x01\x04\x0B\x01\x0B\x01\0\x01a\0", twice),
        (b"\x82\x08\0\x01\x01\x7F\0\x01a\0", Error::PropertyUnknown(0x7F)),
        (b"\x82\x07\0\x01\x09\0\x01a\0", Error::PropertyLengthPastEnd),
    ];
    for (bytes, error) in rows {
        assert_eq!(decode(bytes, Version::V5), Err(error), "{bytes:02X?}");
    }
    let reserved = decode(b"\x82\x06\0\x01\0\x01a\x04", Version::V3_1_1);
    assert_eq!(reserved, Err(Error::SubscriptionOptionsReserved));
}

/// CVE-2019-11779, and memory: many filters are a list, not a recursion.
#[test]
fn many_filters_are_kept_in_order() {
    let mut bytes = Vec::new();
    let options = SubscriptionOptions::default();
    let mut many = subscribe(&[]);
    many.filters = smallvec![(filter("a"), options); 1000];
    many.filters[999].0 = filter("last");
    let packet = Packet::Subscribe(many);
    packet.encode(Version::V5, &mut bytes);
    assert_codec(&bytes, &packet, Version::V5);
}
