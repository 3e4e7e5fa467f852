use proptest::prelude::*;

use super::*;
use skein_protocol::qos::{PacketId, QoS};
use skein_protocol::{RetainHandling, Version};

fn bytes_of(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("tests use identifiers above 0")
}

/// One of each kind, and the bytes that it must have for ever.
fn golden() -> Vec<(Record<'static>, &'static str)> {
    let client_id = || "c".into();
    let properties = || vec![1, 1].into();
    vec![
        (
            Record::Connected {
                client_id: client_id(),
                owner: Some("u".into()),
                listener: "l".into(),
                version: Version::V5,
                expiry_s: 300,
                at_ms: 1,
            },
            "0101016301017501 6c05ac0201",
        ),
        (
            Record::Disconnected { client_id: client_id(), expiry_s: 0, at_ms: 128 },
            "02010163008001",
        ),
        (Record::Ended { client_id: client_id() }, "03010163"),
        (
            Record::Subscribed {
                client_id: client_id(),
                filter: "#".into(),
                qos: QoS::ExactlyOnce,
                no_local: true,
                retain_as_published: false,
                retain_handling: RetainHandling::SendIfNew,
                identifier: Some(7),
            },
            "0401016301230201000101 07",
        ),
        (Record::Unsubscribed { client_id: client_id(), filter: "#".into() }, "050101630123"),
        (
            Record::Message {
                message: 9,
                topic: "t".into(),
                properties: properties(),
                payload: vec![0xFF].into(),
                qos: QoS::AtLeastOnce,
                retain: true,
                expires_at_ms: None,
            },
            "06010901740201 0101ff010100",
        ),
        (
            Record::Queued {
                client_id: client_id(),
                entry: 1,
                message: 9,
                qos: QoS::AtLeastOnce,
                retain: false,
                identifiers: vec![7, 200],
                share: None,
            },
            "0701016301090100 0207c80100",
        ),
        (Record::Sent { client_id: client_id(), entry: 1, packet_id: id(300) }, "0801016301ac02"),
        (Record::Received { client_id: client_id(), packet_id: id(1) }, "0901016301"),
        (Record::Finished { client_id: client_id(), packet_id: id(1) }, "0a01016301"),
        (Record::Dropped { client_id: client_id(), entry: 2 }, "0b01016302"),
        (Record::Held { client_id: client_id(), packet_id: id(1) }, "0c01016301"),
        (Record::Released { client_id: client_id(), packet_id: id(1) }, "0d01016301"),
        (
            Record::Retained { message: 9, author: Some("c".into()), user: None, listener: None },
            "0e010901 01630000",
        ),
        (Record::Unretained { topic: "t".into() }, "0f010174"),
        (
            Record::WillSet {
                client_id: client_id(),
                topic: "t".into(),
                properties: properties(),
                payload: b"bye".as_slice().into(),
                qos: QoS::AtMostOnce,
                retain: false,
                delay_s: 5,
                message_expiry_s: Some(6),
            },
            "1001016301740201010362796500000501 06",
        ),
        (Record::WillDue { client_id: client_id(), at_ms: 3 }, "1101016303"),
        (Record::WillCleared { client_id: client_id() }, "12010163"),
        (Record::PubRelOwed { client_id: client_id(), entry: 2, packet_id: id(1) }, "130101630201"),
    ]
}

/// What is on disk today must be read tomorrow.
#[test]
fn the_bytes_of_each_kind_are_those_of_version_1() {
    for (record, expected) in golden() {
        let bytes = bytes_of(&record);
        assert_eq!(hex(&bytes), expected.replace(' ', ""), "{record:?}");
        assert_eq!(Record::decode(&bytes), Ok(record));
    }
}

#[test]
fn a_record_that_is_cut_or_too_long_is_refused() {
    for (record, _) in golden() {
        let mut bytes = bytes_of(&record);
        for length in 0..bytes.len() {
            assert!(Record::decode(&bytes[..length]).is_err(), "{length} bytes of {record:?}");
        }
        bytes.push(0);
        assert_eq!(Record::decode(&bytes), Err(RecordError::TrailingBytes));
    }
}

#[test]
fn a_kind_or_version_of_tomorrow_is_named() {
    let unknown = |kind, version| Err(RecordError::UnknownKind { kind, version });
    assert_eq!(Record::decode(&[3, 2, 0]), unknown(3, 2));
    assert_eq!(Record::decode(&[99, 1]), unknown(99, 1));
}

#[test]
fn each_kind_survives_json() {
    for (record, _) in golden() {
        let line = serde_json::to_string(&record).expect("it is JSON");
        assert_eq!(serde_json::from_str::<Record<'_>>(&line).expect("it is a record"), record);
    }
    let line = serde_json::to_string(&golden()[5].0).expect("it is JSON");
    assert!(line.contains(r#""payload":{"base64":"/w=="}"#), "{line}");
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,20}"
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn message() -> impl Strategy<Value = Record<'static>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    (any::<u64>(), text(), bytes(), bytes(), qos(), any::<bool>(), any::<Option<u64>>()).prop_map(
        |(message, topic, properties, payload, qos, retain, expires_at_ms)| Record::Message {
            message,
            topic: topic.into(),
            properties: properties.into(),
            payload: payload.into(),
            qos,
            retain,
            expires_at_ms,
        },
    )
}

fn queued() -> impl Strategy<Value = Record<'static>> {
    let identifiers = proptest::collection::vec(any::<u32>(), 0..5);
    let share = proptest::option::of(text());
    (text(), any::<u64>(), any::<u64>(), qos(), any::<bool>(), identifiers, share).prop_map(
        |(client_id, entry, message, qos, retain, identifiers, share)| Record::Queued {
            client_id: client_id.into(),
            entry,
            message,
            qos,
            retain,
            identifiers,
            share: share.map(Into::into),
        },
    )
}

fn connected() -> impl Strategy<Value = Record<'static>> {
    let version = prop_oneof![Just(Version::V3_1), Just(Version::V3_1_1), Just(Version::V5)];
    let owner = proptest::option::of(text());
    (text(), owner, text(), version, any::<u32>(), any::<u64>()).prop_map(
        |(client_id, owner, listener, version, expiry_s, at_ms)| Record::Connected {
            client_id: client_id.into(),
            owner: owner.map(Into::into),
            listener: listener.into(),
            version,
            expiry_s,
            at_ms,
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(record in prop_oneof![message(), queued(), connected()]) {
        let bytes = bytes_of(&record);
        prop_assert_eq!(Record::decode(&bytes), Ok(record.clone()));
        let line = serde_json::to_string(&record).expect("it is JSON");
        prop_assert_eq!(serde_json::from_str::<Record<'_>>(&line).expect("a record"), record);
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(
        kind in 0_u8..21,
        rest in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let bytes = [&[kind, 1], rest.as_slice()].concat();
        if let Ok(record) = Record::decode(&bytes) {
            let again = bytes_of(&record);
            prop_assert_eq!(Record::decode(&again), Ok(record.clone()));
        }
    }
}
