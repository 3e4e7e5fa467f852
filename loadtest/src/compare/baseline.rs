//! A comparison of earlier as the measure of this one, for continuous integration.
//!
//! Where the null broker ran both times, figures are compared as multiples of it, so that a slower
//! machine is no regression.

use std::{io, path::PathBuf};

use clap::Args;

use super::{
    model::{Compared, Comparison, Measured, SCHEMA},
    quantity::Quantity,
    text::times,
};
use crate::{
    report::read_text,
    statistics::{Ratio, unpaired_ratio},
};

/// What a comparison is held against.
#[derive(Args, Clone, Debug)]
pub(crate) struct Baseline {
    /// A comparison that was stored with --json: how much better or worse each figure is now.
    #[arg(long, value_name = "COMPARISON.json")]
    baseline: Option<PathBuf>,
    /// Exit with 1 if a figure is worse than the baseline's by more than this, and by more than
    /// chance makes it.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "-5%",
        allow_hyphen_values = true,
        requires = "baseline",
        value_parser = percent
    )]
    fail_if: f64,
}

/// How one figure has changed.
#[derive(Clone, Debug)]
struct Change {
    what: String,
    /// How many times as good as then: above 1 is better.
    goodness: Ratio,
    is_worse: bool,
}

impl Baseline {
    /// The comparison of earlier, if there is one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no comparison.
    pub(super) fn read(&self) -> io::Result<Option<Comparison>> {
        let Some(path) = &self.baseline else { return Ok(None) };
        let named = |error: String| io::Error::other(format!("{}: {error}", path.display()));
        let then: Comparison =
            serde_json::from_str(&read_text(path)?).map_err(|error| named(error.to_string()))?;
        if then.schema > SCHEMA {
            return Err(named(format!("schema {} is newer than this program", then.schema)));
        }
        Ok(Some(then))
    }

    /// Prints what has changed; whether nothing got worse by more than is allowed. A baseline
    /// without anything in common holds nothing, and is a failure.
    pub(super) fn judge(&self, then: &Comparison, now: &Comparison) -> bool {
        let changes = changes(then, now, self.fail_if);
        eprintln!("\nagainst the baseline (above 1 is better):");
        for change in &changes {
            let mark = if change.is_worse { "WORSE" } else { "     " };
            eprintln!("  {mark} {}: {}", change.what, times(&change.goodness));
        }
        if changes.is_empty() {
            eprintln!("  no scenario and broker of this comparison is in the baseline");
        }
        !changes.is_empty() && !changes.iter().any(|change| change.is_worse)
    }
}

/// Every figure that both have, of the same scenario with the same arguments and the same broker.
fn changes(then: &Comparison, now: &Comparison, allowed: f64) -> Vec<Change> {
    let mut changes = Vec::new();
    for after in &now.scenarios {
        let same = |compared: &&Compared| {
            compared.name == after.name && compared.arguments == after.arguments
        };
        let Some(before) = then.scenarios.iter().find(same) else { continue };
        for broker in now.brokers.iter().filter(|broker| !broker.is_floor) {
            for quantity in after.quantities().filter(is_judged) {
                let figures = now.figures(after, &broker.name, &quantity);
                let figures = figures.zip(then.figures(before, &broker.name, &quantity));
                let Some(goodness) = figures
                    .and_then(|(now_of, then_of)| goodness(&quantity, &then_of, &now_of, now.seed))
                else {
                    continue;
                };
                changes.push(Change {
                    what: format!("{}, {}, {}", after.name, broker.name, quantity.title()),
                    is_worse: goodness.median < 1.0 + allowed && goodness.high < 1.0,
                    goodness,
                });
            }
        }
    }
    changes
}

/// One quantity of one broker.
struct Figures {
    values: Vec<f64>,
    /// The same as multiples of the null broker's, if that ran.
    multiples: Option<Vec<f64>>,
}

impl Comparison {
    fn figures(&self, compared: &Compared, broker: &str, quantity: &Quantity) -> Option<Figures> {
        let place = self.brokers.iter().position(|contestant| contestant.name == broker)?;
        let values = |place: usize| {
            let measured: &Measured = compared.outcomes.get(place)?.measured(quantity)?;
            Some(measured.values.clone())
        };
        let own = values(place)?;
        let floor = self.floor().and_then(values).filter(|floor| floor.len() == own.len());
        let multiples = floor.map(|floor| own.iter().zip(floor).map(|(a, b)| a / b).collect());
        Some(Figures { values: own, multiples })
    }
}

/// How many times as good `now` is as `then`.
fn goodness(quantity: &Quantity, then: &Figures, now: &Figures, seed: u64) -> Option<Ratio> {
    let (then, now) = match (&then.multiples, &now.multiples) {
        (Some(then), Some(now)) => (then, now),
        _ => (&then.values, &now.values),
    };
    match quantity.is_better_higher()? {
        true => unpaired_ratio(now, then, seed),
        false => unpaired_ratio(then, now, seed),
    }
}

