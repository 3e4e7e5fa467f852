//! Promises about order, about the barrier of SUBACK, and about queues that are full.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use skein_protocol::{Publish, QoS, ReasonCode, Version};

use crate::harness::{
    Broker, Case, Heard, PATIENCE, Peer, each_shard_count, publish, publish_as, unsubscribe,
};

/// [MQTT-3.8.4-2], [MQTT-3.8.4-1]: subscribed on one connection, published at once on another, each
/// time a filter that no shard has heard of.
#[test]
fn suback_is_a_barrier_for_all_shards() {
    each_shard_count(|case, version| {
        let mut peer = case.connect(version, "peer");
        let mut publishers: Vec<Peer> =
            (0..4).map(|n| case.connect(version, &format!("publisher-{n}"))).collect();
        for round in 0..300 {
            let topic = case.name(&format!("{round}/x"));
            let filter = match round % 3 {
                0 => topic.clone(),
                1 => case.name(&format!("{round}/+")),
                _ => case.name(&format!("{round}/#")),
            };
            peer.subscribe(&filter, QoS::AtMostOnce);
            let publisher = &mut publishers[round % 4];
            publisher.send(&publish(&topic, b"at once"));
            peer.expect_message(&topic, b"at once");
            peer.send(&unsubscribe(1, &[&filter]));
            peer.expect_unsuback(1, &[0]);
        }
    });
}

/// [MQTT-3.8.4-2]: the same where the subscription is shared.
#[test]
fn suback_is_a_barrier_for_shares_too() {
    each_shard_count(|case, version| {
        let mut peer = case.connect(version, "peer");
        let mut publishers: Vec<Peer> =
            (0..4).map(|n| case.connect(version, &format!("publisher-{n}"))).collect();
        for round in 0..100 {
            let topic = case.name(&round.to_string());
            peer.subscribe(&format!("$share/group/{topic}"), QoS::AtMostOnce);
            publishers[round % 4].send(&publish(&topic, b"at once"));
            peer.expect_message(&topic, b"at once");
        }
    });
}

/// [MQTT-4.6.0-5], [MQTT-4.6.0-6], [MQTT-4.6.0-6 of 3.1.1]: per publisher and QoS, with small and
/// large messages in between.
#[test]
fn messages_of_one_publisher_arrive_in_order() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut peer = case.connect(version, "peer");
            peer.subscribe(&topic, qos);
            thread::scope(|scope| {
                for publisher in 0..3_u8 {
                    let topic = &topic;
                    scope.spawn(move || {
                        let mut other = case.connect(version, &format!("publisher-{publisher}"));
                        for n in 0..60_u8 {
                            let mut payload = vec![publisher, n];
                            payload.resize(if n % 10 == 0 { 40_000 } else { 20 }, 0);
                            other.publish(topic, &payload, qos);
                        }
                    });
                }
                let mut next = [0_u8; 3];
                while next != [60; 3] {
                    let message = peer.receive();
                    let payload = message.publish().payload;
                    let expected = &mut next[usize::from(payload[0])];
                    assert_eq!(payload[1], *expected);
                    *expected += 1;
                    peer.acknowledge(&message);
                }
            });
        }
    });
}

/// 4.6: answers come in the order of the packets.
#[test]
fn acknowledgements_come_in_the_order_of_the_messages() {
    each_shard_count(|case, version| {
        let topic = case.name("nobody");
        let mut peer = case.connect(version, "peer");
        let mut said = Vec::new();
        for id in 1..=500 {
            let qos = if id % 2 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            said.extend(crate::harness::bytes(&publish_as(qos, id, &topic, b"x"), version));
        }
        peer.send(&said);
        for id in 1..=500 {
            let received = peer.receive();
            assert_eq!(received.ack().packet_id.get(), id);
        }
        for id in (2..=500).step_by(2) {
            peer.send(&crate::harness::pubrel(id));
        }
        for id in (2..=500).step_by(2) {
            peer.expect_ack(skein_protocol::PacketType::PubComp, id, 0);
        }
    });
}

/// 3.3.4: a large message reaches many, whole, on every shard.
#[test]
fn a_large_message_reaches_everybody_whole() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let payload: Vec<u8> = (0..900_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let mut peers: Vec<Peer> = (0..8)
            .map(|n| {
                let mut peer = case.connect(version, &format!("peer-{n}"));
                peer.subscribe(&topic, if n % 2 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce });
                peer
            })
            .collect();
        let mut other = case.connect(version, "other");
        other.publish(&topic, &payload, QoS::AtLeastOnce);
        for peer in &mut peers {
            let message = peer.receive();
            assert!(message.publish().payload == payload);
            peer.acknowledge(&message);
        }
    });
}

