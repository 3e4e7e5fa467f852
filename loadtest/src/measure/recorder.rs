//! What one thread of the load test counts and times.

use hdrhistogram::Histogram;

use crate::report::latency::{Clock, histogram};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// What one thread counts and times. Times before the measured window are left out; counts are
/// kept for all of the run.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// PUBLISH packets sent.
    pub(crate) published: u64,
    /// PUBLISH packets received.
    pub(crate) delivered: u64,
    /// Publishes whose PUBACK or PUBCOMP came.
    pub(crate) acknowledged: u64,
    /// When the first PUBLISH was sent.
    pub(crate) first_publish_ns: Option<u64>,
    /// When the last PUBLISH was received.
    pub(crate) last_delivery_ns: u64,
    /// The longest turn of the loop.
    pub(crate) turn_max_ns: u64,
    /// Which clock the latency of deliveries belongs to.
    delivery: Clock,
    /// When the measured window begins.
    window_from_ns: u64,
    clocks: Vec<(Clock, Histogram<u64>)>,
    interval: Interval,
    /// What was sent and received before the interval.
    before: (u64, u64),
}

/// One second of the run, as one thread saw it.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    /// The number of the second since the run began.
    pub(crate) second: u64,
    /// PUBLISH packets sent in it.
    pub(crate) published: u64,
    /// PUBLISH packets received in it.
    pub(crate) delivered: u64,
    /// Latencies of what was received in it.
    pub(crate) latency: Histogram<u64>,
    /// The longest schedule lag in it.
    pub(crate) lag_max_ns: u64,
}

impl Recorder {
    /// One that has recorded nothing; latencies of deliveries are those of `delivery`.
    pub(crate) fn new(delivery: Clock) -> Self {
        Self {
            published: 0,
            delivered: 0,
            acknowledged: 0,
            first_publish_ns: None,
            last_delivery_ns: 0,
            turn_max_ns: 0,
            delivery,
            window_from_ns: 0,
            clocks: Vec::new(),
            interval: Interval::new(0),
            before: (0, 0),
        }
    }

    /// Leaves out what was to be sent before.
    pub(crate) fn begin_window(&mut self, from_ns: u64) {
        self.window_from_ns = from_ns;
    }

    /// Which clock the latency of deliveries belongs to.
    pub(crate) fn delivery_clock(&self) -> Clock {
        self.delivery
    }

    /// A message was sent.
    #[inline]
    pub(crate) fn on_publish(&mut self, now_ns: u64) {
        self.published += 1;
        self.first_publish_ns.get_or_insert(now_ns);
    }

    /// The latency of a delivery, from when its message was to be sent.
    #[inline]
    pub(crate) fn record_delivery(&mut self, intended_ns: u64, now_ns: u64) {
        if intended_ns >= self.window_from_ns {
            self.interval.latency.saturating_record(now_ns.saturating_sub(intended_ns));
        }
    }

    /// A latency of another clock, which ended now.
    #[inline]
    pub(crate) fn record(&mut self, clock: Clock, since_ns: u64, now_ns: u64) {
        if since_ns < self.window_from_ns {
            return;
        }
        let latency = now_ns.saturating_sub(since_ns);
        if clock == Clock::ScheduleLag {
            self.interval.lag_max_ns = self.interval.lag_max_ns.max(latency);
        }
        match self.clocks.iter_mut().find(|(known, _)| *known == clock) {
            Some((_, histogram)) => histogram.saturating_record(latency),
            None => {
                let mut first = histogram();
                first.saturating_record(latency);
                self.clocks.push((clock, first));
            }
        }
    }

    /// The last second, once it is over.
    pub(crate) fn next_interval(&mut self, now_ns: u64) -> Option<Interval> {
        let second = now_ns / NANOSECONDS_PER_SECOND;
        if second == self.interval.second {
            return None;
        }
        let interval = self.end_interval();
        self.interval.second = second;
        if interval.published + interval.delivered == 0 { None } else { Some(interval) }
    }

    /// The interval with its counts, and a new one.
    fn end_interval(&mut self) -> Interval {
        let now = (self.published, self.delivered);
        let before = std::mem::replace(&mut self.before, now);
        let ended = std::mem::replace(&mut self.interval, Interval::new(0));
        Interval { published: now.0 - before.0, delivered: now.1 - before.1, ..ended }
    }

    /// All that was timed besides deliveries, and the second that is not over.
    pub(crate) fn finish(mut self) -> (Vec<(Clock, Histogram<u64>)>, Interval) {
        let interval = self.end_interval();
        (self.clocks, interval)
    }
}

impl Interval {
    fn new(second: u64) -> Self {
        Self { second, published: 0, delivered: 0, latency: histogram(), lag_max_ns: 0 }
    }

    /// Adds what another thread saw of the same second.
    pub(crate) fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.delivered += other.delivered;
        self.latency.add(&other.latency).expect("both have the same bounds");
        self.lag_max_ns = self.lag_max_ns.max(other.lag_max_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_to_be_sent_before_the_window_is_not_timed() {
        let mut recorder = Recorder::new(Clock::Delivery);
        recorder.begin_window(1000);
        for intended_ns in [999, 1000] {
            recorder.record_delivery(intended_ns, 5000);
            recorder.record(Clock::PublishToPuback, intended_ns, 3000);
        }
        let (clocks, interval) = recorder.finish();
        assert_eq!(interval.latency.len(), 1);
        assert_eq!((clocks[0].0, clocks[0].1.len()), (Clock::PublishToPuback, 1));
    }

    #[test]
    fn a_second_in_which_something_happened_is_handed_out_once() {
        let mut recorder = Recorder::new(Clock::Delivery);
        assert!(recorder.next_interval(5_100_000_000).is_none());
        recorder.on_publish(5_200_000_000);
        assert!(recorder.next_interval(5_900_000_000).is_none());
        let interval = recorder.next_interval(7_000_000_000).expect("5 is over");
        assert_eq!((interval.second, interval.published), (5, 1));
        assert!(recorder.next_interval(7_000_000_001).is_none());
    }
}
