//! A store that does not work, or not fast enough: nothing is promised, and the rest goes on.

use skein_protocol::Packet;

use crate::{
    broker::{Broker, Peer},
    packets::{
        again, lasting, puback, publish, publish2, pubrec, pubrel, retained, subscribe, v3, v5,
    },
};

/// A broker with a durable subscriber to `t` and a clean one to everything.
fn broker(shards: usize) -> (Broker, Peer, Peer) {
    let mut broker = Broker::durable(shards);
    let keeper = broker.connect(shards - 1, lasting("keeper", 1_000));
    broker.ask(keeper, subscribe(1, "t", 2), ["SUBACK #1 0x02"]);
    let clean = broker.connect(0, v5("clean"));
    broker.ask(clean, subscribe(1, "#", 1), ["SUBACK #1 0x01"]);
    (broker, keeper, clean)
}

#[test]
fn who_waits_for_an_answer_is_told_and_closed() {
    for (is_disk_full, reason) in [(true, "0x97"), (false, "0x83")] {
        let (mut broker, ..) = broker(2);
        broker.hold_store();
        let publisher = broker.connect(0, v5("publisher"));
        let older = broker.connect(1, v3("older", true));
        let bystander = broker.connect(1, v5("bystander"));
        broker.send(publisher, publish(1, "t", "x"));
        broker.send(older, publish2(1, "t", "x"));
        broker.fail_store(is_disk_full);
        broker.expect(publisher, [&*format!("DISCONNECT {reason}")]);
        broker.expect_nothing(older);
        assert!(broker.is_closed(publisher) && broker.is_closed(older));
        broker.ask(bystander, Packet::PingReq, ["PINGRESP"]);
        assert_eq!(broker.noted("store-failed").len(), 2, "each shard says so once");
    }
}

/// [MQTT-4.3.2-4], [MQTT-4.3.3-8]
#[test]
fn while_the_store_fails_publishes_that_need_it_are_refused_and_others_are_not() {
    for (is_disk_full, reason) in [(true, "0x97"), (false, "0x83")] {
        let (mut broker, keeper, clean) = broker(2);
        broker.fail_store(is_disk_full);
        let publisher = broker.connect(0, v5("publisher"));
        broker.ask(publisher, publish(1, "t", "x"), [&*format!("PUBACK #1 {reason}")]);
        broker.ask(publisher, publish2(2, "t", "x"), [&*format!("PUBREC #2 {reason}")]);
        broker.ask(publisher, publish(3, "other", "x"), ["PUBACK #3"]);
        broker.ask(publisher, publish(0, "t", "x"), []);
        broker.expect(clean, ["PUBLISH other x q1 #1", "PUBLISH t x"]);
        broker.expect(keeper, ["PUBLISH t x"]);
        broker.release_store();
        broker.ask(publisher, publish(1, "t", "y"), ["PUBACK #1"]);
        broker.ask(publisher, publish2(2, "t", "z"), ["PUBREC #2"]);
        broker.expect(keeper, ["PUBLISH t y q1 #1", "PUBLISH t z q2 #2"]);
        assert_eq!(broker.noted("store-works").len(), 2);
    }
}

/// Before 5.0 a refusal is the end of the connection; what is sent again afterwards is new.
#[test]
fn an_older_publisher_is_closed_and_loses_nothing() {
    let (mut broker, keeper, _) = broker(1);
    let publisher = broker.connect(0, v3("publisher", false));
    broker.fail_store(true);
    broker.send(publisher, publish2(7, "t", "x"));
    broker.expect_nothing(publisher);
    assert!(broker.is_closed(publisher));
    broker.release_store();
    let publisher = broker.connect(0, v3("publisher", false));
    broker.ask(publisher, again(publish2(7, "t", "x")), ["PUBREC #7"]);
    broker.expect(keeper, ["PUBLISH t x q2 #1"]);
}

#[test]
fn while_the_store_fails_no_session_begins_that_should_last() {
    let (mut broker, keeper, _) = broker(1);
    broker.fail_store(true);
    let lasting = broker.dial(0, lasting("new", 100));
    broker.expect(lasting, ["CONNACK 0x88"]);
    let older = broker.dial(0, v3("older", false));
    // Code 3 on the wire.
    broker.expect(older, ["CONNACK 0x88"]);
    broker.connect(0, v5("fleeting"));
    broker.ask(keeper, subscribe(2, "u", 1), ["SUBACK #2 0x97"]);
}

