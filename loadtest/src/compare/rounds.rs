//! The rounds of one scenario: all brokers are up, and have their runs in turn.

use std::{io, time::Instant};

use super::{
    model::{Compared, Outcome},
    suite::Scenario,
};
use crate::{
    progress::LiveLine,
    trial::{Broker, BrokerCommand, LoadTest, Processors},
};

/// What all scenarios are run with.
pub(super) struct Rounds<'a> {
    /// Who takes part.
    pub(super) brokers: &'a [BrokerCommand],
    /// Where they run.
    pub(super) pins: Option<&'a Processors>,
    /// What runs against them.
    pub(super) load_test: &'a LoadTest,
    /// How many rounds count.
    pub(super) repeats: u32,
}

impl Rounds<'_> {
    /// Runs one scenario; `place` is its number and how many there are. The brokers are started
    /// anew, so that no scenario inherits anything from the one before. A broker that fails has no
    /// more runs, and the others go on.
    ///
    /// # Errors
    ///
    /// A signal asked for the end.
    pub(super) fn run(&self, scenario: &Scenario, place: (usize, usize)) -> io::Result<Compared> {
        let mut line = LiveLine::new(Instant::now());
        let mut outcomes = vec![Outcome::default(); self.brokers.len()];
        let mut running = Vec::new();
        for (command, outcome) in self.brokers.iter().zip(&mut outcomes) {
            let started = Broker::start(command, self.pins, self.load_test.stop());
            running.push(self.kept(started, outcome)?);
        }
        for round in 0..=self.repeats {
            for (number, outcome) in outcomes.iter_mut().enumerate() {
                let Some(broker) = &running[number] else { continue };
                let name = &self.brokers[number].name;
                line.say(&said(scenario, place, round, self.repeats, name));
                let run = self.load_test.run_against(broker, name, &scenario.arguments);
                match self.kept(run, outcome)? {
                    Some(report) if round > 0 => outcome.reports.push(report.without_details()),
                    Some(_) => {}
                    None => running[number] = None,
                }
            }
        }
        let first = outcomes.iter().flat_map(|outcome| &outcome.reports).next();
        Ok(Compared {
            name: scenario.name.clone(),
            arguments: scenario.arguments.clone(),
            conditions: first.map_or(String::new(), |report| report.scenario.conditions()),
            outcomes,
        })
    }

    /// What was to be had, or nothing and the reason in the outcome.
    fn kept<T>(&self, result: io::Result<T>, outcome: &mut Outcome) -> io::Result<Option<T>> {
        self.load_test.stop().check()?;
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                outcome.failure = Some(error.to_string());
                Ok(None)
            }
        }
    }
}

fn said(
    scenario: &Scenario,
    place: (usize, usize),
    round: u32,
    repeats: u32,
    name: &str,
) -> String {
    let round = match round {
        0 => "warm-up".to_owned(),
        round => format!("round {round} of {repeats}"),
    };
    format!("{} ({} of {}), {round}: {name}", scenario.name, place.0, place.1)
}
