//! How many messages may be on their way: those that were sent and have not come to the slowest
//! subscriber. What is known to be lost is not on its way, but is counted as lost.

use std::sync::atomic::Ordering;

use super::{desk::Desk, shared::Shared};

/// The window of one worker. Each group has an equal part of the whole.
#[derive(Debug)]
pub(crate) struct Window {
    worker: usize,
    /// Messages that may be on their way in each group.
    limit: u64,
    groups: Vec<GroupWindow>,
}

#[derive(Debug, Default)]
struct GroupWindow {
    /// Messages that this worker's publishers have sent.
    published: u64,
    /// How many more may be sent, as far as was known at the last look.
    allowance: u64,
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
        Self { worker, limit, groups }
    }

    /// How many messages of a group one publisher may send in this turn.
    pub(crate) fn share(&mut self, desk: &Desk, shared: &Shared, group: usize) -> u64 {
        if self.groups[group].allowance == 0 {
            self.look(desk, shared, group);
        }
        self.groups[group].share
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
