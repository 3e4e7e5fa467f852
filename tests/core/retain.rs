//! Retained messages are kept by the home of their topic (3.3.1.3), within limits.

use crate::{
    broker::{Broker, Peer},
    packets::{expiring, publish, retained, retained1, subscribe, subscribe_with, v5},
};

/// [MQTT-3.3.1-5], [MQTT-3.3.1-6]
#[test]
fn the_last_retained_message_counts_and_an_empty_one_removes_it() {
    for shard in 0..2 {
        let mut broker = Broker::new(2);
        let publisher = broker.connect(shard, v5("publisher"));
        broker.send(publisher, retained("a", "old"));
        broker.send(publisher, retained("a", "new"));
        let subscriber = broker.connect(1, v5("subscriber"));
        let both = ["SUBACK #1 0x00", "PUBLISH a new retain"];
        broker.ask(subscriber, subscribe(1, "a", 0), both);
        broker.send(publisher, retained("a", ""));
        broker.expect(subscriber, ["PUBLISH a "]);
        broker.ask(subscriber, subscribe(2, "a", 0), ["SUBACK #2 0x00"]);
    }
}

/// Law 5: the publish was read before the subscription, and waits behind the lane to the home.
#[test]
fn a_retained_publish_behind_a_full_lane_is_not_missed() {
    let mut broker = Broker::new(3);
    let home = broker.name_on(2, "home");
    let publisher = broker.connect(1, v5("publisher"));
    broker.hold(1, 2);
    broker.send(publisher, retained(&home, "x"));

    let subscriber = broker.connect(0, v5("subscriber"));
    broker.ask(subscriber, subscribe(1, &home, 0), ["SUBACK #1 0x00"]);
    broker.release(1, 2);
    broker.expect(subscriber, [&format!("PUBLISH {home} x retain")]);
}

/// Law 5: the publish reaches the subscriber live, before its SUBACK and before the home.
#[test]
fn a_retained_publish_that_came_live_is_not_doubled() {
    let mut broker = Broker::new(3);
    let home = broker.name_on(2, "home");
    let publisher = broker.connect(1, v5("publisher"));
    let subscriber = broker.connect(0, v5("subscriber"));

    broker.hold(2, 0);
    broker.send(subscriber, subscribe(1, &home, 0));
    broker.hold(1, 2);
    broker.send(publisher, retained(&home, "x"));
    broker.expect(subscriber, [&format!("PUBLISH {home} x")]);
    broker.release_all();
    broker.expect(subscriber, ["SUBACK #1 0x00"]);
}

/// Live before the question is asked, in the reply all the same: between two steps of a replay.
#[test]
fn a_replay_in_steps_does_not_double_what_came_live_between_them() {
    let mut broker = Broker::with(2, |settings| settings.limits.retained_step_topics = 1);
    let publisher = broker.connect(1, v5("publisher"));
    for topic in ["a/1", "a/2", "a/3"] {
        broker.send(publisher, retained(topic, "old"));
    }
    let subscriber = broker.connect(0, v5("subscriber"));
    broker.hold(1, 0);
    broker.send(subscriber, subscribe(1, "a/#", 0));
    // The barrier's answer; then the question waits for its answers.
    broker.step(1, 0);
    broker.settle();
    broker.expect(subscriber, ["SUBACK #1 0x00"]);
    for topic in ["a/1", "a/2", "a/3"] {
        broker.send(publisher, retained(topic, "new"));
    }
    broker.release(1, 0);
    let heard = broker.hear(subscriber);
    for topic in ["a/1", "a/2", "a/3"] {
        let of_topic: Vec<&String> = heard.iter().filter(|line| line.contains(topic)).collect();
        let (last, before) = of_topic.split_last().expect("each topic comes");
        assert_eq!(**last, format!("PUBLISH {topic} new"), "and not again from the home");
        assert!(before.iter().all(|line| line.ends_with("old retain")), "{before:?}");
    }
}

