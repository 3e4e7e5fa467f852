//! One client at full speed, or at none, beside others who must not feel it.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use skein_protocol::{QoS, Version};

use super::{counted_by_acceptor, say, socket};
use crate::harness::{Broker, Case, Peer, bytes, connect, publish};

/// A pair of clients that measure how long a message takes from one to the other.
struct Pair {
    publisher: Peer,
    subscriber: Peer,
    topic: String,
}

impl Pair {
    fn new(case: &Case, name: &str) -> Self {
        let topic = case.name(&format!("{name}/topic"));
        let mut subscriber = case.connect(Version::V5, &format!("{name}-subscriber"));
        subscriber.subscribe(&topic, QoS::AtMostOnce);
        let publisher = case.connect(Version::V5, &format!("{name}-publisher"));
        Self { publisher, subscriber, topic }
    }

    /// The 99th percentile of so many messages, one each five milliseconds.
    fn p99(&mut self, messages: usize) -> Duration {
        let mut times: Vec<Duration> = (0..messages)
            .map(|n| {
                std::thread::sleep(Duration::from_millis(5));
                let payload = n.to_string().into_bytes();
                let started = Instant::now();
                self.publisher.publish(&self.topic, &payload, QoS::AtMostOnce);
                self.subscriber.expect_message(&self.topic, &payload);
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[messages * 99 / 100]
    }

    fn leave(self) {
        self.publisher.leave();
        self.subscriber.leave();
    }
}

/// What a machine that runs other tests beside this one makes of any time. The measured ratios are
/// in docs/security.md.
const NOISE: Duration = Duration::from_millis(100);

fn assert_alike(calm: Duration, loaded: Duration) {
    assert!(loaded <= (2 * calm).max(NOISE), "{calm:?} when calm, {loaded:?} under load");
}

/// A client that reads nothing: what waits for it is bounded, and the others do not wait.
#[test]
fn g09_a_slow_reader_holds_nobody_up_and_costs_so_much() {
    let case = Case::with_settings("");
    let mut pair = Pair::new(&case, "pair");
    let calm = pair.p99(200);
    let topic = case.name("fan-out");
    let mut stuck = case.connect(Version::V5, "stuck");
    stuck.subscribe(&topic, QoS::AtMostOnce);
    let before = case.broker.memory_bytes();
    let is_done = AtomicBool::new(false);
    let (mut most, mut loaded) = (0, Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = case.connect(Version::V5, "publisher");
            let payload = vec![b'x'; 10_240];
            for _ in 0..10_000 {
                publisher.send(&publish(&topic, &payload));
            }
            publisher.leave();
            is_done.store(true, Ordering::SeqCst);
        });
        while !is_done.load(Ordering::SeqCst) {
            loaded = loaded.max(pair.p99(50));
            most = most.max(case.broker.memory_bytes());
        }
    });
    // One outbox of 8 MiB, and what is on its way.
    let grown = most.saturating_sub(before);
    assert!(grown < 32 << 20, "{} KiB", grown / 1024);
    assert_alike(calm, loaded);
    stuck.cut();
    pair.leave();
}

