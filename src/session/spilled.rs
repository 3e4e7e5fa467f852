//! The part of a long queue that is not kept in memory.
//!
//! ```text
//!   sent ◀── head ◀─read─ chunk ◀ chunk ◀ … ◀ chunk ◀─written─ tail ◀── pushed
//!           memory             on disk, oldest first           memory
//! ```
//!
//! A chunk is memory that lies elsewhere: what a crash needs stands in the log. So it is not synced,
//! and it is worth nothing after a restart.
//!
//! What was picked for a shared subscription stays in memory wherever it stands in the queue, since
//! it goes to another member when the session ends (MQTT 5, 4.8.2), and that waits for no disk.

use std::collections::VecDeque;

use super::{Delivery, chunk, segments::Segments};
use crate::record::Batch;

/// A chunk is so much of what a session may keep of its queue in memory: two in front, one behind,
/// and one that is read.
pub(super) const CHUNKS_IN_MEMORY: usize = 4;
/// From the front of the queue so many are kept in memory.
pub(super) const CHUNKS_IN_HEAD: usize = 2;

/// What is to be done with a chunk of a session's queue. Its number is unique in its shard.
#[derive(Clone, Debug)]
pub enum Spill {
    /// It is to be kept on disk.
    Write {
        /// Its number.
        chunk: u64,
        /// Its bytes.
        bytes: Batch,
    },
    /// It is wanted back. Once it was read, it is needed on disk no more.
    Read {
        /// Its number.
        chunk: u64,
    },
    /// Nobody needs it any more.
    Forget {
        /// Its number.
        chunk: u64,
    },
}

/// Where the deliveries of a chunk are.
#[derive(Debug)]
enum Place {
    /// On their way to the disk, and in memory until they are there.
    Writing,
    Disk,
    Reading,
    /// In memory: read before its turn, or not written.
    Here(Vec<Delivery>),
}

#[derive(Debug)]
struct Chunk {
    number: u64,
    /// How many deliveries, with those that stay.
    len: usize,
    /// What those are charged with that are written.
    bytes: usize,
    /// Those that stay in memory, with their places in the chunk.
    stays: Vec<(usize, Delivery)>,
    /// What those are charged with.
    stay_bytes: usize,
    place: Place,
}

impl Chunk {
    fn is_away(&self) -> bool {
        !matches!(self.place, Place::Here(_))
    }

    /// What of it is in memory, if anything.
    fn here(&self) -> &[Delivery] {
        if let Place::Here(all) = &self.place { all } else { &[] }
    }

    /// Its deliveries come back, in memory or from the disk: all of them, in order.
    fn take_back(&mut self, deliveries: Vec<Delivery>) {
        let mut written = deliveries.into_iter();
        let mut all = Vec::with_capacity(self.len);
        for (at, delivery) in self.stays.drain(..) {
            all.extend(written.by_ref().take(at - all.len()));
            all.push(delivery);
        }
        all.extend(written);
        self.place = Place::Here(all);
    }
}

/// Everything behind the head.
#[derive(Debug)]
pub(super) struct Spilled {
    chunks: VecDeque<Chunk>,
    tail: Segments<Delivery>,
    tail_bytes: usize,
    /// How many deliveries there are.
    len: usize,
    /// What they are charged with.
    bytes: usize,
    /// Of these, what is not in memory.
    away_bytes: usize,
    /// From this size on the tail becomes a chunk.
    chunk_bytes: usize,
    /// A chunk could not be read: it is asked for again when the client connects again.
    is_unreadable: bool,
    /// How much was pushed over the queue's limits, until the oldest can be read and dropped.
    pub(super) over_bytes: usize,
}

impl Spilled {
    pub(super) fn new(memory_bytes: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            tail: Segments::default(),
            tail_bytes: 0,
            len: 0,
            bytes: 0,
            away_bytes: 0,
            chunk_bytes: (memory_bytes / CHUNKS_IN_MEMORY).max(1),
            is_unreadable: false,
            over_bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn away_bytes(&self) -> usize {
        self.away_bytes
    }

    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    pub(super) fn push_back(&mut self, delivery: Delivery) {
        self.len += 1;
        self.bytes += delivery.bytes();
        self.tail_bytes += delivery.bytes();
        self.tail.push_back(delivery);
    }

    /// What is in memory behind the head, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        let in_chunks = self
            .chunks
            .iter()
            .flat_map(|chunk| chunk.stays.iter().map(|(_, delivery)| delivery).chain(chunk.here()));
        in_chunks.chain(self.tail.iter())
    }

    /// The tail, to sort something out of it.
    pub(super) fn tail(&self) -> impl Iterator<Item = &Delivery> {
        self.tail.iter()
    }

