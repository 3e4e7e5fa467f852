//! The time before a broker with a store begins to serve.

use std::sync::{Arc, Mutex};

use super::store::{Summary, counters_line};
use crate::store::housekeeper::Counters;

/// What the acceptor knows of the store.
#[derive(Debug)]
pub(super) struct Opening {
    summary: Summary,
    counters: Arc<Mutex<Counters>>,
    /// Shards that have not taken over what was kept. Until then nobody is served: a client must not
    /// find its session empty.
    shards_left: usize,
}

impl Opening {
    /// No shard of these has said anything.
    pub(super) fn new(
        summary: Summary,
        counters: Arc<Mutex<Counters>>,
        shards_left: usize,
    ) -> Self {
        Self { summary, counters, shards_left }
    }

    /// Whether clients may come.
    pub(super) fn is_over(&self) -> bool {
        self.shards_left == 0
    }

    /// One more shard has taken over what was kept.
    pub(super) fn note_recovered(&mut self) {
        self.shards_left = self.shards_left.saturating_sub(1);
        if self.is_over() {
            self.summary.say();
        }
    }

    /// Writes the counters of the store to the log.
    pub(super) fn report_metrics(&self) {
        tracing::info!("store:{}", counters_line(&self.counters));
    }
}
