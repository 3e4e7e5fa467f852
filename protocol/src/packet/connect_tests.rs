//! CONNECT, byte by byte.

use super::super::tests::{assert_codec, decode};
use super::*;
use crate::{Packet, PropertyId, TopicName, WillProperties};

fn connect(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 60,
        client_id,
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

/// A CONNECT of MQTT 3.1.1 with these flags and this payload.
fn with_flags(flags: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0x10, 10 + payload.len() as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60];
    [&head, payload].concat()
}

/// A CONNECT of MQTT 5.0 with these properties and an empty client identifier.
fn with_properties(properties: &[u8]) -> Vec<u8> {
    let lengths = (13 + properties.len() as u8, properties.len() as u8);
    let head = [0x10, lengths.0, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, lengths.1];
    [&head, properties, &[0, 0]].concat()
}

#[test]
fn each_version_names_itself() {
    let v3_1 = b"\x10\x0F\0\x06MQIsdp\x03\x02\0\x3C\0\x01a";
    assert_codec(v3_1, &Packet::Connect(connect(Version::V3_1, "a")), Version::V3_1);
    let v3_1_1 = b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01a";
    assert_codec(v3_1_1, &Packet::Connect(connect(Version::V3_1_1, "a")), Version::V5);
    let v5 = b"\x10\x0E\0\x04MQTT\x05\x02\0\x3C\0\0\x01a";
    assert_codec(v5, &Packet::Connect(connect(Version::V5, "a")), Version::V3_1);
}

/// The variable header of figure 3-6: flags 0xCE, keep alive 10, Session Expiry Interval 10.
#[test]
fn the_example_of_the_standard_is_read_and_written() {
    let will = Will {
        topic: TopicName::new("w").unwrap(),
        payload: b"x",
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: WillProperties::default(),
    };
    let properties =
        ConnectProperties { session_expiry_s: Some(10), ..ConnectProperties::default() };
    let packet = Packet::Connect(Connect {
        keep_alive_s: 10,
        will: Some(will),
        user_name: Some("u"),
        password: Some(b"p"),
        properties,
        ..connect(Version::V5, "")
    });
    let bytes = b"\x10\x1F\0\x04MQTT\x05\xCE\0\x0A\x05\x11\0\0\0\x0A\
        \0\0\0\0\x01w\0\x01x\0\x01u\0\x01p";
    assert_codec(bytes, &packet, Version::V5);
}

/// [MQTT-3.1.2-1] [MQTT-3.1.2-2]
#[test]
fn unknown_names_and_levels_are_refused() {
    let rows: [(&[u8], Error); 6] = [
        (b"\x10\x0C\0\x04MQTX\x04\x02\0\x3C\0\0", Error::ProtocolNameInvalid),
        (b"\x10\x0C\0\x04MQTT\x06\x02\0\x3C\0\0", Error::ProtocolVersionUnsupported(6)),
        (b"\x10\x0C\0\x04MQTT\x03\x02\0\x3C\0\0", Error::ProtocolVersionUnsupported(3)),
        (b"\x10\x0E\0\x06MQIsdp\x04\x02\0\x3C\0\0", Error::ProtocolVersionUnsupported(4)),
        (b"\x10\x0C\0\x04MQTT\x84\x02\0\x3C\0\0", Error::ProtocolVersionUnsupported(0x84)),
        (b"\x10\x00", Error::Truncated),
    ];
    for (bytes, error) in rows {
        assert_eq!(decode(bytes, Version::V5), Err(error), "{bytes:02X?}");
    }
}

#[test]
fn the_version_of_a_broken_connect_can_still_be_told() {
    let bytes = with_flags(0x01, b"\0\0");
    let (frame, _) = Frame::decode(&bytes, 100).unwrap().unwrap();
    assert_eq!(Connect::decode(frame), Err(Error::ConnectFlagReserved));
    assert_eq!(Connect::peek_version(frame), Ok(Version::V3_1_1));
}

