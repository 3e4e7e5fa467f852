//! Subscriptions and what arrives for them, in simulated time.

use std::num::{NonZeroU16, NonZeroU32};

use skein_client::session::{Event, Outcome, Subscribe};
use skein_client::test::Harness;
use skein_client::{
    Error, Feature, Options, PacketId, Publish, QoS, ReasonCode, SubscriptionOptions, Version,
    Versions,
};
use skein_protocol::{
    Ack, AckProperties, ConnAckProperties, Packet, PublishProperties, SubAck, TopicName, UnsubAck,
};

use super::{id, lasting, s};

fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions::with_qos(qos)
}

fn suback(number: u16, reasons: &[ReasonCode]) -> Packet<'static> {
    let properties = AckProperties::default();
    Packet::SubAck(SubAck { packet_id: id(number), reasons: reasons.into(), properties })
}

fn publish(topic: &str, qos: QoS, number: u16, dup: bool) -> Packet<'_> {
    Packet::Publish(skein_protocol::Publish {
        dup,
        qos,
        retain: false,
        topic: Some(TopicName::new(topic).unwrap()),
        packet_id: PacketId::new(number),
        properties: PublishProperties::default(),
        payload: b"x",
    })
}

/// SUBACK is checked filter by filter: a refusal is an error, not a subscription.
#[test]
fn each_filter_has_its_own_result() {
    let mut harness = Harness::connected(lasting());
    let wish = Subscribe::new("a/+", at(QoS::ExactlyOnce))
        .filter("b/#", at(QoS::AtLeastOnce))
        .filter("c", at(QoS::AtMostOnce));
    let (token, identifier) = harness.subscribe(wish).unwrap();
    assert_eq!(
        harness.hear(),
        [format!(
            "SUBSCRIBE id=1 filters=[\"a/+\" qos=2, \"b/#\" qos=1, \"c\" qos=0] \
             identifier={identifier}"
        )]
    );
    let reasons = [ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized, ReasonCode::Success];
    harness.say(&suback(1, &reasons));
    let Some(Ok(Outcome::Subscribed(results))) = harness.outcome(token) else { panic!() };
    assert!(matches!(results[0], Ok(QoS::AtLeastOnce)), "less than asked for is granted");
    assert_eq!(results[1].as_ref().unwrap_err().reason(), Some(ReasonCode::NotAuthorized));
    assert!(matches!(results[2], Ok(QoS::AtMostOnce)));
    assert_eq!(harness.session.subscriptions().collect::<Vec<_>>(), ["a/+", "c"]);
}

/// [MQTT-3.9.3-1]
#[test]
fn a_suback_that_does_not_answer_every_filter_breaks_the_protocol() {
    let mut harness = Harness::connected(lasting());
    harness.subscribe(Subscribe::new("a", at(QoS::AtMostOnce))).unwrap();
    harness.hear();
    harness.say(&suback(1, &[ReasonCode::Success, ReasonCode::Success]));
    assert_eq!(harness.hear(), ["DISCONNECT reason=0x82 Protocol Error"]);
}

/// A subscription counts until the server has confirmed its end.
#[test]
fn a_route_stays_until_unsuback() {
    let mut harness = Harness::connected(lasting());
    harness.subscribe(Subscribe::new("a", at(QoS::AtMostOnce))).unwrap();
    harness.say(&suback(1, &[ReasonCode::Success]));
    let now = harness.now();
    let token = harness.session.unsubscribe(vec!["a".into()], now).unwrap();
    harness.settle();
    assert_eq!(harness.session.subscriptions().count(), 1);
    let (reasons, properties) = ([ReasonCode::Success][..].into(), AckProperties::default());
    harness.say(&Packet::UnsubAck(UnsubAck { packet_id: id(2), reasons, properties }));
    assert_eq!(harness.session.subscriptions().count(), 0);
    assert!(matches!(harness.outcome(token), Some(Ok(Outcome::Unsubscribed(_)))));
}