    /// Sorts something out of the tail.
    pub(super) fn take_of_tail(
        &mut self,
        is_like_this: &impl Fn(&Delivery) -> bool,
        taken: &mut Vec<Delivery>,
    ) {
        let tail = std::mem::take(&mut self.tail);
        self.len -= tail.len();
        self.bytes -= self.tail_bytes;
        self.tail_bytes = 0;
        for delivery in tail {
            if is_like_this(&delivery) { taken.push(delivery) } else { self.push_back(delivery) }
        }
    }

    /// Everything in memory, oldest first.
    pub(super) fn into_memory(self) -> impl Iterator<Item = Delivery> {
        let chunks = self.chunks.into_iter().flat_map(|chunk| {
            let here = if let Place::Here(all) = chunk.place { all } else { Vec::new() };
            chunk.stays.into_iter().map(|(_, delivery)| delivery).chain(here)
        });
        chunks.chain(self.tail)
    }

    /// The chunks that somebody else has, or is about to have.
    pub(super) fn away(&self) -> impl Iterator<Item = u64> {
        self.chunks.iter().filter(|chunk| chunk.is_away()).map(|chunk| chunk.number)
    }

    /// What is in front and in memory, for the head, which is short of it. With the last of all,
    /// nothing is behind the head any more.
    pub(super) fn pop_front(&mut self) -> Option<Vec<Delivery>> {
        let next = match self.chunks.front_mut() {
            Some(Chunk { place: Place::Here(all), .. }) => std::mem::take(all),
            Some(_) => return None,
            None if self.tail.is_empty() => return None,
            None => {
                self.tail_bytes = 0;
                std::mem::take(&mut self.tail).into_iter().collect()
            }
        };
        self.chunks.pop_front();
        self.len -= next.len();
        self.bytes -= next.iter().map(Delivery::bytes).sum::<usize>();
        Some(next)
    }

    /// The tail becomes a chunk, if it is long enough for one.
    pub(super) fn write_next(&mut self, number: u64) -> Option<Spill> {
        if self.tail_bytes < self.chunk_bytes {
            return None;
        }
        let tail = std::mem::take(&mut self.tail);
        self.tail_bytes = 0;
        let (len, mut stays, mut written) =
            (tail.len(), Vec::new(), Vec::with_capacity(tail.len()));
        for (at, delivery) in tail.into_iter().enumerate() {
            if delivery.share().is_some() {
                stays.push((at, delivery));
            } else {
                written.push(delivery);
            }
        }
        let bytes = written.iter().map(Delivery::bytes).sum();
        let stay_bytes = stays.iter().map(|(_, delivery)| delivery.bytes()).sum();
        let mut chunk = Chunk { number, len, bytes, stays, stay_bytes, place: Place::Writing };
        if written.is_empty() {
            chunk.take_back(Vec::new());
            self.chunks.push_back(chunk);
            return None;
        }
        self.chunks.push_back(chunk);
        Some(Spill::Write { chunk: number, bytes: chunk::encode(written.iter()) })
    }

    /// The oldest chunk that is on disk, if the head is short of it; what is read or was read
    /// already counts.
    pub(super) fn read_next(&mut self, head_bytes: usize) -> Option<Spill> {
        let mut bytes = head_bytes;
        for chunk in &mut self.chunks {
            if bytes >= CHUNKS_IN_HEAD * self.chunk_bytes || self.is_unreadable {
                return None;
            }
            match chunk.place {
                Place::Writing => return None,
                Place::Disk => {
                    chunk.place = Place::Reading;
                    return Some(Spill::Read { chunk: chunk.number });
                }
                Place::Reading | Place::Here(_) => bytes += chunk.bytes + chunk.stay_bytes,
            }
        }
        None
    }

    /// A chunk is on disk; or it could not be written, and its bytes are back.
    pub(super) fn on_written(&mut self, number: u64, back: Option<&Batch>) {
        let is_it = |chunk: &&mut Chunk| chunk.number == number && chunk.is_away();
        let Some(chunk) = self.chunks.iter_mut().rev().find(is_it) else { return };
        match back.and_then(|bytes| chunk::decode(bytes.as_bytes())) {
            Some(deliveries) => chunk.take_back(deliveries),
            None => {
                chunk.place = Place::Disk;
                self.away_bytes += chunk.bytes;
            }
        }
    }

    /// A chunk was read. False if it could not be: it stays where it is, and nothing passes it.
    pub(super) fn on_read(&mut self, number: u64, bytes: Option<&[u8]>) -> bool {
        let is_it = |chunk: &&mut Chunk| chunk.number == number && chunk.is_away();
        let Some(chunk) = self.chunks.iter_mut().find(is_it) else { return true };
        match bytes.and_then(chunk::decode) {
            Some(deliveries) if deliveries.len() + chunk.stays.len() == chunk.len => {
                self.away_bytes -= chunk.bytes;
                chunk.take_back(deliveries);
                true
            }
            _ => {
                chunk.place = Place::Disk;
                self.is_unreadable = true;
                false
            }
        }
    }

    /// What could not be read is asked for again.
    pub(super) fn retry(&mut self) {
        self.is_unreadable = false;
    }
}
