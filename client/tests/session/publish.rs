//! Messages on their way out, in simulated time.

use std::num::{NonZeroU16, NonZeroU32};

use skein_client::session::{Event, Outcome, Subscribe};
use skein_client::test::Harness;
use skein_client::{
    Error, Farewell, Feature, Offline, Operation, Options, Publish, QoS, ReasonCode,
    SubscriptionOptions, Version, Versions, WhenFull,
};
use skein_protocol::{Ack, AckProperties, ConnAckProperties, Packet, SubAck};

use super::{id, lasting, s};

fn message(payload: &'static str, qos: QoS) -> Publish {
    Publish::new("t", payload).qos(qos)
}

fn connected_with(properties: ConnAckProperties<'_>) -> Harness {
    let mut harness = Harness::new(lasting());
    harness.open();
    harness.accept_with(false, properties);
    harness
}

#[test]
fn each_qos_ends_as_it_should() {
    let mut harness = Harness::connected(lasting());
    let zero = harness.publish(message("0", QoS::AtMostOnce)).unwrap();
    let one = harness.publish(message("1", QoS::AtLeastOnce)).unwrap();
    let two = harness.publish(message("2", QoS::ExactlyOnce)).unwrap();
    assert_eq!(
        harness.hear(),
        [
            "PUBLISH topic=\"t\" qos=0 payload=1 bytes",
            "PUBLISH topic=\"t\" qos=1 id=1 payload=1 bytes",
            "PUBLISH topic=\"t\" qos=2 id=2 payload=1 bytes"
        ]
    );
    assert!(matches!(harness.outcome(zero), Some(Ok(Outcome::Sent))));
    assert!(harness.outcome(one).is_none());
    harness.say(&Packet::PubRec(Ack::success(id(2))));
    assert_eq!(harness.hear(), ["PUBREL id=2 reason=0x00 Success"]);
    assert!(harness.outcome(two).is_none(), "only PUBCOMP ends it");
    harness.say(&Packet::PubComp(Ack::success(id(2))));
    assert!(matches!(harness.outcome(two), Some(Ok(Outcome::Published(ReasonCode::Success)))));
    harness.say(&Packet::PubAck(Ack::with_reason(id(1), ReasonCode::NoMatchingSubscribers)));
    let expected = ReasonCode::NoMatchingSubscribers;
    assert!(
        matches!(harness.outcome(one), Some(Ok(Outcome::Published(reason))) if reason == expected)
    );
}

/// A refused publish must not look like success.
#[test]
fn a_refusal_of_one_message_is_its_error_and_nothing_else() {
    let mut harness = Harness::connected(lasting());
    for (number, qos) in [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce)] {
        let token = harness.publish(message("x", qos)).unwrap();
        let ack = Ack::with_reason(id(number), ReasonCode::NotAuthorized);
        harness.say(&match qos {
            QoS::ExactlyOnce => Packet::PubRec(ack),
            _ => Packet::PubAck(ack),
        });
        let outcome = harness.outcome(token);
        assert!(matches!(
            &outcome,
            Some(Err(Error::Rejected { operation: Operation::Publish, .. }))
        ));
    }
    assert!(harness.session.is_up());
    assert_eq!(harness.session.statistics(harness.now()).in_flight, 0);
}

/// [MQTT-4.9.0-2] [MQTT-4.9.0-1]: the server's window is kept, and given back by every kind of end.
#[test]
fn no_more_is_in_flight_than_the_server_takes() {
    let receive_maximum = NonZeroU16::new(2);
    let mut harness = connected_with(ConnAckProperties { receive_maximum, ..Default::default() });
    for _ in 0..5 {
        harness.publish(message("x", QoS::AtLeastOnce)).unwrap();
    }
    assert_eq!(harness.hear().len(), 2);
    harness.say(&Packet::PubAck(Ack::success(id(1))));
    assert_eq!(harness.hear(), ["PUBLISH topic=\"t\" qos=1 id=3 payload=1 bytes"]);
    let statistics = harness.session.statistics(harness.now());
    assert_eq!((statistics.in_flight, statistics.queued), (2, 2));
}

/// [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15]: nothing is sent that the server has said it
/// does not take.
#[test]
fn the_servers_limits_are_typed_errors_before_anything_is_sent() {
    let mut harness = connected_with(ConnAckProperties {
        maximum_qos: Some(QoS::AtMostOnce),
        retain_available: Some(false),
        maximum_packet_size: NonZeroU32::new(40),
        ..Default::default()
    });
    let result = harness.publish(message("x", QoS::AtLeastOnce));
    assert!(matches!(result, Err(Error::Unsupported(Feature::QoS(QoS::AtLeastOnce)))));
    let result = harness.publish(message("x", QoS::AtMostOnce).retain());
    assert!(matches!(result, Err(Error::Unsupported(Feature::Retain))));
    let result = harness.publish(Publish::new("t", vec![0; 40]));
    assert!(matches!(result, Err(Error::TooLarge { size: 46, max: 40 })), "{result:?}");
    assert_eq!(harness.hear(), [""; 0]);
    assert!(harness.publish(Publish::new("t", vec![0; 34])).is_ok());
    assert_eq!(harness.hear().len(), 1);
}

