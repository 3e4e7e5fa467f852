//! What a comparison showed: the schema of its JSON, and what follows from the runs.

use serde::{Deserialize, Serialize};

use super::quantity::Quantity;
use crate::{
    report::{Bound, Environment, Report},
    statistics::{Ratio, median, paired_ratio, range},
};

/// The version of this schema.
pub(crate) const SCHEMA: u32 = 1;

/// A comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// [`SCHEMA`] of the program that wrote it.
    pub(crate) schema: u32,
    /// When it began, milliseconds since 1970-01-01 UTC.
    pub(crate) started_unix_ms: u64,
    /// The command line, word by word.
    pub(crate) command: Vec<String>,
    /// Where it ran.
    pub(crate) environment: Environment,
    /// What the bootstrap drew from.
    pub(crate) seed: u64,
    /// Rounds: in each, every broker has one run.
    pub(crate) repeats: u32,
    /// Who was compared; the first is the reference.
    pub(crate) brokers: Vec<Contestant>,
    /// What they were compared in.
    pub(crate) scenarios: Vec<Compared>,
}

/// A broker of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contestant {
    /// Its name.
    pub(crate) name: String,
    /// How it was started.
    pub(crate) command: String,
    /// Whether it is the null broker, which all others are multiples of.
    pub(crate) is_floor: bool,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Compared {
    /// Its name.
    pub(crate) name: String,
    /// Arguments of the load test.
    pub(crate) arguments: Vec<String>,
    /// The same in words, from the first report.
    pub(crate) conditions: String,
    /// What each broker did, in the order of [`Comparison::brokers`].
    pub(crate) outcomes: Vec<Outcome>,
}

/// What one broker did in one scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Why there are fewer runs than rounds, if there are.
    pub(crate) failure: Option<String>,
    /// One for each round, without series and histograms.
    pub(crate) reports: Vec<Report>,
    /// What follows from them.
    pub(crate) measured: Vec<Measured>,
}

/// One quantity over all runs of a broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// What it is.
    pub(crate) quantity: Quantity,
    /// A value for each round.
    pub(crate) values: Vec<f64>,
    /// Their median.
    pub(crate) median: f64,
    /// The least of them.
    pub(crate) least: f64,
    /// The greatest of them.
    pub(crate) greatest: f64,
    /// How many times the reference's, round by round; nothing for the reference itself
    /// and for the null broker.
    pub(crate) against_reference: Option<Ratio>,
    /// How many times the null broker's, round by round, if that ran.
    pub(crate) against_floor: Option<Ratio>,
}

impl Comparison {
    /// Whether every broker, but for the null broker, did all its runs and kept its promises.
    pub(crate) fn is_clean(&self) -> bool {
        self.scenarios.iter().all(|compared| {
            let outcomes = compared.outcomes.iter().zip(&self.brokers);
            let judged = outcomes.filter(|(_, broker)| !broker.is_floor);
            judged.map(|(outcome, _)| outcome).all(Outcome::is_clean)
        })
    }

    /// Where the null broker stands among the brokers, if it is one of them.
    pub(crate) fn floor(&self) -> Option<usize> {
        self.brokers.iter().position(|broker| broker.is_floor)
    }
}

impl Compared {
    /// Computes what follows from the reports.
    pub(crate) fn measure(&mut self, floor: Option<usize>, seed: u64) {
        let values: Vec<_> = self.outcomes.iter().map(Outcome::values).collect();
        for (number, outcome) in self.outcomes.iter_mut().enumerate() {
            outcome.measured = values[number]
                .iter()
                .filter_map(|(quantity, own)| {
                    let of = |other: usize| {
                        let found = values[other].iter().find(|(other, _)| other == quantity);
                        paired_ratio(own, &found.filter(|_| other != number)?.1, seed)
                    };
                    let (least, greatest) = range(own)?;
                    Some(Measured {
                        quantity: quantity.clone(),
                        values: own.clone(),
                        median: median(own)?,
                        least,
                        greatest,
                        against_reference: of(REFERENCE).filter(|_| floor != Some(number)),
                        against_floor: floor.and_then(of),
                    })
                })
                .collect();
        }
    }

    /// The quantities that any broker has, in the order they are shown in.
    pub(crate) fn quantities(&self) -> impl Iterator<Item = Quantity> {
        let first = self.outcomes.iter().flat_map(|outcome| &outcome.reports).next();
        Quantity::all(first).filter(|quantity| {
            self.outcomes.iter().any(|outcome| outcome.measured(quantity).is_some())
        })
    }
}

impl Outcome {
    /// One quantity, if the runs have it.
    pub(crate) fn measured(&self, quantity: &Quantity) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.quantity == *quantity)
    }

    /// What a reader must know of the runs; nothing if all is well.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let all = self.reports.len();
        let mut remarks = Vec::new();
        let mut add = |what: &str, count: usize| {
            if count > 0 {
                remarks.push(format!("{what} in {count} of {all} runs"));
            }
        };
        let runs = |is: fn(&Report) -> bool| self.reports.iter().filter(|run| is(run)).count();
        add("promises broken", runs(|report| !report.is_clean()));
        let failed = |report: &Report| report.storms.iter().any(|storm| storm.failed > 0);
        add("connections failed", runs(failed));
        add("connections lost", runs(|report| report.traffic.connections_lost > 0));
        add("generator-bound", runs(|report| report.verdict.bound == Bound::Generator));
        let lost = self.reports.iter().flat_map(|report| &report.verification);
        let lost = lost.map(|verification| verification.missing).sum::<u64>();
        if lost > 0 {
            remarks.push(format!("{lost} deliveries missing"));
        }
        let lines = self.failure.iter().map(|failure| failure.split_whitespace());
        remarks
            .extend(lines.map(|words| format!("failed: {}", words.collect::<Vec<_>>().join(" "))));
        remarks
    }

    fn is_clean(&self) -> bool {
        self.failure.is_none() && self.reports.iter().all(Report::is_clean)
    }

    /// Each quantity that every run has.
    fn values(&self) -> Vec<(Quantity, Vec<f64>)> {
        let of = |quantity: Quantity| {
            let values = self.reports.iter().map(|report| quantity.of(report));
            let values = values.collect::<Option<Vec<_>>>()?;
            Some((quantity, values))
        };
        let measured = Quantity::all(self.reports.first()).filter_map(of);
        measured.filter(|(_, values)| !values.is_empty()).collect()
    }
}

/// The first broker is what the others are compared with.
pub(crate) const REFERENCE: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::storm;

    #[test]
    fn connections_that_failed_in_a_storm_are_said() {
        let mut outcome = Outcome { reports: vec![storm(), storm()], ..Outcome::default() };
        outcome.reports[1].storms[0].failed = 0;
        assert_eq!(outcome.remarks(), ["connections failed in 1 of 2 runs"]);
    }
}
