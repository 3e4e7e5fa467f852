//! Time as the core knows it: an argument, never a clock.

use std::fmt;
use std::num::NonZeroU64;

/// Milliseconds on a monotonic clock with an arbitrary start, the same for all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(
    /// One more than the milliseconds, so that a deadline that may be missing takes no more room
    /// than one that is there: every session has a few.
    NonZeroU64,
);

const _: () = assert!(size_of::<Option<Time>>() == 8);

impl Default for Time {
    /// The clock's start.
    fn default() -> Self {
        Self(NonZeroU64::MIN)
    }
}

impl Time {
    /// A time that no deadline reaches.
    pub const NEVER: Self = Self(NonZeroU64::MAX);

    /// The time `ms` milliseconds after the clock's start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(ms))
    }

    /// Milliseconds since the clock's start.
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// The time `ms` milliseconds later.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since an earlier time; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_millis();
        write!(f, "{}.{:03}s", ms / 1000, ms % 1000)
    }
}
