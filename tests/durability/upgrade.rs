//! Files of earlier versions are read: `tests/golden/store-N` is a folder that a broker of format N
//! has left behind, `store-N.json` what is in it. Neither ever changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use skein_protocol::{
    Ack, Connect, ConnectProperties, Frame, Packet, PacketId, Publish, PublishProperties, QoS,
    Subscribe, SubscriptionOptions, TopicFilter, TopicName, UserProperties, Version,
};
use tempfile::TempDir;

use crate::broker::{Broker, Start, binary};
use crate::client::Link;

/// How long a packet may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A copy of what a broker of this format has left.
fn left_by(format: u32) -> (TempDir, PathBuf) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/store-{format}"));
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let data_dir = folder.path().join("data");
    fs::create_dir(&data_dir).expect("it is not there");
    for entry in fs::read_dir(golden).expect("it is in the repository") {
        let entry = entry.expect("it can be listed");
        fs::copy(entry.path(), data_dir.join(entry.file_name())).expect("there is room");
    }
    (folder, data_dir)
}

/// K10.
#[test]
fn the_files_of_format_1_have_the_same_records_for_ever() {
    let (_folder, data_dir) = left_by(1);
    let output = Command::new(binary()).args(["store", "export"]).arg(data_dir).output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = include_str!("../golden/store-1.json");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// A client of the sessions that were left.
struct Peer {
    link: Link,
    version: Version,
}

impl Peer {
    /// Resumes a session, which has to be there.
    fn resume(broker: &Broker, client_id: &str, version: Version) -> Self {
        let mut peer = Self::connect(broker, client_id, version);
        assert!(peer.hear().contains("session_present=true"), "{client_id}");
        peer
    }

    fn connect(broker: &Broker, client_id: &str, version: Version) -> Self {
        let link = Link::open(broker.address, version).expect("it listens");
        let mut peer = Self { link, version };
        let is_v5 = version == Version::V5;
        let session_expiry_s = is_v5.then_some(u32::MAX);
        peer.say(&Packet::Connect(Connect {
            version,
            clean_start: false,
            keep_alive_s: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties { session_expiry_s, ..ConnectProperties::default() },
        }));
        peer
    }

    fn say(&mut self, packet: &Packet<'_>) {
        self.link.say(packet);
        self.link.flush().expect("the broker reads");
    }

    /// The next packet, as it is printed.
    fn hear(&mut self) -> String {
        self.hear_with(|packet| packet.to_string())
    }

    /// The next packet, with its payload.
    fn hear_message(&mut self) -> String {
        self.hear_with(|packet| match packet {
            Packet::Publish(publish) => {
                let payload = String::from_utf8_lossy(publish.payload);
                let id = publish.packet_id.map_or(0, PacketId::get);
                let topic = publish.topic.map_or("", TopicName::as_str);
                format!("{topic} {payload} qos={} id={id} dup={}", publish.qos, publish.dup)
            }
            other => other.to_string(),
        })
    }

    fn hear_with(&mut self, show: impl Fn(&Packet<'_>) -> String) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(bytes) = self.link.next().expect("the broker sends MQTT") {
                let (frame, _) = Frame::decode(&bytes, usize::MAX)
                    .expect("it was cut before")
                    .expect("it is whole");
                return show(&Packet::decode(frame, self.version).expect("the broker sends MQTT"));
            }
            assert!(Instant::now() < deadline, "nothing comes");
            self.link.wait(Duration::from_millis(100)).expect("the broker stays");
        }
    }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("it is above 0")
}

fn ack(number: u16) -> Ack<'static> {
    Ack::success(id(number))
}

#[test]
fn a_broker_goes_on_with_the_files_of_format_1() {
    let (_folder, data_dir) = left_by(1);
    let broker = Broker::start(&Start::new(&data_dir, 2)).expect("it reads them");
    let mut sleeper = Peer::resume(&broker, "sleeper", Version::V5);
    // In order, and behind them the will of a client that was connected when all ended.
    for (number, topic, payload) in [
        (1, "plant/1/temperature", "first"),
        (2, "plant/2/temperature", "second"),
        (3, "plant/3/temperature", "third"),
        (4, "plant/wills", "gone"),
    ] {
        assert_eq!(
            sleeper.hear_message(),
            format!("{topic} {payload} qos=1 id={number} dup=false")
        );
        sleeper.say(&Packet::PubAck(ack(number)));
    }
    let mut midway = Peer::resume(&broker, "midway", Version::V3_1_1);
    assert_eq!(midway.hear(), Packet::PubRel(ack(1)).to_string());
    assert_eq!(midway.hear_message(), "plant/2/temperature second qos=2 id=2 dup=true");
    assert_eq!(midway.hear_message(), "plant/3/temperature third qos=1 id=3 dup=false");
    // Identifier 9 is held: its message has come before.
    midway.say(&Packet::Publish(publish(9)));
    assert_eq!(midway.hear(), Packet::PubRec(ack(9)).to_string());
    let mut worker = Peer::resume(&broker, "worker", Version::V5);
    assert_eq!(worker.hear_message(), "jobs/1 job qos=1 id=1 dup=false");
    worker.say(&Packet::Subscribe(subscribe("plant/state")));
    worker.hear();
    assert_eq!(worker.hear_message(), "plant/state on qos=1 id=2 dup=false");
    sleeper.say(&Packet::PingReq);
    assert_eq!(sleeper.hear(), Packet::PingResp.to_string(), "nothing has come twice");
}

fn publish(number: u16) -> Publish<'static> {
    Publish {
        dup: true,
        qos: QoS::ExactlyOnce,
        retain: false,
        topic: TopicName::new("plant/9/temperature").ok(),
        packet_id: Some(id(number)),
        properties: PublishProperties::default(),
        payload: b"held",
    }
}

fn subscribe(filter: &str) -> Subscribe<'_> {
    let filter = TopicFilter::new(filter).expect("it is one");
    Subscribe {
        packet_id: id(77),
        identifier: None,
        user_properties: UserProperties::default(),
        filters: [(filter, SubscriptionOptions::with_qos(QoS::AtLeastOnce))].into_iter().collect(),
    }
}