/// [MQTT-3.1.2-3] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]
/// [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT-3.1.2-22 of 3.1.1]
#[test]
fn flags_have_to_fit_each_other_and_the_payload() {
    let rows: [(u8, &[u8], Error); 9] = [
        (0x03, b"\0\0", Error::ConnectFlagReserved),
        (0x0A, b"\0\0", Error::WillQoSWithoutWill),
        (0x1E, b"\0\0\0\x01w\0\0", Error::WillQoSReserved),
        (0x22, b"\0\0", Error::WillRetainWithoutWill),
        (0x06, b"\0\0", Error::WillFieldsMissing),
        (0x06, b"\0\0\0\x01w", Error::Truncated),
        (0x82, b"\0\0", Error::UserNameMissing),
        (0xC2, b"\0\0\0\x01u", Error::PasswordMissing),
        (0x42, b"\0\0\0\x01p", Error::PasswordWithoutUserName),
    ];
    for (flags, payload, error) in rows {
        assert_eq!(decode(&with_flags(flags, payload), Version::V3_1_1), Err(error));
    }
}

/// 3.1.2.9: MQTT 5.0 lets a password stand alone.
#[test]
fn a_lone_password_is_a_token_since_5_0() {
    let connect = Connect { password: Some(b"t"), ..connect(Version::V5, "") };
    let bytes = b"\x10\x10\0\x04MQTT\x05\x42\0\x3C\0\0\0\0\x01t";
    assert_codec(bytes, &Packet::Connect(connect), Version::V5);
}

/// MQTT 3.1, 3.1: unused bits are ignored, and the end of the packet overrules the flags.
#[test]
fn version_3_1_is_read_leniently() {
    let bytes = b"\x10\x0E\0\x06MQIsdp\x03\xEB\0\x3C\0\0";
    let expected = Packet::Connect(connect(Version::V3_1, ""));
    assert_eq!(decode(bytes, Version::V3_1), Ok(expected));
}

/// [MQTT-3.1.3-4] [MQTT-3.1.3-12] [MQTT-1.5.4-1] [MQTT-1.5.4-2]
#[test]
fn strings_are_checked() {
    let rows: [(u8, &[u8], Error); 6] = [
        (0x02, b"\0\x01\xFF", Error::StringNotUtf8),
        (0x02, b"\0\x01\0", Error::StringWithNull),
        (0x02, b"\0\x03\xED\xA0\x80", Error::StringNotUtf8),
        (0x82, b"\0\0\0\x02\xC0\x80", Error::StringNotUtf8),
        (0x82, b"\0\0\0\x01\0", Error::StringWithNull),
        (0x02, b"\0\x02a", Error::Truncated),
    ];
    for (flags, payload, error) in rows {
        assert_eq!(decode(&with_flags(flags, payload), Version::V3_1_1), Err(error));
    }
}

/// [MQTT-3.1.3-11] [MQTT-3.3.2-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2]
#[test]
fn the_will_topic_is_a_topic_name() {
    let rows: [(&[u8], Error); 4] = [
        (b"\0\0\0\x01#\0\0", Error::TopicNameWildcard),
        (b"\0\0\0\0\0\0", Error::TopicNameEmpty),
        (b"\0\0\0\x01\0\0\0", Error::TopicNameWithNull),
        (b"\0\0\0\x01\xFF\0\0", Error::TopicNameNotUtf8),
    ];
    for (payload, error) in rows {
        assert_eq!(decode(&with_flags(0x06, payload), Version::V3_1_1), Err(error));
    }
}

/// [MQTT-3.1.4-1]
#[test]
fn nothing_may_follow_the_payload() {
    assert_eq!(decode(&with_flags(0x02, b"\0\0x"), Version::V3_1_1), Err(Error::TrailingBytes));
}

