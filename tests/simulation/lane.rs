//! The lanes between shards: short rings, first in, first out, seen late.

use std::collections::VecDeque;

use skein::shard::{HandOver, Message};

use crate::link::LinkId;

/// What takes one slot of a lane.
#[derive(Debug)]
pub(crate) enum Parcel {
    Message(Message),
    /// A connection on its way: its socket, and bytes that were read but not cut yet.
    Moving {
        handed: Box<HandOver>,
        link: LinkId,
        unread: Vec<u8>,
    },
}

/// The lanes of all ordered pairs of shards.
#[derive(Debug)]
pub(crate) struct Rings {
    rings: Vec<VecDeque<Parcel>>,
    shards: usize,
    slots: usize,
}

impl Rings {
    pub(crate) fn new(shards: usize, slots: usize) -> Self {
        let rings = (0..shards * shards).map(|_| VecDeque::new()).collect();
        Self { rings, shards, slots }
    }

    fn ring(&mut self, from: usize, to: usize) -> &mut VecDeque<Parcel> {
        &mut self.rings[from * self.shards + to]
    }

    pub(crate) fn has_room(&mut self, from: usize, to: usize) -> bool {
        let slots = self.slots;
        self.ring(from, to).len() < slots
    }

    pub(crate) fn push(&mut self, from: usize, to: usize, parcel: Parcel) {
        self.ring(from, to).push_back(parcel);
    }

    pub(crate) fn pop(&mut self, from: usize, to: usize) -> Option<Parcel> {
        self.ring(from, to).pop_front()
    }

    pub(crate) fn waiting(&mut self, from: usize, to: usize) -> usize {
        self.ring(from, to).len()
    }

    pub(crate) fn are_empty(&self) -> bool {
        self.rings.iter().all(VecDeque::is_empty)
    }
}
