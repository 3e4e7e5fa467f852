//! How many groups one shard may have begun that are not durable.
//!
//! The batches of a shard become durable in their order, and a group only whole. Two shards that tell
//! each other something in every turn can therefore chain their batches without an end: each belongs
//! with one that the other has still to make. Only a moment in which nobody begins a group ends such
//! a chain. So a publisher that would begin one too many is not read until half of them are durable.

use std::collections::VecDeque;

use super::{ConnectionId, Shard, Turn};

/// Turns that began a group and are not durable, up to which publishers may begin another.
const GROUPED_TURNS_MAX: usize = 32;

/// The groups that one shard has begun and that are not durable.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// The ticket of each turn's batch.
    begun: VecDeque<u64>,
    /// Publishers that are paused for it.
    paused: Vec<ConnectionId>,
}

impl Grouping {
    /// A batch begins a group.
    pub(super) fn note_begun(&mut self, ticket: u64) {
        self.begun.push_back(ticket);
    }

    /// Batches up to this are durable.
    pub(super) fn note_durable(&mut self, ticket: u64) {
        let count = self.begun.partition_point(|begun| *begun <= ticket);
        self.begun.drain(..count);
    }
}

impl Shard {
    /// A message of this publisher was told to shards that record it.
    #[inline]
    pub(super) fn pause_for_groups(&mut self, publisher: ConnectionId) {
        if self.journal.grouping.begun.len() < GROUPED_TURNS_MAX {
            return;
        }
        let Some(connection) = self.connections.find_mut(publisher) else { return };
        let pauses = connection.pauses_mut();
        if !pauses.groups {
            pauses.groups = true;
            self.metrics.publishers_paused += 1;
            self.journal.grouping.paused.push(publisher);
        }
    }

    /// Some groups may have become durable: publishers may begin others.
    pub(super) fn resume_grouping(&mut self, turn: &mut Turn<'_>) {
        if self.journal.grouping.begun.len() > GROUPED_TURNS_MAX / 2 {
            return;
        }
        for id in std::mem::take(&mut self.journal.grouping.paused) {
            self.unpause(id, turn, |pauses| pauses.groups = false);
        }
    }
}
