//! Summaries of what was timed.
//!
//! A run records **nanoseconds** into [`histogram`]s, with three digits; a report shows
//! microseconds. So a latency of some microseconds keeps its digits too.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2Serializer},
};
use serde::{Deserialize, Serialize};

/// What was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Clock {
    /// Rate: from the intended time of sending to the receipt.
    Delivery,
    /// Rate: from the actual time of sending to the receipt. It hides the time that a message
    /// waited because the broker had not taken those before it.
    DeliveryUncorrected,
    /// Rate: from the intended time of sending to the actual one.
    ScheduleLag,
    /// Flood: from the publish to the receipt: queueing, not service time.
    Queueing,
    /// From the publish to its PUBACK.
    PublishToPuback,
    /// From the publish to its PUBCOMP.
    PublishToPubcomp,
    /// From the CONNECT to its CONNACK, with the TCP handshake.
    ConnectToConnack,
    /// From the SUBSCRIBE to its SUBACK.
    SubscribeToSuback,
}

impl Clock {
    /// What a program calls it, as in the JSON report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::DeliveryUncorrected => "delivery-uncorrected",
            Self::ScheduleLag => "schedule-lag",
            Self::Queueing => "queueing",
            Self::PublishToPuback => "publish-to-puback",
            Self::PublishToPubcomp => "publish-to-pubcomp",
            Self::ConnectToConnack => "connect-to-connack",
            Self::SubscribeToSuback => "subscribe-to-suback",
        }
    }

    /// What a reader calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Delivery => "intended publish → receipt",
            Self::DeliveryUncorrected => "actual publish → receipt (uncorrected)",
            Self::ScheduleLag => "intended → actual publish (schedule lag)",
            Self::Queueing => "publish → receipt (queueing, not service time)",
            Self::PublishToPuback => "publish → PUBACK",
            Self::PublishToPubcomp => "publish → PUBCOMP",
            Self::ConnectToConnack => "CONNECT → CONNACK",
            Self::SubscribeToSuback => "SUBSCRIBE → SUBACK",
        }
    }
}

/// The summary of one clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// What was timed.
    pub(crate) clock: Clock,
    /// How often.
    pub(crate) count: u64,
    /// The shortest.
    pub(crate) min_us: f64,
    /// The arithmetic mean.
    pub(crate) mean_us: f64,
    /// The median.
    pub(crate) p50_us: f64,
    /// The 90th percentile.
    pub(crate) p90_us: f64,
    /// The 99th percentile.
    pub(crate) p99_us: f64,
    /// The 99.9th percentile.
    pub(crate) p99_9_us: f64,
    /// The 99.99th percentile.
    pub(crate) p99_99_us: f64,
    /// The longest.
    pub(crate) max_us: f64,
    /// All of it, if kept: [`encode`]d nanoseconds.
    #[serde(default)]
    pub(crate) histogram: Option<String>,
}

impl Latency {
    /// Summarises what `clock` recorded, in nanoseconds.
    pub(crate) fn new(clock: Clock, nanoseconds: &Histogram<u64>) -> Self {
        let at = |percentile| microseconds(nanoseconds.value_at_percentile(percentile));
        Self {
            clock,
            count: nanoseconds.len(),
            min_us: microseconds(nanoseconds.min()),
            mean_us: nanoseconds.mean() / NANOSECONDS_PER_MICROSECOND,
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p99_9_us: at(99.9),
            p99_99_us: at(99.99),
            max_us: microseconds(nanoseconds.max()),
            histogram: Some(encode(nanoseconds)),
        }
    }

    /// Minimum, mean, the percentiles and maximum, in this order.
    pub(crate) fn figures_us(&self) -> [f64; 8] {
        [
            self.min_us,
            self.mean_us,
            self.p50_us,
            self.p90_us,
            self.p99_us,
            self.p99_9_us,
            self.p99_99_us,
            self.max_us,
        ]
    }
}

/// An empty histogram for nanoseconds: up to an hour, three digits. What takes longer counts as an
/// hour if it is recorded with `saturating_record`.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, DIGITS).expect("the bounds are valid")
}

/// A histogram as text: its V2 form in Base64.
pub(crate) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    let written = V2Serializer::new().serialize(histogram, &mut bytes);
    written.expect("a vector takes all bytes, and counts fit in the format");
    BASE64_STANDARD.encode(bytes)
}

/// Reads what [`encode`] wrote; nothing if it did not.
pub(crate) fn decode(text: &str) -> Option<Histogram<u64>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / NANOSECONDS_PER_MICROSECOND
}

const NANOSECONDS_PER_MICROSECOND: f64 = 1e3;
const LONGEST: Duration = Duration::from_secs(3600);
const DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_named_as_in_json() {
        for clock in [
            Clock::Delivery,
            Clock::DeliveryUncorrected,
            Clock::ScheduleLag,
            Clock::Queueing,
            Clock::PublishToPuback,
            Clock::PublishToPubcomp,
            Clock::ConnectToConnack,
            Clock::SubscribeToSuback,
        ] {
            assert_eq!(serde_json::to_value(clock).unwrap(), clock.name());
        }
    }

    #[test]
    fn a_summary_is_in_microseconds_and_keeps_three_digits() {
        let mut recorded = histogram();
        for microsecond in 1..=1000 {
            recorded.record(microsecond * 1000).unwrap();
        }
        let latency = Latency::new(Clock::Delivery, &recorded);
        assert_eq!(latency.count, 1000);
        for (figure, expected) in
            [(latency.min_us, 1.0), (latency.p50_us, 500.0), (latency.p99_us, 990.0)]
        {
            assert!((figure / expected - 1.0).abs() < 0.001, "{figure} is not {expected}");
        }
        let again = decode(&latency.histogram.unwrap()).unwrap();
        assert_eq!(again, recorded);
        assert!(decode("no histogram").is_none());
    }
}
