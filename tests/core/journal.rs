//! What promises something leaves when it is durable, and not before (durability, 4.3.2, 4.3.3).

use skein::config::DurabilityMode;

use crate::{
    broker::{Broker, Peer},
    packets::{
        again, disconnect, lasting, puback, pubcomp, publish, publish2, pubrec, pubrel, retained,
        retained1, subscribe, unsubscribe, v3, v5,
    },
};

/// A broker whose durable client `keeper` has subscribed to `t` and gone, on another shard than
/// the publisher where there is one; nothing becomes durable from now on.
fn broker(shards: usize, qos: u8) -> (Broker, Peer) {
    let mut broker = Broker::durable(shards);
    let keeper = broker.connect(shards - 1, lasting("keeper", 1_000));
    let granted = format!("SUBACK #1 0x0{qos}");
    broker.ask(keeper, subscribe(1, "t", qos), [granted.as_str()]);
    broker.send(keeper, disconnect(0, None));
    let publisher = broker.connect(0, lasting("publisher", 1_000));
    broker.hold_store();
    (broker, publisher)
}

/// [MQTT-4.3.2-4]
#[test]
fn puback_waits_until_the_message_is_durable() {
    for shards in 1..=3 {
        let (mut broker, publisher) = broker(shards, 1);
        broker.send(publisher, publish(1, "t", "x"));
        broker.expect_nothing(publisher);
        broker.release_store();
        broker.expect(publisher, ["PUBACK #1"]);
    }
}

/// [MQTT-4.3.3-8]
#[test]
fn pubrec_and_pubcomp_wait_until_they_are_durable() {
    for shards in 1..=3 {
        let (mut broker, publisher) = broker(shards, 2);
        broker.send(publisher, publish2(1, "t", "x"));
        broker.send(publisher, again(publish2(1, "t", "x")));
        broker.expect_nothing(publisher);
        broker.commit();
        broker.expect(publisher, ["PUBREC #1", "PUBREC #1"]);
        broker.ask(publisher, again(publish2(1, "t", "x")), ["PUBREC #1"]);
        broker.send(publisher, pubrel(1));
        broker.expect_nothing(publisher);
        broker.release_store();
        broker.expect(publisher, ["PUBCOMP #1"]);
    }
}

#[test]
fn what_nobody_wants_to_outlive_the_broker_is_acknowledged_at_once() {
    let mut broker = Broker::durable(2);
    let subscriber = broker.connect(1, v5("clean"));
    broker.ask(subscriber, subscribe(1, "t", 2), ["SUBACK #1 0x02"]);
    let publisher = broker.connect(0, v5("publisher"));
    broker.hold_store();
    broker.ask(publisher, publish(1, "t", "x"), ["PUBACK #1"]);
    broker.expect(subscriber, ["PUBLISH t x q1 #1"]);
    broker.ask(publisher, publish2(2, "t", "y"), ["PUBREC #2"]);
    broker.ask(publisher, publish(0, "t", "z"), []);
    broker.release_store();
    assert_eq!(broker.store().records(), Vec::<String>::new());
}

/// What is behind an answer that waits keeps its place, whatever it is [MQTT-4.6.0-2].
#[test]
fn answers_keep_their_order_behind_one_that_waits() {
    let (mut broker, publisher) = broker(1, 1);
    broker.send(publisher, publish(1, "t", "x"));
    broker.send(publisher, publish(2, "nobody", "x"));
    broker.send(publisher, skein_protocol::Packet::PingReq);
    broker.expect_nothing(publisher);
    broker.release_store();
    broker.expect(publisher, ["PUBACK #1", "PUBACK #2 0x10", "PINGRESP"]);
}

/// [MQTT-4.3.3-6]
#[test]
fn publish_of_qos_2_and_pubrel_wait_and_publish_of_qos_1_does_not() {
    let mut broker = Broker::durable(1);
    let keeper = broker.connect(0, lasting("keeper", 1_000));
    broker.ask(keeper, subscribe(1, "t", 2), ["SUBACK #1 0x02"]);
    let publisher = broker.connect(0, v5("publisher"));
    broker.hold_store();
    broker.send(publisher, publish(1, "t", "one"));
    broker.expect(keeper, ["PUBLISH t one q1 #1"]);
    broker.expect_nothing(publisher);
    broker.send(keeper, puback(1));
    broker.send(publisher, publish2(2, "t", "two"));
    broker.expect_nothing(keeper);
    broker.commit();
    broker.expect(keeper, ["PUBLISH t two q2 #2"]);
    broker.send(keeper, pubrec(2));
    broker.expect_nothing(keeper);
    broker.commit();
    broker.expect(keeper, ["PUBREL #2"]);
    broker.send(keeper, pubcomp(2));
    broker.wait_ms(200);
    broker.release_store();
    assert_eq!(broker.store().state().counts().entries, 0);
}

