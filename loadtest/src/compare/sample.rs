//! A comparison for tests.

use super::model::{Compared, Comparison, Contestant, Outcome, SCHEMA};
use crate::report::{Environment, Report, Traffic, sample::sample};

/// Two brokers and the null broker, three rounds; one of them failed in the last.
pub(super) fn comparison() -> Comparison {
    let mut comparison = comparison_with(1.0, true);
    let mut second = comparison.scenarios[0].clone();
    second.name = "fan-in <&>".into();
    second.outcomes[1].failure = Some("was not over after 300 s".into());
    second.outcomes[1].reports.pop();
    second.measure(comparison.floor(), comparison.seed);
    comparison.scenarios.push(second);
    comparison
}

/// The second broker delivers half as much as the first, times `factor`.
pub(super) fn comparison_with(factor: f64, with_floor: bool) -> Comparison {
    let contestant = |name: &str, is_floor| Contestant {
        name: name.into(),
        command: format!("{name} --port {{port}}"),
        is_floor,
    };
    let mut brokers = vec![contestant("fast", false), contestant("slow", false)];
    let mut outcomes = vec![outcome(1e6), outcome(5e5 * factor)];
    if with_floor {
        brokers.push(contestant("floor", true));
        outcomes.push(outcome(4e6));
    }
    let mut compared = Compared {
        name: "fan-out".into(),
        arguments: ["flood", "--shape", "1:20"].map(String::from).to_vec(),
        conditions: sample().scenario.conditions(),
        outcomes,
    };
    compared.measure(with_floor.then_some(2), 1);
    Comparison {
        schema: SCHEMA,
        started_unix_ms: 1_795_269_600_000,
        command: ["skein-loadtest", "compare"].map(String::from).to_vec(),
        environment: Environment::default(),
        seed: 1,
        repeats: 3,
        brokers,
        scenarios: vec![compared],
    }
}

/// Three runs that deliver about as much.
fn outcome(delivered_per_s: f64) -> Outcome {
    let run = |factor: f64| {
        let traffic = Traffic { delivered_per_s: delivered_per_s * factor, ..sample().traffic };
        Report {
            traffic,
            broker: None,
            latencies: Vec::new(),
            verification: Vec::new(),
            ..sample()
        }
    };
    Outcome { reports: [1.0, 1.01, 0.99].map(run).to_vec(), ..Outcome::default() }
}
