//! Section E: acknowledgements, AUTH and DISCONNECT.

use std::time::{Duration, Instant};

use skein_protocol::{
    Ack, Auth, AuthProperties, Connect, ConnectProperties, Disconnect, DisconnectProperties,
    Packet, PacketType, Publish, QoS, ReasonCode, Version,
};

use crate::harness::{
    Case, bytes, connect, disconnect, each_shard_count, each_version, packet_id, puback, pubcomp,
    publish_as, pubrec, pubrel, raw,
};

/// A live connection of MQTT 5 that sends this is closed with the reason.
fn assert_v5_closed(reason: u8, packet: &[u8]) {
    let case = Case::new();
    let mut peer = case.connect(Version::V5, "peer");
    peer.send(packet);
    peer.expect_closed_with(reason);
}

fn auth(reason: ReasonCode, method: Option<&str>) -> Auth<'_> {
    Auth { reason, properties: AuthProperties { method, ..AuthProperties::default() } }
}

/// [MQTT-4.12.0-7]: no CONNECT that named a method was accepted, so no AUTH is due.
#[test]
fn e01_auth_without_method_closes() {
    for packet in [vec![0xF0, 0], vec![0xF0, 2, 0x18, 0], vec![0xF0, 2, 0x19, 0]] {
        assert_v5_closed(0x82, &packet);
    }
    for reason in [ReasonCode::ContinueAuthentication, ReasonCode::ReAuthenticate] {
        assert_v5_closed(0x82, &bytes(&auth(reason, Some("SCRAM-SHA-256")), Version::V5));
    }
}

/// [MQTT-3.15.1-1]
#[test]
fn e02_wrong_flags_in_auth_close() {
    for flags in 1..16 {
        assert_v5_closed(0x81, &[0xF0 | flags, 0]);
    }
}

/// [MQTT-3.1.0-1]: nor is AUTH a way to begin.
#[test]
fn e02_auth_as_first_packet_closes_silently() {
    let case = Case::new();
    let mut peer = case.open(Version::V5);
    peer.send(&auth(ReasonCode::ReAuthenticate, Some("M")));
    peer.expect_closed();
}

/// 3.14.2.2.2: a session that was to end with its connection does.
#[test]
fn e03_disconnect_that_raises_the_session_expiry_from_0_closes() {
    let case = Case::new();
    let properties = DisconnectProperties { session_expiry_s: Some(60), ..Default::default() };
    let raise = Disconnect { reason: ReasonCode::Success, properties };
    let mut peer = case.connect(Version::V5, "peer");
    peer.send(&raise);
    peer.expect_closed_with(0x82);
    let (_peer, session_present) = case.resume(Version::V5, "peer");
    assert!(!session_present);
    case.forget("peer");
}

/// [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1], [MQTT-3.14.2-1],
/// [MQTT-3.15.2-1]
#[test]
fn e04_reason_codes_of_other_packets_close() {
    let acks = [
        (0x40, [0x01, 0x92, 0x81, 0xFF]),
        (0x50, [0x02, 0x92, 0x8E, 0x7F]),
        (0x62, [0x10, 0x80, 0x91, 0x01]),
        (0x70, [0x10, 0x80, 0x91, 0x01]),
    ];
    for (header, reasons) in acks {
        for reason in reasons {
            assert_v5_closed(0x81, &raw(header, &[0, 1, reason]));
        }
    }
    for reason in [0x01, 0x91, 0x92, 0x18] {
        assert_v5_closed(0x81, &raw(0xE0, &[reason]));
    }
    for reason in [0x01, 0x17, 0x1A, 0x80] {
        assert_v5_closed(0x81, &raw(0xF0, &[reason, 0]));
    }
}

/// [MQTT-2.2.1-5]: an acknowledgement of nothing changes nothing.
#[test]
fn e05_puback_and_pubcomp_for_unknown_identifiers_are_ignored() {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        for id in [1, 300, 65_535] {
            peer.send(&puback(id));
            peer.send(&pubcomp(id));
            peer.expect_nothing();
        }
    });
}

