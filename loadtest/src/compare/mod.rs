//! `skein-loadtest compare`: brokers side by side, in rounds, with the same load test and the same
//! scenarios; how much they differ, and how sure that is.

mod baseline;
mod html;
mod model;
mod quantity;
mod rounds;
#[cfg(test)]
mod sample;
mod suite;
mod text;

use std::{
    env, io,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;

use self::{
    baseline::Baseline,
    model::{Comparison, Contestant, SCHEMA},
};
use crate::{
    report::{Environment, is_standard_output, to_file},
    trial::{BrokerCommand, LoadTest, Processors, Stop},
};

/// `skein-loadtest compare`
#[derive(Args, Clone, Debug)]
pub(crate) struct Compare {
    /// A broker: NAME=COMMAND. {port} is the port it shall listen on at 127.0.0.1, {dir} an empty
    /// folder, {cert} and {key} files with a certificate for it, {file:PATH} a copy of that file with
    /// all of these filled in. No shell is used, and the process must be the broker itself. One that
    /// is up already, in a container or on another machine, is NAME=@HOST:PORT or
    /// NAME=@HOST:PORT#PID. Repeat for more; the first is the reference.
    #[arg(long = "broker", value_name = "NAME=COMMAND", required = true)]
    brokers: Vec<BrokerCommand>,
    /// Run the null broker, too: every figure is also given as a multiple of its.
    #[arg(long)]
    floor: bool,
    /// Rounds. In each, every broker has one run; before the first, each has one that is not
    /// counted.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Start every broker anew for each run: what a run leaves behind in memory is not in the next.
    #[arg(long)]
    restart: bool,
    /// Several scenarios: shapes, payloads, qos, latency, connections, backlog, or a TOML file. What
    /// stands after -- is added to each.
    #[arg(long, value_name = "NAME|FILE")]
    suite: Option<String>,
    /// Processors the brokers run on: 0, 0-2 or 0,3.
    #[arg(long, value_name = "LIST")]
    pin_brokers: Option<Processors>,
    /// Processors the load test runs on.
    #[arg(long, value_name = "LIST")]
    pin_load: Option<Processors>,
    /// A run that takes longer has failed, seconds.
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// Seed of the bootstrap [default: the clock].
    #[arg(long)]
    seed: Option<u64>,
    /// The whole comparison as JSON; - writes it to the standard output, in place of the tables.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    baseline: Baseline,
    /// The program that is run as load test [default: this one].
    #[arg(long, value_name = "FILE", hide = true)]
    load_test: Option<PathBuf>,
    /// The scenario, as the load test is given it: flood --publishers 20. {dir}, {cert} and {key} are
    /// those of the broker: --cafile {cert}.
    #[arg(last = true, value_name = "MODE AND OPTIONS")]
    arguments: Vec<String>,
}

impl Compare {
    /// Runs and shows everything; whether all runs were clean and nothing got worse than the
    /// baseline by more than is allowed.
    ///
    /// # Errors
    ///
    /// The options make no sense, an output cannot be written, or a signal ended it.
    pub(crate) fn run(self) -> io::Result<bool> {
        let baseline = self.baseline.read()?;
        let scenarios = suite::scenarios(self.suite.as_deref(), &self.arguments)?;
        let limit = Duration::from_secs(self.timeout);
        let stop = Stop::on_signals()?;
        let load_test = LoadTest::new(self.load_test.clone(), self.pin_load.clone(), limit, stop)?;
        let mut brokers = self.brokers.clone();
        if self.floor {
            brokers.push(BrokerCommand::floor(load_test.program()));
        }
        let mut comparison = self.begin(&brokers);
        let rounds = rounds::Rounds {
            brokers: &brokers,
            pins: self.pin_brokers.as_ref(),
            load_test: &load_test,
            restart: self.restart,
            repeats: self.repeats,
        };
        for (number, scenario) in scenarios.iter().enumerate() {
            let mut compared = rounds.run(scenario, (number + 1, scenarios.len()))?;
            compared.measure(comparison.floor(), comparison.seed);
            comparison.scenarios.push(compared);
        }
        self.show(&comparison)?;
        let held = baseline.is_none_or(|then| self.baseline.judge(&then, &comparison));
        Ok(comparison.is_clean() && held)
    }

    fn begin(&self, brokers: &[BrokerCommand]) -> Comparison {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let contestant = |broker: &BrokerCommand| Contestant {
            name: broker.name.clone(),
            command: broker.text(),
            is_floor: broker.is_floor(),
        };
        Comparison {
            schema: SCHEMA,
            started_unix_ms: now.as_millis() as u64,
            command: env::args().collect(),
            environment: Environment::observe(None),
            seed: self.seed.unwrap_or(u64::from(now.subsec_nanos())),
            repeats: self.repeats,
            brokers: brokers.iter().map(contestant).collect(),
            scenarios: Vec::new(),
        }
    }

    fn show(&self, comparison: &Comparison) -> io::Result<()> {
        use io::Write;

        if let Some(path) = &self.html {
            to_file(path, |out| out.write_all(html::page(comparison).as_bytes()))?;
        }
        let json = self.json.as_deref();
        let is_shown = json.is_some_and(is_standard_output);
        if let Some(path) = json.filter(|_| !is_shown) {
            to_file(path, |out| out.write_all(comparison.json().as_bytes()))?;
        }
        let shown = if is_shown { comparison.json() } else { text::tables(comparison) };
        io::stdout().write_all(shown.as_bytes())
    }
}

impl Comparison {
    /// As JSON, with a line break at its end.
    fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("all keys are strings");
        text.push('\n');
        text
    }
}
