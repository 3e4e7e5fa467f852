//! The live line of a run: what its threads have told so far, for whoever watches.

use std::time::Instant;

use super::{series::Series, shared::Shared};
use crate::progress::{Live, LiveLine};

const NANOSECONDS_PER_SECOND: f64 = 1e9;

/// Shows the live line of a run.
#[derive(Debug)]
pub(crate) struct Ticker {
    line: LiveLine,
    /// When the line was last shown, and what was counted then.
    before: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    at_ns: u64,
    published: u64,
    delivered: u64,
}

impl Ticker {
    /// Before the first connection.
    pub(crate) fn new() -> Self {
        Self { line: LiveLine::new(Instant::now()), before: Counts::default() }
    }

    /// Some time has passed.
    pub(crate) fn look(&mut self, shared: &Shared, series: &Series) {
        let now = Instant::now();
        if !self.line.is_due(now) {
            return;
        }
        let counts = Counts {
            at_ns: shared.clock.now_ns(),
            published: shared.total(|progress| &progress.published),
            delivered: shared.total(|progress| &progress.delivered),
        };
        let mut live = counts.since(&self.before);
        live.connections_lost = shared.total(|progress| &progress.lost);
        if let Some(last) = series.last() {
            let at = |percentile| last.latency.value_at_percentile(percentile) as f64 / 1e3;
            let is_timed = !last.latency.is_empty();
            live.p50_us = is_timed.then(|| at(50.0));
            live.p99_us = is_timed.then(|| at(99.0));
            live.lag_max_us = (last.lag_max_ns > 0).then(|| last.lag_max_ns as f64 / 1e3);
        }
        self.line.show(&live, now);
        self.before = counts;
    }
}

impl Counts {
    /// The rates since an earlier look.
    fn since(&self, before: &Self) -> Live {
        let seconds = (self.at_ns - before.at_ns).max(1) as f64 / NANOSECONDS_PER_SECOND;
        Live {
            second: self.at_ns as f64 / NANOSECONDS_PER_SECOND,
            published_per_s: (self.published - before.published) as f64 / seconds,
            delivered_per_s: (self.delivered - before.delivered) as f64 / seconds,
            ..Live::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_since_the_last_look() {
        let before = Counts { at_ns: 1_000_000_000, published: 100, delivered: 1_000 };
        let now = Counts { at_ns: 1_500_000_000, published: 150, delivered: 3_000 };
        let live = now.since(&before);
        assert_eq!(
            (live.second, live.published_per_s, live.delivered_per_s),
            (1.5, 100.0, 4_000.0)
        );
    }
}
