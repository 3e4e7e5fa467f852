//! A process between two servers that passes messages on, links that break at any byte, and the process
//! is killed again and again and remembers nothing: whatever the seed, nothing is lost, QoS 2 comes
//! once, and no server that forgets makes the other one drop what is new.
//!
//! `SEED=7 cargo test -p skein-client --test session relay` replays one run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skein_client::session::{Event, Step, Subscribe, Token};
use skein_client::test::{Harness, World};
use skein_client::{Backoff, Message, Options, Publish, QoS, ReasonCode, SubscriptionOptions};
use skein_protocol::{Ack, ConnAckProperties, Packet, PacketId};

const SEEDS: u64 = 400;
const STEPS: usize = 80;

/// The two servers and what is between them.
struct Run {
    near: World,
    far: World,
    relay: Relay,
    random: fastrand::Rng,
    published: Vec<QoS>,
    /// Whether the first server has ever forgotten its session, and the second one.
    forgot: [bool; 2],
}

/// What one process knows: nothing that outlives it.
#[derive(Default)]
struct Relay {
    passing: BTreeMap<Token, Message>,
    strays: BTreeMap<Token, PacketId>,
    /// Messages whose server has forgotten them.
    orphans: BTreeSet<Token>,
    /// Identifiers that the first server has used for a new message.
    settled: BTreeSet<PacketId>,
    heard: usize,
}

fn options() -> Options {
    let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(2));
    Options {
        session_expiry_s: 3600,
        clean_start: false,
        is_relay: true,
        reconnect: Some(backoff),
        receive_maximum: 4,
        ..Options::new(["mqtt://fake"])
    }
}

/// A process's client of one of the servers, which asks for these topics.
fn subscribed(filter: &str) -> Harness {
    let mut client = Harness::new(options());
    let wish = Subscribe::new(filter, SubscriptionOptions::with_qos(QoS::ExactlyOnce));
    client.subscribe(wish).unwrap();
    client
}

impl Run {
    fn new(seed: u64, forgetful: bool) -> Self {
        let mut near = World::new(options());
        near.replace(subscribed("#"));
        near.run();
        let mut run = Self {
            near,
            far: World::new(options()),
            relay: Relay::default(),
            random: fastrand::Rng::with_seed(seed),
            published: Vec::new(),
            forgot: [false; 2],
        };
        for _ in 0..STEPS {
            run.step(forgetful);
        }
        for _ in 0..40 {
            run.advance(Duration::from_secs(10));
        }
        run
    }

    fn step(&mut self, forgetful: bool) {
        let cut = Some(self.random.usize(1..60));
        match self.random.u32(..12) {
            0..=4 => {
                let qos = self.random.choice([QoS::AtLeastOnce, QoS::ExactlyOnce]).unwrap();
                let number = self.published.len() as u32;
                self.published.push(qos);
                self.near.publish_to_client("t", number.to_be_bytes().to_vec(), qos);
            }
            5 => self.near.client.link.to_server_left = cut,
            6 => self.near.client.link.to_client_left = cut,
            7 => self.far.client.link.to_server_left = cut,
            8 => self.far.client.link.to_client_left = cut,
            9 => {
                if forgetful && self.random.u32(..3) == 0 {
                    let which = self.random.usize(..2);
                    self.forgot[which] = true;
                    let world = if which == 0 { &mut self.near } else { &mut self.far };
                    world.cut();
                    world.broker.forget_session();
                }
                if self.random.bool() {
                    self.kill();
                }
            }
            _ => {
                let by = Duration::from_millis(self.random.u64(..3000));
                self.advance(by);
            }
        }
        for _ in 0..self.random.usize(..4) {
            if self.random.bool() {
                self.near.run();
            }
            if self.random.bool() {
                self.far.run();
            }
            if self.random.bool() {
                self.pass();
            }
        }
    }

    /// The process is gone, and so is all that it knew.
    fn kill(&mut self) {
        self.relay = Relay::default();
        self.near.replace(subscribed("#"));
        // Nothing comes from there; but the identifiers of its messages are wanted for more than those.
        self.far.replace(subscribed("none"));
    }

    fn advance(&mut self, by: Duration) {
        self.near.advance(by);
        self.far.advance(by);
        for _ in 0..8 {
            self.pass();
            self.near.run();
            self.far.run();
        }
    }

