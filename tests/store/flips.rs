//! Every bit of the last segment, and many others, flip one by one: damage is named by file and
//! offset, or changes nothing.

use fastrand::Rng;
use skein::store::disk::DiskReader;
use skein::store::log::{Batch, Log, LogError, LogOptions, Records, SegmentedLog, Sequence};

use crate::disk::SimDisk;

/// Batches of the log, of which the snapshot has the first ones.
const BATCHES: u64 = 30;
const COVERED: u64 = 10;
const FLIPS_ELSEWHERE: usize = 1_000;

fn options() -> LogOptions {
    LogOptions { segment_bytes_max: 700, seed: 11, ..LogOptions::default() }
}

fn record(number: u64) -> Vec<u8> {
    let length = usize::try_from(number * 31 % 97).expect("it is small");
    (0..length).map(|at| (at as u64 * 7 + number) as u8).collect()
}

fn append(log: &mut impl Log, number: u64) {
    let mut batch = Batch::default();
    batch.push(&record(number));
    log.append(&batch).expect("there is room");
    log.sync().expect("the disk works");
}

/// A log with a snapshot and several segments, closed in order.
fn written() -> SimDisk {
    let disk = SimDisk::new(5);
    let mut log = SegmentedLog::open(disk.clone(), options()).expect("it is empty");
    (1..=BATCHES).for_each(|number| append(&mut log, number));
    log.begin_snapshot(Sequence(COVERED)).expect("the disk works");
    for number in 1..=COVERED {
        let mut batch = Batch::default();
        batch.push(&record(number));
        log.add_to_snapshot(&batch).expect("the disk works");
    }
    log.finish_snapshot().expect("the disk works");
    log.close().expect("the disk works");
    disk
}

/// Everything that a log shows.
fn replay(disk: SimDisk) -> Result<Vec<Vec<u8>>, LogError> {
    let mut log = SegmentedLog::open(disk, options())?;
    let mut found = Vec::new();
    log.replay(Sequence(0), &mut |_: Sequence, records: Records<'_>| {
        found.extend(records.map(<[u8]>::to_vec));
        Ok(())
    })?;
    Ok(found)
}

/// With this bit flipped all is there, or this file is refused; says whether it is refused.
fn check(disk: &SimDisk, name: &str, bit: usize) -> bool {
    let damaged = disk.fork();
    damaged.flip(name, bit);
    let expected: Vec<Vec<u8>> = (1..=BATCHES).map(record).collect();
    match replay(damaged) {
        Ok(found) => {
            assert_eq!(found, expected, "bit {bit} of {name} changed something");
            false
        }
        Err(LogError::Refused { file, offset, why }) => {
            assert_eq!(file, name, "bit {bit}: {why}");
            assert!(offset <= bit as u64 / 8, "bit {bit} of {name}: {why} at {offset}");
            true
        }
        Err(error) => panic!("bit {bit} of {name}: {error}"),
    }
}

fn files(disk: &SimDisk) -> Vec<(String, usize)> {
    let listed = disk.list().expect("it can be listed");
    let sized = listed.into_iter().map(|(name, bytes)| (name, bytes as usize));
    sized.filter(|(_, bytes)| *bytes > 0).collect()
}

#[test]
fn every_bit_of_the_last_segment_is_vouched_for() {
    let disk = written();
    let (name, bytes) = files(&disk)
        .into_iter()
        .rfind(|(name, _)| name.starts_with("segment-"))
        .expect("there are segments");
    let refused = (0..bytes * 8).filter(|bit| check(&disk, &name, *bit)).count();
    println!("{refused} of {} flips in {name} are refused", bytes * 8);
    // The mark at the end vouches for all before it, and nothing for the mark.
    assert!(refused * 10 > bytes * 8 * 8, "{refused}");
}

#[test]
fn a_thousand_bits_elsewhere_are_vouched_for() {
    let disk = written();
    let files = files(&disk);
    assert!(files.iter().any(|(name, _)| name.starts_with("snapshot-")) && files.len() > 3);
    let mut rng = Rng::with_seed(3);
    let mut refused = 0;
    for _ in 0..FLIPS_ELSEWHERE {
        let (name, bytes) = &files[rng.usize(..files.len() - 1)];
        refused += usize::from(check(&disk, name, rng.usize(..bytes * 8)));
    }
    println!("{refused} of {FLIPS_ELSEWHERE} flips are refused");
    assert!(refused * 10 > FLIPS_ELSEWHERE * 9, "{refused}");
}
