//! Batches that tests of the housekeeper hand over, and what becomes of them.

use skein::store::housekeeper::{Answer, Durability, Persist};
use skein::store::log::{Batch, Log, LogOptions, Records, SegmentedLog, Sequence};

use crate::disk::SimDisk;

/// A batch of so many bytes, each the number of its ticket.
pub(crate) fn persist(ticket: u64, bytes: usize, durability: Durability) -> Persist {
    let mut batch = Batch::default();
    batch.push(&vec![u8::try_from(ticket).expect("tests are short"); bytes]);
    Persist { from: 0, ticket, batch, durability, groups: Vec::new() }
}

/// What is answered when all up to this ticket is durable.
pub(crate) fn durable(ticket: u64) -> Vec<(usize, Answer)> {
    vec![(0, Answer::Durable { ticket })]
}

/// What is there after a start, one byte of each batch.
pub(crate) fn records(disk: &SimDisk) -> Vec<u8> {
    let mut found = Vec::new();
    let mut take = |_: Sequence, records: Records<'_>| {
        found.extend(records.map(|record| record[0]));
        Ok(())
    };
    let log = SegmentedLog::open(disk.clone(), LogOptions::default());
    log.expect("it is whole").replay(Sequence(0), &mut take).expect("it is whole");
    found
}
