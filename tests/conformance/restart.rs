//! Promises that outlive the process: what is acknowledged is there after a restart, whatever way
//! the broker ended.

use std::path::Path;
use std::time::{Duration, Instant};

use skein_protocol::{Connect, PacketType, Publish, QoS, Version, Will, WillProperties};

use crate::harness::{
    Broker, PATIENCE, Peer, connect, disconnect, eventually, options, persistent, pubcomp,
    publish_as, pubrec, pubrel, subscribe, unsubscribe, will,
};

/// Session Expiry Interval of the sessions here.
const HOUR_S: u32 = 3_600;

/// A broker that keeps what outlives it in a folder, and is started again on it.
pub(crate) struct Durable {
    folder: tempfile::TempDir,
    broker: Option<Broker>,
    shards: usize,
    /// Keys of the section `[store]`.
    settings: &'static str,
}

/// How a broker ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Kill,
    Term,
}

impl Durable {
    pub(crate) fn start(shards: usize) -> Self {
        Self::start_with(shards, "")
    }

    fn start_with(shards: usize, settings: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let broker = Some(start_on(folder.path(), shards, settings));
        Self { folder, broker, shards, settings }
    }

    /// Ends it and starts it again, with another number of shards each time.
    pub(crate) fn restart(&mut self, end: End) {
        let broker = self.broker.take().expect("it runs");
        let name = if matches!(end, End::Kill) { "KILL" } else { "TERM" };
        broker.signal(name);
        let status = broker.wait();
        assert!(matches!(end, End::Kill) || status.code() == Some(0), "{}", broker.log());
        drop(broker);
        self.shards = self.shards % 4 + 1;
        self.broker = Some(start_on(self.folder.path(), self.shards, self.settings));
    }

    fn open(&self, version: Version) -> Peer {
        Peer::open(self.broker.as_ref().expect("it runs").address, version)
    }

    pub(crate) fn accept(&self, connect: &Connect<'_>) -> (Peer, bool) {
        let mut peer = self.open(connect.version);
        peer.send(connect);
        let is_present = peer.receive().connack().session_present;
        (peer, is_present)
    }

    /// A client with a session that lasts; and whether the broker had it.
    fn resume(&self, version: Version, client: &str) -> (Peer, bool) {
        self.accept(&persistent(version, client, HOUR_S))
    }

    /// A client with a session that ends with its connection.
    fn connect(&self, client: &str) -> Peer {
        self.accept(&connect(Version::V5, client)).0
    }
}

fn start_on(folder: &Path, shards: usize, settings: &str) -> Broker {
    let data = folder.join("data");
    Broker::start(shards, &format!("[store]\ndata_dir = {data:?}\n{settings}"))
}

/// For each way to end and several numbers of shards.
fn each_end(test: impl Fn(Durable, End)) {
    for end in [End::Kill, End::Term] {
        for shards in [1, 3] {
            test(Durable::start(shards), end);
        }
    }
}

/// [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-4.1.0-1] [MQTT-4.1.0-2] [MQTT-4.6.0-6]: the session is
/// there, with what was subscribed and what waits, in order.
#[test]
fn a_session_its_subscriptions_and_its_queue_outlive_the_broker() {
    each_end(|mut durable, end| {
        for version in [Version::V3_1_1, Version::V5] {
            let name = format!("sub-{}", version.level());
            let (mut peer, is_present) = durable.resume(version, &name);
            assert!(!is_present);
            peer.subscribe("a/+", QoS::ExactlyOnce);
            peer.subscribe(&format!("{name}/live"), QoS::AtLeastOnce);
            peer.subscribe("gone", QoS::AtLeastOnce);
            peer.send(&unsubscribe(9, &["gone"]));
            peer.expect_unsuback(9, &[0]);
            peer.leave();
        }
        let mut publisher = durable.connect("pub");
        for number in 0..10_u8 {
            publisher.publish("a/1", &[number], QoS::AtLeastOnce);
            publisher.publish("a/2", &[number], QoS::ExactlyOnce);
            publisher.publish("gone", &[number], QoS::AtLeastOnce);
        }
        durable.restart(end);
        for version in [Version::V3_1_1, Version::V5] {
            let name = format!("sub-{}", version.level());
            let (mut peer, is_present) = durable.resume(version, &name);
            assert!(is_present, "{name}");
            for number in 0..10 {
                for topic in ["a/1", "a/2"] {
                    let message = peer.expect_message(topic, &[number]);
                    peer.acknowledge(&message);
                }
            }
            peer.expect_nothing();
            // It goes on as it was.
            let topic = format!("{name}/live");
            durable.connect("other").publish(&topic, b"live", QoS::AtLeastOnce);
            let message = peer.expect_message(&topic, b"live");
            peer.acknowledge(&message);
            peer.leave();
        }
        // What was recorded of the acknowledgements waits for company, but no longer than this.
        std::thread::sleep(Duration::from_millis(300));
        durable.restart(end);
        let (mut peer, is_present) = durable.resume(Version::V5, "sub-5");
        assert!(is_present);
        peer.expect_nothing();
    });
}

