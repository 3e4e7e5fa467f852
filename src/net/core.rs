//! The pure core, and what it has asked for so far in this turn.

use crate::session::Time;
use crate::shard::{Effects, Event, Shard};

/// A shard with the two arguments that each of its events takes.
pub(super) struct Core {
    pub(super) shard: Shard,
    pub(super) effects: Effects,
    /// The time of this turn.
    pub(super) now: Time,
}

impl Core {
    pub(super) fn new(shard: Shard) -> Self {
        Self { shard, effects: Effects::default(), now: Time::from_millis(0) }
    }

    #[inline]
    pub(super) fn handle(&mut self, event: Event<'_>) {
        self.shard.handle(event, self.now, &mut self.effects);
    }

    /// Whether anything it asked for has not been done yet.
    pub(super) fn has_effects(&self) -> bool {
        let Effects { dirty, closes, resumes, logins, persists, spills, notices } = &self.effects;
        let is_quiet = dirty.is_empty() && closes.is_empty() && resumes.is_empty();
        let asks_nothing = logins.is_empty() && persists.is_empty() && spills.is_empty();
        !(is_quiet && asks_nothing && notices.is_empty())
    }
}