/// As many connections as can be made, beside one that is there already.
#[test]
fn g14_a_storm_of_connections_does_not_hold_up_those_who_are_there() {
    let case = Case::with_settings("");
    let mut pair = Pair::new(&case, "pair");
    let calm = pair.p99(200);
    let (is_over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut loaded = Duration::ZERO;
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (case, is_over, count) = (&case, &is_over, &count);
            scope.spawn(move || {
                let name = case.name(&format!("storm-{thread}"));
                let hello = bytes(&connect(Version::V5, &name), Version::V5);
                while !is_over.load(Ordering::SeqCst) {
                    let Ok(mut socket) = TcpStream::connect(case.broker.address) else { continue };
                    say(&socket, &hello);
                    let _ = socket.read(&mut [0; 64]);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..10 {
            loaded = loaded.max(pair.p99(50));
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(count.load(Ordering::Relaxed) > 200, "that was no storm");
    assert_alike(calm, loaded);
    pair.leave();
}

/// One publisher sends all that the kernel takes.
#[test]
fn g17_a_publisher_at_line_rate_does_not_starve_others() {
    let case = Case::with_settings("");
    let mut pair = Pair::new(&case, "pair");
    let calm = pair.p99(200);
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut loaded = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flood = socket(&case);
            let name = case.name("flood");
            say(&flood, &bytes(&connect(Version::V5, &name), Version::V5));
            let one = bytes(&publish(&case.name("nobody"), &[b'x'; 64]), Version::V5);
            let many = one.repeat(500);
            while !is_over.load(Ordering::SeqCst) && say(&flood, &many) {
                sent.fetch_add(500, Ordering::Relaxed);
            }
        });
        for _ in 0..10 {
            loaded = loaded.max(pair.p99(50));
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(sent.load(Ordering::Relaxed) > 10_000, "that was no flood");
    assert_alike(calm, loaded);
    pair.leave();
}

/// A client may be held to a pace; what it sends is late then, and never lost.
#[test]
fn g17_a_client_that_is_held_to_a_pace_loses_nothing() {
    let settings = "[limits]\npublishes_per_client_per_s_max = 50\n";
    let case = Case::with_settings(settings);
    let (topic, mut subscriber) = (case.name("topic"), case.connect(Version::V5, "subscriber"));
    subscriber.subscribe(&topic, QoS::AtMostOnce);
    let mut publisher = case.connect(Version::V5, "publisher");
    let started = Instant::now();
    for n in 0..150_u8 {
        publisher.send(&publish(&topic, &[n]));
    }
    for n in 0..150_u8 {
        subscriber.expect_message(&topic, &[n]);
    }
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_millis(1_800), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(6), "{elapsed:?}");
    publisher.leave();
    subscriber.leave();
}

/// Beside clients that publish new connections are let in at a pace, and none is refused; where nobody
/// does, all are let in at once.
#[test]
fn g14_newcomers_wait_while_others_publish() {
    let case = Case::with_settings("[limits]\nnewcomers_per_shard_per_s_max = 20\n");
    let come = |name: &str| {
        let started = Instant::now();
        let peers: Vec<_> =
            (0..40).map(|n| case.connect(Version::V5, &format!("{name}-{n}"))).collect();
        let elapsed = started.elapsed();
        peers.into_iter().for_each(Peer::leave);
        elapsed
    };
    come("alone");
    assert_eq!(counted_by_acceptor(&case, "newcomers_delayed"), 0);
    let is_over = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        let mut publisher = case.connect(Version::V5, "publisher");
        let is_over = &is_over;
        scope.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                publisher.publish("t", b"x", QoS::AtMostOnce);
                std::thread::sleep(Duration::from_millis(1));
            }
            publisher.leave();
        });
        std::thread::sleep(Duration::from_millis(1_500));
        let beside = come("beside");
        is_over.store(true, Ordering::SeqCst);
        beside
    });
    assert!(beside > Duration::from_millis(700), "{beside:?} for 40 of 40 a second");
    assert!(counted_by_acceptor(&case, "newcomers_delayed") > 0);
}

/// Says at its end, whichever it is, that something is over.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The pace is one for all listeners; who comes to another one than the storm is let in all the same.
#[test]
fn g14_a_storm_at_one_listener_shuts_no_other() {
    let listeners = "[[listener]]\naddress = \"127.0.0.1:0\"\n".repeat(2);
    let settings = format!("{listeners}[limits]\nnewcomers_per_shard_per_s_max = 20\n");
    let case = Case::on(Arc::new(Broker::start_as_configured(2, &settings)));
    let mut publisher = case.connect(Version::V5, "publisher");
    let is_over = AtomicBool::new(false);
    let elapsed = std::thread::scope(|scope| {
        let _until = Until(&is_over);
        let goes_on = || !is_over.load(Ordering::SeqCst);
        scope.spawn(move || {
            while goes_on() {
                publisher.publish("t", b"x", QoS::AtMostOnce);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        std::thread::sleep(Duration::from_millis(1_500));
        let [stormed, other] = [0, 1].map(|at| case.broker.addresses[at].as_str());
        scope.spawn(move || {
            // More than are let in, and fewer than the kernel's queue holds.
            while goes_on() {
                drop(TcpStream::connect(stormed).expect("it listens"));
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        std::thread::sleep(Duration::from_millis(1_000));
        let started = Instant::now();
        let other = other.parse().expect("it has an IP address");
        let mut peer = Peer::open(other, Version::V5);
        peer.send(&connect(Version::V5, &case.name("elsewhere")));
        peer.receive().connack();
        started.elapsed()
    });
    assert!(counted_by_acceptor(&case, "newcomers_delayed") > 0);
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
}
