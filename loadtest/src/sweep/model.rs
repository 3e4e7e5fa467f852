//! What a sweep showed: the schema of its JSON.

use serde::{Deserialize, Serialize};

use crate::{
    report::{
        Bound, Environment, Report,
        format::{microseconds, number},
        latency::{Clock, Latency},
    },
    statistics::median,
};

/// The version of this schema.
pub(crate) const SCHEMA: u32 = 1;

/// A sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// [`SCHEMA`] of the program that wrote it.
    pub(crate) schema: u32,
    /// When it began, milliseconds since 1970-01-01 UTC.
    pub(crate) started_unix_ms: u64,
    /// The command line, word by word.
    pub(crate) command: Vec<String>,
    /// Where it ran.
    pub(crate) environment: Environment,
    /// Arguments of the load test, without the rate.
    pub(crate) arguments: Vec<String>,
    /// What the 99th percentile of the latency may be.
    pub(crate) p99_max_us: f64,
    /// How near the answer is to a rate that does not hold: 0.05 is 5 %.
    pub(crate) precision: f64,
    /// The highest rate that held.
    pub(crate) highest_per_s: Option<f64>,
    /// Why no higher rate is the answer.
    pub(crate) ended_by: End,
    /// The rates in the order they were tried in.
    pub(crate) steps: Vec<Step>,
}

/// Why a sweep ended where it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    /// The broker does not hold the next higher rate.
    Broker,
    /// The load test does not hold the next higher rate: the broker may.
    Generator,
    /// No higher rate was allowed to be tried.
    HighestAllowed,
}

/// One rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Messages that were to be published each second.
    pub(crate) offered_per_s: f64,
    /// Whether most runs held it.
    pub(crate) holds: bool,
    /// The runs, without series and histograms.
    pub(crate) reports: Vec<Report>,
}

impl Sweep {
    /// The answer, with what it means nothing without.
    pub(crate) fn sentence(&self) -> String {
        let limit = microseconds(self.p99_max_us);
        let condition = format!("with p99 ≤ {limit}, nothing missing and no promise broken");
        let Some(highest) = self.highest_per_s else {
            return format!("no rate holds {condition}");
        };
        let (highest, precision) = (number(highest), number(self.precision * 100.0));
        match self.ended_by {
            End::Broker => format!("{highest} published/s (within {precision} %) {condition}"),
            End::Generator => format!(
                "at least {highest} published/s {condition}; beyond that the load test, not the \
                 broker, is the limit"
            ),
            End::HighestAllowed => {
                format!("at least {highest} published/s {condition}; no higher rate was tried")
            }
        }
    }

    /// The steps from the lowest rate to the highest.
    pub(crate) fn by_rate(&self) -> Vec<&Step> {
        let mut steps: Vec<_> = self.steps.iter().collect();
        steps.sort_by(|one, other| one.offered_per_s.total_cmp(&other.offered_per_s));
        steps
    }

    /// What the rates were offered to, in words, but for the rate.
    pub(crate) fn conditions(&self) -> String {
        let first = self.steps.iter().flat_map(|step| &step.reports).next();
        first.map_or_else(String::new, |report| {
            let mut scenario = report.scenario.clone();
            scenario.offered_per_s = None;
            scenario.conditions()
        })
    }
}

impl Step {
    /// The median over its runs of a figure of the latency.
    pub(crate) fn latency_us(&self, figure: fn(&Latency) -> f64) -> Option<f64> {
        let figures: Option<Vec<_>> = self
            .reports
            .iter()
            .map(|report| latency(report, Clock::Delivery).map(figure))
            .collect();
        median(&figures?)
    }

    /// The median over its runs of what was delivered each second.
    pub(crate) fn delivered_per_s(&self) -> Option<f64> {
        let rates: Vec<_> =
            self.reports.iter().map(|report| report.traffic.delivered_per_s).collect();
        median(&rates)
    }