/// 3.6.2.1, [MQTT-4.3.3-4]
#[test]
fn e06_pubrec_for_an_unknown_identifier_is_released() {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        for id in [1, 300, 65_535] {
            peer.send(&pubrec(id));
            peer.expect_ack(PacketType::PubRel, id, 0x92);
        }
        // The client has nothing under the identifier either.
        if version == Version::V5 {
            let unknown = ReasonCode::UnspecifiedError;
            peer.send(&Packet::PubRec(Ack::with_reason(packet_id(7), unknown)));
            peer.expect_nothing();
        }
    });
}

/// [MQTT-4.13.1-1], [MQTT-4.8.0-1 of 3.1.1]
#[test]
fn e07_acknowledgement_of_a_wrong_length_closes() {
    for header in [0x40, 0x50, 0x62, 0x70] {
        each_version(|case, version| {
            let too_long: &[u8] = match version {
                Version::V5 => &[0, 1, 0, 0, 0],
                Version::V3_1 | Version::V3_1_1 => &[0, 1, 0],
            };
            for body in [&[][..], &[0], too_long] {
                let mut peer = case.connect(version, "peer");
                peer.send(&raw(header, body));
                peer.expect_closed_with(0x81);
            }
            let mut peer = case.connect(version, "peer");
            peer.send(&raw(header, &[0, 0]));
            peer.expect_closed_with(0x82);
        });
    }
}

/// [MQTT-4.3.2-3], [MQTT-4.3.3-3], [MQTT-4.3.3-5]: an acknowledgement of the other flow completes
/// neither.
#[test]
fn e08_acknowledgements_of_the_other_flow_complete_nothing() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let (mut peer, _) = case.resume(version, "peer");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"two", QoS::ExactlyOnce);
        other.publish(&topic, b"one", QoS::AtLeastOnce);
        let two = peer.expect_message(&topic, b"two");
        let one = peer.expect_message(&topic, b"one");
        for packet in [puback(two.id()), pubcomp(two.id()), pubrec(one.id()), pubcomp(one.id())] {
            peer.send(&packet);
            peer.expect_nothing();
        }
        peer.cut();
        let (mut peer, _) = case.resume(version, "peer");
        for (message, payload) in [(&two, "two"), (&one, "one")] {
            let again = peer.expect_message(&topic, payload.as_bytes());
            assert_eq!((again.id(), again.publish().dup), (message.id(), true));
            peer.acknowledge(&again);
        }
        peer.expect_nothing();
        case.forget("peer");
    });
}

/// [MQTT-4.12.1-1]
#[test]
fn e09_reauthentication_with_another_method_closes() {
    let case = Case::new();
    let mut peer = case.connect(Version::V5, "peer");
    peer.send(&auth(ReasonCode::ReAuthenticate, Some("ANOTHER")));
    peer.expect_closed_with(0x82);
}

/// [MQTT-3.14.0-1], [MQTT-3.2.0-2], [MQTT-3.2.0-1], [MQTT-3.2.0-1 of 3.1.1]: a server's first word
/// is CONNACK, and it says that once.
#[test]
fn e10_no_disconnect_before_connack_and_no_second_connack() {
    let case = Case::with_settings("[limits]\nconnect_timeout_ms = 300");
    let started = Instant::now();
    let mut silent = case.open(Version::V5);
    silent.expect_closed();
    // The broker's clock counts whole milliseconds.
    assert!(started.elapsed() >= Duration::from_millis(298), "{:?}", started.elapsed());
    let mut halfway = case.open(Version::V5);
    halfway.send(&bytes(&connect(Version::V5, "peer"), Version::V5)[..9]);
    halfway.expect_closed();
    let connect = connect(Version::V5, "peer");
    let mut twice = case.open(Version::V5);
    twice.send(&[bytes(&connect, Version::V5), bytes(&connect, Version::V5)].concat());
    twice.receive().connack();
    twice.expect_closed_with(0x82);
}

