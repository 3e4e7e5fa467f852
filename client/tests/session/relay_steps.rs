//! What a session does with messages and handshakes that it passes on, step by step.

use std::time::Duration;

use skein_client::session::{Outcome, Subscribe, Token};
use skein_client::test::Harness;
use skein_client::{Error, Options, Publish, QoS, Result, SubscriptionOptions};
use skein_protocol::{Ack, AckProperties, ConnAckProperties, Packet, ReasonCode, SubAck};

use super::id;

fn options() -> Options {
    Options {
        session_expiry_s: 3600,
        clean_start: false,
        is_relay: true,
        ..Options::new(["mqtt://fake"])
    }
}

/// The terms of a server that takes this QoS at most.
fn up_to(maximum_qos: QoS) -> ConnAckProperties<'static> {
    // The highest of all is said by leaving it out.
    let maximum_qos = Some(maximum_qos).filter(|maximum| *maximum < QoS::ExactlyOnce);
    ConnAckProperties { maximum_qos, ..Default::default() }
}

/// Passes a message on that is called this where it came from.
fn pass(far: &mut Harness, number: u16, publish: Publish, is_again: bool) -> Result<Token> {
    let token = far.session.relay_publish(publish, Some(id(number)), is_again, far.now());
    far.settle();
    token
}

fn message(qos: QoS) -> Publish {
    Publish::new("t", "x").qos(qos)
}

/// [MQTT-3.2.2-11] [MQTT-3.2.2-14]: what a server takes is known when it has accepted the connection;
/// a message that has waited for that is not one that it does not take.
#[test]
fn what_waits_for_a_connection_goes_as_the_server_takes_it() {
    let mut far = Harness::new(options());
    let early = pass(&mut far, 7, message(QoS::ExactlyOnce), true).unwrap();
    far.open();
    let opened = pass(&mut far, 8, message(QoS::ExactlyOnce).retain(), false).unwrap();
    far.accept_with(
        false,
        ConnAckProperties { retain_available: Some(false), ..up_to(QoS::AtLeastOnce) },
    );
    let late = pass(&mut far, 9, message(QoS::ExactlyOnce).retain(), false).unwrap();
    assert_eq!(
        far.hear(),
        [
            "PUBLISH topic=\"t\" qos=1 id=7 dup payload=1 bytes",
            "PUBLISH topic=\"t\" qos=1 id=8 payload=1 bytes",
            "PUBLISH topic=\"t\" qos=1 id=9 payload=1 bytes"
        ]
    );
    for (token, number) in [(early, 7), (opened, 8), (late, 9)] {
        far.say(&Packet::PubAck(Ack::success(id(number))));
        assert!(matches!(far.outcome(token), Some(Ok(Outcome::Published(_)))));
    }
}

/// [MQTT-3.2.2-11] [MQTT-3.3.1-2]: nothing is lowered for a connection that is over; what the next one
/// takes decides, and of QoS 0 there is no DUP.
#[test]
fn what_waits_between_two_connections_is_neither_refused_nor_lowered_too_far() {
    for (maximum, written) in [
        (QoS::AtMostOnce, "PUBLISH topic=\"t\" qos=0 payload=1 bytes"),
        (QoS::ExactlyOnce, "PUBLISH topic=\"t\" qos=2 id=7 dup payload=1 bytes"),
    ] {
        let mut far = Harness::new(options());
        far.open();
        far.accept_with(false, up_to(QoS::AtMostOnce));
        far.cut();
        let token = pass(&mut far, 7, message(QoS::ExactlyOnce), true).unwrap();
        far.advance(Duration::from_secs(60));
        far.open();
        far.accept_with(true, up_to(maximum));
        assert_eq!(far.hear(), [written]);
        let outcome = far.outcome(token);
        assert_eq!(maximum == QoS::AtMostOnce, matches!(outcome, Some(Ok(Outcome::Sent))));
    }
}

/// [MQTT-3.2.2-9]: a server that takes no QoS 2 holds none, and is not asked whether it does.
#[test]
fn a_server_without_qos_2_has_nothing_to_finish() {
    let mut far = Harness::new(options());
    far.session.relay_settle(id(7), far.now());
    let stray = far.session.relay_pubrel(id(9), far.now()).expect("no message has it");
    pass(&mut far, 7, message(QoS::AtLeastOnce), false).unwrap();
    far.open();
    far.accept_with(true, up_to(QoS::AtLeastOnce));
    assert_eq!(far.hear(), ["PUBLISH topic=\"t\" qos=1 id=7 payload=1 bytes"]);
    assert!(matches!(far.outcome(stray), Some(Ok(Outcome::Published(_)))));
}

