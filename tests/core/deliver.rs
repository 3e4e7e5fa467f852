//! A message goes to a session: at once, through its queue, or not at all and counted (3.3.4, 4.6).

use skein::{config::Overflow, shard::DropReason};
use skein_protocol::SubscriptionOptions;

use crate::{
    broker::Broker,
    packets::{
        aliased, expiring, lasting, puback, publish, publish2, subscribe, subscribe_as,
        subscribe_with, v3, v5, with_aliases, with_packet_bytes_max, with_receive_maximum,
    },
};

/// [MQTT-3.8.4-8]
#[test]
fn the_qos_is_the_lower_of_publish_and_grant() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    for (granted, expected) in [
        (0, ["PUBLISH a 0", "PUBLISH a 1", "PUBLISH a 2"]),
        (1, ["PUBLISH a 0", "PUBLISH a 1 q1 #1", "PUBLISH a 2 q1 #2"]),
        (2, ["PUBLISH a 0", "PUBLISH a 1 q1 #1", "PUBLISH a 2 q2 #2"]),
    ] {
        let subscriber = broker.connect(1, v5("subscriber"));
        broker.send(subscriber, subscribe(1, "a", granted));
        broker.hear(subscriber);
        broker.send(publisher, publish(0, "a", "0"));
        broker.send(publisher, publish(1, "a", "1"));
        broker.send(publisher, publish2(2, "a", "2"));
        broker.send(publisher, crate::packets::pubrel(2));
        broker.expect(subscriber, expected);
    }
}

/// [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.5-1]: one copy, highest QoS, all identifiers.
#[test]
fn overlapping_subscriptions_get_one_copy_with_the_best_of_all() {
    for shard in 0..2 {
        let mut broker = Broker::new(2);
        let subscriber = broker.connect(0, v5("subscriber"));
        broker.send(subscriber, subscribe_as(1, "a/+", 0, 7));
        broker.send(subscriber, subscribe_as(2, "a/#", 2, 9));
        broker.send(subscriber, subscribe(3, "a/b", 1));
        broker.hear(subscriber);
        let publisher = broker.connect(shard, v5("publisher"));
        broker.send(publisher, publish2(1, "a/b", "x"));
        let heard = broker.hear(subscriber);
        let [line] = &heard[..] else { panic!("one copy: {heard:?}") };
        assert!(line.starts_with("PUBLISH a/b x q2 #1"), "{line}");
        assert!(line.contains("id=7") && line.contains("id=9"), "{line}");
    }
}

/// [MQTT-3.8.3-3]
#[test]
fn no_local_leaves_out_ones_own_messages_and_only_its_own_subscription() {
    let no_local = |options: &mut SubscriptionOptions| options.no_local = true;
    let mut broker = Broker::new(2);
    let client = broker.connect(0, v5("client"));
    broker.send(client, subscribe_with(1, "a", 1, no_local));
    broker.send(client, subscribe_with(2, "b/+", 2, no_local));
    broker.send(client, subscribe(3, "b/#", 0));
    broker.hear(client);
    broker.ask(client, publish(0, "a", "own"), []);
    broker.ask(client, publish(0, "b/c", "own"), ["PUBLISH b/c own"]);
    let other = broker.connect(0, v5("other"));
    broker.send(other, publish(0, "a", "other's"));
    broker.expect(client, ["PUBLISH a other's"]);
}

/// [MQTT-4.7.2-1]
#[test]
fn a_leading_wildcard_does_not_match_reserved_topics() {
    let mut broker = Broker::new(2);
    let subscriber = broker.connect(0, v5("subscriber"));
    for (number, filter) in [(1, "#"), (2, "+/x")] {
        broker.send(subscriber, subscribe(number, filter, 0));
    }
    broker.hear(subscriber);
    let publisher = broker.connect(1, v5("publisher"));
    broker.ask(publisher, publish(1, "$own/x", "x"), ["PUBACK #1 0x10"]);
    broker.expect_nothing(subscriber);
    broker.ask(subscriber, subscribe(3, "$own/#", 0), ["SUBACK #3 0x00"]);
    broker.send(publisher, publish(2, "$own/x", "x"));
    broker.expect(subscriber, ["PUBLISH $own/x x"]);
}

/// [MQTT-3.3.4-9]
#[test]
fn a_receive_maximum_is_never_exceeded_and_order_is_kept() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, with_receive_maximum(v5("subscriber"), 2));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    for number in 1..=4 {
        broker.send(publisher, publish(number, "a", &number.to_string()));
    }
    broker.expect(subscriber, ["PUBLISH a 1 q1 #1", "PUBLISH a 2 q1 #2"]);
    broker.ask(subscriber, puback(2), ["PUBLISH a 3 q1 #3"]);
    broker.ask(subscriber, puback(2), []);
    broker.ask(subscriber, puback(1), ["PUBLISH a 4 q1 #4"]);
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn a_queued_message_expires_or_says_how_long_it_has_left() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, lasting("subscriber", 60));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(subscriber);
    broker.send(publisher, expiring(publish(1, "a", "short"), 5));
    broker.send(publisher, expiring(publish(2, "a", "long"), 50));
    broker.wait_ms(5_000);
    let subscriber = broker.dial(0, lasting("subscriber", 60));
    broker.expect(subscriber, ["CONNACK present 0x00", "PUBLISH a long q1 #1 expiry=45"]);
    assert_eq!(broker.metrics(1).drops_for(DropReason::Expired), 1);
}

