//! The memory budget, and what is done as it fills.

use skein::{config::Settings, shard::DropReason};

use crate::{
    broker::Broker,
    packets::{lasting, puback, publish, retained, subscribe, v5},
};

fn budget(bytes: usize) -> impl FnOnce(&mut Settings) {
    move |settings| settings.limits.memory_bytes_max = bytes
}

/// At 80 % connections, at 95 % queues, at 100 % publishers.
#[test]
fn a_filling_budget_refuses_connections_then_queues() {
    let mut broker = Broker::with(1, budget(100_000));
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(0, lasting("subscriber", 60));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(subscriber);
    let payload = "x".repeat(5_000);
    for number in 1..=17 {
        broker.send(publisher, publish(number, "a", &payload));
    }
    let late = broker.dial(0, v5("late"));
    broker.expect(late, ["CONNACK 0x97"]);
    for number in 18..=30 {
        broker.send(publisher, publish(number, "a", &payload));
    }
    assert!(broker.metrics(0).drops_for(DropReason::Memory) > 0);
    assert!(broker.audit(0).memory_bytes <= 100_000);
    broker.wait_ms(61_000);
    assert_eq!(broker.audit(0).memory_bytes, 0);
    let late = broker.dial(0, v5("late"));
    broker.expect(late, ["CONNACK 0x00"]);
}

/// A publisher is slowed down, never stopped for good.
#[test]
fn at_the_end_of_the_budget_publishers_go_on_after_a_grace() {
    let mut broker = Broker::with(1, budget(50_000));
    let publisher = broker.connect(0, v5("publisher"));
    for number in 0..10 {
        let payload = "x".repeat(10_000);
        broker.send(publisher, retained(&format!("a/{number}"), &payload));
    }
    assert!(!broker.is_read(publisher));
    broker.wait_ms(10 * 500);
    assert!(broker.is_read(publisher));
}

/// Nobody flushes what a client does not take at all.
#[test]
fn what_piles_up_for_a_client_that_reads_nothing_is_charged() {
    let mut broker = Broker::new(1);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    broker.stall(subscriber);
    let payload = "x".repeat(100_000);
    for _ in 0..4 {
        broker.send(publisher, publish(0, "a", &payload));
    }
    assert!(broker.audit(0).memory_bytes > 250_000, "{}", broker.audit(0).memory_bytes);
    broker.unstall(subscriber);
    assert_eq!(broker.audit(0).memory_bytes, 0);
}

#[test]
fn the_account_is_zero_when_all_is_delivered() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(1, lasting("subscriber", 5));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    for number in 1..=10 {
        broker.send(publisher, publish(number, "a", "x"));
        broker.send(subscriber, puback(number));
    }
    assert_eq!(broker.audit(1).memory_bytes, 0);
    broker.send(publisher, publish(11, "a", "in flight"));
    broker.cut(subscriber);
    broker.send(publisher, publish(12, "a", "queued"));
    assert_eq!(broker.audit(1).memory_bytes, broker.audit(1).memory_bytes_counted);
    broker.wait_ms(6_000);
    broker.cut(publisher);
    broker.expect_empty();
}
