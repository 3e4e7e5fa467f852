//! The journal of one shard.

use std::sync::Arc;

use super::{Effects, Shard, ShardId, Time, Turn};
use crate::record::state::State;

/// What was recorded and is not durable yet.
#[derive(Debug)]
pub(super) struct Journal {
    is_on: bool,
}

impl Journal {
    pub(super) fn new(_own: ShardId) -> Self {
        Self { is_on: false }
    }
}

impl Shard {
    /// Makes a batch of what was recorded since the last one, if somebody waits for it. The shell
    /// calls it at the end of a turn, before it flushes anything.
    pub fn seal(&mut self, now: Time, effects: &mut Effects) {
        let _ = (now, effects);
    }

    /// Whether every other shard knows what the sessions here want that the store had kept. Only
    /// when all shards say so, connections may come.
    pub fn is_recovered(&self) -> bool {
        true
    }

    pub(super) fn on_recovered(&mut self, state: &Arc<State>, unix_ms: u64, turn: &mut Turn<'_>) {
        let _ = (state, unix_ms, turn);
        self.journal.is_on = true;
    }

    pub(super) fn on_durable(&mut self, ticket: u64, turn: &mut Turn<'_>) {
        let _ = (ticket, turn);
    }

    pub(super) fn on_store_failed(&mut self, is_disk_full: bool, turn: &mut Turn<'_>) {
        let _ = (is_disk_full, turn);
    }
}
