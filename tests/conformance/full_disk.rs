//! A disk that is full: nothing is acknowledged that is not kept, who is connected goes on, and so
//! does everything once there is room again. The disk is a small tmpfs of the broker's own, in a
//! namespace of mounts that ends with it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use skein_protocol::{Connect, PacketType, QoS, Version};

use crate::harness::{
    Broker, PATIENCE, Peer, connect, eventually, options, persistent, publish, publish_as,
    subscribe,
};

/// More than fits into the last page of a file.
const PAYLOAD: [u8; 8_192] = [b'x'; 8_192];
const SHARDS: usize = 2;
const HOUR_S: u32 = 3_600;

/// A broker on a disk that can be filled.
struct Small {
    broker: Broker,
    folder: tempfile::TempDir,
}

impl Small {
    fn start() -> Self {
        assert_namespaces();
        let folder = tempfile::tempdir().expect("a folder for the test");
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder for the test");
        let mount = format!("mount -t tmpfs -o size=1m none '{}'", disk.display());
        let script = format!("{mount} && exec \"$0\" \"$@\"");
        let settings = format!("[store]\ndata_dir = {:?}\nretry_ms = 100\n", disk.join("data"));
        let command = ["unshare", "--map-root-user", "--mount", "sh", "-c", &script];
        Self { broker: Broker::start_behind(SHARDS, &settings, &command), folder }
    }

    fn disk(&self) -> PathBuf {
        self.broker.inside(&self.folder.path().join("disk"))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut ballast = File::create(self.disk().join("ballast")).expect("a last file");
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.disk().join("ballast")).expect("it is there");
        let works = || self.broker.log().contains("the store works again");
        assert!(eventually(PATIENCE, works), "{}", self.broker.log());
    }

    fn accept(&self, connect: &Connect<'_>) -> Peer {
        let mut peer = Peer::open(self.broker.address, connect.version);
        peer.send(connect);
        peer.receive().connack();
        peer
    }

    /// Waits until all shards have noticed, by a publisher that is closed for that.
    fn notice(&self, topic: &str) {
        let mut peer = self.accept(&connect(Version::V5, "first"));
        peer.send(&publish_as(QoS::AtLeastOnce, 1, topic, &PAYLOAD));
        peer.expect_closed_with(0x97);
        let notices = || {
            let log = self.broker.log();
            let is_notice = |line: &&str| {
                line.contains("shard=") && line.contains("the disk of the store is full")
            };
            log.lines().filter(is_notice).count()
        };
        assert!(eventually(PATIENCE, || notices() >= SHARDS), "{}", self.broker.log());
    }

    /// What a kill would leave, as a folder of its own.
    fn copy(&self) -> PathBuf {
        self.broker.signal("STOP");
        let to = self.folder.path().join("copy");
        fs::create_dir(&to).expect("a folder for the test");
        for entry in fs::read_dir(self.disk().join("data")).expect("it can be listed") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("its kind is known").is_dir() {
                // Parts of long queues, which are worth nothing after a start.
                continue;
            }
            fs::copy(entry.path(), to.join(entry.file_name())).expect("there is room here");
        }
        self.broker.signal("CONT");
        to
    }
}

