//! `skein-loadtest sweep`: the highest rate that holds a limit of latency, and latency against
//! rate.

mod model;
mod search;
mod show;

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;

use self::{
    model::{End, SCHEMA, Step, Sweep, faults},
    search::Search,
};
use crate::{
    progress::LiveLine,
    report::{Environment, format::number, is_standard_output, to_file},
    trial::{Broker, BrokerCommand, LoadTest, Processors, Stop},
};

/// `skein-loadtest sweep`
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// A broker: NAME=COMMAND or NAME=@HOST:PORT#PID, as for compare. Without it, the one at the
    /// address that stands after --.
    #[arg(long, value_name = "NAME=COMMAND")]
    broker: Option<BrokerCommand>,
    /// What the 99th percentile of the latency may be, milliseconds.
    #[arg(long, default_value_t = 5.0)]
    p99_max_ms: f64,
    /// The rate to begin with, published/s.
    #[arg(long, default_value_t = 1_000.0)]
    from: f64,
    /// The highest rate to try, published/s.
    #[arg(long, default_value_t = 10_000_000.0)]
    to: f64,
    /// How near the answer shall be to a rate that does not hold, percent.
    #[arg(long, default_value_t = 5.0)]
    precision: f64,
    /// Processors the broker runs on: 0, 0-2 or 0,3.
    #[arg(long, value_name = "LIST")]
    pin_broker: Option<Processors>,
    /// Processors the load test runs on.
    #[arg(long, value_name = "LIST")]
    pin_load: Option<Processors>,
    /// A run that takes longer has failed, seconds.
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// The whole sweep as JSON; - writes it to the standard output, in place of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The program that is run as load test [default: this one].
    #[arg(long, value_name = "FILE", hide = true)]
    load_test: Option<PathBuf>,
    /// The scenario without its rate, as the load test is given it: rate --publishers 20.
    #[arg(last = true, value_name = "rate AND OPTIONS", required = true)]
    arguments: Vec<String>,
}

impl Options {
    /// Searches and shows; whether any rate held.
    ///
    /// # Errors
    ///
    /// The options make no sense, a run failed, an output cannot be written, or a signal ended it.
    pub(crate) fn run(self) -> io::Result<bool> {
        self.check()?;
        let limit = Duration::from_secs(self.timeout);
        let stop = Stop::on_signals()?;
        let load_test = LoadTest::new(self.load_test.clone(), self.pin_load.clone(), limit, stop)?;
        let arguments = self.arguments_at(self.from);
        let pins = self.pin_broker.as_ref();
        let start = |command| Broker::start(command, &arguments, pins, load_test.stop());
        let broker = self.broker.as_ref().map(start).transpose()?;
        let mut sweep = self.begin(broker.as_ref());
        let mut search = Search::new(self.from, self.to, self.precision / 100.0);
        while let Some(rate) = search.next_rate() {
            let step = self.try_rate(rate, &load_test, broker.as_ref())?;
            search.tell(rate, step.holds);
            sweep.steps.push(step);
        }
        sweep.highest_per_s = search.highest();
        sweep.ended_by = ended_by(&search, &sweep);
        self.show(&sweep)?;
        Ok(sweep.highest_per_s.is_some())
    }

    /// The scenario with its rate.
    fn arguments_at(&self, rate: f64) -> Vec<String> {
        let rate = ["--rate".to_owned(), rate.to_string()];
        self.arguments.iter().cloned().chain(rate).collect()
    }

    fn check(&self) -> io::Result<()> {
        let is_positive = |value: f64| value > 0.0 && value.is_finite();
        match () {
            () if self.arguments[0] != "rate" => {
                Err(io::Error::other("a sweep offers rates: rate must stand after --"))
            }
            () if !is_positive(self.p99_max_ms) || !is_positive(self.precision) => {
                Err(io::Error::other("--p99-max-ms and --precision must be above 0"))
            }
            () if !(self.from >= 1.0 && self.to >= self.from && self.to.is_finite()) => {
                Err(io::Error::other("--from must be 1 or more, --to not below it"))
            }
            () => Ok(()),
        }
    }

    fn begin(&self, broker: Option<&Broker>) -> Sweep {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut environment = Environment::observe(broker.and_then(Broker::pid));
        environment.broker = self.broker.as_ref().map(|command| command.name.clone());
        Sweep {
            schema: SCHEMA,
            started_unix_ms: now.as_millis() as u64,
            command: env::args().collect(),
            environment,
            arguments: self.arguments.clone(),
            p99_max_us: self.p99_max_ms * 1e3,
            precision: self.precision / 100.0,
            highest_per_s: None,
            ended_by: End::HighestAllowed,
            steps: Vec::new(),
        }
    }

    /// Runs with a rate until two runs agree, so that one disturbance does not decide.
    fn try_rate(
        &self,
        rate: f64,
        load_test: &LoadTest,
        broker: Option<&Broker>,
    ) -> io::Result<Step> {
        let mut line = LiveLine::new(Instant::now());
        let arguments = self.arguments_at(rate);
        let mut step = Step { offered_per_s: rate, holds: false, reports: Vec::new() };
        let mut votes = [0, 0];
        while votes.iter().all(|count| *count < AGREE) {
            line.say(&format!("{} published/s, run {}", number(rate), votes[0] + votes[1] + 1));
            let report = match (broker, &self.broker) {
                (Some(broker), Some(command)) => {
                    load_test.run_against(broker, &command.name, &arguments)?
                }
                _ => load_test.run(&arguments)?,
            };
            votes[usize::from(faults(&report, self.p99_max_ms * 1e3).is_empty())] += 1;
            step.reports.push(report.without_details());
        }
        step.holds = votes[1] >= AGREE;
        Ok(step)
    }

    fn show(&self, sweep: &Sweep) -> io::Result<()> {
        if let Some(path) = &self.html {
            to_file(path, |out| out.write_all(show::page(sweep).as_bytes()))?;
        }
        let json = serde_json::to_string_pretty(sweep)? + "\n";
        let is_shown = self.json.as_deref().is_some_and(is_standard_output);
        if let Some(path) = self.json.as_deref().filter(|_| !is_shown) {
            to_file(path, |out| out.write_all(json.as_bytes()))?;
        }
        let shown = if is_shown { json } else { show::table(sweep) };
        io::stdout().write_all(shown.as_bytes())
    }
}

/// Why no higher rate is the answer: what happened at the lowest rate that did not hold.
fn ended_by(search: &Search, sweep: &Sweep) -> End {
    let failed = sweep.by_rate().into_iter().find(|step| !step.holds);
    match failed {
        _ if search.is_open() => End::HighestAllowed,
        Some(step) if step.is_generator_bound(sweep.p99_max_us) => End::Generator,
        _ => End::Broker,
    }
}

/// Two runs that agree decide, of at most three.
const AGREE: u32 = 2;
