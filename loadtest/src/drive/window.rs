//! How many messages may be on their way: those that were sent and have not come to the slowest
//! subscriber. What is known to be lost is not on its way, but is counted as lost.

use std::sync::atomic::Ordering;

use super::{desk::Desk, shared::Shared};

/// A group is filled up again once this part of its window is free.
const REFILL_PART: u64 = 16;

/// The window of one worker. Each group has an equal part of the whole.
#[derive(Debug)]
pub(crate) struct Window {
    worker: usize,
    /// Messages that may be on their way in each group.
    limit: u64,
    groups: Vec<GroupWindow>,
    /// Counts the turns, so that a group that is full is looked at once in each.
    turn: u64,
}

#[derive(Debug, Default)]
struct GroupWindow {
    /// Messages that this worker's publishers have sent.
    published: u64,
    /// How many more may be sent, as far as was known at the last look.
    allowance: u64,
    /// The turn of the last look.
    looked: u64,
    /// How many one publisher may send before the others had their turn.
    share: u64,
    /// Streams that this worker's publishers have.
    streams: u64,
    /// Those units that this worker drives.
    units: Vec<usize>,
}

impl Window {
    /// A window of `limit` messages, dealt out to the groups.
    pub(crate) fn new(desk: &Desk, worker: usize, limit: u64) -> Self {
        let topology = &desk.plan.topology;
        let threads = desk.plan.load.threads;
        let limit = limit.div_ceil(topology.groups.len() as u64);
        let mut groups: Vec<_> = topology.groups.iter().map(|_| GroupWindow::default()).collect();
        for (unit, group) in topology.units.iter().enumerate() {
            if unit % threads == worker {
                groups[*group].units.push(unit / threads);
            }
        }
        for stream in &topology.streams {
            let is_mine = topology.thread(stream.publisher, threads) == worker;
            groups[stream.group].streams += u64::from(is_mine);
        }
        Self { worker, limit, groups, turn: 1 }
    }

    /// The next turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.turn += 1;
    }

    /// How many messages of a group one publisher may send in this turn.
    pub(crate) fn share(&mut self, desk: &Desk, shared: &Shared, group: usize) -> u64 {
        let known = &mut self.groups[group];
        if known.allowance == 0 && known.looked != self.turn {
            known.looked = self.turn;
            self.look(desk, shared, group);
        }
        let known = &self.groups[group];
        known.share.min(known.allowance)
    }

    /// Whether a message of any group may be sent, as far as is known.
    pub(crate) fn has_room(&self) -> bool {
        self.groups.iter().any(|group| group.allowance > 0)
    }

    /// Takes one message of a group; false if none may be sent.
    #[inline]
    pub(crate) fn take(&mut self, group: usize) -> bool {
        let group = &mut self.groups[group];
        if group.allowance == 0 {
            return false;
        }
        group.allowance -= 1;
        group.published += 1;
        true
    }

    /// Tells the other workers how far this one is, if there are others.
    pub(crate) fn tell(&self, desk: &Desk, shared: &Shared) {
        let Some(flows) = shared.flows.get(self.worker) else { return };
        for (flow, group) in flows.iter().zip(&self.groups) {
            flow.published.store(group.published, Ordering::Relaxed);
            flow.slowest.store(group.slowest(desk), Ordering::Relaxed);
        }
    }

    fn look(&mut self, desk: &Desk, shared: &Shared, number: usize) {
        let group = &mut self.groups[number];
        let (mut published, mut slowest) = (group.published, group.slowest(desk));
        let others = shared.flows.iter().enumerate().filter(|(other, _)| *other != self.worker);
        for (_, flows) in others {
            published += flows[number].published.load(Ordering::Relaxed);
            slowest = slowest.min(flows[number].slowest.load(Ordering::Relaxed));
        }
        let allowed = slowest.saturating_add(self.limit).saturating_sub(published);
        // A window that is nearly full is not topped up one by one: larger batches cost everybody
        // less, and what is on its way will make room.
        let allowed = if allowed < self.limit / REFILL_PART { 0 } else { allowed };
        // Each worker takes its part, since all see the same room.
        group.allowance = allowed.div_ceil(desk.plan.load.threads as u64);
        group.share = group.allowance.div_ceil(group.streams.max(1));
    }
}

impl GroupWindow {
    /// Without units here the others know.
    fn slowest(&self, desk: &Desk) -> u64 {
        let progress = self.units.iter().map(|unit| desk.units[*unit].progress());
        progress.min().unwrap_or(u64::MAX)
    }
}
