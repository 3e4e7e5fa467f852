//! The charts of one run.

use super::{
    axis::{Axis, Scale, seconds, short, short_microseconds},
    chart::{Bar, Bars, Chart},
    page::Section,
};
use crate::report::{
    Report, Second,
    format::{bytes, counted},
    latency::{Clock, Latency, decode},
};

/// Rates and latencies, second by second.
pub(super) fn over_time(report: &Report) -> Section {
    let mut section = Section::new("Over time");
    let series = whole(&report.series);
    section.draw(rates(series));
    section.draw(latencies(series));
    section
}

/// Without the last second, which ends with the window and would look like a fall.
fn whole(series: &[Second]) -> &[Second] {
    match series {
        [whole @ .., _] if whole.len() > 1 => whole,
        _ => series,
    }
}

fn rates(series: &[Second]) -> Option<Chart> {
    let values = series.iter().flat_map(|at| [at.published as f64, at.delivered as f64]);
    let x = time(series);
    let y = Axis::new("messages/s", Scale::Linear, values, short);
    let line = |name: &str, value: fn(&Second) -> u64| {
        let points = series.iter().map(|at| (f64::from(at.second), value(at) as f64));
        (name.to_owned(), points.collect())
    };
    let lines = [line("delivered/s", |at| at.delivered), line("published/s", |at| at.published)];
    Chart::new("Rate", &x, &y, &lines)
}

fn latencies(series: &[Second]) -> Option<Chart> {
    let values = series.iter().flat_map(|at| [at.p50_us, at.p99_us, at.max_us]).flatten();
    let x = time(series);
    let y = Axis::new("latency", Scale::Logarithmic, values, short_microseconds);
    let line = |name: &str, value: fn(&Second) -> Option<f64>| {
        let points = series.iter().filter_map(|at| Some((f64::from(at.second), value(at)?)));
        (name.to_owned(), points.collect())
    };
    let lines =
        [line("p50", |at| at.p50_us), line("p99", |at| at.p99_us), line("max", |at| at.max_us)];
    Chart::new("Latency", &x, &y, &lines)
}

fn time(series: &[Second]) -> Axis {
    let last = series.iter().map(|at| f64::from(at.second)).fold(0.0, f64::max);
    Axis::new("time since the first publish", Scale::Linear, [last], seconds).ending_at(last)
}

/// Latency by percentile, each further nine as far from the last.
pub(super) fn percentiles(report: &Report) -> Option<Chart> {
    let lines: Vec<_> = report
        .latencies
        .iter()
        .filter(|latency| latency.count >= CURVE_COUNT_MIN)
        .map(|latency| (short_title(latency.clock).to_owned(), curve(latency)))
        .collect();
    let highest = report.latencies.iter().map(|latency| latency.count).max().unwrap_or(0);
    let x = Axis::nines("percentile", (highest as f64).min(NINES_MAX));
    let values = lines.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
    let y = Axis::new("latency", Scale::Logarithmic, values, short_microseconds);
    Chart::new("Latency by percentile", &x, &y, &lines)
}

/// What fits into a legend.
fn short_title(clock: Clock) -> &'static str {
    match clock {
        Clock::Delivery => "delivery",
        Clock::DeliveryUncorrected => "uncorrected",
        Clock::ScheduleLag => "schedule lag",
        Clock::Queueing => "queueing",
        Clock::PublishToPuback => "PUBACK",
        Clock::PublishToPubcomp => "PUBCOMP",
        Clock::ConnectToConnack => "CONNACK",
        Clock::SubscribeToSuback => "SUBACK",
    }
}

/// Points of `1 / (1 - quantile)` and microseconds: all that was recorded, or the summary.
fn curve(latency: &Latency) -> Vec<(f64, f64)> {
    let Some(histogram) = latency.histogram.as_deref().and_then(decode) else {
        return [
            (2.0, latency.p50_us),
            (10.0, latency.p90_us),
            (100.0, latency.p99_us),
            (1e3, latency.p99_9_us),
            (1e4, latency.p99_99_us),
        ]
        .to_vec();
    };
    let at = |step: u32| {
        let inverse = 10_f64.powf(f64::from(step) / CURVE_STEPS_PER_NINE);
        let value = histogram.value_at_quantile(1.0 - 1.0 / inverse);
        (inverse, value as f64 / 1e3)
    };
    // Beyond as many nines as there are records there is only the maximum.
    let nines = (latency.count.max(1) as f64).min(NINES_MAX).log10();
    (0..=(nines * CURVE_STEPS_PER_NINE).ceil() as u32).map(at).collect()
}

/// Memory of each idle connection, by how many there were.
pub(super) fn memory(report: &Report) -> Option<Bars> {
    let bars = report.idle.iter().map(|idle| Bar {
        name: format!(
            "{}, {} each",
            counted(idle.connections, "connection"),
            counted(idle.subscriptions, "subscription")
        ),
        value: idle.bytes_per_connection,
        range: (idle.bytes_per_connection, idle.bytes_per_connection),
        colour: usize::try_from(idle.subscriptions).unwrap_or(usize::MAX),
        text: bytes(idle.bytes_per_connection),
    });
    Bars::new("Memory per idle connection".into(), &bars.collect::<Vec<_>>())
}

/// Of fewer records there are no percentiles to speak of.
const CURVE_COUNT_MIN: u64 = 20;
/// Points of a percentile curve for each further nine.
const CURVE_STEPS_PER_NINE: f64 = 20.0;
/// The axis ends at 99.99999 %.
const NINES_MAX: f64 = 1e7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn the_curve_of_a_histogram_and_of_a_summary_agree() {
        let mut latency = sample().latencies[0].clone();
        let full = curve(&latency);
        latency.histogram = None;
        for (inverse, value) in &curve(&latency)[..3] {
            let near = full.iter().find(|(at, _)| (at / inverse - 1.0).abs() < 0.06).unwrap();
            assert!((near.1 / value - 1.0).abs() < 0.07, "{near:?} is not near {inverse}, {value}");
        }
    }
}