/// `-5%` or `-5` as -0.05.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>();
    match number {
        Ok(number) if (-100.0..=0.0).contains(&number) => Ok(number / 100.0),
        _ => Err("this is no percentage from -100% to 0%".into()),
    }
}

/// Whether a quantity may not get worse. Tails of latencies above p99 are too rare for a few runs to
/// judge, and so is a peak of memory; a figure of a scenario's own is judged if its unit says which
/// way is better.
fn is_judged(quantity: &Quantity) -> bool {
    let is_rare = matches!(quantity, Quantity::LatencyP999 | Quantity::RssPeak);
    !is_rare && quantity.is_better_higher().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::sample::comparison_with,
        report::{Figure, sample::storm},
    };

    fn worse(then: &Comparison, now: &Comparison) -> Vec<String> {
        let worse = changes(then, now, -0.05).into_iter().filter(|change| change.is_worse);
        worse.map(|change| change.what).collect()
    }

    #[test]
    fn a_figure_that_is_clearly_worse_is_named() {
        let (then, now) = (comparison_with(1.0, false), comparison_with(0.8, false));
        assert_eq!(worse(&then, &now), ["fan-out, slow, delivered/s"]);
        assert!(worse(&now, &then).is_empty(), "better is not worse");
        assert!(worse(&then, &comparison_with(0.97, false)).is_empty(), "within what is allowed");
    }

    #[test]
    fn a_slower_machine_is_no_regression_if_the_null_broker_is_slower_too() {
        let then = comparison_with(1.0, true);
        let mut now = comparison_with(1.0, true);
        for outcome in now.scenarios.iter_mut().flat_map(|compared| &mut compared.outcomes) {
            for value in outcome.measured.iter_mut().flat_map(|measured| &mut measured.values) {
                *value /= 2.0;
            }
        }
        assert!(worse(&then, &now).is_empty());
        assert_eq!(worse(&then, &comparison_with(0.8, true)), ["fan-out, slow, delivered/s"]);
    }

    /// What a broker keeps for those who are away has no figure that all scenarios have.
    #[test]
    fn the_figures_of_one_scenario_are_judged_as_their_units_say() {
        let measured = |taken: f64, cost: f64, closed: f64| {
            let mut comparison = comparison_with(1.0, false);
            let compared = &mut comparison.scenarios[0];
            let figures =
                [("taken", taken, "published/s"), ("CPU", cost, "µs"), ("closed", closed, "of 9")];
            let figure = |(name, value, unit): (&str, f64, &str)| Figure {
                name: name.into(),
                value,
                unit: unit.into(),
            };
            for report in compared.outcomes.iter_mut().flat_map(|outcome| &mut outcome.reports) {
                report.figures = figures.map(figure).to_vec();
            }
            compared.measure(None, 1);
            comparison
        };
        let then = measured(1000.0, 2.0, 9.0);
        assert!(worse(&then, &measured(990.0, 2.01, 9.0)).is_empty(), "within what is allowed");
        let expected =
            ["fast, taken (published/s)", "fast, CPU (µs)"].map(|what| format!("fan-out, {what}"));
        assert_eq!(worse(&then, &measured(500.0, 4.0, 1.0))[..2], expected);
        assert!(worse(&then, &measured(2000.0, 1.0, 1.0)).is_empty(), "better is not worse");
    }

    /// Storms of connections and memory are quantities of their own.
    #[test]
    fn storms_are_judged_by_rate_cost_and_memory() {
        let with = |factor: f64| {
            let mut comparison = comparison_with(1.0, false);
            let compared = &mut comparison.scenarios[0];
            for report in &mut compared.outcomes[1].reports {
                *report = storm();
                report.storms[0].connections_per_s /= factor;
                report.storms[0].broker_cpu_us_per_connection = Some(35.0 * factor);
                report.idle[1].bytes_per_connection *= factor;
            }
            compared.measure(None, 1);
            comparison
        };
        let worse = worse(&with(1.0), &with(2.0));
        let expected = ["connections/s", "broker CPU per connection", "memory per idle connection"];
        assert_eq!(worse, expected.map(|title| format!("fan-out, slow, {title}")));
    }

    #[test]
    fn other_scenarios_have_nothing_in_common() {
        let (then, mut now) = (comparison_with(1.0, false), comparison_with(1.0, false));
        now.scenarios[0].arguments.push("--qos".into());
        assert!(changes(&then, &now, -0.05).is_empty());
        let judge = Baseline { baseline: None, fail_if: -0.05 };
        assert!(!judge.judge(&then, &now) && judge.judge(&then, &then));
    }

    #[test]
    fn a_percentage_is_written_with_its_sign() {
        assert_eq!(percent("-5%"), Ok(-0.05));
        assert_eq!(percent("-12.5"), Ok(-0.125));
        for text in ["5%", "-101%", "", "%", "NaN"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
