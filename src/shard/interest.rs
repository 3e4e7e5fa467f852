//! What this shard wants, told to all others (laws 1, 2 and 5).
//!
//! The first local subscriber of a filter makes an interest with a number, the barrier. The other
//! shards apply it and answer; the SUBACK waits until all have. A later subscriber of the same
//! filter waits for the same number.

use std::collections::BTreeMap;

use super::{Interest, Message, Shard, ShardId, Turn, subscribe::PendingSubscribe};
use crate::{
    session::FilterId,
    topic::{FilterEntry, Share},
};

/// The barriers of one shard, and who waits for them.
#[derive(Debug)]
pub(super) struct InterestState {
    /// The last barrier sent.
    issued: u64,
    /// The highest barrier each other shard has applied; our own is not asked.
    applied: Vec<u64>,
    /// The last retained publish of each other shard that this one knows of; ours is counted where
    /// it is made.
    stamps: Vec<u64>,
    /// SUBSCRIBEs that wait, by barrier and order of arrival.
    waiting: BTreeMap<(u64, u64), PendingSubscribe>,
    arrivals: u64,
}

impl InterestState {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            issued: 0,
            applied: vec![0; shards],
            stamps: vec![0; shards],
            waiting: BTreeMap::new(),
            arrivals: 0,
        }
    }

    fn issue(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    /// The last barrier sent.
    pub(super) fn issued(&self) -> u64 {
        self.issued
    }

    /// The highest barrier that every other shard has applied.
    pub(super) fn applied_everywhere(&self, own: ShardId) -> u64 {
        let others = self.applied.iter().enumerate().filter(|(shard, _)| *shard != own.index());
        others.map(|(_, barrier)| *barrier).min().unwrap_or(u64::MAX)
    }

    /// A retained publish of another shard has come.
    #[inline]
    pub(super) fn note_stamp(&mut self, from: ShardId, stamp: u64) {
        self.stamps[from.index()] = stamp;
    }

    /// The last retained publish of each other shard that this one knows of.
    pub(super) fn stamps(&self) -> Vec<u64> {
        self.stamps.clone()
    }

    /// `from` has applied everything up to this barrier; what it publishes later comes live.
    fn note_applied(&mut self, from: ShardId, barrier: u64, stamp: u64) {
        let before = std::mem::replace(&mut self.applied[from.index()], barrier);
        self.note_stamp(from, stamp);
        for (_, pending) in self.waiting.range_mut((before + 1, 0)..=(barrier, u64::MAX)) {
            pending.live_after[from.index()] = stamp;
        }
    }

    pub(super) fn wait(&mut self, barrier: u64, pending: PendingSubscribe) {
        self.arrivals += 1;
        self.waiting.insert((barrier, self.arrivals), pending);
    }

    /// How many SUBSCRIBEs wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// One SUBSCRIBE whose barrier is reached.
    fn pop_reached(&mut self, own: ShardId) -> Option<PendingSubscribe> {
        let reached = self.applied_everywhere(own);
        let entry = self.waiting.first_entry()?;
        (entry.key().0 <= reached).then(|| entry.remove())
    }
}

/// What the others have to know of a filter.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wanted {
    is_wanted: bool,
    is_durable: bool,
    is_full: bool,
}

impl Wanted {
    fn of(entry: &FilterEntry) -> Self {
        let is_wanted = !entry.local().is_empty();
        let is_full = is_wanted && entry.full_local as usize == entry.local().len();
        Self { is_wanted, is_durable: entry.is_durable(), is_full }
    }
}

impl Shard {
    /// Changes what stands at a filter; what that means for the others is told to them. Forgets
    /// the filter if nobody wants it any more.
    pub(super) fn change_filter(
        &mut self,
        filter: FilterId,
        change: impl FnOnce(&mut FilterEntry),
    ) {
        let entry = self.subscriptions.entry_mut(filter);
        let before = Wanted::of(entry);
        change(entry);
        let now = Wanted::of(entry);
        if now != before {
            self.tell_wanted(filter, before, now);
        }
        self.subscriptions.prune(filter);
    }

