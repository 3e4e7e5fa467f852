//! From CONNECT to CONNACK, in simulated time.

use std::num::NonZeroU32;
use std::time::Duration;

use skein_client::session::Event;
use skein_client::test::Harness;
use skein_client::{
    Error, Login, Operation, Options, Publish, QoS, ReasonCode, Version, Versions, Will,
};
use skein_protocol::{ConnAckProperties, Disconnect, Packet, PacketType};

use super::s;

fn options() -> Options {
    Options::new(["mqtt://a"])
}

/// [MQTT-3.1.0-1]: CONNECT is the first thing said, and carries what was asked for.
#[test]
fn a_connect_carries_every_field() {
    let mut options = options();
    options.client_id = "meter-7".into();
    options.session_expiry_s = 3600;
    options.keep_alive_s = 30;
    options.login = Login::new("ada", "secret");
    options.receive_maximum = 7;
    options.packet_bytes_max = 9000;
    options.topic_aliases_max = 3;
    options.user_properties = vec![("k".into(), "v".into())];
    options.will = Some(Will::new("meter/7", "gone").qos(QoS::AtLeastOnce).retain().delay(s(10)));
    let mut harness = Harness::new(options);
    harness.open();
    assert_eq!(
        harness.hear(),
        ["CONNECT version=5.0 client_id=\"meter-7\" clean_start=true keep_alive_s=30 \
          user_name=\"ada\" password=hidden \
          will=(topic=\"meter/7\" qos=1 retain=true payload=4 bytes delay_interval_s=10) \
          session_expiry_s=3600 receive_maximum=7 maximum_packet_size=9000 \
          topic_alias_maximum=3 request_response_information=true user_properties=1"]
    );
}

/// The versions before 5.0 have no properties, and 3.1 needs an identifier.
#[test]
fn older_versions_get_what_they_know() {
    for (version, start) in [
        (Version::V3_1_1, "CONNECT version=3.1.1 client_id=\"\" clean_start=true keep_alive_s=60"),
        (Version::V3_1, "CONNECT version=3.1 client_id=\"s"),
    ] {
        let mut harness = Harness::new(Options { versions: Versions::Only(version), ..options() });
        harness.open();
        let heard = harness.hear();
        assert!(heard[0].starts_with(start), "{heard:?}");
        assert!(!heard[0].contains("receive_maximum"), "{heard:?}");
    }
}

/// [MQTT-3.1.3-8 of 3.1.1]: a session that is to be found again needs a name.
#[test]
fn a_kept_session_of_3_1_1_gets_an_identifier() {
    let versions = Versions::Only(Version::V3_1_1);
    let mut harness = Harness::new(Options { versions, session_expiry_s: 60, ..options() });
    harness.open();
    assert!(!harness.session.client_id().is_empty());
    let name = harness.session.client_id().to_owned();
    harness.accept(false);
    harness.cut();
    harness.advance(s(60));
    harness.open();
    assert!(harness.hear()[0].contains(&format!("client_id=\"{name}\" clean_start=false")));
}

#[test]
fn a_server_that_refuses_5_0_is_asked_for_3_1_1_at_once() {
    for refusal in [&[0x20, 2, 0, 1][..], &[0x20, 3, 0, 0x84, 0][..]] {
        let mut harness = Harness::new(options());
        harness.open();
        harness.hear();
        harness.say_bytes(refusal);
        assert_eq!(harness.dials.len(), 2, "no delay");
        assert!(matches!(harness.events[..], [.., Event::FellBack(_), Event::Connecting(_)]));
        harness.open();
        assert!(harness.hear()[0].starts_with("CONNECT version=3.1.1"));
        harness.say_bytes(&[0x20, 2, 0, 0]);
        assert!(harness.session.is_up());
        assert_eq!(harness.session.version(), Version::V3_1_1);
    }
}

#[test]
fn a_pinned_version_does_not_fall_back() {
    let versions = Versions::Only(Version::V5);
    let mut harness = Harness::new(Options { versions, ..options() });
    harness.open();
    harness.say_bytes(&[0x20, 2, 0, 1]);
    assert!(harness.session.is_stopped());
    assert!(matches!(harness.events.last(), Some(Event::GaveUp { why: Error::Refused { .. } })));
}

