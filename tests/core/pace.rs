//! How fast clients may publish: who publishes more is not read until that is paid for.

use skein::config::Settings;

use crate::{
    broker::{Broker, Peer},
    packets::{aliased, publish, subscribe, v5},
};

fn publish_many(broker: &mut Broker, peer: Peer, count: usize) {
    for number in 0..count {
        broker.send(peer, publish(0, "a", &number.to_string()));
    }
}

/// A second's worth comes at once, the rest as fast as it may; nothing is lost or reordered.
#[test]
fn a_client_is_read_at_its_pace_and_loses_nothing() {
    let mut broker =
        Broker::with(2, |settings| settings.limits.publishes_per_client_per_s_max = 10);
    let publisher = broker.connect(0, v5("publisher"));
    let other = broker.connect(0, v5("other"));
    let subscriber = broker.connect(1, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    publish_many(&mut broker, publisher, 15);
    assert_eq!(broker.hear(subscriber).len(), 11);
    assert!(!broker.is_read(publisher) && broker.is_read(other));
    assert_eq!(broker.metrics(0).publishers_throttled, 1);
    broker.wait_ms(99);
    broker.expect_nothing(subscriber);
    broker.wait_ms(1);
    broker.expect(subscriber, ["PUBLISH a 11"]);
    broker.wait_ms(1_000);
    broker.expect(subscriber, ["PUBLISH a 12", "PUBLISH a 13", "PUBLISH a 14"]);
    assert!(broker.is_read(publisher));
    // Who goes while it is paused leaves no timer behind.
    publish_many(&mut broker, publisher, 15);
    for peer in [publisher, other, subscriber] {
        broker.cut(peer);
    }
    broker.expect_empty();
}

#[test]
fn bytes_are_paid_for_like_messages() {
    let mut broker =
        Broker::with(1, |settings| settings.limits.publish_bytes_per_client_per_s_max = 1_000);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, publish(0, "a", &"x".repeat(2_996)));
    assert!(!broker.is_read(publisher));
    broker.wait_ms(1_999);
    assert!(!broker.is_read(publisher));
    broker.wait_ms(2);
    assert!(broker.is_read(publisher));
}

/// By a limit that was much too low a client would wait for years, also after a reload without it.
#[test]
fn who_waits_for_an_old_limit_is_read_again_when_there_is_another() {
    let mut broker =
        Broker::with(1, |settings| settings.limits.publish_bytes_per_client_per_s_max = 1);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, publish(0, "a", &"x".repeat(100_000)));
    broker.wait_ms(3_600_000);
    assert!(!broker.is_read(publisher));
    broker.reload(|settings| settings.limits.publish_bytes_per_client_per_s_max = 100_000);
    assert!(broker.is_read(publisher));
    // The new one holds, and what was owed of the old one is no more than a second's worth.
    broker.send(publisher, publish(0, "a", &"x".repeat(100_000)));
    broker.send(publisher, publish(0, "a", &"x".repeat(50_000)));
    assert!(!broker.is_read(publisher));
    broker.reload(|settings| settings.limits.publish_bytes_per_client_per_s_max = 0);
    assert!(broker.is_read(publisher));
    publish_many(&mut broker, publisher, 50);
    assert!(broker.is_read(publisher));
    broker.cut(publisher);
    broker.expect_empty();
}

/// Each shard has its share of a listener's rate, and those who publish there have it together.
#[test]
fn the_clients_of_a_listener_share_its_pace() {
    let mut broker = Broker::with(2, |settings| settings.listeners[0].publishes_per_s_max = 20);
    let publishers = ["one", "two"].map(|name| broker.connect(0, v5(name)));
    publish_many(&mut broker, publishers[0], 10);
    assert!(publishers.iter().all(|peer| broker.is_read(*peer)));
    publish_many(&mut broker, publishers[1], 1);
    assert!(broker.is_read(publishers[0]) && !broker.is_read(publishers[1]));
    publish_many(&mut broker, publishers[0], 1);
    assert!(!broker.is_read(publishers[0]));
    // The later one waits longer.
    broker.wait_ms(100);
    assert!(!broker.is_read(publishers[0]) && broker.is_read(publishers[1]));
    broker.wait_ms(100);
    assert!(broker.is_read(publishers[0]));
}

/// Topics with an alias are bytes that a client makes the broker keep.
#[test]
fn g10_topics_with_an_alias_have_so_many_bytes_together() {
    let few = |settings: &mut Settings| settings.limits.topic_alias_bytes_max = 10;
    let mut broker = Broker::with(1, few);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, aliased(publish(0, "abcde", "x"), 1));
    broker.send(publisher, aliased(publish(0, "fghij", "x"), 2));
    broker.expect_nothing(publisher);
    broker.send(publisher, aliased(publish(0, "k", "x"), 3));
    broker.expect(publisher, ["DISCONNECT 0x97"]);
    assert!(broker.is_closed(publisher));
}