/// Nor does one end that did last: what CONNACK would say of it could not be kept.
#[test]
fn while_the_store_fails_no_session_ends_for_a_clean_start() {
    let (mut broker, keeper, _) = broker(2);
    broker.fail_store(false);
    let clean = broker.dial(0, v5("keeper"));
    broker.expect(clean, ["CONNACK 0x88"]);
    broker.ask(keeper, Packet::PingReq, ["PINGRESP"]);
    broker.release_store();
    let clean = broker.dial(0, v5("keeper"));
    broker.expect(clean, ["CONNACK 0x00"]);
    broker.expect(keeper, ["DISCONNECT 0x8E"]);
}

/// A QoS 0 message with RETAIN is delivered, and the topic keeps what it had.
#[test]
fn while_the_store_fails_nothing_is_retained_that_nobody_can_be_told_of() {
    let (mut broker, _, clean) = broker(1);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, retained("r", "old"));
    broker.fail_store(true);
    broker.send(publisher, retained("r", "new"));
    broker.expect(clean, ["PUBLISH r old", "PUBLISH r new"]);
    assert_eq!(broker.metrics(0).retained_unsafe, 1);
    let late = broker.connect(0, v5("late"));
    broker.ask(late, subscribe(1, "r", 0), ["SUBACK #1 0x00", "PUBLISH r old retain"]);
}

/// A CONNACK that waits is refused after all, and not overtaken by a DISCONNECT [MQTT-3.2.0-1].
#[test]
fn who_waits_for_the_connack_is_refused() {
    let mut broker = Broker::durable(1);
    broker.hold_store();
    let newer = broker.dial(0, lasting("newer", 100));
    let older = broker.dial(0, v3("older", false));
    broker.fail_store(false);
    for peer in [newer, older] {
        broker.expect(peer, ["CONNACK 0x88"]);
        assert!(broker.is_closed(peer));
    }
    broker.release_store();
    let newer = broker.dial(0, lasting("newer", 100));
    broker.expect(newer, ["CONNACK present 0x00"]);
}

/// The same where the connection ends for another reason.
#[test]
fn who_is_taken_over_before_the_connack_is_refused() {
    let mut broker = Broker::durable(1);
    broker.hold_store();
    let first = broker.dial(0, lasting("client", 100));
    let second = broker.dial(0, lasting("client", 100));
    broker.expect(first, ["CONNACK 0x88"]);
    assert!(broker.is_closed(first));
    broker.release_store();
    broker.expect(second, ["CONNACK present 0x00"]);
}

/// Handshakes that have begun wait, and go on where they were.
#[test]
fn handshakes_wait_until_the_store_works_again() {
    let (mut broker, keeper, _) = broker(1);
    let publisher = broker.connect(0, lasting("publisher", 100));
    broker.ask(publisher, publish2(1, "t", "x"), ["PUBREC #1"]);
    broker.expect(keeper, ["PUBLISH t x q2 #1"]);
    broker.fail_store(false);
    broker.ask(publisher, pubrel(1), []);
    broker.ask(keeper, pubrec(1), []);
    broker.release_store();
    broker.expect(publisher, ["PUBCOMP #1"]);
    broker.expect(keeper, ["PUBREL #1"]);
}

/// A shard that has nothing to make durable hears that the store works again, too.
#[test]
fn every_shard_learns_that_the_store_works_again() {
    let mut broker = Broker::durable(3);
    broker.fail_store(true);
    broker.release_store();
    for shard in 0..3 {
        let peer = broker.dial(shard, lasting(&format!("client-{shard}"), 100));
        broker.expect(peer, ["CONNACK 0x00"]);
    }
}

/// Law 8: what waits for the store is bounded.
#[test]
fn nobody_is_read_while_too_much_waits_for_the_store() {
    let (mut broker, keeper, _) = broker(1);
    let publisher = broker.connect(0, v5("publisher"));
    broker.hold_store();
    let payload = "x".repeat(1_000_000);
    for number in 1..=16 {
        broker.send(publisher, publish(number, "t", &payload));
        broker.send(keeper, puback(number));
    }
    assert!(broker.is_read(publisher) && broker.is_read(keeper));
    broker.send(publisher, publish(17, "t", &payload));
    broker.send(publisher, publish(18, "t", &payload));
    assert!(!broker.is_read(publisher) && !broker.is_read(keeper));
    broker.expect_nothing(publisher);
    broker.wait_ms(600_000);
    broker.release_store();
    assert!(broker.is_read(publisher) && broker.is_read(keeper));
    assert_eq!(broker.hear(publisher).len(), 18);
    assert_eq!(broker.metrics(0).store_pauses, 1);
}
