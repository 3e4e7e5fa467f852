use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::{
    super::{
        disk::Files,
        log::{LogOptions, Records, SegmentedLog, Sequence},
    },
    *,
};
use crate::record::{Record, state::State};

impl Answers for Sender<(usize, Answer)> {
    fn answer(&mut self, to: usize, answer: Answer) {
        let _ = self.send((to, answer));
    }
}

fn open(folder: &tempfile::TempDir) -> SegmentedLog<Files> {
    let files = Files::open(folder.path()).expect("the folder is free");
    let options = LogOptions { segment_bytes_max: 4_096, ..LogOptions::default() };
    SegmentedLog::open(files, options).expect("it is whole")
}

fn options() -> HousekeeperOptions {
    HousekeeperOptions { askers: 2, idle_ms: 5, compaction_bytes_min: 8_192, ..Default::default() }
}

fn persist(from: usize, ticket: u64, records: &[Record<'_>]) -> Persist {
    let mut batch = Batch::default();
    records.iter().for_each(|record| batch.push_with(|out| record.encode(out)));
    Persist { from, ticket, batch, durability: Durability::Disk, groups: Vec::new() }
}

fn ended(client_id: &str) -> Record<'_> {
    Record::Ended { client_id: client_id.into() }
}

fn connected(client_id: &str) -> Record<'_> {
    Record::Connected {
        client_id: client_id.into(),
        owner: None,
        listener: "tcp".into(),
        version: skein_protocol::Version::V5,
        expiry_s: 1,
        at_ms: 0,
    }
}

fn recover(log: &mut SegmentedLog<Files>) -> State {
    let mut state = State::with_shelf(log.shelf());
    let replayed = log.replay(Sequence(0), &mut |_: Sequence, records: Records<'_>| {
        state.apply_all(records).map_err(|it| it.to_string())
    });
    replayed.expect("it is whole");
    state
}

#[test]
fn each_asker_hears_of_its_own_batches_when_they_are_durable() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sender, answers) = channel();
    let (store, thread) = start(open(&folder), options(), sender).expect("it starts");
    for ticket in 1..=3 {
        let name = format!("client-{ticket}");
        store.persist(persist(1, ticket, &[connected(&name)])).expect("there is room");
    }
    let mut last = 0;
    while last < 3 {
        let (to, answer) = answers.recv_timeout(Duration::from_secs(20)).expect("an answer");
        let Answer::Durable { ticket } = answer else { panic!("{answer:?}") };
        assert!(to == 1 && ticket > last);
        last = ticket;
    }
    drop(store);
    thread.join().expect("it ends");
    assert_eq!(recover(&mut open(&folder)).counts().sessions, 3);
}

#[test]
fn a_group_waits_for_all_of_its_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut committer = Committer::new(open(&folder), options());
    let groups = vec![Group { number: 1, parts: 2 }];
    committer.take(Persist { groups: groups.clone(), ..persist(0, 1, &[connected("a")]) });
    committer.take(persist(0, 2, &[connected("b")]));
    committer.commit(0);
    assert_eq!(committer.take_answers(), []);
    committer.take(Persist { groups, ..persist(1, 1, &[connected("c")]) });
    committer.commit(0);
    let durable = |to, ticket| (to, Answer::Durable { ticket });
    assert_eq!(committer.take_answers(), [durable(0, 2), durable(1, 1)]);
}

#[test]
fn what_has_gone_is_compacted_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut committer = Committer::new(open(&folder), options());
    committer.take(persist(0, 1, &[connected("stays")]));
    for ticket in 2..2_000 {
        committer.take(persist(0, ticket, &[connected("goes"), ended("goes")]));
        committer.commit(0);
        committer.compact_some();
    }
    for _ in 0..100 {
        committer.compact_some();
    }
    committer.finish();
    let last = committer.take_answers().pop();
    assert_eq!(last, Some((0, Answer::Durable { ticket: 1_999 })));
    drop(committer);
    let mut log = open(&folder);
    assert!(log.bytes() < 40_000, "{} bytes are left", log.bytes());
    assert!(log.sources()[0].name.starts_with("snapshot-"));
    let state = recover(&mut log);
    assert_eq!(state.sessions().map(|(id, _)| id).collect::<Vec<_>>(), ["stays"]);
}

/// One message a batch, which its topic retains in place of the one before.
fn retained(number: u64, bytes: usize) -> Persist {
    let message = Record::Message {
        message: number,
        topic: "topic".into(),
        properties: Vec::new().into(),
        payload: vec![0; bytes].into(),
        qos: skein_protocol::QoS::AtLeastOnce,
        retain: true,
        expires_at_ms: None,
    };
    let kept = Record::Retained { message: number, author: None, user: None, listener: None };
    persist(0, number, &[message, kept])
}

/// Bytes of all files of a folder.
fn bytes_on_disk(folder: &tempfile::TempDir) -> u64 {
    let files = std::fs::read_dir(folder.path()).expect("it is there");
    files.map(|file| file.and_then(|it| it.metadata()).expect("it is there").len()).sum()
}

/// However much comes with each commit, and though there is no pause in which it would catch up.
#[test]
fn compaction_keeps_up_with_what_is_written_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut committer = Committer::new(open(&folder), options());
    let mut number = 0;
    for bytes in [100, 10_000, 1 << 20] {
        let mut most = 0;
        for _ in 0..60 {
            number += 1;
            committer.take(retained(number, bytes));
            committer.commit(0);
            committer.compact_some();
            most = most.max(bytes_on_disk(&folder));
        }
        let needed = u64::try_from(bytes).expect("it is small") + options().compaction_bytes_min;
        assert!(most < 10 * needed, "{most} bytes of files for {needed} that are needed");
    }
}

/// It has made nothing smaller, so it is tried again soon.
#[test]
fn a_compaction_that_has_failed_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut committer = Committer::new(open(&folder), options());
    let draft = folder.path().join("snapshot.new");
    std::fs::create_dir(&draft).expect("it has no other");
    for number in 1..=100 {
        committer.take(retained(number, 1_000));
        committer.commit(0);
        committer.compact_some();
    }
    assert_eq!(committer.counters().compactions, 0, "a folder has the name of the snapshot");
    std::fs::remove_dir(&draft).expect("it is empty");
    for number in 101..=150 {
        committer.take(retained(number, 1_000));
        committer.commit(0);
        committer.compact_some();
    }
    assert!(bytes_on_disk(&folder) < 100_000, "{} bytes", bytes_on_disk(&folder));
}