/// The home's answer is older than what came live meanwhile.
#[test]
fn an_older_retained_message_never_follows_a_newer_live_one() {
    let mut broker = Broker::new(3);
    let home = broker.name_on(2, "home");
    let publisher = broker.connect(1, v5("publisher"));
    broker.send(publisher, retained(&home, "old"));
    let subscriber = broker.connect(0, v5("subscriber"));
    expect_only_the_newer(&mut broker, &home, publisher, subscriber);
}

/// The subscriber asks the topic's home, shard 2, for what is retained, and a newer message comes before
/// the answer.
#[track_caller]
fn expect_only_the_newer(broker: &mut Broker, home: &str, publisher: Peer, subscriber: Peer) {
    broker.hold(2, 0);
    broker.send(subscriber, subscribe(1, home, 0));
    broker.step(2, 0);
    broker.settle();
    broker.expect(subscriber, ["SUBACK #1 0x00"]);
    assert_eq!(broker.waiting(2, 0), 1, "the answer with the old message");
    broker.send(publisher, retained(home, "new"));
    broker.expect(subscriber, [&format!("PUBLISH {home} new")]);
    broker.release(2, 0);
    broker.expect_nothing(subscriber);
}

/// What the store had kept is older than all that comes, whichever shard publishes it.
#[test]
fn a_retained_message_from_before_a_crash_never_follows_a_newer_live_one() {
    for shard in [0, 1] {
        let mut broker = Broker::durable(3);
        let home = broker.name_on(2, "home");
        let publisher = broker.connect(shard, v5("publisher"));
        broker.ask(publisher, retained1(1, &home, "old"), ["PUBACK #1 0x10"]);
        broker.crash(0, 3);
        let publisher = broker.connect(shard, v5("publisher"));
        let subscriber = broker.connect(0, v5("subscriber"));
        expect_only_the_newer(&mut broker, &home, publisher, subscriber);
    }
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]
#[test]
fn a_retained_message_expires_and_says_how_long_it_has_left() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, expiring(retained("a", "x"), 10));
    broker.wait_ms(4_000);
    let subscriber = broker.connect(1, v5("subscriber"));
    let both = ["SUBACK #1 0x00", "PUBLISH a x retain expiry=6"];
    broker.ask(subscriber, subscribe(1, "a", 0), both);
    broker.wait_ms(6_000);
    broker.ask(subscriber, subscribe(2, "a", 0), ["SUBACK #2 0x00"]);
}

/// What has expired makes room, though nobody asks for it: else a full store stays full.
#[test]
fn expired_messages_make_room_for_others() {
    for shards in [1, 2] {
        let mut broker = Broker::with(shards, |settings| {
            settings.limits.retained_messages_max = shards;
            settings.limits.retained_step_topics = 1;
        });
        let publisher = broker.connect(0, v5("publisher"));
        let (first, second) = (broker.name_on(0, "first"), broker.name_on(0, "second"));
        let last = broker.name_on(shards - 1, "last");
        broker.send(publisher, expiring(retained(&first, "x"), 10));
        broker.send(publisher, expiring(retained(&last, "x"), 10));
        broker.ask(publisher, retained1(1, &second, "y"), ["PUBACK #1 0x97"]);
        broker.wait_ms(10_001);
        broker.ask(publisher, retained1(2, &second, "y"), ["PUBACK #2 0x10"]);
        let retained: usize = (0..shards).map(|shard| broker.audit(shard).retained.len()).sum();
        assert_eq!(retained, 1);
    }
}

/// `retained_bytes_max`: an MQTT 5 publisher is told 0x97.
#[test]
fn a_store_with_too_few_bytes_left_refuses_other_topics() {
    let mut broker = Broker::with(1, |settings| {
        settings.limits.packet_bytes_max = 1_024;
        settings.limits.retained_bytes_max = 16_384;
    });
    let publisher = broker.connect(0, v5("publisher"));
    let payload = "x".repeat(900);
    for number in 0..20 {
        let topic = format!("a/{number}");
        broker.send(publisher, retained1(1, &topic, &payload));
    }
    let heard = broker.hear(publisher);
    assert_eq!(heard.last().map(String::as_str), Some("PUBACK #1 0x97"));
    assert_eq!(broker.metrics(0).retained_refused, 0, "who is not told is not refused");
    broker.ask(publisher, retained1(2, "a/0", "smaller"), ["PUBACK #2 0x10"]);
}

