//! Promises about the process: how it ends.

use std::time::{Duration, Instant};

use skein_protocol::{Connect, QoS, Version};

use crate::harness::{Broker, Peer, connect, publish, will};

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

/// What waits for those who read is still written out.
#[test]
fn sigterm_runs_the_outboxes_out() {
    let broker = Broker::start(1, "");
    let mut peer = accepted(&broker, &connect(Version::V5, "peer"));
    peer.subscribe("topic", QoS::AtMostOnce);
    let mut other = accepted(&broker, &connect(Version::V5, "other"));
    let payload = vec![b'x'; 100_000];
    for _ in 0..20 {
        other.send(&publish("topic", &payload));
    }
    other.expect_nothing();
    broker.signal("TERM");
    for _ in 0..20 {
        peer.expect_message("topic", &payload);
    }
    peer.expect_closed_with(0x8B);
    other.expect_closed_with(0x8B);
    drop((peer, other));
    assert_eq!(broker.wait().code(), Some(0));
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