/// Says loudly what is missing where nobody may mount.
fn assert_namespaces() {
    let words = ["--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"];
    let output = Command::new("unshare").args(words).output();
    let why = match output {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!(
        "a disk cannot be filled here, as no namespace of mounts is to be had: {why}; allow \
         unprivileged user namespaces, or run this test as root"
    );
}

fn start_on(folder: &Path) -> Broker {
    Broker::start(2, &format!("[store]\ndata_dir = {folder:?}\n"))
}

/// [MQTT-4.3.2-4] 4.13: a publisher hears 0x97, one of 3.1.1 is closed; what was acknowledged is
/// kept, and what comes when there is room again.
#[test]
fn g16_a_full_disk_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room() {
    let small = Small::start();
    let mut sub = small.accept(&persistent(Version::V5, "sub", HOUR_S));
    sub.subscribe("t", QoS::AtLeastOnce);
    sub.leave();
    let mut publisher = small.accept(&connect(Version::V5, "pub"));
    publisher.publish("t", b"before", QoS::AtLeastOnce);
    small.fill();
    small.notice("t");
    for (qos, kind) in
        [(QoS::AtLeastOnce, PacketType::PubAck), (QoS::ExactlyOnce, PacketType::PubRec)]
    {
        publisher.send(&publish_as(qos, 2, "t", &PAYLOAD));
        publisher.expect_ack(kind, 2, 0x97);
    }
    let mut old = small.accept(&connect(Version::V3_1_1, "old"));
    old.send(&publish_as(QoS::AtLeastOnce, 1, "t", &PAYLOAD));
    old.expect_closed();
    small.make_room();
    assert!(eventually(PATIENCE, || {
        publisher.say(&publish_as(QoS::AtLeastOnce, 3, "t", b"after")).is_error().eq(&false)
    }));
    let broker = start_on(&small.copy());
    let mut sub = Peer::open(broker.address, Version::V5);
    sub.send(&persistent(Version::V5, "sub", HOUR_S));
    assert!(sub.receive().connack().session_present);
    let first = sub.expect_message("t", b"before");
    sub.acknowledge(&first);
    loop {
        let message = sub.receive();
        sub.acknowledge(&message);
        if message.publish().payload == b"after" {
            break;
        }
        assert_eq!(message.publish().payload, PAYLOAD, "what was refused may be there, in order");
    }
}

/// Who needs nothing of the disk does not notice it: clean sessions, and QoS 0.
#[test]
fn g16_a_full_disk_is_nothing_to_those_who_keep_nothing() {
    let small = Small::start();
    let mut durable = small.accept(&persistent(Version::V5, "durable", HOUR_S));
    durable.subscribe("both/#", QoS::AtLeastOnce);
    small.fill();
    small.notice("both/0");
    let mut clean = small.accept(&connect(Version::V5, "clean"));
    clean.subscribe("clean", QoS::ExactlyOnce);
    let mut publisher = small.accept(&connect(Version::V5, "pub"));
    publisher.publish("clean", b"1", QoS::AtLeastOnce);
    let message = clean.expect_message("clean", b"1");
    clean.acknowledge(&message);
    publisher.publish("clean", b"2", QoS::ExactlyOnce);
    let message = clean.expect_message("clean", b"2");
    clean.acknowledge(&message);
    publisher.send(&publish("both/1", b"live"));
    loop {
        let message = durable.receive();
        durable.acknowledge(&message);
        if message.publish().payload == b"live" {
            break;
        }
    }
    small.make_room();
}

/// [MQTT-3.8.4-6] 3.1.4: what a client would rely on is refused while it cannot be kept.
#[test]
fn g16_a_full_disk_refuses_sessions_and_subscriptions_that_last() {
    let small = Small::start();
    let mut there = small.accept(&persistent(Version::V5, "there", HOUR_S));
    there.subscribe("t", QoS::AtLeastOnce);
    let mut old = small.accept(&persistent(Version::V3_1_1, "old", HOUR_S));
    old.subscribe("t", QoS::AtLeastOnce);
    small.fill();
    small.notice("t");
    there.send(&subscribe(2, &[("u", options(QoS::AtLeastOnce))]));
    there.expect_suback(2, &[0x97]);
    old.send(&subscribe(2, &[("u", options(QoS::AtLeastOnce))]));
    old.expect_suback(2, &[0x80]);
    for version in [Version::V3_1_1, Version::V5] {
        let mut peer = Peer::open(small.broker.address, version);
        peer.send(&persistent(version, "new", HOUR_S));
        peer.expect_refused(0x88, 3);
    }
    small.make_room();
    let accepted = || {
        let mut peer = Peer::open(small.broker.address, Version::V5);
        peer.send(&persistent(Version::V5, "new", HOUR_S));
        !peer.receive().any_connack().reason.is_error()
    };
    assert!(eventually(PATIENCE, accepted), "{}", small.broker.log());
}

/// SIGTERM ends a broker that cannot write, too: nothing of what it leaves was acknowledged.
#[test]
fn g16_a_full_disk_does_not_hold_up_the_end() {
    let small = Small::start();
    let mut sub = small.accept(&persistent(Version::V5, "sub", HOUR_S));
    sub.subscribe("t", QoS::AtLeastOnce);
    sub.leave();
    small.fill();
    small.notice("t");
    let began = std::time::Instant::now();
    small.broker.signal("TERM");
    assert_eq!(small.broker.wait().code(), Some(0), "{}", small.broker.log());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
