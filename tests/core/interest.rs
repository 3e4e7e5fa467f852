//! What a shard wants is known everywhere before SUBACK says so (laws 1, 2 and 5).

use crate::{
    broker::Broker,
    packets::{publish, subscribe, unsubscribe, v5},
};

#[test]
fn law_5_suback_waits_for_the_slowest_shard() {
    let mut broker = Broker::new(3);
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.hold(0, 2);
    broker.send(subscriber, subscribe(1, "a", 0));
    broker.expect_nothing(subscriber);
    assert_eq!(broker.audit(0).waiting_subscribes, 1);
    broker.release(0, 2);
    broker.expect(subscriber, ["SUBACK #1 0x00"]);
}

#[test]
fn law_5_a_publish_read_anywhere_after_the_suback_is_delivered() {
    let mut broker = Broker::new(3);
    let publishers = [0, 1, 2].map(|shard| broker.connect(shard, v5(["x", "y", "z"][shard])));
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "+/b", 0), ["SUBACK #1 0x00"]);
    for publisher in publishers {
        broker.send(publisher, publish(0, "a/b", "x"));
        broker.expect(subscriber, ["PUBLISH a/b x"]);
    }
}

#[test]
fn law_5_a_second_subscriber_of_a_filter_waits_for_the_same_barrier() {
    let mut broker = Broker::new(2);
    let first = broker.connect(0, v5("first"));
    let second = broker.connect(0, v5("second"));
    broker.hold(0, 1);
    broker.send(first, subscribe(1, "a", 0));
    broker.send(second, subscribe(1, "a", 0));
    broker.expect_nothing(second);
    broker.release(0, 1);
    broker.expect(first, ["SUBACK #1 0x00"]);
    broker.expect(second, ["SUBACK #1 0x00"]);
}

#[test]
fn law_5_a_filter_given_up_and_wanted_again_gets_a_barrier_of_its_own() {
    let mut broker = Broker::new(2);
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    broker.hold(0, 1);
    broker.ask(subscriber, unsubscribe(2, "a"), ["UNSUBACK #2 0x00"]);
    broker.send(subscriber, subscribe(3, "a", 0));
    broker.expect_nothing(subscriber);
    broker.release(0, 1);
    broker.expect(subscriber, ["SUBACK #3 0x00"]);
    let publisher = broker.connect(1, v5("publisher"));
    broker.send(publisher, publish(0, "a", "x"));
    broker.expect(subscriber, ["PUBLISH a x"]);
}

#[test]
fn a_barrier_for_a_connection_that_is_gone_is_for_nobody() {
    let mut broker = Broker::new(2);
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.hold(0, 1);
    broker.send(subscriber, subscribe(1, "a", 0));
    broker.cut(subscriber);
    broker.release(0, 1);
    assert_eq!(broker.metrics(0).late_replies, 1);
    broker.expect_empty();
}

#[test]
fn law_2_the_others_know_what_a_shard_wants_and_no_more() {
    let mut broker = Broker::new(2);
    let subscriber = broker.connect(0, v5("subscriber"));
    for (number, filter) in [(1, "a/+"), (2, "a/b"), (3, "#")] {
        broker.send(subscriber, subscribe(number, filter, 0));
    }
    broker.send(subscriber, unsubscribe(4, "a/b"));
    assert_eq!(broker.audit(1).wanted_by[&0], broker.audit(0).wanted);
    assert_eq!(broker.audit(0).wanted.len(), 2);
    broker.cut(subscriber);
    broker.expect_empty();
}

/// Law 8: whoever feeds a full lane with subscriptions waits, as a publisher does.
#[test]
fn subscribing_without_end_does_not_fill_a_lane_without_end() {
    let mut broker = Broker::with(2, |settings| settings.limits.lane_waiting_bytes_max = 1_024);
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.hold(0, 1);
    for _ in 0..100 {
        broker.send(subscriber, subscribe(1, "a", 0));
        broker.send(subscriber, unsubscribe(2, "a"));
    }
    assert!(broker.waiting(0, 1) < 30, "{} messages wait", broker.waiting(0, 1));
    broker.release(0, 1);
    assert!(broker.is_read(subscriber));
    assert_eq!(broker.hear(subscriber).len(), 200);
}
