//! How much happens in a minute, as an average over the last one, five and fifteen.

use std::time::Duration;

use super::topics::Sums;

/// Over how many minutes an average goes, as its topic says it.
pub(super) const SPANS: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

/// Averages of everything that is counted, by what the topic calls it.
#[derive(Debug, Default)]
pub(super) struct Loads {
    rows: Vec<Load>,
}

/// One average for each span.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) name: &'static str,
    pub(super) per_minute: [f64; SPANS.len()],
    count: u64,
}

impl Loads {
    /// So much was counted in all, and the time before was this long ago.
    pub(super) fn note(&mut self, sums: &Sums, since: Duration) {
        let counts = sums.loads();
        if self.rows.is_empty() {
            let new = |(name, _)| Load { name, per_minute: [0.0; SPANS.len()], count: 0 };
            self.rows = counts.into_iter().map(new).collect();
        }
        for (load, (_, count)) in self.rows.iter_mut().zip(counts) {
            load.note(count, since);
        }
    }

    pub(super) fn rows(&self) -> &[Load] {
        &self.rows
    }
}

impl Load {
    fn note(&mut self, count: u64, since: Duration) {
        let minutes = since.as_secs_f64() / 60.0;
        if minutes == 0.0 {
            return;
        }
        let now = count.saturating_sub(self.count) as f64 / minutes;
        self.count = count;
        for (average, (_, span)) in self.per_minute.iter_mut().zip(SPANS) {
            let weight = 1.0 - (-minutes / span).exp();
            *average += weight * (now - *average);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_come_near_what_happens_the_shorter_ones_sooner() {
        let mut load = Load { name: "x", per_minute: [0.0; 3], count: 0 };
        for step in 1..=30 {
            load.note(step * 100, Duration::from_secs(10));
        }
        let [one, five, fifteen] = load.per_minute;
        assert!((595.0..600.0).contains(&one), "{one}");
        assert!((370.0..385.0).contains(&five), "{five}");
        assert!((165.0..175.0).contains(&fifteen), "{fifteen}");
        load.note(3_000, Duration::ZERO);
        assert_eq!(load.per_minute, [one, five, fifteen]);
    }
}