/// 2.2.2.2 and 3.1.2.11, each with the reason code it is answered with.
#[test]
fn properties_are_checked_one_by_one() {
    let rows: [(&[u8], Error, u8); 12] = [
        (
            b"\x11\0\0\0\x01\x11\0\0\0\x01",
            Error::PropertyDuplicate(PropertyId::SessionExpiryInterval),
            0x82,
        ),
        (b"\x7F", Error::PropertyUnknown(0x7F), 0x81),
        (b"\x23\0\x01", Error::PropertyNotAllowed(PropertyId::TopicAlias), 0x81),
        (b"\x21\0\0", Error::ReceiveMaximumZero, 0x82),
        (b"\x27\0\0\0\0", Error::MaximumPacketSizeZero, 0x82),
        (b"\x17\x02", Error::BooleanInvalid(PropertyId::RequestProblemInformation), 0x82),
        (b"\x19\x02", Error::BooleanInvalid(PropertyId::RequestResponseInformation), 0x82),
        (b"\x16\0\0", Error::AuthDataWithoutMethod, 0x82),
        (b"\x26\0\x01\xFF\0\0", Error::UserPropertyInvalid, 0x81),
        (b"\x11\0\0\0", Error::PropertyTruncated(PropertyId::SessionExpiryInterval), 0x81),
        (b"\x15\0\x01\xFF", Error::StringNotUtf8, 0x81),
        (
            b"\x17\x01\x17\x01",
            Error::PropertyDuplicate(PropertyId::RequestProblemInformation),
            0x82,
        ),
    ];
    for (properties, error, reason) in rows {
        let bytes = with_properties(properties);
        assert_eq!(decode(&bytes, Version::V5), Err(error), "{properties:02X?}");
        assert_eq!(error.reason() as u8, reason, "{error}");
    }
}

/// 2.2.2.1 and 1.5.5
#[test]
fn the_property_length_is_checked() {
    let rows: [(&[u8], Error); 3] = [
        (b"\x10\x0D\0\x04MQTT\x05\x02\0\x3C\x10\0\0", Error::PropertyLengthPastEnd),
        (b"\x10\x11\0\x04MQTT\x05\x02\0\x3C\x80\x80\x80\x80\x01\0\0", Error::VarintTooLong),
        (b"\x10\x0E\0\x04MQTT\x05\x02\0\x3C\x80\0\0\0", Error::VarintNotMinimal),
    ];
    for (bytes, error) in rows {
        assert_eq!(decode(bytes, Version::V5), Err(error), "{bytes:02X?}");
    }
}

/// [MQTT-1.5.5-1]: the version is known only after the fixed header.
#[test]
fn a_long_form_of_the_length_is_refused_by_5_0_only() {
    let v5 = b"\x10\x8D\0\0\x04MQTT\x05\x02\0\x3C\0\0\0";
    assert_eq!(decode(v5, Version::V3_1), Err(Error::VarintNotMinimal));
    let v3_1_1 = b"\x10\x8C\0\0\x04MQTT\x04\x02\0\x3C\0\0";
    assert!(decode(v3_1_1, Version::V5).is_ok());
}

/// CVE-2021-41039: many user properties cost one pass, and are all kept.
#[test]
fn six_thousand_user_properties_are_read() {
    let mut bytes = Vec::new();
    let pairs = vec![("k", "v"); 6000];
    let user_properties = UserProperties::from_pairs(&pairs);
    let properties = ConnectProperties { user_properties, ..ConnectProperties::default() };
    let packet = Packet::Connect(Connect { properties, ..connect(Version::V5, "c") });
    packet.encode(Version::V5, &mut bytes);
    assert_codec(&bytes, &packet, Version::V5);
}

#[test]
fn the_password_is_printed_nowhere() {
    let connect = Connect { password: Some(b"secret"), ..connect(Version::V5, "c") };
    let shown = format!("{connect} {connect:?} {:?}", Packet::Connect(connect.clone()));
    assert!(shown.contains("password=hidden"));
    assert!(!shown.contains("secret") && !shown.contains("115, 101"), "{shown}");
}