/// Six messages of QoS 1 for a session that is away and may queue three; what it finds, and what
/// the publisher was told of the last one.
fn overflow(policy: &str) -> (Vec<u8>, ReasonCode) {
    let listener = format!("[[listener]]\naddress = \"127.0.0.1:0\"\noverflow = \"{policy}\"\n");
    let settings = format!("{listener}[limits]\nqueue_messages_max = 3");
    let case = Case::on(std::sync::Arc::new(Broker::start_as_configured(2, &settings)));
    let topic = case.name("topic");
    let (mut peer, _) = case.resume(Version::V5, "peer");
    peer.subscribe(&topic, QoS::AtLeastOnce);
    peer.leave();
    let mut other = case.connect(Version::V5, "other");
    let mut reason = ReasonCode::Success;
    for n in 0..6 {
        reason = other.say(&Publish { qos: QoS::AtLeastOnce, ..publish(&topic, &[n]) });
        // What a full queue tells the other shards has to get there.
        thread::sleep(Duration::from_millis(10));
    }
    let (mut peer, _) = case.resume(Version::V5, "peer");
    let mut came = Vec::new();
    peer.send(&crate::harness::ping());
    loop {
        match peer.hear(PATIENCE) {
            Heard::Packet(received) if received.packet().to_string() == "PINGRESP" => break,
            Heard::Packet(message) => {
                came.extend(message.publish().payload);
                peer.acknowledge(&message);
            }
            Heard::Closed | Heard::Silence => panic!("the session was to go on"),
        }
    }
    (came, reason)
}

/// The settings' `drop-newest`: what does not fit is dropped.
#[test]
fn a_full_queue_drops_the_newest() {
    assert_eq!(overflow("drop-newest"), (vec![0, 1, 2], ReasonCode::Success));
}

/// The settings' `drop-oldest`: what has waited longest goes.
#[test]
fn a_full_queue_drops_the_oldest() {
    assert_eq!(overflow("drop-oldest"), (vec![3, 4, 5], ReasonCode::Success));
}

/// The settings' `refuse`: before the message is the broker's, its publisher is told.
#[test]
fn a_full_queue_refuses_the_publisher() {
    assert_eq!(overflow("refuse"), (vec![0, 1, 2], ReasonCode::QuotaExceeded));
}

/// The settings' `disconnect`: a client that takes messages slower than they come loses its
/// connection, not its session.
#[test]
fn a_full_queue_disconnects_its_client() {
    let settings = "[[listener]]\naddress = \"127.0.0.1:0\"\noverflow = \"disconnect\"\n\
                    [limits]\nqueue_messages_max = 3";
    let case = Case::on(std::sync::Arc::new(Broker::start_as_configured(2, settings)));
    let (client_id, topic) = (case.name("peer"), case.name("topic"));
    let mut hello = crate::harness::persistent(Version::V5, &client_id, 60);
    hello.properties.receive_maximum = std::num::NonZeroU16::new(1);
    let (mut peer, _) = case.connect_as(&hello);
    peer.subscribe(&topic, QoS::AtLeastOnce);
    let mut other = case.connect(Version::V5, "other");
    for n in 0..6 {
        other.publish(&topic, &[n], QoS::AtLeastOnce);
    }
    peer.expect_message(&topic, &[0]);
    peer.expect_closed_with(0x97);
    let (_peer, session_present) = case.connect_as(&hello);
    assert!(session_present);
}

/// Sends so much that it cannot all wait in the kernel and in an outbox.
fn burst(case: &Case, topic: &str) {
    let mut other = case.connect(Version::V5, "burst");
    let mut payload = vec![0; BURST_PAYLOAD_BYTES];
    for n in 0..BURST {
        payload[..4].copy_from_slice(&n.to_be_bytes());
        other.send(&publish(topic, &payload));
    }
    other.expect_nothing();
}

const BURST: u32 = 8_000;
const BURST_PAYLOAD_BYTES: usize = 4_000;

/// 4.9: who reads late is waited for within the grace, and gets all of it.
#[test]
fn a_burst_for_a_late_reader_loses_nothing() {
    for shards in [1, 4] {
        let settings = "[limits]\nslow_consumer_grace_ms = 20000";
        let case = Case::on(std::sync::Arc::new(Broker::start(shards, settings)));
        let topic = case.name("topic");
        let mut peer = case.connect(Version::V5, "peer");
        peer.subscribe(&topic, QoS::AtMostOnce);
        thread::scope(|scope| {
            scope.spawn(|| burst(&case, &topic));
            thread::sleep(Duration::from_millis(300));
            for n in 0..BURST {
                let message = peer.receive();
                assert_eq!(message.publish().payload[..4], n.to_be_bytes());
            }
        });
    }
}