/// [MQTT-4.6.0-6]: so does the order of a queue whose middle lies on disk; its files do not.
#[test]
fn a_long_queue_on_disk_outlives_the_broker_and_its_files() {
    for end in [End::Kill, End::Term] {
        let mut durable = Durable::start_with(1, "[limits]\nqueue_memory_bytes = 2048\n");
        durable.resume(Version::V5, "sub").0.subscribe("t", QoS::AtLeastOnce);
        let mut publisher = durable.connect("pub");
        let spill = durable.folder.path().join("data/spill");
        let bytes = || {
            let entries = std::fs::read_dir(&spill).expect("the folder is there");
            let length = |entry: std::io::Result<std::fs::DirEntry>| {
                entry.and_then(|entry| entry.metadata()).expect("it is there").len()
            };
            entries.map(length).sum::<u64>()
        };
        for number in 0..100_u8 {
            publisher.publish("t", &[number; 100], QoS::AtLeastOnce);
        }
        assert!(eventually(PATIENCE, || bytes() > 7_500), "{} bytes", bytes());
        durable.restart(end);
        assert!(eventually(PATIENCE, || bytes() > 7_500), "{} bytes", bytes());
        let (mut peer, is_present) = durable.resume(Version::V5, "sub");
        assert!(is_present);
        for number in 0..100_u8 {
            let message = peer.expect_message("t", &[number; 100]);
            peer.acknowledge(&message);
        }
        peer.expect_nothing();
        assert_eq!(bytes(), 0);
    }
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-6]: the last retained message of a topic is there, and one that was
/// removed is not.
#[test]
fn retained_messages_outlive_the_broker() {
    each_end(|mut durable, end| {
        let mut publisher = durable.connect("pub");
        for number in 0..20_u8 {
            publisher.publish_retained(&format!("r/{number}"), &[number, 0]);
            publisher.publish_retained(&format!("r/{number}"), &[number, 1]);
        }
        for number in 0..10 {
            publisher.publish_retained(&format!("r/{number}"), b"");
        }
        durable.restart(end);
        let mut peer = durable.connect("sub");
        peer.subscribe("r/#", QoS::AtLeastOnce);
        let mut came: Vec<Vec<u8>> = (10..20)
            .map(|_| {
                let message = peer.receive();
                assert!(message.publish().retain);
                peer.acknowledge(&message);
                message.publish().payload.to_vec()
            })
            .collect();
        came.sort();
        assert_eq!(came, (10..20).map(|number| vec![number, 1]).collect::<Vec<_>>());
        peer.expect_nothing();
    });
}

