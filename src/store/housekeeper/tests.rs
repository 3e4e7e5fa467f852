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
