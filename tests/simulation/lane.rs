//! The lanes between shards: short rings, first in, first out, seen late.

use std::collections::VecDeque;

use skein::shard::{HandOver, Message};

use crate::{link::LinkId, scene::Scene};

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
    /// Until which step nothing of a ring is seen.
    stand_still_until: Vec<u64>,
    shards: usize,
    slots: usize,
}

impl Rings {
    pub(crate) fn new(shards: usize, slots: usize) -> Self {
        let rings = (0..shards * shards).map(|_| VecDeque::new()).collect();
        Self { rings, stand_still_until: vec![0; shards * shards], shards, slots }
    }

    fn ring(&mut self, from: usize, to: usize) -> &mut VecDeque<Parcel> {
        &mut self.rings[from * self.shards + to]
    }

    pub(crate) fn has_room(&mut self, from: usize, to: usize) -> bool {
        let slots = self.slots;
        self.ring(from, to).len() < slots
    }

    /// Whether nothing of the lane is seen now. While one stands still, the others go on.
    pub(crate) fn stands_still(&mut self, from: usize, to: usize, scene: &mut Scene) -> bool {
        const STEPS: usize = 300;
        let until = &mut self.stand_still_until[from * self.shards + to];
        if *until < scene.step && scene.draw.chance(1, 8) {
            let lags = scene.draw.chance(scene.plan.lane_lag, 4);
            let steps = if lags { scene.draw.between(10, STEPS) } else { 0 };
            *until = scene.step + steps as u64;
        }
        *until > scene.step
    }

    /// Nothing that comes from this shard is seen before this step.
    pub(crate) fn hold(&mut self, from: usize, until: u64) {
        self.stand_still_until[from * self.shards..][..self.shards].fill(until);
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
