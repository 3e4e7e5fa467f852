//! Slow consumers pause publishers for a while; full lanes pause those who feed them.

use skein::config::{Overflow, Settings};

use crate::{
    broker::{Broker, Peer},
    packets::{lasting, puback, publish, subscribe, v5, with_keep_alive, with_receive_maximum},
};

fn small(settings: &mut Settings) {
    let limits = &mut settings.limits;
    limits.packet_bytes_max = 1_024;
    limits.outbox_low_water_bytes = 1_024;
    limits.outbox_high_water_bytes = 4_096;
    limits.outbox_bytes_max = 16_384;
    limits.slow_consumer_grace_ms = 500;
}

/// A publisher and a subscriber that does not read, on two shards.
fn publisher_and_stalled_subscriber(broker: &mut Broker) -> (Peer, Peer) {
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.stall(subscriber);
    (publisher, subscriber)
}

fn flood(broker: &mut Broker, publisher: Peer, count: usize) {
    let payload = "x".repeat(500);
    for _ in 0..count {
        broker.send(publisher, publish(0, "a", &payload));
    }
}

/// pressing → calm
#[test]
fn a_burst_pauses_its_publisher_until_the_subscriber_has_caught_up() {
    let mut broker = Broker::with(2, small);
    let (publisher, subscriber) = publisher_and_stalled_subscriber(&mut broker);
    flood(&mut broker, publisher, 20);
    assert!(!broker.is_read(publisher));
    broker.wait_ms(400);
    broker.sip(subscriber, 2_000);
    assert!(!broker.is_read(publisher), "not yet below the low-water mark");
    broker.unstall(subscriber);
    assert!(broker.is_read(publisher));
    assert_eq!(broker.hear(subscriber).len(), 20, "a burst loses nothing");
}

/// pressing → slow → calm
#[test]
fn a_subscriber_that_stays_behind_is_slow_until_it_has_caught_up() {
    let mut broker = Broker::with(2, small);
    let (publisher, subscriber) = publisher_and_stalled_subscriber(&mut broker);
    flood(&mut broker, publisher, 20);
    broker.wait_ms(501);
    assert!(broker.is_read(publisher), "nobody waits longer than the grace");
    flood(&mut broker, publisher, 100);
    assert!(broker.is_read(publisher));
    let dropped = broker.metrics(1).messages_dropped;
    assert!(dropped >= 100, "QoS 0 is dropped and counted: {dropped}");
    broker.send(publisher, publish(9, "a", "queued"));
    broker.expect(publisher, ["PUBACK #9"]);

    broker.unstall(subscriber);
    let heard = broker.hear(subscriber);
    assert_eq!(heard.len() as u64, 121 - dropped);
    assert_eq!(heard.last().map(String::as_str), Some("PUBLISH a queued q1 #1"));
    broker.send(subscriber, puback(1));
    flood(&mut broker, publisher, 1);
    assert_eq!(broker.hear(subscriber).len(), 1, "calm again");
}

/// Who reads, but too slowly, does not get the whole grace again and again.
#[test]
fn a_subscriber_that_was_slow_lately_pauses_its_publishers_for_a_fiftieth_of_the_time() {
    let mut broker = Broker::with(2, small);
    let (publisher, subscriber) = publisher_and_stalled_subscriber(&mut broker);
    for (calm_ms, grace_ms) in [(0, 500), (1_000, 20), (2_000, 40), (25_000, 500)] {
        broker.wait_ms(calm_ms);
        broker.unstall(subscriber);
        broker.stall(subscriber);
        flood(&mut broker, publisher, 20);
        assert!(!broker.is_read(publisher), "after {calm_ms} ms");
        broker.wait_ms(grace_ms - 2);
        assert!(!broker.is_read(publisher), "after {calm_ms} ms it has {grace_ms} ms");
        broker.wait_ms(3);
        assert!(broker.is_read(publisher), "after {calm_ms} ms it has no more than {grace_ms} ms");
    }
}

#[test]
fn a_subscriber_that_leaves_lets_its_publishers_go() {
    let mut broker = Broker::with(2, small);
    let (publisher, subscriber) = publisher_and_stalled_subscriber(&mut broker);
    flood(&mut broker, publisher, 20);
    broker.cut(subscriber);
    assert!(broker.is_read(publisher));
    broker.cut(publisher);
    broker.expect_empty();
}