#[test]
fn what_the_server_does_not_have_is_not_asked_for() {
    let mut harness = Harness::new(lasting());
    harness.open();
    harness.accept_with(
        false,
        ConnAckProperties {
            wildcard_subscription_available: Some(false),
            shared_subscription_available: Some(false),
            subscription_identifiers_available: Some(false),
            ..Default::default()
        },
    );
    let subscribe = |filter: &'static str| Subscribe::new(filter, at(QoS::AtMostOnce));
    let result = harness.subscribe(subscribe("a/#"));
    assert!(matches!(result, Err(Error::Unsupported(Feature::WildcardSubscriptions))));
    let result = harness.subscribe(subscribe("$share/g/a"));
    assert!(matches!(result, Err(Error::Unsupported(Feature::SharedSubscriptions))));
    assert!(matches!(harness.subscribe(subscribe("a/#/b")), Err(Error::BadTopic { .. })));
    harness.subscribe(subscribe("a")).unwrap();
    assert_eq!(harness.hear(), ["SUBSCRIBE id=1 filters=[\"a\" qos=0]"], "without an identifier");
}

/// Packet ids of all kinds come from one place, and none is used twice while it is open.
#[test]
fn subscribe_and_publish_share_the_packet_ids() {
    let mut harness = Harness::connected(lasting());
    harness.publish(Publish::new("t", "x").qos(QoS::AtLeastOnce)).unwrap();
    harness.subscribe(Subscribe::new("a", at(QoS::AtMostOnce))).unwrap();
    harness.publish(Publish::new("t", "x").qos(QoS::AtLeastOnce)).unwrap();
    let heard = harness.hear();
    for (line, id) in heard.iter().zip(["id=1 ", "id=2 ", "id=3 "]) {
        assert!(line.contains(id), "{line}");
    }
}

/// A SUBSCRIBE that was on its way when the link broke is asked again.
#[test]
fn an_unanswered_subscribe_is_sent_again() {
    let mut harness = Harness::connected(lasting());
    let (token, _) = harness.subscribe(Subscribe::new("a", at(QoS::AtMostOnce))).unwrap();
    harness.cut();
    harness.advance(s(1));
    harness.reconnect(true);
    assert!(harness.hear()[0].starts_with("SUBSCRIBE id=2 filters=[\"a\""));
    harness.say(&suback(2, &[ReasonCode::Success]));
    assert!(matches!(harness.outcome(token), Some(Ok(_))));
}

/// The complaint of all MQTT clients: after a reconnect there is silence.
#[test]
fn a_lost_session_is_subscribed_to_again_with_results() {
    let mut harness = Harness::connected(lasting());
    harness.subscribe(Subscribe::new("a", at(QoS::AtLeastOnce))).unwrap();
    harness.subscribe(Subscribe::new("b", at(QoS::AtMostOnce))).unwrap();
    harness.say(&suback(1, &[ReasonCode::GrantedQoS1]));
    harness.say(&suback(2, &[ReasonCode::Success]));
    harness.cut();
    harness.advance(s(1));
    harness.reconnect(true);
    assert_eq!(harness.hear(), [""; 0], "the session is there, and so are its subscriptions");
    harness.cut();
    harness.advance(s(2));
    harness.reconnect(false);
    assert_eq!(
        harness.hear(),
        [
            "SUBSCRIBE id=3 filters=[\"a\" qos=1] identifier=1",
            "SUBSCRIBE id=4 filters=[\"b\" qos=0] identifier=2"
        ]
    );
    harness.events.clear();
    harness.say(&suback(3, &[ReasonCode::GrantedQoS1]));
    harness.say(&suback(4, &[ReasonCode::NotAuthorized]));
    assert!(matches!(&harness.events[..], [
        Event::Resubscribed { filter: a, result: Ok(QoS::AtLeastOnce) },
        Event::Resubscribed { filter: b, result: Err(Error::Rejected { .. }) },
    ] if **a == *"a" && **b == *"b"));
    assert_eq!(harness.session.subscriptions().collect::<Vec<_>>(), ["a"]);
}

/// [MQTT-4.3.2-4] [MQTT-4.3.3-8]: nothing is acknowledged before it was dealt with.
#[test]
fn messages_are_acknowledged_when_they_were_dealt_with_and_not_before() {
    let mut harness = Harness::connected(lasting());
    harness.say(&publish("t", QoS::AtMostOnce, 0, false));
    harness.say(&publish("t", QoS::AtLeastOnce, 7, false));
    harness.say(&publish("t", QoS::ExactlyOnce, 8, false));
    assert_eq!(harness.messages.len(), 3);
    assert_eq!(harness.hear(), [""; 0]);
    harness.take_messages();
    assert_eq!(
        harness.hear(),
        ["PUBACK id=7 reason=0x00 Success", "PUBREC id=8 reason=0x00 Success"]
    );
    harness.say(&Packet::PubRel(Ack::success(id(8))));
    assert_eq!(harness.hear(), ["PUBCOMP id=8 reason=0x00 Success"]);
    harness.say(&Packet::PubRel(Ack::success(id(8))));
    assert_eq!(harness.hear(), ["PUBCOMP id=8 reason=0x92 Packet Identifier not found"]);
}