    /// Why runs did not hold, each reason once.
    pub(crate) fn faults(&self, p99_max_us: f64) -> Vec<String> {
        let mut faults: Vec<_> =
            self.reports.iter().flat_map(|report| faults(report, p99_max_us)).collect();
        faults.sort();
        faults.dedup();
        faults
    }

    /// Whether the load test, and not the broker, did not hold the rate: counted from the actual
    /// time of sending the latency was within its limit in most of the runs that failed.
    pub(crate) fn is_generator_bound(&self, p99_max_us: f64) -> bool {
        let failed = self.reports.iter().filter(|report| !faults(report, p99_max_us).is_empty());
        let (generator, broker): (Vec<_>, Vec<_>) = failed.partition(|report| {
            let sent = latency(report, Clock::DeliveryUncorrected);
            report.verdict.bound == Bound::Generator
                && sent.is_some_and(|latency| latency.p99_us <= p99_max_us)
        });
        generator.len() > broker.len()
    }
}

/// Why a run did not hold its rate; nothing if it did. That messages left late is no reason: it is
/// in the latency already, and if that is within its limit the rate holds all the more.
pub(crate) fn faults(report: &Report, p99_max_us: f64) -> Vec<String> {
    let mut faults = Vec::new();
    let missing: u64 = report.verification.iter().map(|rule| rule.missing).sum();
    if !report.is_clean() {
        faults.push("promises broken".into());
    }
    if missing > 0 {
        faults.push("deliveries missing".into());
    }
    if report.traffic.connections_lost > 0 {
        faults.push("connections lost".into());
    }
    let offered = report.scenario.offered_per_s.unwrap_or(0.0);
    if report.traffic.published_per_s < offered * PUBLISHED_PART_MIN {
        faults.push("not all could be published".into());
    }
    match latency(report, Clock::Delivery) {
        Some(latency) if latency.p99_us <= p99_max_us => {}
        Some(_) => faults.push("p99 too long".into()),
        None => faults.push("no latency was measured".into()),
    }
    faults
}

fn latency(report: &Report, clock: Clock) -> Option<&Latency> {
    report.latencies.iter().find(|latency| latency.clock == clock)
}

/// The window's ends cut some messages of an honest run off.
const PUBLISHED_PART_MIN: f64 = 0.98;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Traffic, Verification, sample::sample};

    fn clean() -> Report {
        Report { verification: Vec::new(), ..sample() }
    }

    #[test]
    fn a_run_holds_its_rate_or_says_why_not() {
        assert!(faults(&clean(), 10_000.0).is_empty());
        assert_eq!(faults(&clean(), 1_000.0), ["p99 too long"]);
        let mut report = clean();
        report.traffic = Traffic { published_per_s: 500.0, ..report.traffic };
        report.latencies.clear();
        report.verification = vec![Verification { missing: 1, ..Verification::default() }];
        let expected =
            ["deliveries missing", "not all could be published", "no latency was measured"];
        assert_eq!(faults(&report, 1e9), expected);
    }

    #[test]
    fn a_rate_that_only_late_messages_break_is_the_generators_limit() {
        let is_generators = |bound, uncorrected_p99_us| {
            let mut report = clean();
            report.verdict.bound = bound;
            report.latencies[1].clock = Clock::DeliveryUncorrected;
            report.latencies[1].p99_us = uncorrected_p99_us;
            let step = Step { offered_per_s: 1_000.0, holds: false, reports: vec![report] };
            step.is_generator_bound(1_000.0)
        };
        assert!(is_generators(Bound::Generator, 500.0));
        assert!(!is_generators(Bound::Generator, 5_000.0), "the broker was late, too");
        assert!(!is_generators(Bound::Broker, 500.0));
    }

    #[test]
    fn a_step_shows_the_median_of_its_runs() {
        let mut slow = clean();
        slow.latencies[0].p99_us = 90_000.0;
        let step =
            Step { offered_per_s: 1_000.0, holds: true, reports: vec![clean(), slow, clean()] };
        assert_eq!(step.latency_us(|latency| latency.p99_us), Some(clean().latencies[0].p99_us));
        assert_eq!(step.faults(10_000.0), ["p99 too long"]);
    }
}
