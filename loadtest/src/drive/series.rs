//! The run second by second, of all workers together.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::{
    measure::Interval,
    report::{
        Second,
        latency::{encode, histogram},
    },
};

/// Seconds that a worker may be late with telling: what is older is only kept as a summary.
const OPEN_SECONDS: usize = 4;

/// The run second by second.
#[derive(Debug)]
pub(crate) struct Series {
    /// Those that may still grow.
    open: BTreeMap<u64, Interval>,
    /// Those that are over, numbered since the run's clock began.
    closed: Vec<(u64, Second)>,
    /// The latencies of all.
    total: Histogram<u64>,
}

impl Default for Series {
    fn default() -> Self {
        Self { open: BTreeMap::new(), closed: Vec::new(), total: histogram() }
    }
}

impl Series {
    /// Adds what one worker saw of one second.
    pub(crate) fn add(&mut self, interval: &Interval) {
        match self.open.get_mut(&interval.second) {
            Some(known) => known.add(interval),
            None => {
                self.open.insert(interval.second, interval.clone());
            }
        }
        while self.open.len() > OPEN_SECONDS {
            self.close_first();
        }
    }

    /// The last second that somebody has told of.
    pub(crate) fn last(&self) -> Option<&Interval> {
        self.open.values().next_back()
    }

    /// The latencies of all seconds, and the seconds that lie in the measured window: those from
    /// `first` to `last`, numbered anew from 0.
    pub(crate) fn finish(mut self, first: u64, last: u64) -> (Histogram<u64>, Vec<Second>) {
        while !self.open.is_empty() {
            self.close_first();
        }
        let measured =
            self.closed.into_iter().filter(|(second, _)| (first..=last).contains(second));
        let numbered =
            measured.map(|(number, second)| Second { second: (number - first) as u32, ..second });
        (self.total, numbered.collect())
    }

    fn close_first(&mut self) {
        let Some((number, interval)) = self.open.pop_first() else { return };
        let latency = &interval.latency;
        self.total.add(latency).expect("both have the same bounds");
        let at = |percentile| {
            (!latency.is_empty()).then(|| latency.value_at_percentile(percentile) as f64 / 1e3)
        };
        let second = Second {
            published: interval.published,
            delivered: interval.delivered,
            p50_us: at(50.0),
            p99_us: at(99.0),
            max_us: at(100.0),
            histogram: (!latency.is_empty()).then(|| encode(latency)),
            ..Second::default()
        };
        // A worker that was later than all others: one second twice is better than none.
        match self.closed.iter_mut().find(|(known, _)| *known == number) {
            Some((_, known)) => {
                known.published += second.published;
                known.delivered += second.delivered;
            }
            None => self.closed.push((number, second)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(second: u64, delivered: u64) -> Interval {
        let mut latency = histogram();
        latency.record_n(second * 1000, delivered).unwrap();
        Interval { second, published: 1, delivered, latency, lag_max_ns: 0 }
    }

    #[test]
    fn what_several_workers_saw_of_a_second_is_one_second() {
        let mut series = Series::default();
        for second in 3..20 {
            series.add(&interval(second, 10));
            series.add(&interval(second, 5));
        }
        let (total, seconds) = series.finish(5, 18);
        assert_eq!((total.len(), seconds.len()), (17 * 15, 14));
        let first = &seconds[0];
        assert_eq!((first.second, first.published, first.delivered), (0, 2, 15));
        assert!((first.p50_us.unwrap() / 5.0 - 1.0).abs() < 0.001, "{first:?}");
    }
}
