//! How many groups one shard may have begun that are not durable.
//!
//! The batches of a shard become durable in their order, and a group only whole. Two shards that tell
//! each other something in every turn can therefore chain their batches without an end: each belongs
//! with one that the other has still to make. Only a moment in which nobody begins a group ends such
//! a chain. So a publisher that would begin one too many is not read until half of them are durable,
//! and a client that comes back to a session which is to be kept again gets it then.

use std::collections::VecDeque;

use super::{ConnectionId, Shard, Stage, Turn, connection::Admitted};

/// Turns that began a group and are not durable, up to which clients may begin another.
const GROUPED_TURNS_MAX: usize = 32;

/// The groups that one shard has begun and that are not durable.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// The ticket of each turn's batch.
    begun: VecDeque<u64>,
    /// Publishers that are paused for it.
    paused: Vec<ConnectionId>,
    /// Those that will ask again for their place.
    deferred: Vec<ConnectionId>,
}

impl Grouping {
    fn is_full(&self) -> bool {
        self.begun.len() >= GROUPED_TURNS_MAX
    }

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
        if !self.journal.grouping.is_full() {
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

    /// A client would join its session, which lives here: gives its admission back, unless that
    /// would begin one group too many. Then it goes on waiting for its place, and the grant, which
    /// others may have had by then, is returned.
    pub(super) fn defer_for_groups(
        &mut self,
        id: ConnectionId,
        admitted: Admitted,
        epoch: u64,
        turn: &mut Turn<'_>,
    ) -> Option<Admitted> {
        let has_room = !self.journal.grouping.is_full() || self.journal.trouble.has_failed();
        if has_room || !self.would_be_kept_again(id, &admitted) {
            return Some(admitted);
        }
        self.return_grant(&admitted.pending.client_id, epoch, turn);
        if let Some(connection) = self.connections.find_mut(id) {
            connection.stage = Stage::AwaitingGrant(Box::new(admitted));
            self.journal.grouping.deferred.push(id);
        }
        None
    }

    /// Those who wait for groups ask for their place again: some are durable, or none will be as the
    /// store fails, and what they are told is the same as others are.
    pub(super) fn locate_deferred(&mut self, turn: &mut Turn<'_>) {
        for id in std::mem::take(&mut self.journal.grouping.deferred) {
            self.locate(id, turn);
        }
    }

    /// Whether there is a session that was in memory only, and that this connection would have kept.
    fn would_be_kept_again(&self, id: ConnectionId, admitted: &Admitted) -> bool {
        let session = self.sessions.find_by_client_id(&admitted.pending.client_id);
        let listener = self.connections.find(id).map(|connection| connection.listener);
        session.is_some_and(|key| !self.is_durable(key))
            && listener.is_some_and(|listener| self.promise_of(listener).is_some())
    }

    /// Some groups may have become durable: clients may begin others.
    pub(super) fn resume_grouping(&mut self, turn: &mut Turn<'_>) {
        if self.journal.grouping.begun.len() > GROUPED_TURNS_MAX / 2 {
            return;
        }
        for id in std::mem::take(&mut self.journal.grouping.paused) {
            self.unpause(id, turn, |pauses| pauses.groups = false);
        }
        self.locate_deferred(turn);
    }
}