/// [MQTT-3.2.2-2], [MQTT-3.8.4-1], [MQTT-3.10.4-4]
#[test]
fn connack_suback_and_unsuback_of_a_durable_session_wait() {
    let mut broker = Broker::durable(2);
    broker.hold_store();
    let clean = broker.connect(0, v5("clean"));
    broker.ask(clean, subscribe(1, "t", 1), ["SUBACK #1 0x01"]);
    let keeper = broker.dial(0, lasting("keeper", 1_000));
    broker.expect_nothing(keeper);
    broker.commit();
    broker.expect(keeper, ["CONNACK 0x00"]);
    broker.send(keeper, subscribe(1, "t", 1));
    broker.expect_nothing(keeper);
    broker.commit();
    broker.expect(keeper, ["SUBACK #1 0x01"]);
    broker.send(keeper, unsubscribe(2, "t"));
    broker.expect_nothing(keeper);
    broker.commit();
    broker.expect(keeper, ["UNSUBACK #2 0x00"]);
}

/// A clean start ends what was kept: its CONNACK says so only when that is durable.
#[test]
fn the_connack_of_a_clean_start_over_a_durable_session_waits() {
    let (mut broker, _) = broker(1, 1);
    let clean = broker.dial(0, v5("keeper"));
    broker.expect_nothing(clean);
    broker.release_store();
    broker.expect(clean, ["CONNACK 0x00"]);
    assert!(broker.store().state().sessions().all(|(client_id, _)| client_id != "keeper"));
}

/// The same if the session had ended before, and that is not durable.
#[test]
fn the_connack_of_a_clean_start_after_an_end_that_is_not_durable_waits() {
    let (mut broker, publisher) = broker(1, 1);
    broker.send(publisher, disconnect(0, Some(0)));
    let clean = broker.dial(0, v5("publisher"));
    broker.expect_nothing(clean);
    broker.release_store();
    broker.expect(clean, ["CONNACK 0x00"]);
}

/// A message that one session can not be sent is recorded for the next one all the same.
#[test]
fn a_message_that_is_too_large_for_one_session_is_recorded_for_the_others() {
    let mut broker = Broker::durable(1);
    let small = crate::packets::with_packet_bytes_max(lasting("a", 100), 20);
    let small = broker.connect(0, small);
    broker.send(small, subscribe(1, "t", 1));
    let large = broker.connect(0, lasting("b", 100));
    broker.send(large, subscribe(1, "t", 1));
    let publisher = broker.connect(0, v5("publisher"));
    let payload = "x".repeat(30);
    broker.ask(publisher, publish(1, "t", &payload), ["PUBACK #1"]);
    assert_eq!(broker.store().state().counts().entries, 1);
}

/// A stop in order leaves nothing behind that was recorded.
#[test]
fn a_stop_hands_over_what_nobody_waits_for() {
    let mut broker = Broker::durable(2);
    let publisher = broker.connect(0, lasting("publisher", 100));
    broker.ask(publisher, retained("t", "x"), []);
    broker.shut_down();
    let state = broker.store().state();
    assert_eq!(state.counts().retained, 1);
    assert!(state.sessions().all(|(_, session)| !session.is_connected));
}

#[test]
fn a_listener_for_memory_promises_nothing_and_records_nothing() {
    let memory = |settings: &mut skein::config::Settings| {
        settings.listeners[0].durability = DurabilityMode::Memory;
    };
    let mut broker = Broker::durable_with(1, memory);
    broker.hold_store();
    let keeper = broker.connect(0, v3("keeper", false));
    broker.ask(keeper, subscribe(1, "t", 2), ["SUBACK #1 0x02"]);
    let publisher = broker.connect(0, lasting("publisher", 1_000));
    broker.ask(publisher, publish2(1, "t", "x"), ["PUBREC #1"]);
    broker.expect(keeper, ["PUBLISH t x q2 #1"]);
    broker.release_store();
    assert_eq!(broker.store().records(), Vec::<String>::new());
}

