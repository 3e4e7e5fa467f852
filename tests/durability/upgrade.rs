//! Files of earlier versions are read: `tests/golden/store-N` is a folder that a broker of format N
//! has left behind, `store-N.json` what is in it. Neither ever changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use skein_protocol::{Ack, Packet, Publish, QoS, Version};
use tempfile::TempDir;

use crate::broker::{Broker, Start, binary};
use crate::peer::{Peer, id, publish, subscribe};

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
    let held = publish(QoS::ExactlyOnce, 9, "plant/9/temperature", b"held");
    midway.say(&Packet::Publish(Publish { dup: true, ..held }));
    assert_eq!(midway.hear(), Packet::PubRec(ack(9)).to_string());
    let mut worker = Peer::resume(&broker, "worker", Version::V5);
    assert_eq!(worker.hear_message(), "jobs/1 job qos=1 id=1 dup=false");
    worker.say(&Packet::Subscribe(subscribe(QoS::AtLeastOnce, 77, "plant/state")));
    worker.hear();
    assert_eq!(worker.hear_message(), "plant/state on qos=1 id=2 dup=false");
    sleeper.say(&Packet::PingReq);
    assert_eq!(sleeper.hear(), Packet::PingResp.to_string(), "nothing has come twice");
}
