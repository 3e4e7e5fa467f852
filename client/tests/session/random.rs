//! Links that break at any byte, servers that forget: whatever the seed, nothing that was
//! acknowledged is lost, order is kept, and QoS 2 arrives once.
//!
//! `SEED=7 cargo test -p skein-client --test session random` replays one run.

use std::collections::BTreeMap;
use std::time::Duration;

use skein_client::session::{Subscribe, Token};
use skein_client::test::World;
use skein_client::{Backoff, Options, Publish, QoS, SubscriptionOptions};

const SEEDS: u64 = 300;
const STEPS: usize = 60;

/// What was promised, kept by an oracle that knows nothing but what was asked.
struct Run {
    world: World,
    random: fastrand::Rng,
    published: BTreeMap<Token, (u32, QoS)>,
    sent_to_client: u32,
    forgot: bool,
}

impl Run {
    fn new(seed: u64, forgetful: bool) -> Self {
        let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(2));
        let options = Options {
            session_expiry_s: 3600,
            reconnect: Some(backoff),
            receive_maximum: 4,
            ..Options::new(["mqtt://fake"])
        };
        let mut world = World::new(options);
        let wish = Subscribe::new("down", SubscriptionOptions::with_qos(QoS::ExactlyOnce));
        world.client.subscribe(wish).unwrap();
        world.run();
        let random = fastrand::Rng::with_seed(seed);
        let mut run =
            Self { world, random, published: BTreeMap::new(), sent_to_client: 0, forgot: false };
        for _ in 0..STEPS {
            run.step(forgetful);
        }
        run.finish();
        run
    }

    fn step(&mut self, forgetful: bool) {
        match self.random.u32(..10) {
            0..=3 => {
                let number = self.published.len() as u32;
                let qos = self.random.choice([QoS::AtLeastOnce, QoS::ExactlyOnce]).unwrap();
                let publish = Publish::new("up", number.to_be_bytes().to_vec()).qos(qos);
                let token = self.world.client.publish(publish).unwrap();
                self.published.insert(token, (number, qos));
            }
            4..=5 => {
                let payload = self.sent_to_client.to_be_bytes().to_vec();
                self.world.publish_to_client("down", payload, QoS::ExactlyOnce);
                self.sent_to_client += 1;
            }
            6 => self.world.client.link.to_server_left = Some(self.random.usize(1..60)),
            7 => self.world.client.link.to_client_left = Some(self.random.usize(1..60)),
            8 if forgetful && self.random.u32(..4) == 0 => {
                self.forgot = true;
                self.world.cut();
                self.world.broker.forget_session();
            }
            8 => self.world.client.link.chunk_bytes = self.random.usize(1..20),
            _ => self.world.advance(Duration::from_millis(self.random.u64(..3000))),
        }
        if self.random.bool() {
            self.world.run();
        }
        // Some messages stay with the user for a while.
        if self.random.bool() {
            let undealt = self.world.client.messages.iter().filter_map(|it| it.delivery());
            for delivery in undealt.collect::<Vec<_>>() {
                self.world.client.acknowledge(delivery);
            }
            self.world.run();
        }
    }

    /// The link is whole again, and everything comes to rest.
    fn finish(&mut self) {
        for _ in 0..20 {
            self.world.client.link.to_server_left = None;
            self.world.client.link.to_client_left = None;
            self.world.advance(Duration::from_secs(5));
            let undealt = self.world.client.messages.iter().filter_map(|it| it.delivery());
            for delivery in undealt.collect::<Vec<_>>() {
                self.world.client.acknowledge(delivery);
            }
            self.world.run();
        }
    }

    fn taken(&self) -> Vec<u32> {
        let payloads = self.world.broker.taken.iter().map(|(_, payload)| &payload[..]);
        payloads.map(|payload| u32::from_be_bytes(payload.try_into().unwrap())).collect()
    }

    fn heard(&self) -> Vec<u32> {
        let payloads = self.world.client.messages.iter().map(|message| &message.payload()[..]);
        payloads.map(|payload| u32::from_be_bytes(payload.try_into().unwrap())).collect()
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    }
}

/// Order of first arrival, whatever was repeated.
fn firsts(numbers: &[u32]) -> Vec<u32> {
    let mut firsts = Vec::new();
    for number in numbers {
        if !firsts.contains(number) {
            firsts.push(*number);
        }
    }
    firsts
}

/// [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.6.0-1]
#[test]
fn what_a_kept_session_promises_holds_whatever_the_link_does() {
    let mut resumed = 0;
    for seed in seeds() {
        let run = Run::new(seed, false);
        let all: Vec<u32> = (0..run.published.len() as u32).collect();
        let taken = run.taken();
        assert_eq!(firsts(&taken), all, "SEED={seed}: all, in order");
        for (number, qos) in run.published.values() {
            let times = taken.iter().filter(|taken| *taken == number).count();
            assert!(*qos == QoS::AtLeastOnce || times == 1, "SEED={seed}: {number} {times} times");
        }
        for token in run.published.keys() {
            let completed = run.world.client.completed.get(token);
            assert!(matches!(completed, Some(Ok(_))), "SEED={seed}: {completed:?}");
        }
        let sent: Vec<u32> = (0..run.sent_to_client).collect();
        assert_eq!(run.heard(), sent, "SEED={seed}: each once, in order");
        resumed += run.world.broker.connections - 1;
    }
    assert!(resumed > 0, "some link broke");
}

/// A server that forgets may get a message twice, but none is lost, and subscriptions come back.
#[test]
fn a_forgetful_server_loses_nothing_of_ours() {
    let mut forgot = 0;
    for seed in seeds() {
        let run = Run::new(seed, true);
        let all: Vec<u32> = (0..run.published.len() as u32).collect();
        let mut taken = firsts(&run.taken());
        taken.sort_unstable();
        assert_eq!(taken, all, "SEED={seed}");
        assert_eq!(run.world.broker.filters().collect::<Vec<_>>(), ["down"], "SEED={seed}");
        forgot += usize::from(run.forgot);
    }
    assert!(forgot > 0 || seeds().len() == 1, "some server forgot");
}
