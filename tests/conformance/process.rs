//! Promises about the process: how it ends.

use std::time::{Duration, Instant};

use skein_protocol::{Connect, PacketType, QoS, Version};

use crate::harness::{Broker, Peer, connect, publish_as, will};

fn accepted(broker: &Broker, connect: &Connect<'_>) -> Peer {
    let mut peer = Peer::open(broker.address, connect.version);
    peer.send(connect);
    peer.receive().connack();
    peer
}

/// 3.14.2.1, 4.13: a broker that ends says so, and the end comes soon and in order.
#[test]
fn sigterm_says_0x8b_to_everybody_and_exits_with_0() {
    for shards in [1, 2, 4] {
        for signal in ["TERM", "INT"] {
            let broker = Broker::start(shards, "");
            let mut peers: Vec<Peer> = (0..10)
                .map(|n| {
                    let version = if n % 2 == 0 { Version::V5 } else { Version::V3_1_1 };
                    accepted(&broker, &connect(version, &format!("peer-{n}")))
                })
                .collect();
            // Who has not said CONNECT yet is told nothing [MQTT-3.14.0-1].
            let mut stranger = Peer::open(broker.address, Version::V5);
            let started = Instant::now();
            broker.signal(signal);
            for peer in &mut peers {
                peer.expect_closed_with(0x8B);
            }
            stranger.expect_closed();
            drop((peers, stranger));
            let status = broker.wait();
            assert_eq!(status.code(), Some(0), "{}", broker.log());
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        }
    }
}

/// What was read before the signal is delivered to those who read, from whatever shard it came.
#[test]
fn sigterm_runs_the_lanes_and_the_outboxes_out() {
    for shards in [1, 2, 4] {
        let broker = Broker::start(shards, "");
        let mut peers: Vec<Peer> = (0..8)
            .map(|n| accepted(&broker, &connect(Version::V5, &format!("peer-{n}"))))
            .collect();
        for peer in &mut peers {
            peer.subscribe("topic", QoS::AtLeastOnce);
        }
        let mut other = accepted(&broker, &connect(Version::V5, "other"));
        let payload = vec![b'x'; 20_000];
        for id in 1..=100 {
            other.send(&publish_as(QoS::AtLeastOnce, id, "topic", &payload));
        }
        for id in 1..=100 {
            other.expect_ack(PacketType::PubAck, id, 0);
        }
        broker.signal("TERM");
        for peer in &mut peers {
            for _ in 0..100 {
                peer.expect_message("topic", &payload);
            }
            peer.expect_closed_with(0x8B);
        }
        other.expect_closed_with(0x8B);
        drop((peers, other));
        assert_eq!(broker.wait().code(), Some(0));
    }
}

/// A broker on which nobody is ends at once, also when it had clients with wills.
#[test]
fn sigterm_with_nobody_there_ends_at_once() {
    let broker = Broker::start(4, "");
    let with_will = Connect { will: Some(will("t", b"x")), ..connect(Version::V5, "peer") };
    drop(accepted(&broker, &with_will));
    let started = Instant::now();
    broker.signal("TERM");
    assert_eq!(broker.wait().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}
