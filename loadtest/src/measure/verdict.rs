//! What set the limit of a run: the broker, the load test, or what lies between them.

use crate::report::{Bound, Verdict};

/// A thread that ran, or could have run, for this part of the time was at its limit.
const BUSY: f64 = 0.85;
/// Sockets that took nothing for this part of the time were a limit.
const BLOCKED: f64 = 0.5;
/// The schedule lag's 99th percentile may be this part of the median latency.
const LAG: f64 = 0.1;

/// What is known about who worked how much in the measured window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loads {
    /// The part of the time that the busiest thread of the broker ran or waited for a processor.
    pub(crate) broker_thread: Option<f64>,
    /// The processors that the broker used, on average.
    pub(crate) broker_cores: Option<f64>,
    /// The processors that the broker may use.
    pub(crate) broker_cores_max: f64,
    /// The part of the time that the busiest thread of the load test ran or waited for a processor.
    pub(crate) own_thread: f64,
    /// The part of the time for which a publisher's socket took nothing, on average over them.
    pub(crate) blocked: f64,
    /// Rate: the 99th percentile of the schedule lag and the median latency, microseconds.
    pub(crate) lag: Option<(f64, f64)>,
}

impl Loads {
    /// What set the limit, and the figures that say so.
    pub(crate) fn verdict(&self) -> Verdict {
        match self.lag {
            Some((lag, latency)) => self.verdict_of_rate(lag, latency),
            None => self.verdict_of_flood(),
        }
    }

    /// With a schedule nobody should be at a limit.
    fn verdict_of_rate(&self, lag: f64, latency: f64) -> Verdict {
        let lags = format!(
            "the 99th percentile of the schedule lag is {lag:.0} µs, the median latency {latency:.0} µs"
        );
        match () {
            () if lag > LAG * latency => {
                let why = "messages left too late to say how long the broker needs";
                verdict(Bound::Generator, format!("{why}: {lags}"))
            }
            () if self.is_broker_busy() => {
                verdict(Bound::Broker, format!("{}; {lags}", self.figures()))
            }
            () => verdict(Bound::Idle, format!("the rate was kept; {lags}")),
        }
    }

    /// Under flow control alone somebody must be at a limit.
    fn verdict_of_flood(&self) -> Verdict {
        let own_is_busy = self.own_thread >= BUSY;
        let bound = match self.broker_thread {
            _ if self.is_broker_busy() => Bound::Broker,
            _ if own_is_busy => Bound::Generator,
            _ if self.blocked >= BLOCKED => Bound::Link,
            Some(_) => Bound::Idle,
            None => Bound::Unknown,
        };
        verdict(bound, self.figures())
    }

    fn is_broker_busy(&self) -> bool {
        let all = self.broker_cores.is_some_and(|cores| cores >= BUSY * self.broker_cores_max);
        all || self.broker_thread.is_some_and(|thread| thread >= BUSY)
    }

    fn figures(&self) -> String {
        let percent = |part: f64| (part * 100.0).round();
        let broker = match (self.broker_thread, self.broker_cores) {
            (Some(thread), Some(cores)) => format!(
                "the broker used {cores:.2} of {} processors, its busiest thread ran or waited for one \
                 for {} % of the time",
                self.broker_cores_max,
                percent(thread)
            ),
            _ => "what the broker used is not known without its process id".to_owned(),
        };
        format!(
            "{broker}; the load test's busiest thread did so for {} %, a publisher's socket was \
             full for {} %",
            percent(self.own_thread),
            percent(self.blocked)
        )
    }
}

fn verdict(bound: Bound, reason: String) -> Verdict {
    Verdict { bound, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flood(broker: Option<f64>, own_thread: f64, blocked: f64) -> Bound {
        let loads = Loads {
            broker_thread: broker,
            broker_cores: broker,
            broker_cores_max: 2.0,
            own_thread,
            blocked,
            lag: None,
        };
        loads.verdict().bound
    }

    #[test]
    fn who_was_busy_set_the_limit() {
        assert_eq!(flood(Some(0.95), 0.95, 0.9), Bound::Broker);
        assert_eq!(flood(Some(0.5), 0.95, 0.9), Bound::Generator);
        assert_eq!(flood(Some(0.5), 0.5, 0.9), Bound::Link);
        assert_eq!(flood(Some(0.5), 0.5, 0.1), Bound::Idle);
        assert_eq!(flood(None, 0.5, 0.1), Bound::Unknown);
        assert_eq!(flood(None, 0.99, 0.1), Bound::Generator);
    }

    #[test]
    fn a_load_test_that_lags_says_nothing_about_the_broker() {
        let rate = |lag| Loads { lag: Some((lag, 100.0)), ..Loads::default() }.verdict().bound;
        assert_eq!((rate(11.0), rate(9.0)), (Bound::Generator, Bound::Idle));
    }
}
