//! A session begins, goes on or is taken over (3.1.2.4, 3.2.2.1.1).

use skein::config::{Listener, Overflow};

use crate::{
    broker::Broker,
    packets::{
        again, lasting, puback, pubcomp, pubcomp_unknown, publish, publish2, pubrec, pubrel,
        subscribe, v3, v5, with_packet_bytes_max, with_receive_maximum,
    },
};

/// [MQTT-3.1.2-4], [MQTT-3.1.2-5], [MQTT-3.2.2-2], [MQTT-3.2.2-3]
#[test]
fn session_present_says_whether_there_was_a_session() {
    let mut broker = Broker::new(2);
    let first = broker.dial(0, lasting("client", 60));
    broker.expect(first, ["CONNACK 0x00"]);
    broker.ask(first, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(first);
    let second = broker.dial(1, lasting("client", 60));
    broker.expect(second, ["CONNACK present 0x00"]);
    broker.cut(second);
    let clean = broker.dial(1, v5("client"));
    broker.expect(clean, ["CONNACK 0x00"]);
    let publisher = broker.connect(0, v5("publisher"));
    broker.ask(publisher, publish(1, "a", "x"), ["PUBACK #1 0x10"]);
}

#[test]
fn clean_session_0_of_3_1_1_lasts_and_clean_session_1_does_not() {
    let mut broker = Broker::new(2);
    for (clean, answer) in [(true, "CONNACK 0x00"), (false, "CONNACK present 0x00")] {
        let first = broker.connect(0, v3("client", clean));
        broker.cut(first);
        broker.wait_ms(1_000_000);
        let second = broker.dial(1, v3("client", false));
        broker.expect(second, [answer]);
        broker.cut(second);
        let end = broker.connect(0, v3("client", true));
        broker.cut(end);
    }
    broker.expect_empty();
}

/// [MQTT-3.1.4-3]
#[test]
fn a_takeover_tells_the_old_connection_and_keeps_the_session() {
    let mut broker = Broker::new(2);
    let old = broker.connect(0, lasting("client", 60));
    broker.ask(old, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    let new = broker.dial(1, lasting("client", 60));
    broker.expect(old, ["DISCONNECT 0x8E"]);
    broker.expect(new, ["CONNACK present 0x00"]);
    let publisher = broker.connect(1, v5("publisher"));
    broker.send(publisher, publish(0, "a", "x"));
    broker.expect(new, ["PUBLISH a x"]);
}

/// [MQTT-4.4.0-1], [MQTT-4.6.0-1]
#[test]
fn what_is_unfinished_goes_out_again_in_order_with_its_ids() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let first = broker.connect(1, lasting("client", 60));
    broker.ask(first, subscribe(1, "a", 2), ["SUBACK #1 0x02"]);
    broker.send(publisher, publish2(1, "a", "released"));
    broker.send(publisher, publish(2, "a", "unacknowledged"));
    broker.send(publisher, publish2(3, "a", "unreceived"));
    broker.hear(first);
    broker.ask(first, pubrec(1), ["PUBREL #1"]);
    broker.cut(first);
    broker.send(publisher, publish(4, "a", "queued"));

    let second = broker.dial(0, lasting("client", 60));
    let owed = [
        "CONNACK present 0x00",
        "PUBREL #1",
        "PUBLISH a unacknowledged q1 #2 dup",
        "PUBLISH a unreceived q2 #3 dup",
        "PUBLISH a queued q1 #4",
    ];
    broker.expect(second, owed);
    broker.send(second, pubcomp(1));
    broker.send(second, puback(2));
    broker.ask(second, pubrec(3), ["PUBREL #3"]);
    broker.send(second, pubcomp(3));
    broker.send(second, puback(4));
    broker.cut(second);
    let third = broker.dial(0, lasting("client", 60));
    broker.expect(third, ["CONNACK present 0x00"]);
}

/// [MQTT-3.3.4-9]
#[test]
fn a_smaller_receive_maximum_holds_for_what_is_resent() {
    let mut broker = Broker::new(1);
    let publisher = broker.connect(0, v5("publisher"));
    let first = broker.connect(0, lasting("client", 60));
    broker.ask(first, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    for number in 1..=3 {
        broker.send(publisher, publish(number, "a", "x"));
    }
    broker.cut(first);
    let second = broker.dial(0, with_receive_maximum(lasting("client", 60), 1));
    broker.expect(second, ["CONNACK present 0x00", "PUBLISH a x q1 #1 dup"]);
    broker.send(publisher, publish(4, "a", "y"));
    broker.ask(second, puback(1), ["PUBLISH a x q1 #2 dup"]);
    broker.ask(second, puback(2), ["PUBLISH a x q1 #3 dup"]);
    broker.ask(second, puback(3), ["PUBLISH a y q1 #4"]);
}

/// [MQTT-3.1.2-24], [MQTT-3.1.2-25]: dropped, counted, and the next ones go on. The client may hold
/// the id of the QoS 2 one [MQTT-4.3.3-10]; it is told to let go.
#[test]
fn a_smaller_maximum_packet_size_drops_what_is_now_too_large() {
    let mut broker = Broker::new(1);
    let publisher = broker.connect(0, v5("publisher"));
    let first = broker.connect(0, lasting("client", 60));
    broker.ask(first, subscribe(1, "a", 2), ["SUBACK #1 0x02"]);
    let large = "x".repeat(100);
    broker.send(publisher, publish(1, "a", &large));
    broker.send(publisher, publish2(2, "a", &large));
    broker.send(publisher, publish(3, "a", "small"));
    broker.cut(first);
    broker.send(publisher, publish(4, "a", &large));
    broker.send(publisher, publish(5, "a", "also small"));

    let second = broker.dial(0, with_packet_bytes_max(lasting("client", 60), 60));
    let left = [
        "CONNACK present 0x00",
        "PUBREL #2",
        "PUBLISH a small q1 #3 dup",
        "PUBLISH a also small q1 #4",
    ];
    broker.expect(second, left);
    assert_eq!(broker.metrics(0).messages_dropped, 3);
    broker.send(second, pubcomp(2));
    broker.send(second, puback(3));
    broker.send(second, puback(4));
    assert_eq!(broker.audit(0).memory_bytes, 0);
}

/// [MQTT-4.4.0-1] What was given up is not begun again, however large packets the next connection
/// takes, and its id is in use until PUBCOMP.
#[test]
fn a_qos_2_message_that_was_given_up_is_released_until_pubcomp() {
    let mut broker = Broker::new(1);
    let publisher = broker.connect(0, v5("publisher"));
    let first = broker.connect(0, lasting("client", 60));
    broker.ask(first, subscribe(1, "a", 2), ["SUBACK #1 0x02"]);
    let large = "x".repeat(100);
    broker.send(publisher, publish2(1, "a", &large));
    broker.cut(first);
    let second = broker.dial(0, with_packet_bytes_max(lasting("client", 60), 60));
    broker.expect(second, ["CONNACK present 0x00", "PUBREL #1"]);
    broker.cut(second);
    let third = broker.dial(0, lasting("client", 60));
    broker.expect(third, ["CONNACK present 0x00", "PUBREL #1"]);
    broker.send(third, pubcomp_unknown(1));
    broker.cut(third);
    let fourth = broker.dial(0, lasting("client", 60));
    broker.expect(fourth, ["CONNACK present 0x00"]);
    assert_eq!((broker.metrics(0).messages_dropped, broker.audit(0).memory_bytes), (1, 0));
}

/// [MQTT-4.3.3-10]: also across connections, by the session.
#[test]
fn a_qos_2_publish_resent_on_a_new_connection_is_delivered_once() {
    let mut broker = Broker::new(2);
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    let first = broker.connect(0, lasting("client", 60));
    broker.ask(first, publish2(7, "a", "x"), ["PUBREC #7"]);
    broker.cut(first);
    let second = broker.connect(1, lasting("client", 60));
    broker.ask(second, again(publish2(7, "a", "x")), ["PUBREC #7"]);
    broker.ask(second, pubrel(7), ["PUBCOMP #7"]);
    // On a resumed session even an unknown id is no error (3.7.2.1).
    broker.ask(second, pubrel(7), ["PUBCOMP #7"]);
    broker.expect(subscriber, ["PUBLISH a x"]);
}

/// A takeover over another listener brings its policy along.
#[test]
fn a_session_follows_the_overflow_policy_of_its_latest_listener() {
    let mut broker = Broker::with(1, |settings| {
        settings.listeners[0].overflow = Overflow::Refuse;
        settings.listeners.push(Listener { overflow: Overflow::DropOldest, ..Listener::default() });
        settings.limits.queue_messages_max = 1;
    });
    let publisher = broker.connect(0, v5("publisher"));
    let first = broker.connect(0, lasting("client", 60));
    broker.ask(first, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(first);
    broker.ask(publisher, publish(1, "a", "x"), ["PUBACK #1"]);
    broker.ask(publisher, publish(2, "a", "y"), ["PUBACK #2 0x97"]);

    broker.listener = 1;
    let second = broker.connect(0, with_receive_maximum(lasting("client", 60), 1));
    broker.cut(second);
    broker.ask(publisher, publish(2, "a", "y"), ["PUBACK #2"]);
    broker.ask(publisher, publish(3, "a", "z"), ["PUBACK #3"]);
    let third = broker.dial(0, lasting("client", 60));
    let left = ["CONNACK present 0x00", "PUBLISH a x q1 #1 dup", "PUBLISH a z q1 #2"];
    broker.expect(third, left);
}
