//! Links that break, servers that forget, in simulated time.

use std::time::Duration;

use skein_client::session::{Event, Outcome, Subscribe};
use skein_client::test::Harness;
use skein_client::{
    Backoff, Error, Options, Publish, QoS, ReasonCode, SessionLoss, SubscriptionOptions, Verdict,
};
use skein_protocol::{Ack, Packet};

use super::{id, s};

fn options() -> Options {
    let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(8)).jitter(0.0);
    let reconnect = Some(backoff);
    Options { session_expiry_s: 600, reconnect, ..Options::new(["mqtt://a"]) }
}

fn publish(harness: &mut Harness, payload: &'static str, qos: QoS) -> skein_client::session::Token {
    harness.publish(Publish::new("t", payload).qos(qos)).unwrap()
}

/// [MQTT-4.4.0-1] [MQTT-4.6.0-1]: the original order and ids, DUP on PUBLISH only.
#[test]
fn a_resumed_session_sends_again_in_order() {
    let mut harness = Harness::connected(options());
    publish(&mut harness, "1", QoS::AtLeastOnce);
    let two = publish(&mut harness, "2", QoS::ExactlyOnce);
    publish(&mut harness, "3", QoS::ExactlyOnce);
    publish(&mut harness, "4", QoS::AtLeastOnce);
    harness.say(&Packet::PubRec(Ack::success(id(2))));
    harness.cut();
    publish(&mut harness, "5", QoS::AtLeastOnce);
    harness.advance(s(1));
    harness.reconnect(true);
    assert_eq!(
        harness.hear(),
        [
            "PUBLISH topic=\"t\" qos=1 id=1 dup payload=1 bytes",
            "PUBREL id=2 reason=0x00 Success",
            "PUBLISH topic=\"t\" qos=2 id=3 dup payload=1 bytes",
            "PUBLISH topic=\"t\" qos=1 id=4 dup payload=1 bytes",
            "PUBLISH topic=\"t\" qos=1 id=5 payload=1 bytes"
        ]
    );
    harness.say(&Packet::PubComp(Ack::success(id(2))));
    assert!(matches!(harness.outcome(two), Some(Ok(Outcome::Published(_)))));
    assert_eq!(harness.session.statistics(harness.now()).messages_resent, 3);
}

/// Nothing is silently cleared when the server has lost the session.
#[test]
fn a_lost_session_sends_again_as_new_messages_before_anything_else() {
    let mut harness = Harness::connected(options());
    let one = publish(&mut harness, "1", QoS::AtLeastOnce);
    let two = publish(&mut harness, "2", QoS::ExactlyOnce);
    harness.say(&Packet::PubRec(Ack::success(id(2))));
    let three = publish(&mut harness, "3", QoS::ExactlyOnce);
    harness.cut();
    publish(&mut harness, "4", QoS::AtLeastOnce);
    harness.advance(s(1));
    harness.events.clear();
    harness.reconnect(false);
    assert_eq!(
        harness.hear(),
        [
            "PUBLISH topic=\"t\" qos=1 id=4 payload=1 bytes",
            "PUBLISH topic=\"t\" qos=2 id=5 payload=1 bytes",
            "PUBLISH topic=\"t\" qos=1 id=6 payload=1 bytes"
        ]
    );
    assert!(harness.events.iter().any(|event| matches!(event, Event::SessionLost { resent: 2 })));
    let owned = harness.outcome(two);
    assert!(matches!(owned, Some(Ok(_))), "the server owned it since PUBREC");
    assert!(harness.outcome(one).is_none() && harness.outcome(three).is_none());
}

#[test]
fn the_policy_may_be_to_drop_or_to_stop() {
    for policy in [SessionLoss::Drop, SessionLoss::Stop] {
        let mut harness = Harness::connected(Options { session_loss: policy, ..options() });
        let one = publish(&mut harness, "1", QoS::AtLeastOnce);
        harness.cut();
        let two = publish(&mut harness, "2", QoS::AtLeastOnce);
        harness.advance(s(1));
        harness.reconnect(false);
        assert!(matches!(harness.outcome(one), Some(Err(Error::SessionLost))));
        if policy == SessionLoss::Drop {
            assert_eq!(harness.hear(), ["PUBLISH topic=\"t\" qos=1 id=2 payload=1 bytes"]);
        } else {
            assert!(matches!(harness.outcome(two), Some(Err(Error::SessionLost))));
            let why = harness.events.last();
            assert!(matches!(why, Some(Event::GaveUp { why: Error::SessionLost })));
        }
    }
}

/// A server that accepts and then kicks is not asked in a busy loop.
#[test]
fn the_delay_grows_until_a_connection_was_stable() {
    let mut harness = Harness::new(options());
    let mut waited = Vec::new();
    for lasted in [0, 0, 29, 30, 0] {
        harness.open();
        harness.accept(harness.events.iter().any(|event| matches!(event, Event::Lost { .. })));
        harness.advance(s(lasted));
        harness.cut();
        let Some(Event::Lost { retry_in: Some(delay), .. }) = harness.events.last() else {
            panic!("{:?}", harness.events)
        };
        waited.push(delay.as_secs());
        harness.advance(*delay);
    }
    assert_eq!(waited, [1, 2, 4, 1, 2]);
}

