//! PUBLISH comes in: checked, routed, acknowledged (3.3).

use skein::config::Settings;
use skein_protocol::QoS;

use crate::{
    broker::Broker,
    packets::{publish, publish2, pubrel, retained, retained1, subscribe, v3, v5},
};

/// 3.4.2.1: 0x10 where nobody wants it, here or elsewhere.
#[test]
fn an_acknowledgement_says_whether_anybody_wanted_the_message() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    broker.ask(publisher, publish(1, "a", "x"), ["PUBACK #1 0x10"]);
    broker.ask(publisher, publish2(2, "a", "x"), ["PUBREC #2 0x10"]);
    broker.ask(publisher, pubrel(2), ["PUBCOMP #2"]);
    for (number, filter) in [(1, "a"), (2, "$share/g/b")] {
        let subscriber = broker.connect(1, v5(&format!("subscriber{number}")));
        broker.send(subscriber, subscribe(1, filter, 0));
    }
    broker.ask(publisher, publish(3, "a", "x"), ["PUBACK #3"]);
    broker.ask(publisher, publish2(4, "b", "x"), ["PUBREC #4"]);
}

/// What ends the connection, and with which reason.
#[test]
fn what_connack_excluded_ends_the_connection() {
    let none = |_: &mut Settings| {};
    let qos: fn(&mut Settings) = |settings| settings.limits.maximum_qos = QoS::AtLeastOnce;
    let retain: fn(&mut Settings) = |settings| settings.limits.retain_available = false;
    let levels: fn(&mut Settings) = |settings| settings.limits.topic_levels_max = 2;
    let rows: [(fn(&mut Settings), _, _); 5] = [
        (qos, publish2(1, "a", "x"), "DISCONNECT 0x9B"),
        (retain, retained("a", "x"), "DISCONNECT 0x9A"),
        (levels, publish(0, "a/b/c", "x"), "DISCONNECT 0x90"),
        (none, crate::packets::alias_only(1, "x"), "DISCONNECT 0x82"),
        (none, crate::packets::with_identifier(publish(0, "a", "x")), "DISCONNECT 0x82"),
    ];
    for (settings, packet, line) in rows {
        let mut broker = Broker::with(1, settings);
        let publisher = broker.connect(0, v5("publisher"));
        broker.ask(publisher, packet, [line]);
        assert!(broker.is_closed(publisher));
        broker.expect_empty();
    }
}

/// [MQTT-3.3.4-7]
#[test]
fn one_more_than_our_receive_maximum_ends_the_connection() {
    let mut broker = Broker::with(1, |settings| settings.limits.receive_maximum = 2);
    let publisher = broker.connect(0, v5("publisher"));
    for number in 1..=2 {
        broker.send(publisher, publish2(number, "a", "x"));
    }
    broker.hear(publisher);
    broker.ask(publisher, pubrel(1), ["PUBCOMP #1"]);
    broker.ask(publisher, publish2(3, "a", "x"), ["PUBREC #3 0x10"]);
    broker.ask(publisher, publish2(4, "a", "x"), ["DISCONNECT 0x93"]);
}

/// [MQTT-3.3.5-2]: told where the version has a reason, else accepted and dropped.
#[test]
fn a_denied_topic_is_refused_and_goes_nowhere() {
    let mut broker = Broker::with(2, |settings| {
        settings.access.deny_publish = vec!["secret/#".to_owned()];
    });
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "#", 2), ["SUBACK #1 0x02"]);
    let new = broker.connect(0, v5("new"));
    broker.ask(new, publish(0, "secret/a", "x"), []);
    broker.ask(new, publish(1, "secret/a", "x"), ["PUBACK #1 0x87"]);
    broker.ask(new, publish2(2, "secret/a", "x"), ["PUBREC #2 0x87"]);
    broker.ask(new, publish2(2, "b", "free again"), ["PUBREC #2"]);
    broker.ask(new, retained1(3, "$SYS/a", "x"), ["PUBACK #3 0x87"]);
    let old = broker.connect(0, v3("old", true));
    broker.ask(old, publish(1, "secret/a", "x"), ["PUBACK #1"]);
    broker.ask(old, publish2(2, "secret/a", "x"), ["PUBREC #2"]);
    broker.ask(old, pubrel(2), ["PUBCOMP #2"]);
    broker.expect(subscriber, ["PUBLISH b free again q2 #1"]);
}

/// [MQTT-4.6.0-5], [MQTT-4.6.0-6]: of one publisher, to one topic, in order, whatever the lanes do.
#[test]
fn law_3_messages_of_one_publisher_keep_their_order_between_shards() {
    let mut broker = Broker::with(2, |settings| settings.limits.lane_waiting_bytes_max = 1_024);
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    let publisher = broker.connect(0, v5("publisher"));
    broker.hold(0, 1);
    for number in 0..50 {
        broker.send(publisher, publish(0, "a", &number.to_string()));
        if number % 7 == 0 && broker.waiting(0, 1) > 0 {
            broker.step(0, 1);
        }
    }
    broker.release(0, 1);
    let lines: Vec<String> = (0..50).map(|number| format!("PUBLISH a {number}")).collect();
    assert_eq!(broker.hear(subscriber), lines);
}