/// [MQTT-3.3.2-5]: what has expired takes no room from what has not.
#[test]
fn expired_messages_make_room_in_a_full_queue() {
    let mut broker = Broker::with_queue(1, Overflow::DropNewest, 2);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(0, lasting("subscriber", 60));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(subscriber);
    broker.send(publisher, expiring(publish(1, "a", "1"), 5));
    broker.send(publisher, publish(2, "a", "2"));
    broker.wait_ms(5_000);
    broker.send(publisher, publish(3, "a", "3"));
    let subscriber = broker.dial(0, lasting("subscriber", 60));
    let left = ["CONNACK present 0x00", "PUBLISH a 2 q1 #1", "PUBLISH a 3 q1 #2"];
    broker.expect(subscriber, left);
    assert_eq!(broker.metrics(0).drops_for(DropReason::QueueFull), 0);
}

/// Policy `refuse`: nobody empties the queue, and nobody may fill it; time does.
#[test]
fn expired_messages_end_a_refusal() {
    let mut broker = Broker::with_queue(2, Overflow::Refuse, 4);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, lasting("subscriber", 60));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(subscriber);
    for (number, seconds) in [(1, 9), (2, 9), (3, 5), (4, 9)] {
        broker.send(publisher, expiring(publish(number, "a", "x"), seconds));
    }
    broker.hear(publisher);
    broker.ask(publisher, publish(5, "a", "y"), ["PUBACK #5 0x97"]);
    broker.wait_ms(5_000);
    broker.ask(publisher, publish(5, "a", "y"), ["PUBACK #5"]);
    broker.wait_ms(60_000);
    broker.cut(publisher);
    broker.expect_empty();
}

#[test]
fn drop_newest_and_drop_oldest_keep_the_queue_within_its_limit() {
    for (overflow, first) in [(Overflow::DropNewest, 1), (Overflow::DropOldest, 3)] {
        let mut broker = Broker::with_queue(2, overflow, 2);
        let publisher = broker.connect(0, v5("publisher"));
        let subscriber = broker.connect(1, lasting("subscriber", 60));
        broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
        broker.cut(subscriber);
        for number in 1..=4 {
            broker.send(publisher, publish(number, "a", &number.to_string()));
        }
        let subscriber = broker.dial(1, lasting("subscriber", 60));
        let lines = [1, 2].map(|id| format!("PUBLISH a {} q1 #{id}", first + id - 1));
        broker.expect(subscriber, ["CONNACK present 0x00", &lines[0], &lines[1]]);
        assert_eq!(broker.metrics(1).drops_for(DropReason::QueueFull), 2);
    }
}

/// [MQTT-3.1.2-24], [MQTT-3.1.2-25]
#[test]
fn a_message_larger_than_the_client_takes_is_dropped_and_the_next_goes_on() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, with_packet_bytes_max(v5("subscriber"), 50));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    let large = "x".repeat(60);
    for number in [0, 1] {
        broker.send(publisher, publish(number, "a", &large));
    }
    broker.send(publisher, publish(2, "a", "small"));
    broker.expect(subscriber, ["PUBLISH a small q1 #1"]);
    assert_eq!(broker.metrics(1).drops_for(DropReason::PacketTooLarge), 2);
}

/// [MQTT-3.1.2-26], [MQTT-3.3.2-8]
#[test]
fn topic_aliases_are_introduced_once_and_never_above_the_maximum() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, with_aliases(v5("subscriber"), 1));
    broker.ask(subscriber, subscribe(1, "#", 0), ["SUBACK #1 0x00"]);
    for topic in ["a", "a", "b", "a"] {
        broker.send(publisher, publish(0, topic, "x"));
    }
    let lines = ["PUBLISH a x alias=1", "PUBLISH  x alias=1", "PUBLISH b x", "PUBLISH  x alias=1"];
    broker.expect(subscriber, lines);
}

/// [MQTT-3.3.2-9], [MQTT-3.3.2-12]
#[test]
fn aliases_of_a_publisher_stand_for_their_topics_and_not_above_our_maximum() {
    let mut broker = Broker::with(2, |settings| settings.limits.topic_alias_maximum = 2);
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "#", 0), ["SUBACK #1 0x00"]);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, aliased(publish(0, "a", "x"), 2));
    broker.send(publisher, crate::packets::alias_only(2, "y"));
    broker.expect(subscriber, ["PUBLISH a x", "PUBLISH a y"]);
    broker.ask(publisher, aliased(publish(0, "a", "x"), 3), ["DISCONNECT 0x94"]);
}

/// [MQTT-3.1.2-14] of 3.1.1; 4.1: QoS 0 is not kept for who is not there, QoS 1 and 2 are.
#[test]
fn what_comes_while_a_session_has_no_connection_waits_in_order() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, v3("subscriber", false));
    broker.ask(subscriber, subscribe(1, "a", 2), ["SUBACK #1 0x02"]);
    broker.cut(subscriber);
    broker.send(publisher, publish(0, "a", "0"));
    broker.send(publisher, publish(1, "a", "1"));
    broker.send(publisher, publish2(2, "a", "2"));
    let subscriber = broker.dial(0, v3("subscriber", false));
    let lines = ["CONNACK present 0x00", "PUBLISH a 1 q1 #1", "PUBLISH a 2 q2 #2"];
    broker.expect(subscriber, lines);
}

/// A message above 16 KiB is shared by reference, also between shards.
#[test]
fn a_large_message_arrives_whole_everywhere() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let large = "x".repeat(100_000);
    let near = broker.connect(0, v5("near"));
    let far = broker.connect(1, v5("far"));
    for subscriber in [near, far] {
        broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    }
    broker.send(publisher, publish(1, "a", &large));
    for subscriber in [near, far] {
        broker.expect(subscriber, ["PUBLISH a (100000 bytes) q1 #1"]);
        broker.send(subscriber, puback(1));
    }
    assert_eq!(broker.audit(0).memory_bytes + broker.audit(1).memory_bytes, 0);
}
