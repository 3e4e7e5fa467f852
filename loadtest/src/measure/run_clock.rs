//! The one clock of a run.

use std::time::{Duration, Instant};

/// Nanoseconds since the run began, on one monotonic clock that all threads share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock {
    epoch: Instant,
}

impl RunClock {
    /// A clock that shows 0 now.
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// What it shows.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        nanoseconds(self.epoch.elapsed())
    }
}

/// A duration in nanoseconds.
#[inline]
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    // Faster than `as_nanos`, which counts in 128 bits.
    duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())
}
