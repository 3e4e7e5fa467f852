//! Figures that follow from others, so that every writer of a report computes them alike.

use std::time::Duration;

use super::{BrokerProcess, Report, SCHEMA, SurgeLine, Traffic, Verification};

impl Default for Report {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            run: String::new(),
            started_unix_ms: 0,
            command: Vec::new(),
            environment: Default::default(),
            scenario: Default::default(),
            traffic: Default::default(),
            verification: Vec::new(),
            latencies: Vec::new(),
            series: Vec::new(),
            broker: None,
            generator: Default::default(),
            verdict: Default::default(),
            floor: None,
            surge: None,
            storms: Vec::new(),
            idle: Vec::new(),
            figures: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl Traffic {
    /// Counts of a window, with their rates; `payload_bytes` is the mean payload of a delivery.
    pub(crate) fn new(
        published: u64,
        delivered: u64,
        window: Duration,
        payload_bytes: f64,
    ) -> Self {
        let seconds = window.as_secs_f64();
        let per_s = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self {
            published,
            delivered,
            seconds,
            published_per_s: per_s(published),
            delivered_per_s: per_s(delivered),
            megabytes_out_per_s: per_s(delivered) * payload_bytes / 1e6,
            ..Self::default()
        }
    }
}

impl BrokerProcess {
    /// CPU time in the measured window, of both kinds.
    pub(crate) fn cpu_s(&self) -> f64 {
        self.cpu_user_s + self.cpu_system_s
    }

    /// CPU time for each of `delivered` messages, nanoseconds.
    pub(crate) fn nanoseconds_per(&self, delivered: u64) -> Option<f64> {
        (delivered > 0).then(|| self.cpu_s() * 1e9 / delivered as f64)
    }
}

impl SurgeLine {
    /// The rate of `messages` by the denominator of the preset.
    pub(crate) fn new(messages: u64, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        let per_s = if seconds > 0.0 { messages as f64 / seconds } else { 0.0 };
        Self { messages, nanoseconds: time.as_nanos() as u64, per_s }
    }
}

impl Report {
    /// Whether every rule was kept.
    pub(crate) fn is_clean(&self) -> bool {
        self.verification.iter().all(Verification::is_clean)
    }

    /// The same without series and histograms: they would make a file of many runs large.
    pub(crate) fn without_details(mut self) -> Self {
        self.series.clear();
        for latency in &mut self.latencies {
            latency.histogram = None;
        }
        self
    }
}

impl Verification {
    /// Whether this rule was kept.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations == 0
    }

    /// Counts what the rule forbids. QoS 0: no duplicate, in order, loss is allowed; QoS 1: no
    /// loss, first deliveries in order, duplicates are allowed; QoS 2: exactly once, in order. A
    /// shared group promises each message once; its order is that of no single member.
    pub(crate) fn judge(mut self) -> Self {
        let duplicate = self.duplicate_with_dup + self.duplicate_without_dup;
        let missing = if self.qos == 0 { 0 } else { self.missing };
        let duplicate = if self.qos == 1 { 0 } else { duplicate };
        let reordered = if self.shared { 0 } else { self.reordered };
        self.violations = missing + duplicate + reordered + self.corrupt + self.unexpected;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_counts_by_the_window() {
        let traffic = Traffic::new(1_000, 20_000, Duration::from_millis(500), 64.0);
        assert_eq!((traffic.published_per_s, traffic.delivered_per_s), (2_000.0, 40_000.0));
        assert_eq!(traffic.megabytes_out_per_s, 2.56);
        assert_eq!(Traffic::new(1, 1, Duration::ZERO, 1.0).delivered_per_s, 0.0);
    }

    #[test]
    fn each_qos_forbids_what_it_promises_against() {
        let seen = Verification {
            missing: 1,
            duplicate_with_dup: 10,
            duplicate_without_dup: 100,
            reordered: 1_000,
            corrupt: 10_000,
            unexpected: 100_000,
            ..Verification::default()
        };
        let violations =
            |qos, shared| Verification { qos, shared, ..seen.clone() }.judge().violations;
        assert_eq!(violations(0, false), 111_110);
        assert_eq!(violations(1, false), 111_001);
        assert_eq!(violations(2, false), 111_111);
        assert_eq!(violations(2, true), 110_111);
    }

    #[test]
    fn a_report_of_an_older_program_is_filled_with_nothing() {
        let report: Report = serde_json::from_str(r#"{"schema":1,"run":"a"}"#).unwrap();
        assert_eq!(report, Report { run: "a".into(), ..Report::default() });
    }
}