/// [MQTT-3.3.1-5]
#[test]
fn a_retained_message_is_recorded_by_its_home_and_acknowledged_when_it_is_durable() {
    for shards in 1..=3 {
        let mut broker = Broker::durable(shards);
        let publisher = broker.connect(0, v5("publisher"));
        for home in 0..shards {
            let topic = broker.name_on(home, "topic");
            broker.hold_store();
            broker.send(publisher, retained1(1, &topic, "x"));
            broker.expect_nothing(publisher);
            broker.release_store();
            broker.expect(publisher, ["PUBACK #1 0x10"]);
            let state = broker.store().state();
            assert!(state.retained().any(|(retained, _)| retained == topic));
            broker.ask(publisher, retained(&topic, ""), []);
            broker.wait_ms(200);
            assert_eq!(broker.store().state().counts().retained, 0);
        }
    }
}

/// What nobody waits for goes to the store soon all the same.
#[test]
fn what_nobody_waits_for_is_durable_a_moment_later() {
    let mut broker = Broker::durable(1);
    let publisher = broker.connect(0, v5("publisher"));
    broker.ask(publisher, retained("t", "x"), []);
    assert_eq!(broker.store().state().counts().retained, 0);
    broker.wait_ms(100);
    assert_eq!(broker.store().state().counts().retained, 1);
}

/// A shard that has recorded what somebody waits for does not sleep on it.
#[test]
fn what_somebody_waits_for_is_not_slept_on() {
    let (mut broker, publisher) = broker(2, 2);
    broker.hold(0, 1);
    broker.send(publisher, publish2(1, "t", "x"));
    assert!(!broker.is_in_a_hurry(1));
    broker.step(0, 1);
    assert!(broker.is_in_a_hurry(1));
    broker.settle();
    assert!(!broker.is_in_a_hurry(1));
}

/// A message is stored once for all the sessions of a shard.
#[test]
fn a_message_is_recorded_once_for_all_sessions_of_a_shard() {
    let mut broker = Broker::durable(2);
    for (shard, client_id) in [(0, "a"), (0, "b"), (1, "c"), (1, "d")] {
        let peer = broker.connect(shard, lasting(client_id, 100));
        broker.send(peer, subscribe(1, "t", 1));
        broker.send(peer, disconnect(0, None));
    }
    let publisher = broker.connect(0, v5("publisher"));
    broker.ask(publisher, publish(1, "t", "x"), ["PUBACK #1"]);
    let counts = broker.store().state().counts();
    assert_eq!((counts.messages, counts.entries), (2, 4));
}

/// The batches of a publish on several shards are there together or not at all.
#[test]
fn a_message_is_on_no_shard_without_what_its_publisher_was_told() {
    let (mut broker, publisher) = broker(2, 2);
    broker.hold(0, 1);
    broker.send(publisher, publish2(1, "t", "x"));
    broker.commit();
    broker.expect_nothing(publisher);
    let state = broker.store().state();
    assert!(state.sessions().all(|(_, session)| session.held.is_empty()));
    broker.release(0, 1);
    broker.release_store();
    broker.expect(publisher, ["PUBREC #1"]);
    assert_eq!(broker.store().state().counts().entries, 1);
}

/// Between the publishes of a turn and the part that they are, something else may come. What is
/// recorded meanwhile, of whomever, waits for the part.
#[test]
fn a_part_that_comes_apart_from_its_publishes_is_waited_for() {
    let (mut broker, publisher) = broker(2, 2);
    let other = broker.connect(1, v5("other"));
    broker.hold(0, 1);
    broker.send_all(publisher, [publish2(1, "t", "x"), subscribe(2, "new", 0)]);
    assert_eq!(broker.waiting(0, 1), 3);
    broker.step(0, 1);
    broker.send(other, publish(1, "t", "y"));
    broker.commit();
    broker.expect_nothing(publisher);
    broker.expect_nothing(other);
    assert_eq!(broker.store().state().counts().entries, 0);
    broker.step(0, 1);
    broker.commit();
    broker.expect_nothing(other);
    broker.step(0, 1);
    broker.commit();
    broker.release_all();
    broker.commit();
    broker.expect(publisher, ["PUBREC #1", "SUBACK #2 0x00"]);
    broker.expect(other, ["PUBACK #1"]);
    assert_eq!(broker.store().state().counts().entries, 2);
}