/// A SUBSCRIBE that is not answered, and the name that it has.
fn subscribe(far: &mut Harness) -> String {
    far.hear();
    far.subscribe(Subscribe::new("#", SubscriptionOptions::default())).unwrap();
    far.hear().remove(0).split(' ').nth(1).unwrap().to_owned()
}

fn confirm(far: &mut Harness, number: u16) {
    let reasons = [ReasonCode::Success].into_iter().collect();
    let properties = AckProperties::default();
    far.say(&Packet::SubAck(SubAck { packet_id: id(number), reasons, properties }));
}

/// [MQTT-4.4.0-1]: PUBREL is repeated by a server that was not answered, and goes on to the other one,
/// which may hold a message with that identifier, whatever else has it here.
#[test]
fn a_pubrel_goes_on_though_a_subscribe_has_its_identifier() {
    let mut far = Harness::connected(options());
    assert_eq!(subscribe(&mut far), "id=1");
    let stray = far.session.relay_pubrel(id(1), far.now()).expect("no message has it");
    far.settle();
    assert_eq!(far.hear(), ["PUBREL id=1 reason=0x00 Success"]);
    let next = pass(&mut far, 1, message(QoS::ExactlyOnce), false).unwrap();
    far.say(&Packet::PubComp(Ack::success(id(1))));
    assert!(matches!(far.outcome(stray), Some(Ok(Outcome::Published(_)))));
    assert!(far.hear().is_empty(), "the SUBSCRIBE has it still [MQTT-2.2.1-3]");
    confirm(&mut far, 1);
    assert_eq!(far.hear(), ["PUBLISH topic=\"t\" qos=2 id=1 payload=1 bytes"]);
    assert!(far.outcome(next).is_none());
    assert!(far.session.relay_pubrel(id(1), far.now()).is_none(), "it has not been received");
}

/// [MQTT-4.3.3-10]: a new message with that identifier is not to be taken for one that is held.
#[test]
fn what_a_server_may_hold_is_finished_though_a_subscribe_has_its_identifier() {
    let mut far = Harness::connected(options());
    assert_eq!(subscribe(&mut far), "id=1");
    far.session.relay_settle(id(1), far.now());
    far.settle();
    assert_eq!(far.hear(), ["PUBREL id=1 reason=0x00 Success"]);
    pass(&mut far, 1, message(QoS::ExactlyOnce), false).unwrap();
    confirm(&mut far, 1);
    assert!(far.hear().is_empty(), "the PUBREL is not answered");
    far.say(&Packet::PubComp(Ack::success(id(1))));
    assert_eq!(far.hear(), ["PUBLISH topic=\"t\" qos=2 id=1 payload=1 bytes"]);
}

/// [MQTT-2.2.1-3]: an identifier is in use until PUBCOMP has come.
#[test]
fn nothing_else_has_an_identifier_that_a_server_is_asked_to_finish() {
    let mut far = Harness::connected(options());
    for number in [1, 2] {
        far.session.relay_pubrel(id(number), far.now()).expect("no message has it");
    }
    far.settle();
    assert_eq!(subscribe(&mut far), "id=3");
    far.publish(message(QoS::AtLeastOnce)).unwrap();
    far.say(&Packet::PubComp(Ack::success(id(1))));
    assert!(far.hear().is_empty());
    far.say(&Packet::PubComp(Ack::success(id(2))));
    assert_eq!(far.hear(), ["PUBLISH topic=\"t\" qos=1 id=4 payload=1 bytes"]);
}

/// A PUBREL that is passed on is an operation like any other: who closes waits for its answer, and it
/// ends with the session.
#[test]
fn a_pubrel_that_is_not_answered_is_waited_for_and_ends_with_the_session() {
    for is_answered in [true, false] {
        let mut far = Harness::connected(options());
        let stray = far.session.relay_pubrel(id(7), far.now()).expect("no message has it");
        far.session.relay_settle(id(8), far.now());
        far.settle();
        far.hear();
        far.close(Duration::from_secs(5));
        assert!(far.hear().is_empty() && far.outcome(stray).is_none());
        if is_answered {
            far.say(&Packet::PubComp(Ack::success(id(7))));
            assert!(matches!(far.outcome(stray), Some(Ok(Outcome::Published(_)))));
        } else {
            far.advance(Duration::from_secs(5));
            assert!(matches!(far.outcome(stray), Some(Err(Error::Closed))));
        }
        assert_eq!(far.hear(), ["DISCONNECT reason=0x00 Success"]);
    }
}