/// [MQTT-3.1.2-8] [MQTT-3.1.2-10]: a will is published though the broker has not seen the end of
/// the connection; one whose client has taken its leave is not.
#[test]
fn wills_outlive_the_broker() {
    each_end(|mut durable, _| {
        let (mut peer, _) = durable.resume(Version::V5, "sub");
        peer.subscribe("will/#", QoS::AtLeastOnce);
        peer.leave();
        let with_will = |client, topic, delay_s| {
            let properties =
                WillProperties { delay_interval_s: Some(delay_s), ..WillProperties::default() };
            let will = Will { properties, ..will(topic, b"dead") };
            let connect = persistent(Version::V5, client, HOUR_S);
            durable.accept(&Connect { will: Some(will), ..connect }).0
        };
        let _dies = with_will("dies", "will/dies", 0);
        let _late = with_will("late", "will/late", HOUR_S);
        with_will("leaves", "will/leaves", 0).leave();
        // What was recorded of the leave waits for company, but no longer than this.
        std::thread::sleep(Duration::from_millis(300));
        durable.restart(End::Kill);
        let (mut peer, is_present) = durable.resume(Version::V5, "sub");
        assert!(is_present);
        let message = peer.expect_message("will/dies", b"dead");
        peer.acknowledge(&message);
        peer.expect_nothing();
        // It comes back before its will is due.
        let (mut late, is_present) = durable.resume(Version::V5, "late");
        assert!(is_present);
        late.expect_nothing();
        peer.expect_nothing();
    });
}

/// [MQTT-4.3.3-10] [MQTT-4.4.0-1]: what is between two packets of the handshake of QoS 2 goes on
/// there, in both directions.
#[test]
fn the_handshakes_of_qos_2_go_on() {
    each_end(|mut durable, end| {
        let qos = QoS::ExactlyOnce;
        let (mut sub, _) = durable.resume(Version::V5, "sub");
        sub.subscribe("t", qos);
        let (mut publisher, _) = durable.resume(Version::V5, "pub");
        publisher.send(&publish_as(qos, 7, "t", b"once"));
        publisher.expect_ack(PacketType::PubRec, 7, 0);
        let id = sub.expect_message("t", b"once").id();
        sub.send(&pubrec(id));
        sub.expect_ack(PacketType::PubRel, id, 0);
        durable.restart(end);
        drop((sub, publisher));
        let (mut sub, is_present) = durable.resume(Version::V5, "sub");
        assert!(is_present);
        sub.expect_ack(PacketType::PubRel, id, 0);
        let (mut publisher, is_present) = durable.resume(Version::V5, "pub");
        assert!(is_present);
        publisher.send(&Publish { dup: true, ..publish_as(qos, 7, "t", b"once") });
        publisher.expect_ack(PacketType::PubRec, 7, 0);
        publisher.send(&pubrel(7));
        publisher.expect_ack(PacketType::PubComp, 7, 0);
        sub.expect_nothing();
        sub.send(&pubcomp(id));
        publisher.send(&publish_as(qos, 7, "t", b"new"));
        publisher.expect_ack(PacketType::PubRec, 7, 0);
        sub.expect_message("t", b"new");
    });
}

/// [MQTT-3.1.2-6]: a session that was to end with its connection is not there.
#[test]
fn clean_sessions_do_not_outlive_the_broker() {
    each_end(|mut durable, end| {
        let mut peer = durable.connect("clean");
        peer.subscribe("t", QoS::AtLeastOnce);
        let (mut ended, _) = durable.resume(Version::V5, "ended");
        ended.subscribe("t", QoS::AtLeastOnce);
        ended.leave();
        drop(durable.accept(&connect(Version::V5, "ended")));
        durable.connect("pub").publish("t", b"x", QoS::AtLeastOnce);
        durable.restart(end);
        assert!(!durable.resume(Version::V5, "clean").1);
        assert!(!durable.resume(Version::V5, "ended").1);
    });
}

/// [MQTT-3.1.2-23] [MQTT-3.1.3-9]: time goes on while no broker runs.
#[test]
fn sessions_and_messages_expire_while_the_broker_is_down() {
    each_end(|mut durable, end| {
        let (mut brief, _) = durable.accept(&persistent(Version::V5, "brief", 1));
        brief.subscribe("t", QoS::AtLeastOnce);
        let (mut long, _) = durable.resume(Version::V5, "long");
        long.subscribe("t", QoS::AtLeastOnce);
        long.leave();
        brief.leave();
        let mut publisher = durable.connect("pub");
        let mut message = publish_as(QoS::AtLeastOnce, 1, "t", b"brief");
        message.properties.message_expiry_s = Some(1);
        publisher.send(&message);
        publisher.expect_ack(PacketType::PubAck, 1, 0);
        publisher.publish("t", b"long", QoS::AtLeastOnce);
        std::thread::sleep(Duration::from_millis(1_500));
        durable.restart(end);
        assert!(!durable.resume(Version::V5, "brief").1);
        let (mut long, is_present) = durable.resume(Version::V5, "long");
        assert!(is_present);
        let message = long.expect_message("t", b"long");
        long.acknowledge(&message);
        long.expect_nothing();
    });
}