/// Two shards, of which the second is a full home: it retains one topic, and no other.
fn full_home() -> (Broker, Peer, String, String) {
    let mut broker = Broker::with(2, |settings| settings.limits.retained_messages_max = 2);
    let publisher = broker.connect(0, v5("publisher"));
    let (known, other) = (broker.name_on(1, "known"), broker.name_on(1, "other"));
    broker.ask(publisher, retained1(1, &known, "x"), ["PUBACK #1 0x10"]);
    (broker, publisher, known, other)
}

/// [MQTT-3.3.1-5] Replacing a message needs no room for another topic.
#[test]
fn a_full_home_on_another_shard_still_replaces_what_it_retains() {
    let (mut broker, publisher, known, other) = full_home();
    broker.ask(publisher, retained1(2, &known, "y"), ["PUBACK #2 0x10"]);
    broker.ask(publisher, retained1(3, &other, "z"), ["PUBACK #3 0x97"]);
    let now = [(known, b"y".to_vec())].into_iter().collect();
    assert_eq!(broker.audit(1).retained, now);
    assert_eq!(broker.metrics(1).retained_refused, 0, "who is not told is not refused");
    assert_eq!(broker.metrics(0).publishes_received, 3);
}

/// [MQTT-4.6.0-5] What is sent behind a PUBLISH that waits for the home waits, too.
#[test]
fn a_publish_that_waits_for_its_home_is_passed_by_nothing() {
    let (mut broker, publisher, known, other) = full_home();
    broker.hold(1, 0);
    broker.send(publisher, retained1(2, &known, "y"));
    broker.send(publisher, publish(3, "a", "live"));
    broker.send(publisher, retained1(4, &other, "z"));
    broker.expect_nothing(publisher);
    assert!(!broker.is_read(publisher));
    broker.release(1, 0);
    broker.expect(publisher, ["PUBACK #2 0x10", "PUBACK #3 0x10", "PUBACK #4 0x97"]);
}

/// Law 4: a late answer is for nobody, and what was not acknowledged does not go anywhere.
#[test]
fn the_answer_of_a_home_to_a_publisher_that_has_gone_is_late() {
    let (mut broker, publisher, known, _) = full_home();
    broker.hold(1, 0);
    broker.send(publisher, retained1(2, &known, "y"));
    broker.cut(publisher);
    broker.release(1, 0);
    assert_eq!(broker.metrics(0).late_replies, 1);
    assert_eq!(broker.audit(1).retained[&known], b"x");
}

/// [MQTT-3.14.0-1] Other shards have stopped by then, so it is not acknowledged either.
#[test]
fn a_publish_that_waits_for_its_home_while_the_broker_stops_is_not_acknowledged() {
    let (mut broker, publisher, known, _) = full_home();
    broker.hold(1, 0);
    broker.send(publisher, retained1(2, &known, "y"));
    broker.shut_down();
    broker.release(1, 0);
    broker.expect(publisher, ["DISCONNECT 0x8B"]);
    assert_eq!(broker.audit(1).retained[&known], b"x");
}

/// [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[test]
fn the_retain_flag_of_a_live_message_is_kept_only_as_published() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let plain = broker.connect(1, v5("plain"));
    broker.ask(plain, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    let keeping = broker.connect(1, v5("keeping"));
    let packet = subscribe_with(1, "a", 0, |options| options.retain_as_published = true);
    broker.ask(keeping, packet, ["SUBACK #1 0x00"]);
    broker.send(publisher, retained("a", "x"));
    broker.expect(plain, ["PUBLISH a x"]);
    broker.expect(keeping, ["PUBLISH a x retain"]);
    broker.send(publisher, publish(0, "a", "y"));
    broker.expect(keeping, ["PUBLISH a y"]);
}