/// Every refusal that does not pass ends the client; every other one is tried again.
#[test]
fn refusals_are_told_by_name_and_those_that_stay_end_it() {
    for reason in ReasonCode::ALL {
        if !reason.is_valid_for(PacketType::ConnAck) || !reason.is_error() {
            continue;
        }
        let versions = Versions::Only(Version::V5);
        let mut harness = Harness::new(Options { versions, ..options() });
        harness.open();
        harness.refuse(*reason);
        let failed = harness.events.iter().find_map(|event| match event {
            Event::Failed { why, retry_in } => Some((why.clone(), *retry_in)),
            _ => None,
        });
        let (why, retry_in) = failed.expect("the refusal is an event");
        assert_eq!(why.reason(), Some(*reason));
        assert_eq!(retry_in.is_none(), harness.session.is_stopped(), "{reason}");
    }
}

#[test]
fn the_return_codes_of_3_1_1_have_names() {
    let expected = [
        (2, ReasonCode::ClientIdentifierNotValid),
        (3, ReasonCode::ServerUnavailable),
        (4, ReasonCode::BadUserNameOrPassword),
        (5, ReasonCode::NotAuthorized),
    ];
    for (code, reason) in expected {
        let versions = Versions::Only(Version::V3_1_1);
        let mut harness = Harness::new(Options { versions, ..options() });
        harness.open();
        harness.say_bytes(&[0x20, 2, 0, code]);
        assert!(harness.events.iter().any(
            |event| matches!(event, Event::Failed { why, .. } if why.reason() == Some(reason))
        ));
    }
}

/// [MQTT-3.2.0-1] [MQTT-3.2.2-4] [MQTT-3.2.0-2]
#[test]
fn a_server_that_breaks_the_opening_is_left() {
    let mut harness = Harness::new(options());
    harness.open();
    harness.say_bytes(&[0xD0, 0]);
    assert!(!harness.link.is_open());
    let mut harness = Harness::new(options());
    harness.open();
    harness.accept(true);
    assert!(!harness.link.is_open(), "a session where a clean start was asked for");
    let mut harness = Harness::connected(options());
    harness.accept(false);
    assert_eq!(harness.hear(), ["DISCONNECT reason=0x82 Protocol Error"]);
    assert!(!harness.link.is_open());
}

#[test]
fn a_connect_that_is_not_answered_is_given_up_and_tried_again() {
    let mut harness = Harness::new(Options { connect_timeout: s(5), ..options() });
    harness.open();
    harness.advance(s(4));
    assert!(harness.link.is_open());
    harness.advance(s(1));
    assert!(!harness.link.is_open());
    assert!(harness.events.iter().any(|event| matches!(
        event,
        Event::Failed { why: Error::Timeout { operation: Operation::Connect, .. }, .. }
    )));
    harness.advance(s(1));
    assert_eq!(harness.dials.len(), 2);
}

/// [MQTT-3.2.2-16]: the server's choice is kept for all later connections.
#[test]
fn an_assigned_identifier_is_used_again() {
    let mut harness = Harness::new(Options { session_expiry_s: 60, ..options() });
    harness.open();
    let assigned_client_id = Some("auto-1");
    harness.accept_with(false, ConnAckProperties { assigned_client_id, ..Default::default() });
    assert_eq!(harness.session.client_id(), "auto-1");
    harness.cut();
    harness.advance(s(1));
    harness.open();
    let heard = harness.hear();
    assert!(heard[0].contains("client_id=\"auto-1\" clean_start=false"), "{heard:?}");
}

/// [MQTT-3.2.2-21]
#[test]
fn the_servers_keep_alive_holds() {
    let mut harness = Harness::new(options());
    harness.open();
    let server_keep_alive_s = Some(5);
    harness.accept_with(false, ConnAckProperties { server_keep_alive_s, ..Default::default() });
    harness.advance(s(5));
    assert_eq!(harness.hear(), ["PINGREQ"]);
}

/// Whatever the server has to say about the packet size [MQTT-3.2.2-15].
#[test]
fn a_packet_that_is_too_long_for_us_ends_the_connection() {
    let mut harness = Harness::connected(Options { packet_bytes_max: 64, ..options() });
    harness.say_bytes(&[0x30, 100]);
    assert_eq!(harness.hear(), ["DISCONNECT reason=0x95 Packet too large"]);
}

/// Reading byte by byte changes nothing.
#[test]
fn a_slow_reader_understands_all_the_same() {
    let mut harness = Harness::new(options());
    harness.link.chunk_bytes = 1;
    harness.open();
    harness.accept(false);
    let token = harness.publish(Publish::new("a", "x").qos(QoS::AtLeastOnce)).unwrap();
    harness.say_bytes(&[0x40, 2, 0, 1]);
    assert!(matches!(harness.outcome(token), Some(Ok(_))));
}

