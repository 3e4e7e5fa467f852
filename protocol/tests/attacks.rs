//! The attack checklist, as far as bytes alone show it: each row is refused, and with the reason
//! code a server answers it with. The broker raises the last rows itself, by the same table.

use skein_protocol::{Error, Frame, Packet, PacketType, ReasonCode, Version};

const V3: Version = Version::V3_1_1;
const V5: Version = Version::V5;

// In the rows: which of the checklist, the version, the bytes on the wire, the reason code.

const FRAMING: &[(&str, Version, &[u8], u8)] = &[
    ("A05 five length bytes", V3, b"\x30\x80\x80\x80\x80\x01", 0x81),
    ("A05 five length bytes", V5, b"\x30\x80\x80\x80\x80\x01", 0x81),
    ("A06 packet type 0", V3, b"\x00\x00", 0x81),
    ("A06 packet type 0", V5, b"\x00\x00", 0x81),
    ("A07 packet type 15", V3, b"\xF0\x00", 0x81),
    ("A09 flags of SUBSCRIBE", V3, b"\x80\x06\0\x01\0\x01a\0", 0x81),
    ("A09 flags of SUBSCRIBE", V5, b"\x80\x07\0\x01\0\0\x01a\0", 0x81),
    ("A10 flags of UNSUBSCRIBE", V3, b"\xA0\x05\0\x01\0\x01a", 0x81),
    ("A10 flags of UNSUBSCRIBE", V5, b"\xA0\x06\0\x01\0\0\x01a", 0x81),
    ("A11 flags of PUBREL", V3, b"\x60\x02\0\x01", 0x81),
    ("A11 flags of PUBREL", V5, b"\x60\x02\0\x01", 0x81),
    ("A12 flags of PINGREQ", V3, b"\xC1\x00", 0x81),
    ("A12 flags of PINGREQ", V5, b"\xC1\x00", 0x81),
    ("A13 flags of DISCONNECT", V3, b"\xE1\x00", 0x81),
    ("A13 flags of DISCONNECT", V5, b"\xE1\x00", 0x81),
    ("A14 flags of CONNECT", V3, b"\x11\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01a", 0x81),
    ("A14 flags of CONNECT", V5, b"\x11\x0E\0\x04MQTT\x05\x02\0\x3C\0\0\x01a", 0x81),
    ("A15 length not minimal", V5, b"\xC0\x80\x00", 0x81),
    ("C24 too large, body not sent", V3, b"\x30\x80\x80\x01", 0x95),
    ("C24 too large, body not sent", V5, b"\x30\x80\x80\x01", 0x95),
];

