//! When messages are to be sent, whatever the broker does.
//!
//! All times are computed from the number of the message and the begin of the schedule, never from
//! when the message before was sent: who is late does not move what follows.

use std::{fmt, str::FromStr};

/// How the times of a schedule lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// At equal distances.
    Fixed,
    /// At random and independent of each other, as the messages of many clients are.
    Poisson {
        /// What the random times come from: the same seed gives the same times.
        seed: u64,
    },
}

/// The times at which messages are to be sent, without end.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    begin_ns: u64,
    /// Nanoseconds between two messages, on average.
    interval_ns: f64,
    /// Where the next message lies behind the begin.
    next_ns: f64,
    random: Option<fastrand::Rng>,
}

impl Schedule {
    /// `per_s` messages a second from `begin_ns` on. `part` of `parts` schedules with the same rate
    /// that are to lie evenly between each other, if they are fixed.
    pub(crate) fn new(
        arrivals: Arrivals,
        per_s: f64,
        begin_ns: u64,
        (part, parts): (usize, usize),
    ) -> Self {
        let interval_ns = 1e9 / per_s;
        let mut random = match arrivals {
            Arrivals::Fixed => None,
            Arrivals::Poisson { seed } => Some(fastrand::Rng::with_seed(seed ^ part as u64)),
        };
        let next_ns = match &mut random {
            None => interval_ns * part as f64 / parts as f64,
            Some(random) => gap(random, interval_ns),
        };
        Self { begin_ns, interval_ns, next_ns, random }
    }

    /// When the next message is to be sent.
    #[inline]
    pub(crate) fn next_ns(&self) -> u64 {
        self.begin_ns + self.next_ns as u64
    }

    /// The next message is the one after it.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.next_ns += match &mut self.random {
            None => self.interval_ns,
            Some(random) => gap(random, self.interval_ns),
        };
    }
}

impl FromStr for Arrivals {
    type Err = String;

    /// `fixed`, `poisson` or `poisson:SEED`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "1")) {
            ("fixed", "1") => Ok(Self::Fixed),
            ("poisson", seed) => {
                let seed = seed.parse().map_err(|_| format!("\"{seed}\" is no seed"))?;
                Ok(Self::Poisson { seed })
            }
            _ => Err("arrivals are fixed, poisson or poisson:SEED".to_owned()),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("fixed"),
            Self::Poisson { seed } => write!(f, "poisson:{seed}"),
        }
    }
}

/// The time to the next of independent events.
fn gap(random: &mut fastrand::Rng, mean_ns: f64) -> f64 {
    // 1 is excluded, so its logarithm is finite.
    -(1.0 - random.f64()).ln() * mean_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(schedule: &mut Schedule, count: usize) -> Vec<u64> {
        let mut next = || {
            let next = schedule.next_ns();
            schedule.advance();
            next
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn fixed_times_do_not_drift() {
        let mut schedule = Schedule::new(Arrivals::Fixed, 30_000.0, 5, (0, 1));
        let times = times(&mut schedule, 3_000_001);
        assert_eq!((times[0], times[3]), (5, 100_005));
        assert!(times[3_000_000].abs_diff(100_000_000_005) < 1000, "{}", times[3_000_000]);
    }

    #[test]
    fn parts_lie_between_each_other() {
        let first = |part| Schedule::new(Arrivals::Fixed, 1000.0, 0, (part, 4)).next_ns();
        assert_eq!([first(0), first(1), first(3)], [0, 250_000, 750_000]);
    }

    /// Exponential gaps: the mean as asked for, and as many below its median as above.
    #[test]
    fn poisson_times_have_the_rate_and_come_from_the_seed() {
        let poisson = |seed| Schedule::new(Arrivals::Poisson { seed }, 1000.0, 0, (0, 1));
        let all = times(&mut poisson(7), 100_000);
        assert!((all[99_999] as f64 / 1e11 - 1.0).abs() < 0.02, "{}", all[99_999]);
        let median_ns = 1e6 * std::f64::consts::LN_2;
        let below = all.windows(2).filter(|pair| ((pair[1] - pair[0]) as f64) < median_ns).count();
        assert!((49_000..51_000).contains(&below), "{below}");
        assert_eq!(all[..100], times(&mut poisson(7), 100));
        assert_ne!(all[..100], times(&mut poisson(8), 100));
    }

    #[test]
    fn arrivals_are_read() {
        assert_eq!("fixed".parse(), Ok(Arrivals::Fixed));
        assert_eq!("poisson:9".parse(), Ok(Arrivals::Poisson { seed: 9 }));
        assert!("gauss".parse::<Arrivals>().is_err());
    }
}