/// [MQTT-4.6.0-2]: whatever order they are dealt with in, acknowledgements keep that of arrival.
#[test]
fn acknowledgements_are_put_in_order() {
    let mut harness = Harness::connected(lasting());
    for number in 1..=3 {
        harness.say(&publish("t", QoS::AtLeastOnce, number, false));
    }
    let deliveries: Vec<_> =
        harness.messages.iter().map(|message| message.delivery().unwrap()).collect();
    harness.acknowledge(deliveries[2]);
    harness.acknowledge(deliveries[1]);
    assert_eq!(harness.hear(), [""; 0]);
    harness.acknowledge(deliveries[0]);
    let acks: Vec<String> =
        (1..=3).map(|number| format!("PUBACK id={number} reason=0x00 Success")).collect();
    assert_eq!(harness.hear(), acks);
}

/// [MQTT-3.3.4-9]: a server that sends more than was announced breaks the protocol. One that slips
/// is borne.
#[test]
fn our_receive_maximum_holds() {
    let mut harness = Harness::connected(Options { receive_maximum: 2, ..lasting() });
    for number in 1..=1024 {
        harness.say(&publish("t", QoS::AtLeastOnce, number, false));
    }
    assert!(harness.session.is_up());
    harness.say(&publish("t", QoS::AtLeastOnce, 1025, false));
    assert_eq!(harness.hear(), ["DISCONNECT reason=0x93 Receive Maximum exceeded"]);
    assert_eq!(harness.messages.len(), 1024);
}

/// Before MQTT 5.0 there is no Receive Maximum, so nobody can exceed it.
#[test]
fn a_server_of_3_1_1_may_send_as_much_as_it_has_ids() {
    let versions = Versions::Only(Version::V3_1_1);
    let mut harness = Harness::connected(Options { versions, receive_maximum: 2, ..lasting() });
    for number in 1..=5000 {
        harness.say(&publish("t", QoS::AtLeastOnce, number, false));
    }
    assert!(harness.session.is_up());
    assert_eq!(harness.messages.len(), 5000);
}

/// [MQTT-4.3.3-10]: QoS 2 arrives once, whatever the link does to the handshake.
#[test]
fn a_message_of_qos_2_is_handed_out_once() {
    let mut harness = Harness::connected(lasting());
    harness.say(&publish("t", QoS::ExactlyOnce, 5, false));
    harness.take_messages();
    assert_eq!(harness.hear(), ["PUBREC id=5 reason=0x00 Success"]);
    harness.cut();
    harness.advance(s(1));
    harness.reconnect(true);
    harness.say(&publish("t", QoS::ExactlyOnce, 5, true));
    assert_eq!(harness.messages.len(), 0);
    assert_eq!(harness.hear(), ["PUBREC id=5 reason=0x00 Success"]);
}

/// Who still has a message when the link breaks answers for it on the next one.
#[test]
fn an_acknowledgement_after_a_reconnect_reaches_the_server() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut harness = Harness::connected(lasting());
        harness.say(&publish("t", qos, 5, false));
        let delivery = harness.messages[0].delivery().unwrap();
        harness.cut();
        harness.advance(s(1));
        harness.reconnect(true);
        harness.say(&publish("t", qos, 5, true));
        assert_eq!(harness.messages.len(), 1, "it is not handed out twice");
        assert_eq!(harness.hear(), [""; 0]);
        harness.acknowledge(delivery);
        assert_eq!(harness.hear().len(), 1);
    }
}

