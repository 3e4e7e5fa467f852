//! One test's use of a broker, and what must hold after every test: the process lives, a clean
//! client is served, and when nobody is left, nothing is left of anybody.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread;

use skein_protocol::{Connect, QoS, Version};

use super::{Broker, Peer, connect, persistent, serial};

/// A broker to test against, with names that no other test uses.
pub(crate) struct Case {
    pub(crate) broker: Arc<Broker>,
    /// Begins every client id and topic.
    prefix: String,
}

impl Case {
    /// On the shared broker with two shards and the default settings.
    pub(crate) fn new() -> Self {
        Self::with_shards(2)
    }

    /// On the shared broker with this many shards and the default settings.
    pub(crate) fn with_shards(shards: usize) -> Self {
        static SHARED: [OnceLock<Arc<Broker>>; 5] = [const { OnceLock::new() }; 5];
        let broker = SHARED[shards].get_or_init(|| Arc::new(Broker::start_shared(shards)));
        Self::on(Arc::clone(broker))
    }

    /// On a broker of its own with two shards and these settings (TOML).
    pub(crate) fn with_settings(settings: &str) -> Self {
        Self::on(Arc::new(Broker::start(2, settings)))
    }

    pub(crate) fn on(broker: Arc<Broker>) -> Self {
        broker.users.fetch_add(1, Ordering::SeqCst);
        // The broker may outlive this process, and what is retained with it.
        Self { broker, prefix: format!("c{:x}-{}", std::process::id(), serial()) }
    }

    /// A client id or a topic of this case.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// A connection on which nothing was said yet.
    pub(crate) fn open(&self, version: Version) -> Peer {
        Peer::open(self.broker.address, version)
    }

    /// A client with a clean session that ends with its connection.
    pub(crate) fn connect(&self, version: Version, client: &str) -> Peer {
        self.connect_as(&connect(version, &self.name(client))).0
    }

    /// A client with a session that outlives its connection by a minute or more; and whether the
    /// broker had it already.
    pub(crate) fn resume(&self, version: Version, client: &str) -> (Peer, bool) {
        self.connect_as(&persistent(version, &self.name(client), 60))
    }

    /// A client that says this CONNECT and is accepted; and the Session Present flag.
    pub(crate) fn connect_as(&self, connect: &Connect<'_>) -> (Peer, bool) {
        let mut peer = self.open(connect.version);
        peer.send(connect);
        let connack = peer.receive();
        let session_present = connack.connack().session_present;
        (peer, session_present)
    }

    /// Ends a session that outlives its connection, so that nothing of it stays in the broker.
    pub(crate) fn forget(&self, client: &str) {
        self.connect(Version::V3_1_1, client).send(&super::disconnect());
    }

    /// A client that has done nothing wrong is served as ever.
    fn assert_serves(&self) {
        assert!(self.broker.is_alive(), "the broker has died");
        let mut peer = self.connect(Version::V5, "afterwards");
        let topic = self.name("afterwards");
        peer.subscribe(&topic, QoS::AtLeastOnce);
        peer.publish(&topic, b"still there", QoS::AtLeastOnce);
        let message = peer.expect_message(&topic, b"still there");
        peer.acknowledge(&message);
        peer.send(&super::disconnect());
        peer.expect_closed();
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            self.broker.users.fetch_sub(1, Ordering::SeqCst);
            eprintln!("the broker's log:\n{}", self.broker.log());
            return;
        }
        self.assert_serves();
        if self.broker.users.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.broker.assert_idle();
        }
    }
}

/// Runs a test as MQTT 3.1.1 and as MQTT 5.0, at the same time.
pub(crate) fn each_version(test: impl Fn(&Case, Version) + Sync) {
    at_once([Version::V3_1_1, Version::V5], |version| test(&Case::new(), version));
}

/// Runs a test of what passes between clients on brokers of one, two and four shards, in both
/// versions, at the same time.
pub(crate) fn each_shard_count(test: impl Fn(&Case, Version) + Sync) {
    let versions = [Version::V3_1_1, Version::V5];
    let runs = [1, 2, 4].into_iter().flat_map(|shards| versions.map(|version| (shards, version)));
    at_once(runs, |(shards, version)| test(&Case::with_shards(shards), version));
}

/// The same for what only MQTT 5.0 has.
pub(crate) fn each_shard_count_v5(test: impl Fn(&Case) + Sync) {
    at_once([1, 2, 4], |shards| test(&Case::with_shards(shards)));
}

fn at_once<T: Send>(runs: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for each in runs {
            let run = &run;
            scope.spawn(move || run(each));
        }
    });
}