    fn tell_wanted(&mut self, filter: FilterId, before: Wanted, now: Wanted) {
        // Who subscribes waits until all others know of the filter, and that they record for it.
        let is_more = now.is_wanted && !before.is_wanted || now.is_durable && !before.is_durable;
        let barrier = if is_more { self.interest.issue() } else { 0 };
        if is_more {
            self.subscriptions.entry_mut(filter).barrier = barrier;
        }
        if self.shards == 1 {
            return;
        }
        let pattern: Box<str> = self.subscriptions.text(filter).into();
        let mut changes = Vec::new();
        if now.is_wanted != before.is_wanted {
            let pattern = pattern.clone();
            changes.push(match now.is_wanted {
                true => Interest::Subscribed { pattern },
                false => Interest::Unsubscribed { pattern },
            });
        }
        if now.is_wanted && now.is_durable != before.is_durable {
            let (pattern, is_durable) = (pattern.clone(), now.is_durable);
            changes.push(Interest::Durable { pattern, is_durable });
        }
        if now.is_wanted && now.is_full != before.is_full {
            changes.push(Interest::Full { pattern, is_full: now.is_full });
        }
        if !changes.is_empty() {
            self.tell_interest(&changes, barrier);
        }
    }

    /// Changes our part of a share; the others are told its weight. Forgets it if nobody is left.
    pub(super) fn change_share(
        &mut self,
        filter: FilterId,
        group: &str,
        change: impl FnOnce(&mut Share),
    ) {
        let share = self.subscriptions.share_mut(filter, group);
        let before = share.weight();
        change(share);
        let (weight, key) = (share.weight(), share.key);
        if weight != before {
            // The first member waits until all others know of the share; and until all know that
            // the last has left, they may pick the share by its key.
            let is_told = before.members == 0 || weight.members == 0;
            let barrier = if is_told { self.interest.issue() } else { 0 };
            if barrier > 0 {
                self.subscriptions.share_mut(filter, group).barrier = barrier;
            }
            let pattern: Box<str> = self.subscriptions.text(filter).into();
            let interest = Interest::Share { pattern, group: group.into(), key, weight };
            self.tell_interest(&[interest], barrier);
        }
        self.subscriptions.prune_share(filter, group);
        self.subscriptions.note_applied(self.interest.applied_everywhere(self.id));
    }

    fn tell_interest(&mut self, changes: &[Interest], barrier: u64) {
        for shard in self.others() {
            let message = Message::Interest { changes: changes.to_vec(), barrier };
            self.lanes.send(shard, message);
        }
    }

    /// Another shard wants something else than before.
    pub(super) fn on_interest(
        &mut self,
        from: ShardId,
        changes: Vec<Interest>,
        barrier: u64,
        turn: &mut Turn<'_>,
    ) {
        for change in changes {
            self.apply_interest(from, change);
        }
        if barrier > 0 {
            let stamp = self.retained.stamps();
            self.tell(from, Message::Applied { barrier, stamp }, turn);
        }
    }

    fn apply_interest(&mut self, from: ShardId, change: Interest) {
        let subscriptions = &mut self.subscriptions;
        match change {
            Interest::Subscribed { pattern } => {
                let filter = subscriptions.insert(&pattern);
                subscriptions.entry_mut(filter).shards.insert(from);
            }
            Interest::Unsubscribed { pattern } => {
                let Some(filter) = subscriptions.find(&pattern) else { return };
                let entry = subscriptions.entry_mut(filter);
                entry.shards.remove(from);
                entry.full_shards.remove(from);
                entry.durable_shards.remove(from);
                subscriptions.prune(filter);
            }
            Interest::Full { pattern, is_full } => {
                let Some(filter) = subscriptions.find(&pattern) else { return };
                let full = &mut subscriptions.entry_mut(filter).full_shards;
                let _ = if is_full { full.insert(from) } else { full.remove(from) };
            }
            Interest::Durable { pattern, is_durable } => {
                let Some(filter) = subscriptions.find(&pattern) else { return };
                let durable = &mut subscriptions.entry_mut(filter).durable_shards;
                let _ = if is_durable { durable.insert(from) } else { durable.remove(from) };
            }
            Interest::Share { pattern, group, key, weight } => {
                subscriptions.set_share_neighbour(&pattern, &group, from, key, weight);
            }
        }
    }

    /// Another shard has applied our interest up to this barrier.
    pub(super) fn on_applied(
        &mut self,
        from: ShardId,
        barrier: u64,
        stamp: u64,
        turn: &mut Turn<'_>,
    ) {
        self.interest.note_applied(from, barrier, stamp);
        self.subscriptions.note_applied(self.interest.applied_everywhere(self.id));
        self.finish_reached(turn);
    }

    /// Finishes every SUBSCRIBE whose barrier is reached.
    pub(super) fn finish_reached(&mut self, turn: &mut Turn<'_>) {
        while let Some(pending) = self.interest.pop_reached(self.id) {
            self.finish_subscribe(pending, turn);
        }
    }
}
