//! As much is written and not synced as may be, under the housekeeper, and nobody lets it rest: what
//! comes next is written all the same.

use skein::store::housekeeper::{Answer, Committer, Durability, HousekeeperOptions, Persist};
use skein::store::log::{LogOptions, SegmentedLog};

use crate::batches::{durable, persist, records};
use crate::disk::{Faults, SimDisk};

const UNSYNCED_BYTES_MAX: usize = 1_000;
const RETRY_MS: u64 = 500;

fn open(disk: &SimDisk) -> SegmentedLog<SimDisk> {
    let options = LogOptions { unsynced_bytes_max: UNSYNCED_BYTES_MAX, ..LogOptions::default() };
    SegmentedLog::open(disk.clone(), options).expect("it is whole")
}

/// With a segment, as the batch that a segment begins with is durable at once.
fn committer(disk: &SimDisk) -> Committer<SegmentedLog<SimDisk>> {
    let options = HousekeeperOptions { retry_ms: RETRY_MS, ..HousekeeperOptions::default() };
    let mut committer = Committer::new(open(disk), options);
    commit(&mut committer, persist(1, 10, Durability::Disk));
    committer
}

/// One after which so much is written and not synced that a batch of 100 bytes does not fit. Its
/// last ticket is 2.
fn full_committer(disk: &SimDisk) -> Committer<SegmentedLog<SimDisk>> {
    let mut committer = committer(disk);
    commit(&mut committer, persist(2, UNSYNCED_BYTES_MAX - 50, Durability::Os));
    assert_eq!(committer.counters().syncs, 1, "the second batch is only written");
    committer
}

/// Hands one batch over, which is answered by the commit that follows.
fn commit(committer: &mut Committer<SegmentedLog<SimDisk>>, persist: Persist) {
    let ticket = persist.ticket;
    committer.take(persist);
    committer.commit(0);
    assert_eq!(committer.take_answers(), durable(ticket));
}

#[test]
fn who_waits_is_answered_though_others_never_let_the_store_rest() {
    let disk = SimDisk::new(1);
    let mut committer = committer(&disk);
    for ticket in 2..=100 {
        let durability = if ticket % 20 == 0 { Durability::Disk } else { Durability::Os };
        commit(&mut committer, persist(ticket, 100, durability));
        if durability == Durability::Disk {
            let crashed = disk.fork();
            crashed.crash();
            assert_eq!(records(&crashed).len() as u64, ticket, "it is on the disk");
        }
    }
}

/// So it is in the mode `os`, too: what is written stays in memory until it is synced.
#[test]
fn what_nobody_waits_for_is_synced_when_no_more_fits() {
    let disk = SimDisk::new(2);
    let mut committer = committer(&disk);
    for ticket in 2..=100 {
        commit(&mut committer, persist(ticket, 100, Durability::Os));
    }
    let syncs = committer.counters().syncs;
    assert!((10..30).contains(&syncs), "{syncs} syncs, one for each seven batches is due");
    disk.kill();
    assert_eq!(records(&disk), (1..=100).collect::<Vec<u8>>());
}

#[test]
fn a_batch_larger_than_may_wait_is_written() {
    for durability in [Durability::Os, Durability::Disk] {
        let disk = SimDisk::new(3);
        let mut committer = committer(&disk);
        // Onto nothing, onto one of its own kind, and before and after small ones.
        for (ticket, bytes) in [(2, 5_000), (3, 5_000), (4, 100), (5, 100), (6, 5_000), (7, 100)] {
            commit(&mut committer, persist(ticket, bytes, durability));
        }
        disk.kill();
        assert_eq!(records(&disk), [1, 2, 3, 4, 5, 6, 7]);
    }
}

#[test]
fn several_batches_that_do_not_fit_together_are_written_by_one_commit() {
    let disk = SimDisk::new(4);
    let mut committer = full_committer(&disk);
    for ticket in 3..=30 {
        committer.take(persist(ticket, 100, Durability::Os));
    }
    committer.take(persist(31, 100, Durability::Disk));
    committer.commit(0);
    assert_eq!(committer.take_answers(), durable(31));
    disk.crash();
    assert_eq!(records(&disk), (1..=31).collect::<Vec<u8>>());
}

#[test]
fn what_is_queued_at_the_end_is_written_though_no_more_fits() {
    for durability in [Durability::Os, Durability::Disk] {
        let disk = SimDisk::new(5);
        let mut committer = full_committer(&disk);
        committer.take(persist(3, 100, durability));
        committer.take(persist(4, 5_000, durability));
        committer.finish();
        assert_eq!(committer.take_answers(), durable(4));
        disk.crash();
        assert_eq!(records(&disk), [1, 2, 3, 4]);
    }
}

#[test]
fn what_is_queued_at_the_end_is_written_though_the_sync_that_makes_room_fails_once() {
    let disk = SimDisk::new(6);
    let mut committer = full_committer(&disk);
    committer.take(persist(3, 100, Durability::Os));
    disk.set_faults(Faults { fails_sync: true, ..Faults::default() });
    committer.finish();
    let answers = committer.take_answers();
    assert_eq!(answers.last(), durable(3).last(), "{answers:?}");
    disk.crash();
    assert_eq!(records(&disk), [1, 2, 3]);
}

/// The stop of a broker does not wait for a disk that does not work.
#[test]
fn the_end_comes_though_nothing_can_be_written() {
    let disk = SimDisk::new(7);
    let mut committer = full_committer(&disk);
    committer.take(persist(3, 100, Durability::Disk));
    disk.set_faults(Faults { bytes_max: Some(0), fails_sync: true, ..Faults::default() });
    committer.finish();
    let told = committer.take_answers();
    assert!(matches!(told[..], [(0, Answer::Failed { .. })]), "{told:?}");
}

#[test]
fn a_sync_that_makes_room_and_fails_is_told_and_tried_again() {
    let disk = SimDisk::new(8);
    let mut committer = full_committer(&disk);
    disk.set_faults(Faults { fails_sync: true, ..Faults::default() });
    committer.take(persist(3, 100, Durability::Os));
    committer.commit(10);
    let told = committer.take_answers();
    assert!(matches!(told[..], [(0, Answer::Failed { is_disk_full: false, .. })]), "{told:?}");
    committer.commit(10 + RETRY_MS);
    assert_eq!(committer.take_answers(), durable(3));
    disk.kill();
    assert_eq!(records(&disk), [1, 2, 3]);
}