/// What was queued without a connection meets the limits when there is one.
#[test]
fn a_queued_message_that_the_server_does_not_take_fails_alone() {
    let mut harness = Harness::new(lasting());
    let large = harness.publish(Publish::new("t", vec![0; 100]).qos(QoS::AtLeastOnce)).unwrap();
    let small = harness.publish(message("x", QoS::AtLeastOnce)).unwrap();
    harness.open();
    let maximum_packet_size = NonZeroU32::new(40);
    harness.accept_with(false, ConnAckProperties { maximum_packet_size, ..Default::default() });
    assert!(matches!(harness.outcome(large), Some(Err(Error::TooLarge { .. }))));
    assert_eq!(harness.hear(), ["PUBLISH topic=\"t\" qos=1 id=1 payload=1 bytes"]);
    assert!(harness.outcome(small).is_none());
}

#[test]
fn qos_0_without_a_connection_is_refused_or_kept_as_the_policy_says() {
    let mut harness = Harness::new(lasting());
    assert!(matches!(harness.publish(message("x", QoS::AtMostOnce)), Err(Error::NotConnected)));
    let mut options = lasting();
    options.queue.offline = Offline::Keep;
    let mut harness = Harness::new(options);
    harness.publish(message("x", QoS::AtMostOnce)).unwrap();
    harness.open();
    harness.accept(false);
    assert_eq!(harness.hear(), ["PUBLISH topic=\"t\" qos=0 payload=1 bytes"]);
}

#[test]
fn a_full_queue_gives_the_message_back_or_drops_one_and_says_so() {
    let mut options = lasting();
    options.queue.messages_max = 1;
    options.queue.when_full = WhenFull::Fail;
    let mut harness = Harness::new(options.clone());
    harness.publish(message("1", QoS::AtLeastOnce)).unwrap();
    match harness.publish(message("2", QoS::AtLeastOnce)) {
        Err(Error::QueueFull(back)) => assert_eq!(&back.payload()[..], b"2"),
        other => panic!("{other:?}"),
    }
    options.queue.when_full = WhenFull::DropOldest;
    let mut harness = Harness::new(options);
    let first = harness.publish(message("1", QoS::AtLeastOnce)).unwrap();
    let second = harness.publish(message("2", QoS::AtLeastOnce)).unwrap();
    assert!(matches!(harness.outcome(first), Some(Err(Error::Overflowed))));
    assert!(harness.outcome(second).is_none());
    assert!(matches!(harness.events.last(), Some(Event::Dropped { count: 1, .. })));
}

/// 3.3.2.3.3: what waited has that much less to live.
#[test]
fn the_time_in_the_queue_counts_towards_the_expiry() {
    let mut harness = Harness::new(lasting());
    let old = message("1", QoS::AtLeastOnce).expires(s(5));
    let old = harness.publish(old).unwrap();
    harness.publish(message("2", QoS::AtLeastOnce).expires(s(60))).unwrap();
    harness.advance(s(10));
    harness.open();
    harness.accept(false);
    assert!(matches!(harness.outcome(old), Some(Err(Error::Expired))));
    let heard = harness.hear();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].ends_with("message_expiry_s=50"), "{heard:?}");
}

#[test]
fn an_acknowledgement_that_is_overdue_fails_the_ticket_and_frees_nothing() {
    let ack_timeout = Some(s(20));
    let mut harness = Harness::connected(Options { ack_timeout, keep_alive_s: 0, ..lasting() });
    let token = harness.publish(message("x", QoS::AtLeastOnce)).unwrap();
    harness.advance(s(19));
    assert!(harness.outcome(token).is_none());
    harness.advance(s(1));
    let outcome = harness.outcome(token);
    let Some(Err(Error::Timeout { operation: Operation::Publish, after })) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(after, s(20));
    assert_eq!(harness.session.statistics(harness.now()).in_flight, 1, "its id is not used again");
}

#[test]
fn topics_become_aliases_by_themselves_and_anew_on_each_connection() {
    let topic_alias_maximum = Some(1);
    let terms = || ConnAckProperties { topic_alias_maximum, ..Default::default() };
    let mut harness = connected_with(terms());
    let publish = || Publish::new("a/long/topic", "x").qos(QoS::AtLeastOnce);
    harness.publish(publish()).unwrap();
    harness.publish(publish()).unwrap();
    assert_eq!(
        harness.hear(),
        [
            "PUBLISH topic=\"a/long/topic\" qos=1 id=1 payload=1 bytes topic_alias=1",
            "PUBLISH topic=\"\" qos=1 id=2 payload=1 bytes topic_alias=1"
        ]
    );
    harness.cut();
    harness.advance(s(1));
    harness.open();
    harness.accept_with(true, terms());
    assert_eq!(
        harness.hear(),
        [
            "PUBLISH topic=\"a/long/topic\" qos=1 id=1 dup payload=1 bytes topic_alias=1",
            "PUBLISH topic=\"\" qos=1 id=2 dup payload=1 bytes topic_alias=1"
        ]
    );
}