#[test]
fn a_truncated_answer_is_waited_for_and_then_given_up() {
    let mut harness = Harness::new(options());
    harness.open();
    harness.link.to_client_left = Some(3);
    harness.accept(false);
    assert!(!harness.session.is_up() && !harness.link.is_open());
    assert!(matches!(harness.events.last(), Some(Event::Failed { why: Error::Lost(_), .. })));
}

#[test]
fn a_server_that_says_goodbye_is_heard() {
    let mut harness = Harness::connected(options());
    let disconnect = Disconnect::with_reason(ReasonCode::ServerShuttingDown);
    harness.say(&Packet::Disconnect(disconnect));
    let lost = Some(ReasonCode::ServerShuttingDown);
    assert!(matches!(harness.events.last(),
        Some(Event::Lost { why, retry_in: Some(_) }) if why.reason() == lost));
}

#[test]
fn a_server_that_names_another_one_sends_us_there() {
    let mut harness = Harness::new(options());
    harness.open();
    let server_reference = Some("mqtt://b mqtt://c");
    let properties = ConnAckProperties { server_reference, ..Default::default() };
    let reason = ReasonCode::ServerMoved;
    harness.say(&Packet::ConnAck(skein_protocol::ConnAck {
        session_present: false,
        reason,
        properties,
    }));
    assert_eq!(&*harness.dials[1].server, "mqtt://b");
    assert!(harness.events.iter().any(|event| matches!(event, Event::Redirected(_))));
}

/// What the server says about itself is there to be read.
#[test]
fn the_terms_of_the_server_are_told() {
    let mut harness = Harness::new(options());
    harness.open();
    let properties = ConnAckProperties {
        maximum_qos: Some(QoS::AtLeastOnce),
        maximum_packet_size: NonZeroU32::new(100),
        response_information: Some("replies/7"),
        ..Default::default()
    };
    harness.accept_with(false, properties);
    let Some(Event::Connected { session_present: false, server }) = harness.events.last() else {
        panic!("{:?}", harness.events)
    };
    assert_eq!(server.limits.maximum_qos, QoS::AtLeastOnce);
    assert_eq!(server.limits.packet_bytes_max, 100);
    assert_eq!(server.response_information.as_deref(), Some("replies/7"));
}

/// Mosquitto's bit of a bridge in the protocol level, before MQTT 5.0 only.
#[test]
fn a_bridge_says_so_and_is_asked_again_without_where_that_is_refused() {
    let level = |harness: &mut Harness| {
        let connect = std::mem::take(&mut harness.link.to_server);
        let name = connect.windows(2).position(|bytes| bytes == b"TT" || bytes == b"dp").unwrap();
        connect[name + 2]
    };
    for (version, plain) in [(Version::V5, 5), (Version::V3_1_1, 4), (Version::V3_1, 3)] {
        let versions = Versions::Only(version);
        let mut harness = Harness::new(Options { is_bridge: true, versions, ..options() });
        harness.open();
        let marked = if version == Version::V5 { plain } else { plain | 0x80 };
        assert_eq!(level(&mut harness), marked, "{version:?}");
        if version == Version::V5 {
            continue;
        }
        // Return code 1, or 0x84 in the form of MQTT 5.0, which knows no such level either.
        for refusal in [&[0x20, 2, 0, 1][..], &[0x20, 3, 0, 0x84, 0][..]] {
            let mut harness = Harness::new(Options { is_bridge: true, versions, ..options() });
            harness.open();
            level(&mut harness);
            harness.say_bytes(refusal);
            assert_eq!(harness.dials.len(), 2, "at once");
            harness.open();
            assert_eq!(level(&mut harness), plain);
            harness.say_bytes(refusal);
            assert!(harness.session.is_stopped(), "and then it is the version that is refused");
        }
    }
}

/// A connection that is being made has not been told anything; what was said last is known still.
#[test]
fn what_the_server_has_said_is_known_until_the_next_one_says_it() {
    let mut harness = Harness::new(options());
    assert!(harness.session.server().is_none());
    harness.open();
    let terms = ConnAckProperties { maximum_qos: Some(QoS::AtLeastOnce), ..Default::default() };
    harness.accept_with(false, terms);
    let maximum = |harness: &Harness| harness.session.server().unwrap().limits.maximum_qos;
    harness.cut();
    assert_eq!(maximum(&harness), QoS::AtLeastOnce);
    harness.advance(Duration::from_secs(60));
    harness.open();
    assert_eq!(maximum(&harness), QoS::AtLeastOnce);
    harness.accept(true);
    assert_eq!(maximum(&harness), QoS::ExactlyOnce);
}