/// 3.14.2.1, 4.13: under load, too, SIGTERM ends it soon and in order, and no end loses anything that
/// was acknowledged, however little the store may hold at once.
#[test]
fn an_end_under_load_loses_nothing() {
    const LITTLE: &str = "queue_batches_max = 1\nsegment_bytes = 65536\n\
                          compaction_bytes_min = 65536\ncommit_bytes_max = 65536\n";
    for (shards, end, settings) in
        [(1, End::Term, ""), (4, End::Term, LITTLE), (1, End::Kill, LITTLE), (4, End::Kill, "")]
    {
        let mut durable = Durable::start_with(shards, settings);
        let (mut sub, _) = durable.resume(Version::V5, "sub");
        sub.send(&subscribe(1, &[("load/#", options(QoS::AtLeastOnce))]));
        sub.expect_suback(1, &[1]);
        sub.leave();
        let publishers: Vec<_> = (0..8)
            .map(|number| {
                let mut peer = durable.connect(&format!("pub-{number}"));
                std::thread::spawn(move || publish_until_closed(&mut peer, number))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(400));
        let began = Instant::now();
        durable.restart(end);
        // With a start, which wakes all shards.
        assert!(began.elapsed() < Duration::from_secs(3), "{end:?}: {:?}", began.elapsed());
        let acknowledged: Vec<u32> =
            publishers.into_iter().map(|it| it.join().expect("it ends")).collect();
        let (mut sub, is_present) = durable.resume(Version::V5, "sub");
        assert!(is_present);
        let mut missing = acknowledged.clone();
        while missing.iter().any(|count| *count > 0) {
            let message = sub.receive();
            sub.acknowledge(&message);
            let publish = message.publish();
            let (publisher, rest) = publish.payload.split_first().expect("it has a payload");
            let number = u32::from_be_bytes(rest.try_into().expect("four bytes"));
            let publisher = usize::from(*publisher);
            let last = acknowledged[publisher];
            // In order; behind the last acknowledged one more may come that were not.
            if number < last {
                assert_eq!(number, last - missing[publisher], "publisher {publisher}");
                missing[publisher] -= 1;
            }
        }
    }
}

/// Publishes with QoS 1, one after the other; returns how many were acknowledged.
fn publish_until_closed(peer: &mut Peer, publisher: u8) -> u32 {
    for number in 0_u32.. {
        let payload = [&[publisher][..], &number.to_be_bytes()].concat();
        let id = (number % 65_000) as u16 + 1;
        let topic = format!("load/{publisher}");
        if !peer.try_send(&publish_as(QoS::AtLeastOnce, id, &topic, &payload)) {
            return number;
        }
        match peer.hear(PATIENCE) {
            crate::harness::Heard::Packet(packet)
                if packet.packet().packet_type() == PacketType::PubAck => {}
            _ => return number,
        }
    }
    unreachable!("nobody publishes four billion messages here")
}

/// A listener whose sessions are in memory promises nothing, and writes nothing.
#[test]
fn a_listener_in_memory_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let data = folder.path().join("data");
    let settings = format!("[store]\ndata_dir = {data:?}\ndurability = \"memory\"\n");
    let broker = Broker::start(2, &settings);
    let mut peer = Peer::open(broker.address, Version::V5);
    peer.send(&persistent(Version::V5, "sub", HOUR_S));
    peer.receive().connack();
    peer.subscribe("t", QoS::AtLeastOnce);
    peer.send(&disconnect());
    let mut publisher = Peer::open(broker.address, Version::V5);
    publisher.send(&connect(Version::V5, "pub"));
    publisher.receive().connack();
    publisher.publish("t", b"x", QoS::AtLeastOnce);
    broker.signal("USR1");
    let wrote = |log: &str| log.contains("store: batches=0 ");
    assert!(eventually(PATIENCE, || wrote(&broker.log())), "{}", broker.log());
}
