//! The rounds of one scenario: all brokers are up, and have their runs in turn.

use std::{io, time::Instant};

use super::{
    model::{Compared, Outcome},
    suite::Scenario,
};
use crate::{
    progress::LiveLine,
    report::Report,
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
    /// Whether each run has a broker of its own.
    pub(super) restart: bool,
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
        let mut running: Vec<_> = self.brokers.iter().map(|_| None).collect();
        for round in 0..=self.repeats {
            for (number, outcome) in outcomes.iter_mut().enumerate() {
                if outcome.failure.is_some() {
                    continue;
                }
                line.say(&self.said(scenario, place, round, number));
                let run = self.run_once(scenario, number, &mut running[number]);
                self.load_test.stop().check()?;
                match run {
                    Ok(report) if round > 0 => outcome.reports.push(report.without_details()),
                    Ok(_) => {}
                    Err(error) => {
                        outcome.failure = Some(error.to_string());
                        running[number] = None;
                    }
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

    /// One run of one broker, which is started if it is not up, and ended if each run is to have
    /// one of its own.
    fn run_once(
        &self,
        scenario: &Scenario,
        number: usize,
        running: &mut Option<Broker>,
    ) -> io::Result<Report> {
        let command = &self.brokers[number];
        let broker = match running.take() {
            Some(broker) => broker,
            None => Broker::start(command, &scenario.arguments, self.pins, self.load_test.stop())?,
        };
        let report = self.load_test.run_against(&broker, &command.name, &scenario.arguments);
        if !(self.restart || scenario.restart) {
            *running = Some(broker);
        }
        report
    }

    fn said(
        &self,
        scenario: &Scenario,
        place: (usize, usize),
        round: u32,
        number: usize,
    ) -> String {
        let round = match round {
            0 => "warm-up".to_owned(),
            round => format!("round {round} of {}", self.repeats),
        };
        let broker = &self.brokers[number].name;
        format!("{} ({} of {}), {round}: {broker}", scenario.name, place.0, place.1)
    }
}
