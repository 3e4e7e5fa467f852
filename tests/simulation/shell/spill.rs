//! The disk on which parts of long queues lie: it does what it is asked in order, when it likes, and
//! now and then can not write, or read. Nothing on it outlives the broker.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skein::shard::{Event, Spill, Spilled};

use super::Node;
use crate::{draw::Draw, oracle::violated, scene::Scene};

/// One shard's side of it.
#[derive(Debug)]
pub(super) struct Chunks {
    /// A stream of its own: worlds without chunks are the same as if there were none anywhere.
    luck: Draw,
    asked: VecDeque<Spill>,
    files: BTreeMap<u64, Vec<u8>>,
    /// Those that could not be read once.
    failed: BTreeSet<u64>,
}

impl Chunks {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            luck: Draw::new(seed),
            asked: VecDeque::new(),
            files: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }

    pub(super) fn ask(&mut self, spills: &mut Vec<Spill>) {
        self.asked.extend(spills.drain(..));
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.asked.is_empty()
    }

    fn obey(&mut self, spill: Spill) -> Option<(u64, Spilled)> {
        Some(match spill {
            Spill::Write { chunk, bytes } if self.luck.chance(1, 20) => {
                (chunk, Spilled::NotWritten(bytes))
            }
            Spill::Write { chunk, bytes } => {
                self.files.insert(chunk, bytes.as_bytes().to_vec());
                (chunk, Spilled::Written)
            }
            // Not for ever, or nothing would come to rest.
            Spill::Read { chunk } if self.luck.chance(1, 3) && self.failed.insert(chunk) => {
                (chunk, Spilled::NotRead)
            }
            Spill::Read { chunk } => match self.files.remove(&chunk) {
                Some(bytes) => (chunk, Spilled::Read(bytes)),
                None => violated!("a chunk that is read was written", "{chunk}"),
            },
            Spill::Forget { chunk } => {
                self.files.remove(&chunk);
                return None;
            }
        })
    }
}

impl Node {
    /// Hears of some of what was asked of the disk, or of all.
    pub(super) fn hear_disk(&mut self, scene: &mut Scene, full: bool) -> bool {
        let mut happened = false;
        while !self.chunks.asked.is_empty() && (full || self.chunks.luck.chance(1, 3)) {
            let Some(spill) = self.chunks.asked.pop_front() else { break };
            happened = true;
            if let Some((chunk, outcome)) = self.chunks.obey(spill) {
                scene.log.note(|| format!("shard {} hears of chunk {chunk}", self.index));
                self.handle(Event::Spilled { chunk, outcome }, scene);
            }
        }
        happened
    }

    /// Nothing is on the disk of which the shard does not know.
    pub(crate) fn check_chunks(&self) {
        let (found, known) = (self.chunks.files.len(), self.shard.audit().chunks);
        if self.chunks.is_at_rest() && found != known {
            violated!("a chunk that nobody needs is forgotten", "{found} on disk, {known} known");
        }
    }
}