/// 4.9: who does not read at all holds nobody for longer than the grace, and loses only its own.
#[test]
fn a_stuck_subscriber_does_not_hold_the_others() {
    for shards in [1, 4] {
        let settings = "[limits]\nslow_consumer_grace_ms = 200";
        let case = Case::on(std::sync::Arc::new(Broker::start(shards, settings)));
        let topic = case.name("topic");
        let mut stuck = case.connect(Version::V5, "stuck");
        stuck.subscribe(&topic, QoS::AtMostOnce);
        let mut peer = case.connect(Version::V5, "peer");
        peer.subscribe(&topic, QoS::AtMostOnce);
        let started = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| burst(&case, &topic));
            for n in 0..BURST {
                let message = peer.receive();
                assert_eq!(message.publish().payload[..4], n.to_be_bytes());
            }
        });
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        stuck.cut();
    }
}

/// [MQTT-4.5.0-1], [MQTT-3.3.2-3], [MQTT-4.5.0-1 of 3.1.1], [MQTT-3.3.2-3 of 3.1.1]: everybody who
/// asked gets each message, and nobody else.
#[test]
fn messages_reach_those_who_asked_and_nobody_else() {
    each_shard_count(|case, version| {
        let filters = ["a/b", "a/+", "+/b", "a/#", "#", "+/+", "b/#", "a/b/c", "a", "/a/b", "a/b/"];
        let topics = ["a/b", "a", "a/", "a/b/c", "b", "b/b", "/a/b", "c/d/e"];
        let root = case.name("");
        let mut peers = Vec::new();
        for (n, filter) in filters.into_iter().enumerate() {
            let mut peer = case.connect(version, &format!("peer-{n}"));
            peer.subscribe(&format!("{root}{filter}"), QoS::AtMostOnce);
            peer.subscribe(&format!("{root}the/end"), QoS::AtMostOnce);
            peers.push((filter, peer));
        }
        let mut other = case.connect(version, "other");
        for topic in topics.iter().chain(&["the/end"]) {
            other.publish(&format!("{root}{topic}"), topic.as_bytes(), QoS::AtMostOnce);
        }
        for (filter, peer) in &mut peers {
            let mut came: BTreeMap<String, usize> = BTreeMap::new();
            loop {
                let message = peer.receive();
                let payload = String::from_utf8_lossy(message.publish().payload).into_owned();
                if payload == "the/end" {
                    break;
                }
                *came.entry(payload).or_default() += 1;
            }
            let expected: BTreeMap<String, usize> = topics
                .iter()
                .filter(|topic| is_match(filter, topic))
                .map(|topic| ((*topic).to_owned(), 1))
                .collect();
            assert_eq!(came, expected, "{filter}");
        }
    });
}

/// 4.7.1 in the fewest words.
fn is_match(filter: &str, topic: &str) -> bool {
    match (filter.split_once('/'), topic.split_once('/')) {
        _ if filter == "#" => true,
        (None, None) => filter == topic || filter == "+",
        (Some((level, "#")), None) => level == topic || level == "+",
        (Some((level, filter)), Some((name, topic))) => {
            (level == name || level == "+") && is_match(filter, topic)
        }
        _ => false,
    }
}

/// [MQTT-3.3.1-3], [MQTT-3.3.1-3 of 3.1.1]: that a publisher sends again is its own affair.
#[test]
fn the_dup_flag_of_the_publisher_is_not_passed_on() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        let mut other = case.connect(version, "other");
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            other.say(&Publish { dup: true, qos, ..publish(&topic, b"x") });
            let message = peer.expect_message(&topic, b"x");
            assert!(!message.publish().dup);
            peer.acknowledge(&message);
        }
    });
}

/// [MQTT-1.5.4-3], [MQTT-4.7.3-4], [MQTT-1.5.3-3 of 3.1.1], [MQTT-4.7.3-4 of 3.1.1]: text is taken
/// as it is: no mark is stripped, no accent composed, no letter made smaller.
#[test]
fn topics_are_compared_character_by_character() {
    each_shard_count(|case, version| {
        let root = case.name("");
        let twins = ["\u{FEFF}x", "x", "e\u{301}", "\u{e9}", "A", "a", " a", "a ", "/a"];
        let mut peer = case.connect(version, "peer");
        let mut other = case.connect(version, "other");
        for twin in twins {
            let filter = format!("{root}{twin}");
            peer.subscribe(&filter, QoS::AtMostOnce);
            for topic in twins {
                other.publish(&format!("{root}{topic}"), topic.as_bytes(), QoS::AtMostOnce);
            }
            other.publish(&filter, b"end", QoS::AtMostOnce);
            peer.expect_message(&filter, twin.as_bytes());
            peer.expect_message(&filter, b"end");
            peer.send(&unsubscribe(1, &[&filter]));
            peer.expect_unsuback(1, &[0]);
        }
    });
}