/// The first try is tried again like every other.
#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let mut harness = Harness::new(options());
    for delay in [1, 2, 4, 8, 8] {
        harness.refuse_link();
        let failed = harness.events.last();
        assert!(
            matches!(failed, Some(Event::Failed { retry_in, .. }) if *retry_in == Some(s(delay)))
        );
        harness.advance(s(delay));
    }
    assert_eq!(harness.dials.len(), 6);
    harness.open();
    harness.accept(false);
    assert!(harness.session.is_up());
}

#[test]
fn servers_are_tried_in_turn() {
    let mut harness = Harness::new(Options { servers: vec!["a".into(), "b".into()], ..options() });
    harness.refuse_link();
    harness.refuse_link();
    harness.advance(s(1));
    let servers: Vec<&str> = harness.dials.iter().map(|dial| &*dial.server).collect();
    assert_eq!(servers, ["a", "b", "a"]);
}

/// Credentials that are refused do not get better by trying; who renews them says so.
#[test]
fn stale_credentials_end_it_unless_they_are_renewed() {
    let mut harness = Harness::connected(options());
    harness.cut();
    harness.advance(s(1));
    harness.open();
    harness.refuse(ReasonCode::BadUserNameOrPassword);
    assert!(harness.session.is_stopped());
    let verdicts = vec![(ReasonCode::BadUserNameOrPassword, Verdict::Retry)];
    let mut harness = Harness::new(Options { verdicts, ..options() });
    harness.open();
    harness.hear();
    harness.refuse(ReasonCode::BadUserNameOrPassword);
    harness.session.options_mut().login = skein_client::Login::new("ada", "new");
    harness.advance(s(1));
    harness.open();
    assert!(harness.hear()[0].contains("user_name=\"ada\""), "the new login is used");
}

/// Who gives up tells everybody who waits.
#[test]
fn giving_up_ends_every_ticket() {
    let mut harness = Harness::connected(options());
    let one = publish(&mut harness, "1", QoS::AtLeastOnce);
    let two = publish(&mut harness, "2", QoS::ExactlyOnce);
    harness.say(&Packet::Disconnect(skein_protocol::Disconnect::with_reason(
        ReasonCode::SessionTakenOver,
    )));
    for token in [one, two] {
        let outcome = harness.outcome(token);
        assert!(matches!(outcome, Some(Err(Error::Disconnected { .. }))), "{outcome:?}");
    }
    assert!(harness.session.is_stopped());
    assert!(matches!(harness.publish(Publish::new("t", "x")), Err(Error::Closed)));
}

/// [MQTT-3.1.2-22] the other way round: a link that is open at this end only.
#[test]
fn a_silent_server_is_found_out_and_told() {
    let mut harness = Harness::connected(Options { keep_alive_s: 10, ..options() });
    harness.advance(s(10));
    assert_eq!(harness.hear(), ["PINGREQ"]);
    harness.advance(s(4));
    assert!(harness.session.is_up());
    harness.advance(s(1));
    assert_eq!(harness.hear(), ["DISCONNECT reason=0x8D Keep Alive timeout"]);
    assert!(matches!(harness.events.last(), Some(Event::Lost { retry_in: Some(_), .. })));
}

#[test]
fn an_answered_ping_measures_the_round_trip() {
    let mut harness = Harness::connected(Options { keep_alive_s: 10, ..options() });
    harness.advance(s(10));
    harness.advance(Duration::from_millis(250));
    harness.say(&Packet::PingResp);
    let statistics = harness.session.statistics(harness.now());
    assert_eq!(statistics.round_trip, Some(Duration::from_millis(250)));
    harness.advance(s(9));
    assert!(harness.session.is_up());
}

/// An acknowledgement of nothing does not tear the connection down.
#[test]
fn unknown_acknowledgements_are_counted_and_borne() {
    let mut harness = Harness::connected(options());
    harness.say(&Packet::PubAck(Ack::success(id(9))));
    harness.say(&Packet::PubComp(Ack::success(id(9))));
    harness.say(&Packet::PubRec(Ack::success(id(9))));
    assert_eq!(harness.hear(), ["PUBREL id=9 reason=0x92 Packet Identifier not found"]);
    assert!(harness.session.is_up());
    assert_eq!(harness.session.statistics(harness.now()).acks_unknown, 3);
}

/// A client that is closed while it waits for the next try has nothing to wait for.
#[test]
fn closing_without_a_connection_is_immediate() {
    let mut harness = Harness::connected(options());
    harness.cut();
    harness.close(s(60));
    assert!(harness.session.is_stopped());
    harness.advance(s(100));
    assert_eq!(harness.dials.len(), 1, "no further try");
}

/// A subscription that was never made is not worth a connection.
#[test]
fn closing_does_not_connect_to_subscribe() {
    let mut harness = Harness::new(options());
    let wish = Subscribe::new("a", SubscriptionOptions::with_qos(QoS::AtMostOnce));
    let (token, _) = harness.subscribe(wish).unwrap();
    harness.close(s(60));
    assert!(harness.session.is_stopped());
    assert!(matches!(harness.outcome(token), Some(Err(Error::Closed))));
}

/// With something left to deliver, the time that was granted is used to connect again.
#[test]
fn closing_with_messages_left_connects_once_more() {
    let mut harness = Harness::connected(options());
    publish(&mut harness, "1", QoS::AtLeastOnce);
    harness.cut();
    harness.close(s(60));
    harness.advance(s(1));
    harness.reconnect(true);
    harness.say(&Packet::PubAck(Ack::success(id(1))));
    assert!(matches!(harness.events.last(), Some(Event::Closed { undelivered: 0 })));
}
