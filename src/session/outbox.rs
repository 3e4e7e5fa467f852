//! The bytes that wait to be written to one connection: a rope of small packets copied together
//! and large payloads shared by reference.

use std::{collections::VecDeque, io::IoSlice, rc::Rc};

use bytes::Bytes;

use super::{Pool, holds::Holds};

/// A chunk of copied packets grows up to this size, then the next one is begun.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// A new chunk begins small: most connections get one small packet at a time.
const CHUNK_BYTES_MIN: usize = 512;
/// Emptied chunks that a shard keeps.
const CHUNKS_MAX: usize = 256;

/// Emptied chunks of one shard, kept for the next outbox: most are empty at the end of a turn.
#[derive(Debug, Default)]
pub struct Buffers {
    chunks: Pool<Vec<u8>, CHUNKS_MAX>,
}

impl Buffers {
    fn take(&mut self) -> Vec<u8> {
        self.chunks.take().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES_MIN))
    }

    fn give(&mut self, mut chunk: Vec<u8>) {
        // Neither those that have not grown, nor the giants that one packet needed.
        if (2 * CHUNK_BYTES_MIN..=2 * CHUNK_BYTES_MAX).contains(&chunk.capacity()) {
            chunk.clear();
            self.chunks.give(chunk);
        }
    }

    /// The emptied chunks.
    pub fn spares(&mut self) -> &mut Pool<Vec<u8>, CHUNKS_MAX> {
        &mut self.chunks
    }
}

#[derive(Debug)]
enum Chunk {
    Copied(Vec<u8>),
    Shared(Rc<Bytes>),
}

impl Chunk {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// What waits to be written to one connection, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that were written already.
    written: usize,
    /// Bytes that wait.
    len: usize,
    /// Present while some of them may not leave yet.
    holds: Option<Box<Holds>>,
}

impl Outbox {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy of `bytes`.
    #[inline(always)] // In the loop over all receivers a call costs more than the copy.
    pub fn append(&mut self, bytes: &[u8], buffers: &mut Buffers) {
        self.len += bytes.len();
        match self.chunks.back_mut() {
            Some(Chunk::Copied(last)) if last.capacity() - last.len() >= bytes.len() => {
                last.extend_from_slice(bytes);
            }
            _ => self.append_growing(bytes, buffers),
        }
    }

    #[inline(never)]
    fn append_growing(&mut self, bytes: &[u8], buffers: &mut Buffers) {
        match self.chunks.back_mut() {
            Some(Chunk::Copied(last)) if last.len() + bytes.len() <= CHUNK_BYTES_MAX => {
                last.extend_from_slice(bytes);
            }
            _ => {
                let mut chunk = buffers.take();
                chunk.extend_from_slice(bytes);
                self.chunks.push_back(Chunk::Copied(chunk));
            }
        }
    }

    /// Appends what `write` puts at the end of a buffer; returns how many bytes that were.
    pub fn append_with(
        &mut self,
        buffers: &mut Buffers,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let has_room =
            matches!(self.chunks.back(), Some(Chunk::Copied(last)) if last.len() < CHUNK_BYTES_MAX);
        if !has_room {
            self.chunks.push_back(Chunk::Copied(buffers.take()));
        }
        let Some(Chunk::Copied(last)) = self.chunks.back_mut() else {
            unreachable!("a chunk to copy into was just made sure of")
        };
        let before = last.len();
        write(last);
        let added = last.len() - before;
        self.len += added;
        added
    }

    /// Appends a large payload by reference.
    pub fn append_shared(&mut self, payload: &Rc<Bytes>) {
        if !payload.is_empty() {
            self.len += payload.len();
            self.chunks.push_back(Chunk::Shared(Rc::clone(payload)));
        }
    }

    /// What is appended from now on leaves when this batch of the journal is durable. False if it
    /// waits for that anyway.
    pub fn hold(&mut self, ticket: u64) -> bool {
        let len = self.len;
        self.holds.get_or_insert_default().hold(ticket, len)
    }

    /// Whether there is a fence.
    pub fn is_holding(&self) -> bool {
        self.holds.is_some()
    }

    /// The batches of the journal up to this one are durable.
    pub fn release_held(&mut self, ticket: u64) {
        self.holds.take_if(|holds| holds.release(ticket));
    }

    /// Bytes that may leave now.
    #[inline]
    pub fn released(&self) -> usize {
        self.holds.as_ref().map_or(self.len, |holds| holds.released())
    }

    /// Forgets what may not leave yet: its connection ends. Fences stand between packets.
    pub fn drop_held(&mut self) {
        let mut excess = self.len - self.released();
        self.holds = None;
        self.len -= excess;
        while excess > 0
            && let Some(mut last) = self.chunks.pop_back()
        {
            let length = last.as_slice().len();
            let kept = length.saturating_sub(excess);
            excess -= length - kept;
            if let Chunk::Copied(bytes) = &mut last {
                bytes.truncate(kept);
            }
            if kept > 0 {
                self.chunks.push_back(last);
            }
        }
        if self.len == 0 {
            self.chunks.clear();
            self.written = 0;
        }
    }