/// [MQTT-3.4.2-2], [MQTT-3.14.2-3], [MQTT-3.2.2-19]: a reason is explained where there is room.
#[test]
fn e10_no_reason_string_beyond_the_maximum_packet_size() {
    let case = Case::new();
    let client_id = case.name("peer");
    for (size, is_explained) in [(20, false), (1000, true)] {
        let properties = ConnectProperties {
            maximum_packet_size: std::num::NonZeroU32::new(size),
            ..ConnectProperties::default()
        };
        let connect = Connect { properties, ..connect(Version::V5, &client_id) };
        let (mut peer, _) = case.connect_as(&connect);
        peer.send(&publish_as(QoS::AtLeastOnce, 1, "$SYS/x", b"x"));
        let refusal = peer.receive();
        assert_eq!(refusal.ack().properties.reason_string.is_some(), is_explained);
        peer.send(&raw(0x36, b"\0\x01a\0\x01\0"));
        let farewell = peer.receive();
        assert_eq!(farewell.disconnect().properties.reason_string.is_some(), is_explained);
        peer.expect_closed();

        let will = Some(crate::harness::will("$SYS/will", b"x"));
        let mut refused = case.open(Version::V5);
        refused.send(&Connect { will, ..connect });
        let connack = refused.receive();
        assert_eq!(connack.any_connack().properties.reason_string.is_some(), is_explained);
        refused.expect_closed();
    }
}

/// [MQTT-3.1.2-29]: a client that wants no problem information gets none in an acknowledgement.
#[test]
fn e10_no_reason_string_without_problem_information() {
    let case = Case::new();
    let client_id = case.name("peer");
    let properties = ConnectProperties {
        request_problem_information: Some(false),
        ..ConnectProperties::default()
    };
    let (mut peer, _) =
        case.connect_as(&Connect { properties, ..connect(Version::V5, &client_id) });
    for (id, qos) in [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce)] {
        peer.send(&publish_as(qos, id, "$SYS/x", b"x"));
        let refusal = peer.receive();
        assert_eq!(refusal.ack().reason, ReasonCode::NotAuthorized);
        assert!(refusal.ack().properties.reason_string.is_none());
        assert!(refusal.ack().properties.user_properties.is_empty());
    }
}

/// [MQTT-4.3.2-3], [MQTT-4.3.3-4]: PUBACK with a failure ends the exchange, and so does PUBREC.
#[test]
fn e00_a_refusal_by_the_receiver_ends_the_exchange() {
    let case = Case::new();
    let topic = case.name("topic");
    let (mut peer, _) = case.resume(Version::V5, "peer");
    peer.subscribe(&topic, QoS::ExactlyOnce);
    let mut other = case.connect(Version::V5, "other");
    other.publish(&topic, b"one", QoS::AtLeastOnce);
    other.publish(&topic, b"two", QoS::ExactlyOnce);
    let one = peer.expect_message(&topic, b"one");
    let two = peer.expect_message(&topic, b"two");
    let refused = |id| Ack::with_reason(packet_id(id), ReasonCode::QuotaExceeded);
    peer.send(&Packet::PubAck(refused(one.id())));
    peer.send(&Packet::PubRec(refused(two.id())));
    peer.expect_nothing();
    peer.cut();
    let (mut peer, session_present) = case.resume(Version::V5, "peer");
    assert!(session_present);
    peer.expect_nothing();
    case.forget("peer");
}

/// [MQTT-4.3.2-4], [MQTT-4.3.2-5], [MQTT-4.3.3-8], [MQTT-4.3.3-12]: acknowledged with the identifier of the message, and what the
/// identifier was used for before does not matter.
#[test]
fn e00_acknowledgements_carry_the_identifier_of_their_message() {
    each_version(|case, version| {
        let topic = case.name("nobody");
        let mut peer = case.connect(version, "peer");
        for id in [1, 1, 256, 65_535, 1] {
            peer.send(&publish_as(QoS::AtLeastOnce, id, &topic, b"x"));
            peer.expect_ack(PacketType::PubAck, id, 0x10);
            peer.send(&publish_as(QoS::ExactlyOnce, id, &topic, b"x"));
            peer.expect_ack(PacketType::PubRec, id, 0x10);
            peer.send(&pubrel(id));
            peer.expect_ack(PacketType::PubComp, id, 0);
        }
        peer.send(&Publish { dup: true, ..publish_as(QoS::AtLeastOnce, 2, &topic, b"x") });
        peer.expect_ack(PacketType::PubAck, 2, 0x10);
        peer.send(&disconnect());
        peer.expect_closed();
    });
}
