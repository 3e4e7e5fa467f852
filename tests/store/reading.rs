//! Who only reads a log, and how its end is told where that does not hold.

use skein::store::disk::{Disk, DiskReader};
use skein::store::log::{
    Batch, CutTail, Log, LogError, LogFiles, LogOptions, Records, SegmentedLog, Sequence,
};

use crate::disk::SimDisk;

const FIRST: &str = "segment-0000000001";
/// Bytes of a batch: its frame, and in it the length of the record and the record.
const BATCH: usize = 32 + 4 + 50;
/// From the end of a batch.
const FLIPPED: usize = 20;

fn open(disk: &SimDisk) -> SegmentedLog<SimDisk> {
    let options = LogOptions { seed: 7, ..LogOptions::default() };
    SegmentedLog::open(disk.clone(), options).expect("it is whole")
}

/// Three batches, each of them durable before the next one.
fn written(disk: &SimDisk) -> SegmentedLog<SimDisk> {
    let mut log = open(disk);
    for number in 1..=3 {
        let mut batch = Batch::default();
        batch.push(&[number; 50]);
        log.append(&batch).expect("there is room");
        log.sync().expect("the disk works");
    }
    log
}

/// The process was killed at once, and then a bit near the end has flipped.
fn damaged() -> SimDisk {
    let disk = SimDisk::new(1);
    drop(written(&disk));
    disk.kill();
    flip(&disk, disk.contents(FIRST).len());
    disk
}

/// Damages the batch that ends here.
fn flip(disk: &SimDisk, end: usize) {
    disk.flip(FIRST, (end - FLIPPED) * 8);
}

/// What somebody finds who only reads: the first byte of each batch.
fn read(disk: &SimDisk) -> Result<(Vec<u8>, Option<CutTail>), LogError> {
    let files = LogFiles::open(disk.clone())?;
    let mut found = Vec::new();
    files.replay(&mut |_: Sequence, records: Records<'_>| {
        found.extend(records.map(|record| record[0]));
        Ok(())
    })?;
    Ok((found, files.cut_tail().cloned()))
}

fn contents(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list().expect("it can be listed").into_iter().map(|(name, _)| name);
    names.map(|name| (name.clone(), disk.contents(&name))).collect()
}

/// A start would begin a segment, remove what is left of drafts, and take over the batch that
/// nothing calls durable; a batch that does not hold it would leave behind for good.
#[test]
fn reading_does_nothing_of_what_a_start_does() {
    let disk = damaged();
    for draft in ["segment.new", "snapshot.new"] {
        drop(disk.clone().create(draft).expect("a file"));
    }
    let (before, touches) = (contents(&disk), disk.touches());
    for _ in 0..2 {
        let (found, tail) = read(&disk).expect("it can be read");
        assert_eq!(found, [1, 2]);
        assert!(tail.is_some());
    }
    assert_eq!(disk.touches(), touches, "no write, sync, rename, create or remove");
    assert_eq!(contents(&disk), before);
    drop(open(&disk));
    assert!(disk.touches() > touches && contents(&disk) != before, "a start is seen");
}

#[test]
fn an_end_that_does_not_hold_is_told_by_file_and_place() {
    let disk = damaged();
    let bytes = disk.contents(FIRST).len() as u64;
    let (_, tail) = read(&disk).expect("it can be read");
    let tail = tail.expect("a batch is left out");
    assert_eq!((tail.file.as_str(), tail.bytes), (FIRST, BATCH as u64));
    assert_eq!(tail.offset + tail.bytes, bytes);
    let told = tail.to_string();
    let place = format!("{FIRST}: at byte {}: the checksum of a batch does not", tail.offset);
    assert!(told.starts_with(&place) && told.contains("86 bytes"), "{told}");
    assert_eq!(open(&disk).cut_tail(), Some(&tail), "a start tells the same");
    assert_eq!(open(&disk).cut_tail(), None, "and once only");
}

#[test]
fn an_end_that_holds_is_not_worth_a_word() {
    let disk = SimDisk::new(1);
    assert_eq!(read(&disk).expect("it is empty"), (vec![], None));
    drop(written(&disk));
    assert_eq!(read(&disk).expect("it is whole"), (vec![1, 2, 3], None));
    disk.kill();
    assert_eq!(read(&disk).expect("it is whole"), (vec![1, 2, 3], None));
    assert_eq!(open(&disk).cut_tail(), None);
}

/// A mark, the next batch or the next segment says that it was durable: this is no torn write.
#[test]
fn the_same_damage_is_refused_where_something_stands_behind_it() {
    let (marked, killed, continued) = (SimDisk::new(1), SimDisk::new(1), SimDisk::new(1));
    let log = written(&marked);
    let end = marked.contents(FIRST).len();
    log.close().expect("the disk works");
    flip(&marked, end);
    drop(written(&killed));
    killed.kill();
    flip(&killed, end - BATCH);
    drop(written(&continued));
    continued.kill();
    // The last batch is in the next segment from now on, and this one ends before it.
    drop(open(&continued));
    flip(&continued, end);
    assert_eq!(read(&continued).expect("it is in the next one"), (vec![1, 2, 3], None));
    flip(&continued, end - BATCH);
    for disk in [marked, killed, continued] {
        let refused = read(&disk).expect_err("it is damaged");
        assert!(refused.to_string().starts_with(FIRST), "{refused}");
    }
}