/// As above, but dealt with while there was no connection.
#[test]
fn an_acknowledgement_without_a_connection_is_remembered() {
    let mut harness = Harness::connected(lasting());
    harness.say(&publish("t", QoS::AtLeastOnce, 5, false));
    let delivery = harness.messages[0].delivery().unwrap();
    harness.cut();
    harness.acknowledge(delivery);
    harness.advance(s(1));
    harness.reconnect(true);
    harness.say(&publish("t", QoS::AtLeastOnce, 5, true));
    assert_eq!(harness.messages.len(), 1);
    assert_eq!(harness.hear(), ["PUBACK id=5 reason=0x00 Success"]);
    harness.say(&publish("t", QoS::AtLeastOnce, 5, false));
    assert_eq!(harness.messages.len(), 2, "another message with the same id is another message");
}

/// Who drops a message without an answer gets it again, whatever its QoS.
#[test]
fn a_message_that_nobody_has_is_handed_out_again() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for before_the_cut in [true, false] {
            let mut harness = Harness::connected(lasting());
            harness.say(&publish("t", qos, 5, false));
            let delivery = harness.messages[0].delivery().unwrap();
            if before_the_cut {
                harness.session.release(delivery);
            }
            harness.cut();
            if !before_the_cut {
                harness.session.release(delivery);
            }
            harness.advance(s(1));
            harness.reconnect(true);
            harness.say(&publish("t", qos, 5, true));
            assert_eq!(harness.messages.len(), 2);
            harness.take_messages();
            assert_eq!(harness.hear().len(), 1);
        }
    }
}

/// A server of old that sends again on the same connection is not a reason to hang up.
#[test]
fn a_resend_on_the_same_connection_is_borne() {
    let mut harness = Harness::connected(lasting());
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let number = qos as u16;
        harness.say(&publish("t", qos, number, false));
        harness.say(&publish("t", qos, number, true));
    }
    assert!(harness.session.is_up());
    assert_eq!(harness.messages.len(), 2);
    harness.take_messages();
    assert_eq!(harness.hear().len(), 2, "each is answered once");
}

#[test]
fn aliases_of_the_server_are_understood() {
    let mut harness = Harness::connected(lasting());
    let alias = |topic: Option<&'static str>| {
        Packet::Publish(skein_protocol::Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: topic.map(TopicName::assume_valid),
            packet_id: None,
            properties: PublishProperties {
                topic_alias: NonZeroU16::new(3),
                ..PublishProperties::default()
            },
            payload: b"x",
        })
    };
    harness.say(&alias(Some("a/b")));
    harness.say(&alias(None));
    let topics: Vec<_> = harness.messages.iter().map(|message| message.topic()).collect();
    assert_eq!(topics, ["a/b", "a/b"]);
    harness.cut();
    harness.advance(s(1));
    harness.reconnect(true);
    harness.say(&alias(None));
    assert_eq!(harness.hear(), ["DISCONNECT reason=0x82 Protocol Error"], "set on another link");
}

/// Before MQTT 5.0 an UNSUBACK has no reasons.
#[test]
fn an_unsuback_of_3_1_1_is_enough() {
    let versions = Versions::Only(Version::V3_1_1);
    let mut harness = Harness::connected(Options { versions, ..lasting() });
    let now = harness.now();
    let token = harness.session.unsubscribe(vec!["a".into(), "b".into()], now).unwrap();
    harness.settle();
    harness.say_bytes(&[0xB0, 2, 0, 1]);
    let outcome = harness.outcome(token);
    assert!(matches!(outcome, Some(Ok(Outcome::Unsubscribed(results))) if results.len() == 2));
}

/// [MQTT-4.13.1-1]
#[test]
fn packets_for_servers_are_refused() {
    for bytes in [&[0xC0, 0][..], &[0x82, 6, 0, 1, 0, 0, 1, b'a'][..]] {
        let mut harness = Harness::connected(lasting());
        harness.say_bytes(bytes);
        assert!(!harness.link.is_open());
    }
}

/// Who wants no subscription identifier, or one of their own, gets what they want.
#[test]
fn identifiers_can_be_chosen_or_left_out() {
    let mut harness = Harness::connected(lasting());
    let wish = |identifier| Subscribe::new("a", at(QoS::AtMostOnce)).identifier(identifier);
    harness.subscribe(wish(None)).unwrap();
    harness.subscribe(wish(NonZeroU32::new(7))).unwrap();
    assert_eq!(
        harness.hear(),
        [
            "SUBSCRIBE id=1 filters=[\"a\" qos=0]",
            "SUBSCRIBE id=2 filters=[\"a\" qos=0] identifier=7"
        ]
    );
}