const CONNECT: &[(&str, Version, &[u8], u8)] = &[
    ("B01 protocol name", V3, b"\x10\x0C\0\x04MQTX\x04\x02\0\x3C\0\0", 0x84),
    ("B02 protocol level", V5, b"\x10\x0D\0\x04MQTT\x06\x02\0\x3C\0\0\0", 0x84),
    ("B03 reserved flag", V3, b"\x10\x0C\0\x04MQTT\x04\x03\0\x3C\0\0", 0x81),
    ("B04 will QoS, no will", V3, b"\x10\x0C\0\x04MQTT\x04\x0A\0\x3C\0\0", 0x81),
    ("B04 will QoS, no will", V5, b"\x10\x0D\0\x04MQTT\x05\x0A\0\x3C\0\0\0", 0x81),
    ("B05 will retain, no will", V5, b"\x10\x0D\0\x04MQTT\x05\x22\0\x3C\0\0\0", 0x81),
    ("B06 will QoS 3", V5, b"\x10\x13\0\x04MQTT\x05\x1E\0\x3C\0\0\0\0\0\x01w\0\0", 0x81),
    ("B07 no will fields", V5, b"\x10\x0D\0\x04MQTT\x05\x06\0\x3C\0\0\0", 0x81),
    ("B08 no user name", V5, b"\x10\x0D\0\x04MQTT\x05\x82\0\x3C\0\0\0", 0x81),
    ("B09 password alone", V3, b"\x10\x0F\0\x04MQTT\x04\x42\0\x3C\0\0\0\x01p", 0x81),
    ("B11 client id 0xFF", V3, b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01\xFF", 0x81),
    ("B11 client id U+0000", V5, b"\x10\x0E\0\x04MQTT\x05\x02\0\x3C\0\0\x01\0", 0x81),
    ("B11 client id surrogate", V3, b"\x10\x0F\0\x04MQTT\x04\x02\0\x3C\0\x03\xED\xA0\x80", 0x81),
    ("B27 user name overlong", V3, b"\x10\x10\0\x04MQTT\x04\x82\0\x3C\0\0\0\x02\xC0\x80", 0x81),
    ("B12 bytes after", V3, b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\0x", 0x81),
    (
        "B13 property twice",
        V5,
        b"\x10\x13\0\x04MQTT\x05\x02\0\x3C\x06\x21\0\x01\x21\0\x01\0\0",
        0x82,
    ),
    ("B14 unknown property", V5, b"\x10\x0E\0\x04MQTT\x05\x02\0\x3C\x01\x7F\0\0", 0x81),
    ("B15 foreign property", V5, b"\x10\x10\0\x04MQTT\x05\x02\0\x3C\x03\x23\0\x01\0\0", 0x81),
    ("B16 properties past the end", V5, b"\x10\x0D\0\x04MQTT\x05\x02\0\x3C\x7F\0\0", 0x81),
    ("B16 five bytes", V5, b"\x10\x11\0\x04MQTT\x05\x02\0\x3C\x80\x80\x80\x80\x01\0\0", 0x81),
    ("B17 Receive Maximum 0", V5, b"\x10\x10\0\x04MQTT\x05\x02\0\x3C\x03\x21\0\0\0\0", 0x82),
    ("B18 packet size 0", V5, b"\x10\x12\0\x04MQTT\x05\x02\0\x3C\x05\x27\0\0\0\0\0\0", 0x82),
    ("B19 boolean 2", V5, b"\x10\x0F\0\x04MQTT\x05\x02\0\x3C\x02\x17\x02\0\0", 0x82),
    ("B20 data, no method", V5, b"\x10\x10\0\x04MQTT\x05\x02\0\x3C\x03\x16\0\0\0\0", 0x82),
    ("B22 user property", V5, b"\x10\x13\0\x04MQTT\x05\x02\0\x3C\x06\x26\0\x01\xFF\0\0\0\0", 0x81),
    ("B23 will property", V5, b"\x10\x14\0\x04MQTT\x05\x06\0\x3C\0\0\0\x01\x7F\0\x01w\0\0", 0x81),
    ("B24 will wildcard", V5, b"\x10\x13\0\x04MQTT\x05\x06\0\x3C\0\0\0\0\0\x01#\0\0", 0x90),
    ("B25 will topic empty", V5, b"\x10\x12\0\x04MQTT\x05\x06\0\x3C\0\0\0\0\0\0\0\0", 0x90),
    ("B26 will topic U+0000", V5, b"\x10\x13\0\x04MQTT\x05\x06\0\x3C\0\0\0\0\0\x01\0\0\0", 0x90),
];

const PUBLISH: &[(&str, Version, &[u8], u8)] = &[
    ("C01 QoS 3", V3, b"\x36\x05\0\x01a\0\x01", 0x81),
    ("C01 QoS 3", V5, b"\x36\x06\0\x01a\0\x01\0", 0x81),
    ("C02 topic with +", V5, b"\x30\x04\0\x01+\0", 0x90),
    ("C03 topic with #", V5, b"\x30\x06\0\x03a/#\0", 0x90),
    ("C04 topic with U+0000", V5, b"\x30\x04\0\x01\0\0", 0x90),
    ("C05 topic not UTF-8", V5, b"\x30\x04\0\x01\xFF\0", 0x90),
    ("C06 packet id 0", V3, b"\x32\x05\0\x01a\0\0", 0x82),
    ("C06 packet id 0", V5, b"\x32\x06\0\x01a\0\0\0", 0x82),
    ("C07 DUP at QoS 0", V3, b"\x38\x03\0\x01a", 0x81),
    ("C07 DUP at QoS 0", V5, b"\x38\x04\0\x01a\0", 0x81),
    ("C08 empty topic", V3, b"\x30\x02\0\0", 0x90),
    ("C08 empty topic, no alias", V5, b"\x30\x03\0\0\0", 0x82),
    ("C09 topic past the end", V3, b"\x30\x03\0\x05a", 0x81),
    ("C10 no packet id", V5, b"\x32\x03\0\x01a", 0x81),
    ("C11 alias 0", V5, b"\x30\x07\0\x01a\x03\x23\0\0", 0x94),
    ("C15 Response Topic", V5, b"\x30\x08\0\x01a\x04\x08\0\x01#", 0x82),
    ("C16 Content Type twice", V5, b"\x30\x0A\0\x01a\x06\x03\0\0\x03\0\0", 0x82),
    ("C17 Content Type not UTF-8", V5, b"\x30\x08\0\x01a\x04\x03\0\x01\xFF", 0x81),
    ("C18 payload format 2", V5, b"\x30\x06\0\x01a\x02\x01\x02", 0x82),
    ("C19 unknown property", V5, b"\x30\x05\0\x01a\x01\x7F", 0x81),
    ("C20 alias twice", V5, b"\x30\x0A\0\x01a\x06\x23\0\x01\x23\0\x01", 0x82),
];

const SUBSCRIBE: &[(&str, Version, &[u8], u8)] = &[
    ("D01 no filters", V3, b"\x82\x02\0\x01", 0x82),
    ("D01 no filters", V5, b"\x82\x03\0\x01\0", 0x82),
    ("D02 QoS 3", V5, b"\x82\x07\0\x01\0\0\x01a\x03", 0x82),
    ("D03 reserved bits", V3, b"\x82\x06\0\x01\0\x01a\x04", 0x81),
    ("D03 reserved bits", V5, b"\x82\x07\0\x01\0\0\x01a\xC0", 0x81),
    ("D04 packet id 0", V5, b"\x82\x07\0\0\0\0\x01a\0", 0x82),
    ("D05 a/#/b", V5, b"\x82\x0B\0\x01\0\0\x05a/#/b\0", 0x8F),
    ("D05 a+/b", V5, b"\x82\x0A\0\x01\0\0\x04a+/b\0", 0x8F),
    ("D05 #a", V5, b"\x82\x08\0\x01\0\0\x02#a\0", 0x8F),
    ("D05 a#", V5, b"\x82\x08\0\x01\0\0\x02a#\0", 0x8F),
    ("D06 empty filter", V5, b"\x82\x06\0\x01\0\0\0\0", 0x8F),
    ("D07 filter with U+0000", V5, b"\x82\x07\0\x01\0\0\x01\0\0", 0x8F),
    ("D08 filter not UTF-8", V5, b"\x82\x07\0\x01\0\0\x01\xFF\0", 0x8F),
    ("D09 no filters", V5, b"\xA2\x03\0\x01\0", 0x82),
    ("D10 packet id 0", V5, b"\xA2\x06\0\0\0\0\x01a", 0x82),
    ("D11 no options byte", V5, b"\x82\x06\0\x01\0\0\x01a", 0x81),
    ("D12 $share/g", V5, b"\x82\x0E\0\x01\0\0\x08$share/g\0", 0x8F),
    ("D12 $share//x", V5, b"\x82\x0F\0\x01\0\0\x09$share//x\0", 0x8F),
    ("D13 $share/+/x", V5, b"\x82\x10\0\x01\0\0\x0A$share/+/x\0", 0x8F),
    ("D13 $share/g/", V5, b"\x82\x0F\0\x01\0\0\x09$share/g/\0", 0x8F),
    ("D14 No Local on shared", V5, b"\x82\x10\0\x01\0\0\x0A$share/g/x\x04", 0x82),
    ("D15 Retain Handling 3", V5, b"\x82\x07\0\x01\0\0\x01a\x30", 0x82),
    ("D16 identifier 0", V5, b"\x82\x09\0\x01\x02\x0B\0\0\x01a\0", 0x82),
    ("D17 two identifiers", V5, b"\x82\x0B\0\x01\x04\x0B\x01\x0B\x01\0\x01a\0", 0x82),
    ("D19 unknown property", V5, b"\x82\x08\0\x01\x01\x7F\0\x01a\0", 0x81),
];

const ANSWERS: &[(&str, Version, &[u8], u8)] = &[
    ("E01 AUTH names no method", V5, b"\xF0\x02\x18\x00", 0x82),
    ("E02 flags of AUTH", V5, b"\xF1\x00", 0x81),
    ("E04 reason of PUBACK", V5, b"\x40\x03\0\x01\x01", 0x81),
    ("E04 reason of PUBREL", V5, b"\x62\x03\0\x01\x80", 0x81),
    ("E04 reason of DISCONNECT", V5, b"\xE0\x01\x7F", 0x81),
    ("E07 PUBACK too short", V3, b"\x40\x01\0", 0x81),
    ("E07 PUBACK too long", V3, b"\x40\x03\0\x01\0", 0x81),
];

/// Row of the checklist, what the broker raises, reason code.
const RAISED: &[(&str, Error, u8)] = &[
    ("A01 PUBLISH first", Error::FirstPacketNotConnect, 0x82),
    ("A04 second CONNECT", Error::SecondConnect, 0x82),
    ("A08 CONNACK from a client", Error::ServerPacketFromClient(PacketType::ConnAck), 0x82),
    ("B10 empty client id", Error::ClientIdEmpty, 0x85),
    ("B21 unknown method", Error::AuthMethodUnknown, 0x8C),
    ("B31 taken over", Error::SessionTakenOver, 0x8E),
    ("C12 alias above the maximum", Error::TopicAliasTooLarge, 0x94),
    ("C13 alias unknown", Error::TopicAliasUnknown, 0x82),
    ("C14 identifier from a client", Error::SubscriptionIdentifierFromClient, 0x82),
    ("C21 too many levels", Error::TopicNameTooDeep, 0x90),
    ("C25 Receive Maximum", Error::ReceiveMaximumExceeded, 0x93),
    ("C27 packet id in use", Error::PacketIdInUse, 0x91),
    ("D18 too many levels", Error::TopicFilterTooDeep, 0x8F),
    ("E01 AUTH without method", Error::AuthWithoutMethod, 0x82),
    ("E03 session expiry raised", Error::SessionExpiryRaised, 0x82),
    ("E09 method changed", Error::AuthMethodChanged, 0x82),
    ("F04 keep alive", Error::KeepAliveTimeout, 0x8D),
];

#[test]
fn every_row_is_refused_with_its_reason() {
    for (name, version, bytes, reason) in [FRAMING, CONNECT, PUBLISH, SUBSCRIBE, ANSWERS].concat() {
        let error = decode(bytes, version).expect_err(name);
        assert_eq!(error.reason(), ReasonCode::try_from(reason).unwrap(), "{name}: {error}");
        assert!(
            error.to_string().starts_with(&format!("[{}] ", error.clause())),
            "{name}: {error}"
        );
    }
}

#[test]
fn what_the_broker_raises_has_its_reason() {
    for (name, error, reason) in RAISED {
        assert_eq!(error.reason() as u8, *reason, "{name}: {error}");
    }
}

/// A16: every packet above with bytes cut off its end, the length made to fit, harms nobody.
#[test]
fn truncated_rows_harm_nobody() {
    for (_, version, bytes, _) in [FRAMING, CONNECT, PUBLISH, SUBSCRIBE, ANSWERS].concat() {
        let Ok(Some((frame, _))) = Frame::decode(bytes, 1024) else { continue };
        for end in 0..frame.body.len() {
            let cut = Frame { body: &frame.body[..end], ..frame };
            if let Err(error) = Packet::decode(cut, version) {
                assert!(error.reason().is_error());
            }
        }
    }
}

/// The whole packet in `bytes`, unless its header is already refused. The limit is 1,024 bytes.
fn decode(bytes: &[u8], version: Version) -> Result<Packet<'_>, Error> {
    let (frame, consumed) = Frame::decode(bytes, 1024)?.expect("the row is a whole packet");
    assert_eq!(consumed, bytes.len(), "the row is one packet: {bytes:02X?}");
    Packet::decode(frame, version)
}
