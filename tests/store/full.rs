//! A disk that is full, or fails once, under the housekeeper.

use std::time::{Duration, Instant};

use skein::store::housekeeper::{
    self, Answer, Answers, Committer, Durability, HousekeeperOptions, Persist,
};
use skein::store::log::{Batch, Log, LogOptions, SegmentedLog};

use crate::batches::{self, durable, records};
use crate::disk::{Faults, SimDisk};

const RETRY_MS: u64 = 500;

fn open(disk: &SimDisk) -> SegmentedLog<SimDisk> {
    SegmentedLog::open(disk.clone(), LogOptions::default()).expect("it is whole")
}

fn committer(disk: &SimDisk) -> Committer<SegmentedLog<SimDisk>> {
    let options = HousekeeperOptions { retry_ms: RETRY_MS, ..HousekeeperOptions::default() };
    Committer::new(open(disk), options)
}

fn persist(ticket: u64) -> Persist {
    batches::persist(ticket, 100, Durability::Disk)
}

#[test]
fn a_full_disk_stops_the_acknowledgements_until_there_is_room() {
    let disk = SimDisk::new(1);
    let mut committer = committer(&disk);
    committer.take(persist(1));
    committer.commit(0);
    assert_eq!(committer.take_answers(), durable(1));
    disk.set_faults(Faults { bytes_max: Some(disk.bytes() + 50), ..Faults::default() });
    committer.take(persist(2));
    committer.commit(10);
    let told = committer.take_answers();
    assert!(matches!(told[..], [(0, Answer::Failed { is_disk_full: true, .. })]), "{told:?}");
    committer.take(persist(3));
    for now_ms in [20, 10 + RETRY_MS] {
        committer.commit(now_ms);
        assert_eq!(committer.take_answers(), [], "told once, and nothing is acknowledged");
    }
    disk.set_faults(Faults::default());
    committer.commit(10 + 2 * RETRY_MS);
    let answers = committer.take_answers();
    assert_eq!(answers.last(), durable(3).last(), "without a restart");
    disk.crash();
    assert_eq!(records(&disk), [1, 2, 3]);
}

struct Silent;

impl Answers for Silent {
    fn answer(&mut self, _: usize, _: Answer) {}
}

/// That no asker is left is heard, too, while more waits than may.
#[test]
fn a_full_disk_does_not_keep_the_housekeeper() {
    let disk = SimDisk::new(3);
    let log = open(&disk);
    disk.set_faults(Faults { bytes_max: Some(0), ..Faults::default() });
    let options =
        HousekeeperOptions { retry_ms: 2, commit_bytes_max: 1, ..HousekeeperOptions::default() };
    let (store, thread) = housekeeper::start(log, options, Silent).expect("it starts");
    for ticket in 1..=5 {
        store.persist(persist(ticket)).expect("the queue has room");
    }
    drop(store);
    let began = Instant::now();
    while !thread.is_finished() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn after_a_failed_sync_the_same_batches_are_written_elsewhere() {
    let disk = SimDisk::new(2);
    let mut committer = committer(&disk);
    committer.take(persist(1));
    committer.commit(0);
    disk.set_faults(Faults { fails_sync: true, ..Faults::default() });
    committer.take(persist(2));
    committer.commit(10);
    let told = committer.take_answers();
    assert!(matches!(told[..], [_, (0, Answer::Failed { is_disk_full: false, .. })]), "{told:?}");
    committer.commit(10 + RETRY_MS);
    assert_eq!(committer.take_answers(), durable(2));
    disk.crash();
    assert_eq!(records(&disk), [1, 2]);
}

fn append(log: &mut SegmentedLog<SimDisk>, number: u8) {
    let mut batch = Batch::default();
    batch.push(&[number; 100]);
    log.append(&batch).expect("there is room");
}

/// The kernel forgets what a failed sync was to write, and the next process sees it in memory.
#[test]
fn a_sync_after_one_that_failed_proves_nothing_in_the_next_process_either() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        append(&mut log, 1);
        log.sync().expect("the disk works");
        append(&mut log, 2);
        disk.set_faults(Faults { fails_sync: true, ..Faults::default() });
        log.sync().expect_err("it fails once");
        disk.kill();
        let found = records(&disk);
        disk.crash();
        assert_eq!(records(&disk), found, "seed {seed}: what a start has found stays");
    }
}

/// A segment says where the one before it ends: it has its name when what was found behind that, and
/// may be durable, is in it.
#[test]
fn what_a_start_has_found_stays_though_there_is_no_room_to_write_it_anew() {
    let disk = SimDisk::new(4);
    let mut log = open(&disk);
    for number in [1, 2] {
        append(&mut log, number);
        log.sync().expect("the disk works");
    }
    disk.crash();
    for room in 0..300 {
        disk.set_faults(Faults { bytes_max: Some(disk.bytes() + room), ..Faults::default() });
        assert_eq!(records(&disk), [1, 2], "{room} bytes of room");
        disk.crash();
    }
}

/// The same of what the system has, after a sync that failed.
#[test]
fn what_is_written_outlives_the_process_though_there_is_no_room_to_write_it_anew() {
    for room in 0..300 {
        let disk = SimDisk::new(5);
        let mut log = open(&disk);
        append(&mut log, 1);
        log.sync().expect("the disk works");
        append(&mut log, 2);
        log.write().expect("the disk works");
        disk.set_faults(Faults { fails_sync: true, ..Faults::default() });
        log.sync().expect_err("it fails once");
        disk.set_faults(Faults { bytes_max: Some(disk.bytes() + room), ..Faults::default() });
        let _ = log.write();
        disk.kill();
        disk.set_faults(Faults::default());
        assert_eq!(records(&disk), [1, 2], "{room} bytes of room");
    }
}

#[test]
fn what_a_start_has_not_found_is_not_found_after_the_next_crash() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut log = open(&disk);
        append(&mut log, 1);
        append(&mut log, 2);
        disk.set_faults(Faults { bytes_max: Some(200), ..Faults::default() });
        log.sync().expect_err("there is no room for both");
        disk.set_faults(Faults::default());
        disk.kill();
        assert_eq!(records(&disk), [0; 0], "what was half written was cut off");
        disk.crash();
        assert_eq!(records(&disk), [0; 0], "seed {seed}");
    }
}
