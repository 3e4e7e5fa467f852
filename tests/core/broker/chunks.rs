//! The disk on which parts of long queues lie.

use std::collections::{BTreeMap, VecDeque};

use skein::shard::{Event, Spill, Spilled};

use super::Broker;

/// What was asked of the disk, and what is on it.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    asked: VecDeque<(usize, Spill)>,
    /// So many have waited at most.
    pub(crate) asked_most: usize,
    files: BTreeMap<(usize, u64), Vec<u8>>,
    /// Nothing is answered until the test lets it.
    pub(super) are_held: bool,
    /// Whatever is asked for can not be done.
    pub(crate) fail: bool,
}

impl Chunks {
    pub(super) fn push(&mut self, shard: usize, spills: Vec<Spill>) {
        self.asked.extend(spills.into_iter().map(|spill| (shard, spill)));
        self.asked_most = self.asked_most.max(self.asked.len());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Does what was asked for first; what is to be answered comes with the shard.
    fn obey(&mut self) -> Option<(usize, Event<'static>)> {
        loop {
            let (shard, spill) = self.asked.pop_front()?;
            let (chunk, outcome) = match spill {
                Spill::Write { chunk, bytes } if self.fail => (chunk, Spilled::NotWritten(bytes)),
                Spill::Write { chunk, bytes } => {
                    self.files.insert((shard, chunk), bytes.as_bytes().to_vec());
                    (chunk, Spilled::Written)
                }
                Spill::Read { chunk } if self.fail => (chunk, Spilled::NotRead),
                Spill::Read { chunk } => {
                    let bytes = self.files.remove(&(shard, chunk));
                    (chunk, Spilled::Read(bytes.expect("what is read was written")))
                }
                Spill::Forget { chunk } => {
                    self.files.remove(&(shard, chunk));
                    continue;
                }
            };
            return Some((shard, Event::Spilled { chunk, outcome }));
        }
    }
}

impl Broker {
    /// The disk answers nothing from now on.
    pub(crate) fn hold_chunks(&mut self) {
        self.chunks.are_held = true;
    }

    /// The disk answers.
    pub(crate) fn release_chunks(&mut self) {
        self.chunks.are_held = false;
        self.settle();
    }

    pub(super) fn answer_chunk(&mut self) -> bool {
        if self.chunks.are_held {
            return false;
        }
        let Some((shard, event)) = self.chunks.obey() else { return false };
        self.handle(shard, event);
        true
    }
}
