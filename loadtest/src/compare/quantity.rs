//! What brokers are compared by.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::report::{
    Report,
    format::{bytes, microseconds, number},
    latency::{Clock, Latency},
};

/// What brokers are compared by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quantity {
    /// Deliveries each second.
    DeliveredPerS,
    /// CPU time of the broker for each delivery, nanoseconds.
    NsPerDelivery,
    /// Median latency, microseconds. Only of runs at a rate: under flood it is queueing.
    LatencyP50,
    /// 99th percentile of the latency, microseconds.
    LatencyP99,
    /// 99.9th percentile of the latency, microseconds.
    #[serde(rename = "latency-p99.9")]
    LatencyP999,
    /// Connections accepted each second of the last storm.
    ConnectionsPerS,
    /// CPU time of the broker for each connection of the last storm, microseconds.
    CpuPerConnection,
    /// Memory of each idle connection, bytes.
    BytesPerConnection,
    /// The most resident memory of the broker, bytes.
    RssPeak,
    /// A figure that only this scenario has.
    Figure {
        /// What it is.
        name: String,
        /// Of what.
        unit: String,
    },
}

impl Quantity {
    /// Those that any scenario may have, in the order they are shown in.
    pub(crate) const ALL: [Self; 9] = [
        Self::DeliveredPerS,
        Self::NsPerDelivery,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::LatencyP999,
        Self::ConnectionsPerS,
        Self::CpuPerConnection,
        Self::BytesPerConnection,
        Self::RssPeak,
    ];

    /// All that a run may have: the common ones, then its own figures.
    pub(crate) fn all(report: Option<&Report>) -> impl Iterator<Item = Self> {
        let figures = report.into_iter().flat_map(|report| &report.figures);
        let figures = figures
            .map(|figure| Self::Figure { name: figure.name.clone(), unit: figure.unit.clone() });
        Self::ALL.into_iter().chain(figures)
    }

    /// Its value in a run, if the run has one.
    pub(crate) fn of(&self, report: &Report) -> Option<f64> {
        let broker = report.broker.as_ref();
        let delivery = |value: fn(&Latency) -> f64| {
            report.latencies.iter().find(|latency| latency.clock == Clock::Delivery).map(value)
        };
        match self {
            Self::DeliveredPerS => {
                let rate = report.traffic.delivered_per_s;
                (report.traffic.published > 0).then_some(rate)
            }
            Self::NsPerDelivery => broker?.ns_per_delivery,
            Self::LatencyP50 => delivery(|latency| latency.p50_us),
            Self::LatencyP99 => delivery(|latency| latency.p99_us),
            Self::LatencyP999 => delivery(|latency| latency.p99_9_us),
            Self::ConnectionsPerS => report.storms.last().map(|storm| storm.connections_per_s),
            Self::CpuPerConnection => report.storms.last()?.broker_cpu_us_per_connection,
            Self::BytesPerConnection => report.idle.last().map(|idle| idle.bytes_per_connection),
            Self::RssPeak => broker.map(|broker| broker.rss_peak_bytes as f64),
            Self::Figure { name, unit } => {
                let mut figures = report.figures.iter();
                figures.find(|figure| figure.name == *name && figure.unit == *unit)?.value.into()
            }
        }
    }

    /// Its name with its unit.
    pub(crate) fn title(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::DeliveredPerS => "delivered/s",
            Self::NsPerDelivery => "ns broker CPU per delivery",
            Self::LatencyP50 => "latency p50",
            Self::LatencyP99 => "latency p99",
            Self::LatencyP999 => "latency p99.9",
            Self::ConnectionsPerS => "connections/s",
            Self::CpuPerConnection => "broker CPU per connection",
            Self::BytesPerConnection => "memory per idle connection",
            Self::RssPeak => "most resident memory",
            Self::Figure { name, unit } => return Cow::Owned(format!("{name} ({unit})")),
        })
    }

    /// A value as people read it.
    pub(crate) fn text(&self, value: f64) -> String {
        match self {
            Self::DeliveredPerS
            | Self::NsPerDelivery
            | Self::ConnectionsPerS
            | Self::Figure { .. } => number(value),
            Self::LatencyP50 | Self::LatencyP99 | Self::LatencyP999 | Self::CpuPerConnection => {
                microseconds(value)
            }
            Self::BytesPerConnection | Self::RssPeak => bytes(value),
        }
    }

    /// Whether more is better; nothing if a figure does not say.
    pub(crate) fn is_better_higher(&self) -> Option<bool> {
        match self {
            Self::DeliveredPerS | Self::ConnectionsPerS => Some(true),
            Self::Figure { unit, .. } if unit.ends_with("/s") => Some(true),
            Self::Figure { unit, .. } => {
                TIMES.iter().any(|time| unit.starts_with(time)).then_some(false)
            }
            _ => Some(false),
        }
    }
}

/// What units of time begin with.
const TIMES: [&str; 4] = ["ns", "µs", "ms", "s "];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{sample, storm};

    #[test]
    fn each_run_has_the_quantities_it_measured() {
        let of = |report: &Report| {
            Quantity::ALL.map(|quantity| quantity.of(report).map(|value| quantity.text(value)))
        };
        let shown = of(&sample()).map(Option::unwrap_or_default);
        let expected = ["20,000", "100", "5.00 ms", "9.90 ms", "10.0 ms", "", "", "", "6.00 MiB"];
        assert_eq!(shown, expected);
        let shown = of(&storm()).map(Option::unwrap_or_default);
        assert_eq!(shown, ["", "", "", "", "", "4,000", "35.0 µs", "700 B", ""]);
    }

    #[test]
    fn a_figure_of_its_own_is_better_as_its_unit_says() {
        let figures: Vec<_> = Quantity::all(Some(&sample())).skip(Quantity::ALL.len()).collect();
        let shown: Vec<_> = figures.iter().map(|figure| figure.of(&sample())).collect();
        assert_eq!(shown, [Some(1e6)]);
        assert_eq!(figures[0].title(), "fast, before (delivered/s)");
        assert_eq!(figures[0].is_better_higher(), Some(true));
        let of = |unit: &str| Quantity::Figure { name: String::new(), unit: unit.into() };
        assert_eq!(of("µs").is_better_higher(), Some(false));
        assert_eq!(of("of 2000").is_better_higher(), None);
    }

    #[test]
    fn queueing_is_no_latency() {
        let mut report = sample();
        report.latencies[0].clock = Clock::Queueing;
        assert_eq!(Quantity::LatencyP99.of(&report), None);
    }
}