/// A shard that has publishes of two others in one open batch tears neither group.
#[test]
fn publishes_of_two_shards_in_one_batch_wait_for_both_parts() {
    let mut broker = Broker::durable(3);
    let keeper = broker.connect(2, lasting("keeper", 100));
    broker.ask(keeper, subscribe(1, "t", 2), ["SUBACK #1 0x02"]);
    broker.send(keeper, disconnect(0, None));
    let publishers = [0, 1].map(|shard| broker.connect(shard, v5(["p", "q"][shard])));
    let keeper_home = (0..3).find(|shard| broker.audit(*shard).sessions.contains_key("keeper"));
    assert_eq!(keeper_home, Some(2));
    broker.hold(0, 2);
    broker.hold(1, 2);
    for publisher in publishers {
        broker.send_all(publisher, [publish2(1, "t", "x"), subscribe(2, "new", 0)]);
    }
    for (from, entries) in [(0, 0), (1, 0), (0, 0), (0, 0), (1, 0), (1, 2)] {
        broker.step(from, 2);
        broker.settle();
        assert_eq!(broker.store().state().counts().entries, entries);
    }
    broker.release_all();
    for publisher in publishers {
        broker.expect(publisher, ["PUBREC #1", "SUBACK #2 0x00"]);
    }
}

/// Two shards that tell each other something in one turn do not wait for each other for ever.
#[test]
fn groups_that_cross_each_other_become_durable() {
    let mut broker = Broker::durable(3);
    for shard in 0..3 {
        let client_id = broker.name_on(shard, "keeper");
        let peer = broker.connect(shard, lasting(&client_id, 100));
        broker.send(peer, subscribe(1, "#", 2));
        broker.send(peer, disconnect(0, None));
    }
    let names = ["p", "q", "r"].map(|stem| (0..3).map(|at| broker.name_on(at, stem)).next());
    let names: Vec<String> = names.into_iter().flatten().collect();
    let publishers: Vec<Peer> =
        (0..3).map(|shard| broker.connect(shard, lasting(&names[shard], 100))).collect();
    for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
        broker.hold(from, to);
    }
    for publisher in &publishers {
        broker.send(*publisher, publish2(1, "t", "x"));
    }
    // Of each lane the publishes come, one by one, and shards that have nothing else to do wait.
    for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
        broker.release(from, to);
    }
    for publisher in &publishers {
        broker.expect(*publisher, ["PUBREC #1"]);
    }
    assert_eq!(broker.store().state().counts().entries, 9);
}

/// Two shards that never stop telling each other something: each batch belongs with one that the
/// other has still to make. Publishers are paused before that goes on for ever.
#[test]
fn groups_of_shards_that_never_rest_become_durable() {
    let mut broker = Broker::durable(2);
    for shard in 0..2 {
        let client_id = broker.name_on(shard, "keeper");
        let keeper = broker.connect(shard, lasting(&client_id, 100));
        broker.send(keeper, subscribe(1, "#", 1));
        broker.send(keeper, disconnect(0, None));
    }
    let names = [0, 1].map(|shard| broker.name_on(shard, "publisher"));
    let publishers = [0, 1].map(|shard| broker.connect(shard, v3(&names[shard], true)));
    broker.hold(0, 1);
    broker.hold(1, 0);
    let mut acknowledged = [0; 2];
    for id in 1..=400 {
        for (shard, publisher) in publishers.into_iter().enumerate() {
            if broker.is_read(publisher) {
                broker.send(publisher, publish(id, "t", "x"));
            }
            // What the other one has told before comes only now, one turn late.
            for _ in 0..broker.waiting(1 - shard, shard) {
                broker.step(1 - shard, shard);
            }
            broker.commit();
            acknowledged[shard] += broker.hear(publisher).len();
        }
    }
    assert!(acknowledged.iter().all(|count| *count > 200), "{acknowledged:?}");
}