    /// Fills `into` with the first slices that may leave now, in order; returns how many were
    /// filled.
    pub fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut left = self.released();
        for (slot, chunk) in into.iter_mut().zip(&self.chunks) {
            let start = if filled == 0 { self.written } else { 0 };
            let bytes = &chunk.as_slice()[start..];
            let bytes = &bytes[..bytes.len().min(left)];
            if bytes.is_empty() {
                break;
            }
            left -= bytes.len();
            *slot = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// Forgets the first `count` bytes: the kernel has taken them.
    ///
    /// # Panics
    /// When `count` is more than may leave.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.released(), "no more is written than may leave");
        self.len -= count;
        self.written += count;
        if let Some(holds) = &mut self.holds {
            holds.advance(count);
        }
        while let Some(first) = self.chunks.front() {
            let length = first.as_slice().len();
            let is_last = self.chunks.len() == 1;
            if self.written < length || (is_last && matches!(first, Chunk::Copied(_))) {
                break;
            }
            self.written -= length;
            self.chunks.pop_front();
        }
        self.rewind();
    }

    /// An emptied last chunk is used again from its start.
    fn rewind(&mut self) {
        if self.len == 0
            && let Some(Chunk::Copied(last)) = self.chunks.front_mut()
        {
            last.clear();
            self.written = 0;
        }
    }

    /// Gives the memory of an empty outbox back to the shard; an idle connection holds none.
    pub fn release(&mut self, buffers: &mut Buffers) {
        debug_assert!(self.is_empty(), "only an empty outbox gives its memory back");
        while let Some(chunk) = self.chunks.pop_front() {
            if let Chunk::Copied(chunk) = chunk {
                buffers.give(chunk);
            }
        }
        self.written = 0;
        self.chunks.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = outbox.slices(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn bytes_leave_in_the_order_they_came_however_they_are_cut() {
        for step in [1, 2, 3, 7, 100] {
            let (mut outbox, mut buffers) = (Outbox::default(), Buffers::default());
            outbox.append(b"one", &mut buffers);
            outbox.append_shared(&Rc::new(Bytes::from_static(b"TWO")));
            outbox.append_with(&mut buffers, |out| out.extend_from_slice(b"three"));
            let mut seen = Vec::new();
            while !outbox.is_empty() {
                let now = contents(&outbox);
                let count = step.min(now.len());
                seen.extend_from_slice(&now[..count]);
                outbox.advance(count);
            }
            assert_eq!(seen, b"oneTWOthree");
        }
    }

    #[test]
    fn a_large_append_begins_a_new_chunk_and_len_is_exact() {
        let (mut outbox, mut buffers) = (Outbox::default(), Buffers::default());
        for _ in 0..3 {
            outbox.append(&[7; CHUNK_BYTES_MAX], &mut buffers);
        }
        assert_eq!(outbox.len(), 3 * CHUNK_BYTES_MAX);
        assert_eq!(outbox.chunks.len(), 3);
        outbox.advance(CHUNK_BYTES_MAX + 1);
        assert_eq!(outbox.len(), 2 * CHUNK_BYTES_MAX - 1);
        assert_eq!(contents(&outbox).len(), outbox.len());
    }

    #[test]
    fn a_giant_chunk_is_not_kept() {
        let (mut outbox, mut buffers) = (Outbox::default(), Buffers::default());
        outbox.append_with(&mut buffers, |out| out.extend_from_slice(&[1; 1 << 20]));
        outbox.advance(1 << 20);
        outbox.release(&mut buffers);
        assert!(buffers.chunks.is_empty());
    }

    #[test]
    fn what_is_behind_a_fence_waits_for_it() {
        let (mut outbox, mut buffers) = (Outbox::default(), Buffers::default());
        outbox.append(b"free", &mut buffers);
        assert!(outbox.hold(7) && !outbox.hold(7) && !outbox.hold(6));
        outbox.append(b"seven", &mut buffers);
        outbox.append_shared(&Rc::new(Bytes::from_static(b"SEVEN")));
        assert!(outbox.hold(8));
        outbox.append(b"eight", &mut buffers);
        assert_eq!((contents(&outbox).as_slice(), outbox.released()), (&b"free"[..], 4));
        outbox.advance(3);
        outbox.release_held(6);
        assert_eq!(contents(&outbox), b"e");
        outbox.release_held(7);
        assert_eq!(contents(&outbox), b"esevenSEVEN");
        outbox.advance(11);
        assert!(contents(&outbox).is_empty() && !outbox.is_empty());
        outbox.release_held(9);
        assert_eq!((contents(&outbox).as_slice(), outbox.released()), (&b"eight"[..], 5));
    }

    #[test]
    fn what_is_held_is_forgotten_with_its_connection() {
        for (free, held) in [("", "a"), ("free", ""), ("free", "held")] {
            let (mut outbox, mut buffers) = (Outbox::default(), Buffers::default());
            outbox.append(b"gone", &mut buffers);
            outbox.append(free.as_bytes(), &mut buffers);
            outbox.hold(1);
            outbox.append(held.as_bytes(), &mut buffers);
            outbox.append_shared(&Rc::new(Bytes::from_static(b"HELD")));
            outbox.append(held.as_bytes(), &mut buffers);
            outbox.advance(4);
            outbox.drop_held();
            assert_eq!(outbox.len(), free.len());
            outbox.append(b"last words", &mut buffers);
            assert_eq!(contents(&outbox), [free, "last words"].concat().as_bytes());
        }
    }

    #[test]
    fn an_emptied_outbox_gives_its_memory_to_the_next() {
        let (mut outbox, mut buffers) = (Outbox::default(), Buffers::default());
        outbox.append(&[1; CHUNK_BYTES_MAX], &mut buffers);
        outbox.advance(CHUNK_BYTES_MAX);
        outbox.release(&mut buffers);
        assert_eq!(outbox.chunks.capacity(), 0);
        assert!(!buffers.chunks.is_empty());
    }
}
