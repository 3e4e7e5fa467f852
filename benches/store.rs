//! What the durable log costs on this machine's disk: appends, commits, recovery. No criterion: what
//! is measured is mostly a disk, once, and the figures of interest are its quantiles.
//!
//! ```text
//! cargo bench --bench store                  # in the system's folder for temporary files
//! STORE_DIR=/var/lib cargo bench --bench store
//! ```

use std::env;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use skein::record::Record;
use skein::record::state::State;
use skein::store::disk::Files;
use skein::store::housekeeper::{Answer, Answers, Durability, HousekeeperOptions, Persist, start};
use skein::store::log::{Batch, Log, LogOptions, Records, SegmentedLog, Sequence};
use skein_protocol::{Version, qos::QoS};

const PAYLOAD_BYTES: usize = 256;

fn main() {
    // `cargo test --benches` only looks whether it runs.
    let is_short = !env::args().any(|argument| argument == "--bench");
    let parent = env::var_os("STORE_DIR").map_or_else(env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent).expect("a folder");
    let seconds = if is_short { 0.1 } else { 3.0 };
    for askers in [1, 10, 100] {
        commits(&folder.path().join(format!("commits-{askers}")), askers, seconds);
    }
    appends(&folder.path().join("appends"), if is_short { 10_000 } else { 2_000_000 });
    recovery(&folder.path().join("recovery"), if is_short { 10_000 } else { 1_000_000 });
}

fn open(path: &Path) -> SegmentedLog<Files> {
    let files = Files::open(path).expect("the folder is free");
    SegmentedLog::open(files, LogOptions::default()).expect("it is whole")
}

/// The records of one message of QoS 1 for one sleeping client.
fn queue_one(batch: &mut Batch, number: u64) {
    let message = Record::Message {
        message: number,
        topic: "plant/3/line/7/temperature".into(),
        properties: (&[][..]).into(),
        payload: (&[b'x'; PAYLOAD_BYTES][..]).into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
    };
    batch.push_with(|out| message.encode(out));
    let queued = Record::Queued {
        client_id: "sleeper".into(),
        entry: number,
        message: number,
        qos: QoS::AtLeastOnce,
        retain: false,
        identifiers: Vec::new(),
        share: None,
    };
    batch.push_with(|out| queued.encode(out));
}

fn connect(batch: &mut Batch) {
    let connected = Record::Connected {
        client_id: "sleeper".into(),
        owner: None,
        listener: "tcp".into(),
        version: Version::V5,
        expiry_s: u32::MAX,
        at_ms: 0,
    };
    batch.push_with(|out| connected.encode(out));
}

struct Mailbox(Sender<(usize, Answer)>);

impl Answers for Mailbox {
    fn answer(&mut self, to: usize, answer: Answer) {
        let _ = self.0.send((to, answer));
    }
}

/// So many publishers, each of which waits for its acknowledgement before it sends again.
fn commits(path: &Path, askers: usize, seconds: f64) {
    let (sender, answers): (_, Receiver<(usize, Answer)>) = channel();
    let options = HousekeeperOptions { askers, ..HousekeeperOptions::default() };
    let (store, thread) = start(open(path), options, Mailbox(sender)).expect("it starts");
    let mut sent = vec![(0, Instant::now()); askers];
    let mut number = 0;
    let mut send = |from: usize, sent: &mut [(u64, Instant)]| {
        number += 1;
        let mut batch = Batch::default();
        if number == 1 {
            connect(&mut batch);
        }
        queue_one(&mut batch, number);
        sent[from] = (sent[from].0 + 1, Instant::now());
        let (ticket, durability) = (sent[from].0, Durability::Disk);
        let groups = Vec::new();
        let persist = Persist { from, ticket, batch, durability, groups };
        store.persist(persist).expect("the queue has room");
    };
    (0..askers).for_each(|from| send(from, &mut sent));
    let (began, mut waited) = (Instant::now(), Vec::new());
    while began.elapsed().as_secs_f64() < seconds {
        let (to, answer) = answers.recv_timeout(Duration::from_secs(60)).expect("an answer");
        let Answer::Durable { .. } = answer else { panic!("{answer:?}") };
        waited.push(sent[to].1.elapsed());
        send(to, &mut sent);
    }
    let rate = waited.len() as f64 / began.elapsed().as_secs_f64();
    drop(store);
    thread.join().expect("it ends");
    waited.sort_unstable();
    let quantile = |share: f64| waited[(waited.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{askers:>3} publishers: {rate:>8.0} commits/s, p50 {:.2} ms, p99 {:.2} ms",
        quantile(0.5),
        quantile(0.99)
    );
}

/// Queues messages for one client, in batches of a thousand, synced each; returns how many batches.
fn fill(log: &mut impl Log, messages: u64) -> u32 {
    let mut syncs = 0;
    let mut batch = Batch::default();
    connect(&mut batch);
    for number in 1..=messages {
        queue_one(&mut batch, number);
        if number % 1_000 == 0 {
            log.append(&batch).expect("there is room");
            log.sync().expect("the disk works");
            batch.clear();
            syncs += 1;
        }
    }
    syncs
}

/// The log alone, in batches of a thousand messages, synced each.
fn appends(path: &Path, messages: u64) {
    let mut log = open(path);
    let began = Instant::now();
    let syncs = fill(&mut log, messages);
    let seconds = began.elapsed().as_secs_f64();
    let bytes = log.bytes() as f64 / 1e6;
    println!(
        "appended {:.0} messages/s, {:.0} MB/s, {:.0} syncs/s",
        messages as f64 / seconds,
        bytes / seconds,
        f64::from(syncs) / seconds
    );
}

/// A million messages wait for a client: how long until that is known again.
fn recovery(path: &Path, messages: u64) {
    let mut log = open(path);
    fill(&mut log, messages);
    log.close().expect("it is closed");
    for round in 1..=3 {
        let began = Instant::now();
        let mut log = open(path);
        let read = began.elapsed();
        let mut bytes = 0;
        log.replay(Sequence(0), &mut |_: Sequence, records: Records<'_>| {
            bytes += records.map(<[u8]>::len).sum::<usize>();
            Ok(())
        })
        .expect("it is whole");
        let checked = began.elapsed();
        let mut state = State::default();
        log.replay(Sequence(0), &mut |_: Sequence, mut records: Records<'_>| {
            records.try_for_each(|record| state.apply_bytes(record)).map_err(|it| it.to_string())
        })
        .expect("it is whole");
        assert_eq!(state.counts().entries as u64, messages);
        println!(
            "recovery {round}: {messages} messages, {:.0} MB: opened in {:.0} ms, read and checked \
             in {:.0} ms, read and applied in {:.0} ms",
            bytes as f64 / 1e6,
            read.as_secs_f64() * 1e3,
            (checked - read).as_secs_f64() * 1e3,
            (began.elapsed() - checked).as_secs_f64() * 1e3
        );
    }
}
