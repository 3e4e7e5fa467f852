//! The search for the highest rate that holds: doubling until one does not, then halving what lies
//! between. Pure.

/// What is known so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Search {
    first: f64,
    last: f64,
    precision: f64,
    held: Option<f64>,
    failed: Option<f64>,
}

impl Search {
    /// Begins at `first`, never goes above `last`, and ends when the lowest rate that failed is
    /// within `precision` (0.05 is 5 %) of the highest that held.
    pub(super) fn new(first: f64, last: f64, precision: f64) -> Self {
        Self { first: first.min(last), last, precision, held: None, failed: None }
    }

    /// The rate to try next; nothing if the search is over.
    pub(super) fn next_rate(&self) -> Option<f64> {
        match (self.held, self.failed) {
            (None, None) => Some(self.first),
            (Some(held), None) => (held < self.last).then_some((held * 2.0).min(self.last)),
            (None, Some(failed)) => Some(failed / 2.0).filter(|rate| *rate >= LOWEST_PER_S),
            (Some(held), Some(failed)) => {
                (failed / held > 1.0 + self.precision).then_some((held * failed).sqrt())
            }
        }
        .map(f64::round)
        .filter(|rate| Some(*rate) != self.held && Some(*rate) != self.failed)
    }

    /// Takes the answer for a rate that [`next_rate`](Self::next_rate) named.
    pub(super) fn tell(&mut self, rate: f64, holds: bool) {
        if holds {
            self.held = Some(self.held.map_or(rate, |held| held.max(rate)));
        } else {
            self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate)));
        }
    }

    /// The highest rate that held.
    pub(super) fn highest(&self) -> Option<f64> {
        self.held
    }

    /// Whether no rate failed: the highest that was allowed still held.
    pub(super) fn is_open(&self) -> bool {
        self.failed.is_none()
    }
}

/// A rate of one message a second that does not hold leaves nothing to look for.
const LOWEST_PER_S: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches where rates up to `limit` hold; the answer and how many rates were tried.
    fn search(limit: f64, first: f64, last: f64) -> (Option<f64>, u32) {
        let mut search = Search::new(first, last, 0.02);
        let mut tried = 0;
        while let Some(rate) = search.next_rate() {
            assert!(rate <= last);
            search.tell(rate, rate <= limit);
            tried += 1;
            assert!(tried < 60, "the search goes on and on");
        }
        (search.highest(), tried)
    }

    #[test]
    fn the_limit_is_found_from_below_and_from_above() {
        for first in [10.0, 1_000.0, 5e6] {
            let (found, tried) = search(123_456.0, first, 1e7);
            let found = found.unwrap();
            assert!((120_000.0..=123_456.0).contains(&found), "{found}");
            assert!(tried < 25, "{tried} rates were tried");
        }
    }

    #[test]
    fn without_a_limit_the_last_rate_is_the_answer() {
        assert_eq!(search(f64::INFINITY, 1_000.0, 5_000.0).0, Some(5_000.0));
        assert_eq!(search(0.0, 1_000.0, 5_000.0).0, None);
        assert_eq!(search(f64::INFINITY, 9_000.0, 5_000.0), (Some(5_000.0), 1));
    }

    #[test]
    fn small_rates_come_to_an_end() {
        for limit in 1..20 {
            assert_eq!(search(f64::from(limit), 1.0, 100.0).0, Some(f64::from(limit)));
        }
    }
}
