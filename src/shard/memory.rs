//! The memory budget: one shard's part of `memory_bytes_max`, and what is done as it fills.

use super::Shard;

/// What the broker no longer does, by rising need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MemoryLevel {
    /// Below 80 %.
    Free,
    /// From 80 %: new connections are refused.
    RefuseConnections,
    /// From 90 %: QoS 0 that would wait is dropped.
    DropQoS0,
    /// From 95 %: queues no longer grow.
    RefuseQueues,
    /// From 100 %: publishers are paused.
    PausePublishers,
}

impl Shard {
    /// Lets go of memory that was not needed since this was called last: the shell knows when it
    /// is quiet.
    pub fn trim_spares(&mut self) {
        self.buffers.spares().trim();
        self.kept.spares().trim();
    }

    /// Whether there is memory that waits for its next use.
    pub fn has_spares(&mut self) -> bool {
        !self.buffers.spares().is_empty() || !self.kept.spares().is_empty()
    }
}

/// Bytes that clients make this shard hold: outboxes, queues, windows, retained messages.
#[derive(Debug)]
pub(super) struct Account {
    used: usize,
    /// From how many bytes each level above [`MemoryLevel::Free`] holds.
    levels_from: [usize; 4],
}

impl Account {
    /// Nothing is used yet; a budget of zero is none.
    pub(super) fn new(budget: usize) -> Self {
        let level_from = |percent| match budget {
            0 => usize::MAX,
            budget => budget.saturating_mul(percent).div_ceil(100),
        };
        Self { used: 0, levels_from: [80, 90, 95, 100].map(level_from) }
    }

    #[inline]
    pub(super) fn charge(&mut self, bytes: usize) {
        self.used += bytes;
    }

    #[inline]
    pub(super) fn release(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.used, "what is released was charged");
        self.used = self.used.saturating_sub(bytes);
    }

    /// Something that held `before` bytes now holds `after`.
    #[inline]
    pub(super) fn adjust(&mut self, before: usize, after: usize) {
        self.charge(after);
        self.release(before);
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    #[inline]
    pub(super) fn level(&self) -> MemoryLevel {
        let [refuse_connections, drop_qos_0, refuse_queues, pause_publishers] = self.levels_from;
        match self.used {
            used if used < refuse_connections => MemoryLevel::Free,
            used if used < drop_qos_0 => MemoryLevel::RefuseConnections,
            used if used < refuse_queues => MemoryLevel::DropQoS0,
            used if used < pause_publishers => MemoryLevel::RefuseQueues,
            _ => MemoryLevel::PausePublishers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_come_in_the_order_of_the_design() {
        let mut account = Account::new(1_000);
        let mut levels = Vec::new();
        for _ in 0..21 {
            levels.push(account.level());
            account.charge(50);
        }
        assert!(levels.is_sorted());
        assert_eq!((levels[15], levels[16]), (MemoryLevel::Free, MemoryLevel::RefuseConnections));
        assert_eq!((levels[18], levels[19]), (MemoryLevel::DropQoS0, MemoryLevel::RefuseQueues));
        assert_eq!(levels[20], MemoryLevel::PausePublishers);
    }

    #[test]
    fn without_a_budget_nothing_is_refused() {
        let mut account = Account::new(0);
        account.charge(usize::MAX / 200);
        assert_eq!(account.level(), MemoryLevel::Free);
    }
}
