//! What durability costs, measured and printed. Ratios within one run: machines differ.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use skein::record::Record;
use skein::store::disk::Files;
use skein::store::log::{Batch, Log, LogOptions, SegmentedLog};
use skein_protocol::{Disconnect, Packet, QoS, ReasonCode, Version};

use crate::broker::{Broker, Start};
use crate::options;
use crate::peer::{Peer, publish, subscribe};

/// How long each crowd publishes.
const MEASURED: Duration = Duration::from_secs(2);
const PUBLISHERS: usize = 100;
/// So many messages wait for one client, below what a session may have.
const QUEUED_PER_CLIENT: u64 = 50_000;

/// K12: one commit serves all who wait for it.
#[test]
fn a_hundred_publishers_share_their_commits() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let broker = Broker::start(&Start::new(&folder.path().join("data"), 2)).expect("it starts");
    let (mut sleeper, _) = Peer::connect(&broker, "sleeper", Version::V5);
    sleeper.say(&Packet::Subscribe(subscribe(QoS::AtLeastOnce, 1, "rate/#")));
    sleeper.hear();
    sleeper.say(&Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)));
    let alone = acknowledged(&broker, 1);
    let together = acknowledged(&broker, PUBLISHERS);
    let ratio = together / alone;
    println!(
        "acknowledged per second: {alone:.0} for one publisher, {together:.0} for {PUBLISHERS}, \
         {ratio:.0} times as many"
    );
    // A goal is 50; what is asked for here only tells whether they wait for one another.
    assert!(ratio > 3.0, "{ratio}");
}

/// How many messages of QoS 1 are acknowledged in a second, if each publisher waits for each.
fn acknowledged(broker: &Broker, publishers: usize) -> f64 {
    let run = |number: usize| {
        let (mut peer, _) = Peer::connect(broker, &format!("{publishers}-{number}"), Version::V5);
        let topic = format!("rate/{number}");
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < MEASURED {
            peer.say(&Packet::Publish(publish(QoS::AtLeastOnce, 1, &topic, &[b'x'; 64])));
            assert!(peer.hear().starts_with("PUBACK"));
            count += 1;
        }
        count
    };
    let counts: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..publishers).map(|it| scope.spawn(move || run(it))).collect();
        threads.into_iter().map(|it| it.join().expect("it has not panicked")).sum()
    });
    counts as f64 / MEASURED.as_secs_f64()
}

/// K8: nobody is served an empty session meanwhile.
#[test]
fn a_start_with_many_queued_messages_is_measured() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let data_dir = folder.path().join("data");
    let clients = fill(&data_dir, options::messages());
    let began = Instant::now();
    let broker = Broker::start(&Start::new(&data_dir, 2)).expect("it reads all of it");
    let listening = began.elapsed();
    for client in 0..clients {
        let mut peer = Peer::resume(&broker, &format!("sleeper-{client}"), Version::V5);
        assert!(peer.hear_message().starts_with("plant/temperature "), "the queue is there");
    }
    println!(
        "start with {} messages for {clients} clients: listening after {:.0} ms, all served after \
         {:.0} ms; at most {} MiB of memory",
        options::messages(),
        listening.as_secs_f64() * 1e3,
        began.elapsed().as_secs_f64() * 1e3,
        broker.memory_kib_max() >> 10
    );
}

/// Queues so many messages of 256 bytes; says for how many clients.
fn fill(data_dir: &Path, messages: u64) -> u64 {
    let files = Files::open(data_dir).expect("the folder is free");
    let mut log = SegmentedLog::open(files, LogOptions::default()).expect("it is empty");
    let clients = messages.div_ceil(QUEUED_PER_CLIENT);
    for client in 0..clients {
        let client_id = format!("sleeper-{client}");
        let mut batch = Batch::default();
        push(&mut batch, &connected(&client_id));
        for entry in 1..=QUEUED_PER_CLIENT.min(messages - client * QUEUED_PER_CLIENT) {
            let message = client * QUEUED_PER_CLIENT + entry;
            queue(&mut batch, &client_id, entry, message);
            if entry % 1_000 == 0 {
                log.append(&batch).expect("there is room");
                log.sync().expect("the disk works");
                batch.clear();
            }
        }
        log.append(&batch).expect("there is room");
    }
    log.close().expect("the disk works");
    clients
}

fn push(batch: &mut Batch, record: &Record<'_>) {
    batch.push_with(|out| record.encode(out));
}

fn connected(client_id: &str) -> Record<'_> {
    Record::Connected {
        client_id: client_id.into(),
        owner: None,
        listener: "127.0.0.1:0".into(),
        version: Version::V5,
        expiry_s: u32::MAX,
        at_ms: 0,
    }
}

fn queue(batch: &mut Batch, client_id: &str, entry: u64, message: u64) {
    let stored = Record::Message {
        message,
        topic: "plant/temperature".into(),
        properties: (&[][..]).into(),
        payload: (&[b'x'; 256][..]).into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
    };
    push(batch, &stored);
    let queued = Record::Queued {
        client_id: client_id.into(),
        entry,
        message,
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Vec::new(),
        share: None,
    };
    push(batch, &queued);
}
