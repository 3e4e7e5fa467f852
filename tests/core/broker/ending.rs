//! The broker stops in order, and each of its shards ends.

use super::{Broker, Shard};

impl Broker {
    /// The broker stops, and each shard ends as soon as it may: what comes for it then finds nobody.
    pub(crate) fn stop(&mut self) {
        self.ended = Some(Vec::new());
        self.shut_down();
    }

    /// Whether the shard of a broker that stops has ended.
    pub(crate) fn has_ended(&self, shard: usize) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.contains(&shard))
    }

    /// The shards that have not ended.
    pub(super) fn left(&self) -> Vec<usize> {
        (0..self.shards.len()).filter(|shard| !self.has_ended(*shard)).collect()
    }

    /// The end of a turn: shards of a broker that stops end, if they may.
    pub(super) fn end_shards(&mut self) {
        let Some(ended) = &mut self.ended else { return };
        let may_end = |shard: &Shard| shard.connection_count() == 0 && shard.has_stopped();
        ended.extend((0..self.shards.len()).filter(|shard| may_end(&self.shards[*shard])));
    }
}
