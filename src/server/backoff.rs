//! Waiting after a failure, where what has failed is tried again and would spin. After a failed accept,
//! for one: to a process without free file descriptors the connection that cannot be accepted stays the
//! next one.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(1);

/// How long to wait after the next failure, and until when to wait now.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    last: Option<Duration>,
    until: Option<Instant>,
}

impl Default for Backoff {
    /// From 5 ms to 1 s.
    fn default() -> Self {
        Self::between(FIRST, LONGEST)
    }
}

impl Backoff {
    /// Waits the first of these, then twice as long each time, the second at most.
    pub(super) fn between(first: Duration, longest: Duration) -> Self {
        Self { first, longest, last: None, until: None }
    }

    /// Something failed. Returns how long to wait.
    pub(super) fn fail(&mut self, now: Instant) -> Duration {
        let wait = self.last.map_or(self.first, |last| (last * 2).min(self.longest));
        self.last = Some(wait);
        self.until = Some(now + wait);
        wait
    }

    /// It works again.
    pub(super) fn succeed(&mut self) {
        *self = Self::between(self.first, self.longest);
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
