//! A client with a session that outlives its connections, and with correct resume logic: what is
//! not acknowledged is sent again with its packet identifier, and identifiers of QoS 2 are held until
//! they are released. It survives the end of its broker and goes on with the next one.

mod exchange;
mod link;
mod live;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;
use skein_protocol::qos::Sender;
use skein_protocol::{QoS, Version};

pub(crate) use link::Link;

use crate::history::Message;
use crate::scene::Scene;

/// How long to wait before connecting again to a broker that is not there.
const RETRY: Duration = Duration::from_millis(4);

/// What a client is to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its number; the Client Identifier is made of it.
    pub(crate) client: usize,
    /// The version of MQTT it speaks.
    pub(crate) version: Version,
    /// From which everything is drawn that it may choose.
    pub(crate) seed: u64,
    /// What it subscribes to, one after the other.
    pub(crate) filters: Vec<(String, QoS)>,
    /// Where it publishes to; nothing if there are none.
    pub(crate) topics: Vec<String>,
    /// The QoS of what it publishes is one of these.
    pub(crate) qos: Vec<QoS>,
    /// Messages that it may have unacknowledged.
    pub(crate) window: usize,
    /// The longest pause between two messages, milliseconds.
    pub(crate) pause_ms_max: u64,
    /// Its own Receive Maximum.
    pub(crate) receive_maximum: u16,
    /// Whether it leaves now and then and comes back.
    pub(crate) naps: bool,
}

/// A client, between its connections.
pub(crate) struct Client {
    plan: Plan,
    id: String,
    scene: Arc<Scene>,
    rng: Rng,
    /// What it has published and the broker does not own yet, or has not finished.
    sender: Sender<Outgoing>,
    /// Packet identifiers of QoS 2 messages that have come and are not released.
    held: BTreeSet<u16>,
    /// How many of its filters were granted.
    granted: usize,
    /// The number of the message that was published last.
    number: u64,
}

/// A message that it publishes.
#[derive(Clone, Debug)]
struct Outgoing {
    message: Message,
    topic: String,
    qos: QoS,
}

impl Client {
    /// Starts one, on a thread of its own; it ends with the scene.
    pub(crate) fn start(plan: Plan, scene: &Arc<Scene>) -> JoinHandle<()> {
        let client = Self {
            id: format!("client-{}", plan.client),
            scene: Arc::clone(scene),
            rng: Rng::with_seed(plan.seed),
            sender: Sender::new(),
            held: BTreeSet::new(),
            granted: 0,
            number: 0,
            plan,
        };
        let builder = thread::Builder::new().name(client.id.clone());
        builder.spawn(move || client.run()).expect("the system gives threads")
    }

    fn run(mut self) {
        while !self.scene.has_ended() {
            // However a connection ended: there will be another one.
            let _: io::Result<()> = self.be_connected();
            let pause = match self.plan.naps && self.scene.is_busy() {
                true => Duration::from_millis(self.rng.u64(0..200)),
                false => RETRY,
            };
            thread::sleep(pause);
        }
    }

    /// Whether nothing is left to do for it: all its filters are granted, and all that it has
    /// published is finished.
    fn is_done(&self) -> bool {
        self.sender.is_empty() && self.granted == self.plan.filters.len()
    }
}
