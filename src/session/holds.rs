//! Fences in an outbox: what is behind one leaves when what it says is durable.

use std::collections::VecDeque;

/// One fence.
#[derive(Clone, Copy, Debug)]
struct Fence {
    /// The batch that has to be durable.
    ticket: u64,
    /// Where it stands, counted from when these were made.
    position: u64,
}

/// The fences of one outbox, in order. Both tickets and positions rise.
#[derive(Debug, Default)]
pub(super) struct Holds {
    fences: VecDeque<Fence>,
    /// Bytes that have left since these were made.
    gone: u64,
}

impl Holds {
    /// Another fence, behind `len` bytes that wait; false if one of the same ticket, or a later
    /// one, holds already.
    pub(super) fn hold(&mut self, ticket: u64, len: usize) -> bool {
        if self.fences.back().is_some_and(|last| last.ticket >= ticket) {
            return false;
        }
        self.fences.push_back(Fence { ticket, position: self.gone + len as u64 });
        true
    }

    /// Takes away the fences up to this ticket; true if none is left.
    pub(super) fn release(&mut self, ticket: u64) -> bool {
        while self.fences.front().is_some_and(|fence| fence.ticket <= ticket) {
            self.fences.pop_front();
        }
        self.fences.is_empty()
    }

    /// How many bytes stand before the first fence.
    pub(super) fn released(&self) -> usize {
        let position = self.fences.front().map_or(self.gone, |first| first.position);
        usize::try_from(position - self.gone).unwrap_or(usize::MAX)
    }

    /// Bytes have left.
    pub(super) fn advance(&mut self, count: usize) {
        self.gone += count as u64;
    }
}
