//! Waiting after a failed accept: without it, a process without free file descriptors would spin,
//! because the connection that cannot be accepted stays the next one.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(1);

/// How long to wait after the next failure, and until when to wait now.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Option<Duration>,
    until: Option<Instant>,
}

impl Backoff {
    /// Something failed: waits 5 ms at first, then twice as long each time, 1 s at most.
    /// Returns how long.
    pub(super) fn fail(&mut self, now: Instant) -> Duration {
        let wait = self.last.map_or(FIRST, |last| (last * 2).min(LONGEST));
        self.last = Some(wait);
        self.until = Some(now + wait);
        wait
    }

    /// It works again.
    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Until when to wait, if that is not over.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_5_ms_to_1_s_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let waits: Vec<u128> = (0..10).map(|_| backoff.fail(now).as_millis()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        assert_eq!(backoff.wait_until(now), Some(now + LONGEST));
        assert_eq!(backoff.wait_until(now + LONGEST), None);
        backoff.succeed();
        assert_eq!(backoff.wait_until(now), None);
        assert_eq!(backoff.fail(now), FIRST);
    }
}
