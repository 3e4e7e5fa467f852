//! One line per second of something that peers can cause.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// Lets one line per second through and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    since: Option<Instant>,
    more: u64,
}

impl Throttle {
    /// Whether the line may be written; it is counted if not.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let is_open = self.since.is_some_and(|since| now < since + WINDOW);
        if is_open {
            self.more += 1;
        } else {
            self.since = Some(now);
        }
        !is_open
    }

    /// How many lines were not written in the second that has passed; `None` if there were none or
    /// it has not passed.
    pub(super) fn take_more(&mut self, now: Instant) -> Option<u64> {
        let is_due = self.next_deadline().is_some_and(|deadline| deadline <= now);
        is_due.then(|| std::mem::take(&mut self.more))
    }

    /// When lines that were not written must be counted out.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.since.filter(|_| self.more > 0).map(|since| since + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_second_and_the_rest_is_counted() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert!(throttle.admit(start));
        assert_eq!(throttle.next_deadline(), None);
        assert!(!throttle.admit(start));
        assert!(!throttle.admit(start));
        assert_eq!(throttle.take_more(start), None);
        assert_eq!(throttle.take_more(start + WINDOW), Some(2));
        assert_eq!(throttle.take_more(start + WINDOW), None);
        assert!(throttle.admit(start + WINDOW));
    }
}