    /// Does what a bridge does: it takes what came on one side to the other.
    fn pass(&mut self) {
        let (near, far, relay) = (&mut self.near.client, &mut self.far.client, &mut self.relay);
        for event in &near.events[relay.heard..] {
            if let Event::Connected { session_present: false, .. } = event {
                relay.settled.clear();
                for (token, message) in &relay.passing {
                    far.session.relay_pubrel(message.packet_id().unwrap(), far.now());
                    relay.orphans.insert(*token);
                }
            }
        }
        relay.heard = near.events.len();
        far.settle();
        for message in std::mem::take(&mut near.messages) {
            let publish = Publish::new("t", message.payload().clone()).qos(message.qos());
            let (id, is_again) = (message.packet_id(), message.is_duplicate());
            // Of QoS 2, one that is sent again may be the one that is held there.
            let is_other = !is_again || message.qos() == QoS::AtLeastOnce;
            if is_other && relay.settled.insert(id.unwrap()) {
                far.session.relay_settle(id.unwrap(), far.now());
            }
            let token = far.session.relay_publish(publish, id, is_again, far.now()).unwrap();
            relay.passing.insert(token, message);
        }
        far.settle();
        for step in std::mem::take(&mut near.steps) {
            let Step::Released(id) = step else { panic!("nothing is published there") };
            if near.session.is_released(id)
                && let Some(token) = far.session.relay_pubrel(id, far.now())
                && !relay.passing.contains_key(&token)
            {
                relay.strays.insert(token, id);
            }
        }
        far.settle();
        for step in std::mem::take(&mut far.steps) {
            let Step::Received(token) = step else { panic!("nothing comes from there") };
            let message = &relay.passing[&token];
            near.session.acknowledge(message.delivery().unwrap(), ReasonCode::Success, near.now());
            if relay.orphans.contains(&token) {
                far.session.relay_pubrel(message.packet_id().unwrap(), far.now());
            }
        }
        far.settle();
        for (token, result) in std::mem::take(&mut far.completed) {
            result.expect("a server in memory takes everything");
            let id = match relay.passing.remove(&token) {
                Some(message) => {
                    let delivery = message.delivery().unwrap();
                    near.session.acknowledge(delivery, ReasonCode::Success, near.now());
                    message.packet_id()
                }
                None => relay.strays.remove(&token),
            };
            // Nobody waits for the end of what was forgotten.
            if let Some(id) = id {
                near.session.relay_pubcomp(id, near.now());
            }
        }
        near.settle();
    }

    /// How often each message has come.
    fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.published.len()];
        for (_, payload) in &self.far.broker.taken {
            counts[u32::from_be_bytes(payload[..].try_into().unwrap()) as usize] += 1;
        }
        counts
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    }
}

/// [MQTT-4.3.3-10] [MQTT-4.3.3-12] [MQTT-4.4.0-1], over two servers.
#[test]
fn a_process_that_is_killed_doubles_and_loses_nothing() {
    for seed in seeds() {
        let run = Run::new(seed, false);
        for (number, (count, qos)) in run.counts().iter().zip(&run.published).enumerate() {
            let is_right = if *qos == QoS::ExactlyOnce { *count == 1 } else { *count >= 1 };
            assert!(is_right, "SEED={seed}: message {number} of QoS {qos} came {count} times");
        }
    }
}

/// A server that forgets its session may make messages come twice, or takes those with it that it had
/// not sent; what is published when all are there again comes, once.
#[test]
fn a_server_that_forgets_makes_nothing_new_disappear() {
    for seed in seeds() {
        let mut run = Run::new(seed, true);
        let before = run.published.len();
        for number in before..before + 80 {
            run.published.push(QoS::ExactlyOnce);
            let payload = (number as u32).to_be_bytes().to_vec();
            run.near.publish_to_client("t", payload, QoS::ExactlyOnce);
            run.advance(Duration::from_millis(10));
        }
        run.advance(Duration::from_secs(10));
        let counts = run.counts();
        assert!(counts[before..].iter().all(|count| *count == 1), "SEED={seed}: {counts:?}");
        if run.forgot == [false, true] {
            assert!(counts.iter().all(|count| *count > 0), "SEED={seed}: {counts:?}");
        }
    }
}

/// Where everything waits for a PUBREL that the other server does not send, as it sends in another order
/// than before, it is sent without it.
#[test]
fn a_stall_can_be_ended() {
    let mut far = Harness::new(options());
    far.open();
    let receive_maximum = std::num::NonZeroU16::new(1);
    far.accept_with(false, ConnAckProperties { receive_maximum, ..Default::default() });
    let [first, second] = [7, 9].map(|id| PacketId::new(id).unwrap());
    for id in [first, second] {
        let publish = Publish::new("t", "").qos(QoS::ExactlyOnce);
        far.session.relay_publish(publish, Some(id), false, far.now()).unwrap();
    }
    far.settle();
    assert!(!far.session.is_stalled(), "PUBREC may still come");
    far.hear();
    far.say(&Packet::PubRec(Ack::success(first)));
    assert!(far.session.is_stalled() && far.hear().is_empty());
    far.session.end_stall(far.now());
    far.settle();
    assert!(!far.session.is_stalled());
    assert!(far.hear()[0].starts_with("PUBREL"));
    far.say(&Packet::PubComp(Ack::success(first)));
    assert!(far.hear()[0].starts_with("PUBLISH"), "the second one has its turn");
    // The other server sends PUBREL at last: this one is asked once more, and has nothing.
    assert!(far.session.relay_pubrel(first, far.now()).is_some());
}