/// Law 4: late messages are recognised.
#[test]
fn pause_and_release_for_a_connection_that_is_gone_change_nothing() {
    let mut broker = Broker::with(2, small);
    let (publisher, subscriber) = publisher_and_stalled_subscriber(&mut broker);
    let next = broker.connect(0, v5("next"));
    broker.hold(1, 0);
    flood(&mut broker, publisher, 20);
    broker.cut(publisher);
    broker.release(1, 0);
    assert!(broker.is_read(next));
    broker.wait_ms(600);
    broker.unstall(subscriber);
    broker.cut(next);
    broker.cut(subscriber);
    broker.expect_empty();
}

/// [MQTT-3.1.2-22]: what a paused client has sent meanwhile waits to be read.
#[test]
fn a_client_that_was_not_read_is_not_silent() {
    let mut broker = Broker::with(2, |settings| {
        small(settings);
        settings.limits.slow_consumer_grace_ms = 60_000;
    });
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    broker.stall(subscriber);
    let publisher = broker.connect(0, with_keep_alive(v5("publisher"), 1));
    flood(&mut broker, publisher, 20);
    broker.wait_ms(1_600);
    broker.sleep_ms(1_400);
    // Released and looked at in one turn, before its bytes are read.
    broker.hold(1, 0);
    broker.unstall(subscriber);
    broker.step(1, 0);
    broker.tick();
    assert!(!broker.is_closed(publisher));
}

#[test]
fn law_3_a_full_lane_pauses_publishers_until_it_moves() {
    let mut broker = Broker::with(2, |settings| settings.limits.lane_waiting_bytes_max = 2_048);
    let publisher = broker.connect(0, v5("publisher"));
    let other = broker.connect(0, v5("other"));
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    broker.hold(0, 1);
    flood(&mut broker, publisher, 20);
    assert!(!broker.is_read(publisher));
    broker.send(other, publish(0, "elsewhere", "x"));
    assert!(broker.is_read(other), "only who feeds the lane waits");
    broker.release(0, 1);
    assert!(broker.is_read(publisher));
    assert_eq!(broker.hear(subscriber).len(), 20);
}

#[test]
fn a_client_that_publishes_to_itself_is_never_paused_for_itself() {
    let mut broker = Broker::with(1, small);
    let client = broker.connect(0, v5("client"));
    broker.ask(client, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    broker.stall(client);
    flood(&mut broker, client, 20);
    assert!(broker.is_read(client), "its acknowledgements come the same way");
    flood(&mut broker, client, 100);
    assert!(!broker.is_read(client), "beyond outbox_bytes_max it is not read");
    broker.unstall(client);
    assert!(broker.is_read(client));
}

/// Policy `refuse`: 0x97 before ownership is taken, and an end of it.
#[test]
fn refuse_answers_0x97_while_every_queue_is_full_and_recovers() {
    for shard in 0..2 {
        let mut broker = Broker::with_queue(2, Overflow::Refuse, 4);
        let publisher = broker.connect(shard, v5("publisher"));
        let connect = || with_receive_maximum(lasting("subscriber", 60), 1);
        let subscriber = broker.connect(1, connect());
        broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
        for number in 1..=5 {
            broker.send(publisher, publish(number, "a", "x"));
            broker.wait_ms(500);
            broker.expect(publisher, [&format!("PUBACK #{number}")]);
        }
        broker.ask(publisher, publish(6, "a", "x"), ["PUBACK #6 0x97"]);
        broker.ask(publisher, publish(6, "elsewhere", "x"), ["PUBACK #6 0x10"]);
        for number in 1..=3 {
            broker.send(subscriber, puback(number));
        }
        broker.ask(publisher, publish(6, "a", "y"), ["PUBACK #6"]);
        assert_eq!(broker.metrics(1).messages_dropped, 0);
    }
}

/// `overflow`: what happens "in the queue of a session which connected here".
#[test]
fn disconnect_closes_the_connection_whose_queue_overflows() {
    let mut broker = Broker::with_queue(2, Overflow::Disconnect, 2);
    let publisher = broker.connect(0, v5("publisher"));
    let connect = || with_receive_maximum(lasting("subscriber", 60), 1);
    let subscriber = broker.connect(1, connect());
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    for number in 1..=4 {
        broker.send(publisher, publish(number, "a", "x"));
    }
    // Half a queue pauses the publisher, for the grace.
    broker.wait_ms(500);
    broker.expect(subscriber, ["PUBLISH a x q1 #1", "DISCONNECT 0x97"]);
    assert!(broker.is_closed(subscriber));
    let subscriber = broker.dial(0, connect());
    broker.expect(subscriber, ["CONNACK present 0x00", "PUBLISH a x q1 #1 dup"]);
}