#[test]
fn properties_are_left_out_before_5_0() {
    let versions = Versions::Only(Version::V3_1_1);
    let mut harness = Harness::connected(Options { versions, ..lasting() });
    harness.publish(message("x", QoS::AtLeastOnce).user_property("k", "v")).unwrap();
    assert_eq!(harness.hear(), ["PUBLISH topic=\"t\" qos=1 id=1 payload=1 bytes"]);
}

/// Closing waits for what is under way, but not for ever, and says what was left.
#[test]
fn closing_drains_and_tells_what_was_not_delivered() {
    let mut harness = Harness::connected(lasting());
    let token = harness.publish(message("x", QoS::AtLeastOnce)).unwrap();
    harness.hear();
    harness.close(s(5));
    assert!(matches!(harness.publish(message("y", QoS::AtLeastOnce)), Err(Error::Closed)));
    assert_eq!(harness.hear(), [""; 0]);
    harness.say(&Packet::PubAck(Ack::success(id(1))));
    assert_eq!(harness.hear(), ["DISCONNECT reason=0x00 Success"]);
    assert!(matches!(harness.outcome(token), Some(Ok(_))));
    assert!(matches!(harness.events.last(), Some(Event::Closed { undelivered: 0 })));

    let mut harness = Harness::connected(lasting());
    let token = harness.publish(message("x", QoS::AtLeastOnce)).unwrap();
    harness.close(s(5));
    harness.advance(s(5));
    assert!(matches!(harness.outcome(token), Some(Err(Error::Closed))));
    assert!(matches!(harness.events.last(), Some(Event::Closed { undelivered: 1 })));
    assert!(harness.session.is_stopped() && !harness.link.is_open());
}

#[test]
fn a_disconnect_may_ask_for_the_will() {
    let mut harness = Harness::connected(lasting());
    let now = harness.now();
    harness.session.disconnect(ReasonCode::DisconnectWithWill, Some(7), now);
    harness.settle();
    assert_eq!(
        harness.hear(),
        ["DISCONNECT reason=0x04 Disconnect with Will Message session_expiry_s=7"]
    );
}

/// What DISCONNECT is to say besides its reason, however the connection is ended.
#[test]
fn a_farewell_is_said_by_every_disconnect_of_ours() {
    let user_properties = vec![("k".to_owned(), "v".to_owned())];
    let reason_string = Some("done".to_owned());
    let farewell = Farewell { reason_string, user_properties, session_expiry_s: Some(9) };
    let mut harness = Harness::connected(Options { farewell: farewell.clone(), ..lasting() });
    harness.close(s(5));
    let words = harness.hear();
    for part in ["reason_string=\"done\"", "session_expiry_s=9"] {
        assert!(words[0].starts_with("DISCONNECT") && words[0].contains(part), "{words:?}");
    }
    // An expiry of zero in CONNECT cannot be changed (3.14.2.2.2).
    let options = Options { farewell, ..Options::new(["mqtt://a"]) };
    let mut harness = Harness::connected(options);
    harness.close(s(5));
    assert!(!harness.hear()[0].contains("session_expiry"));
}

/// This side may want fewer messages under way than the server allows.
#[test]
fn the_smaller_of_both_windows_holds() {
    let mut harness = Harness::connected(Options { in_flight_max: 2, ..lasting() });
    for payload in ["1", "2", "3"] {
        harness.publish(message(payload, QoS::AtLeastOnce)).unwrap();
    }
    assert_eq!(harness.hear().len(), 2);
    harness.say(&Packet::PubAck(Ack::success(id(1))));
    assert_eq!(harness.hear().len(), 1);
}

/// [MQTT-2.2.1-3]: what has an identifier has it until it is answered, and a message waits for that.
#[test]
fn a_message_waits_while_subscriptions_have_all_identifiers() {
    let mut harness = Harness::connected(Options { packet_ids_max: Some(2), ..lasting() });
    for filter in ["a", "b"] {
        harness.subscribe(Subscribe::new(filter, SubscriptionOptions::default())).unwrap();
    }
    harness.hear();
    harness.publish(message("x", QoS::AtLeastOnce)).unwrap();
    assert!(harness.hear().is_empty());
    let (reasons, properties) = ([ReasonCode::Success][..].into(), AckProperties::default());
    harness.say(&Packet::SubAck(SubAck { packet_id: id(1), reasons, properties }));
    assert_eq!(harness.hear(), ["PUBLISH topic=\"t\" qos=1 id=1 payload=1 bytes"]);
}
