//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::{
    compare::Compare,
    drive::{self, Pace, Plan, Stop},
    floor::Floor,
    plan::{Load, Topology},
    report::{Environment, Outputs, Show},
    verify::Payloads,
};

/// A load test for any MQTT broker.
#[derive(Parser)]
#[command(name = "skein-loadtest", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

/// What is to be done.
#[derive(Subcommand)]
pub(crate) enum Mode {
    /// Capacity: as many messages as the broker takes, bounded only by flow control.
    Flood(Flood),
    /// The null broker, the least that any broker has to do: a yardstick.
    Floor(Floor),
    /// Starts brokers and compares them, run by run in turn: medians, ranges, and how sure a
    /// difference is.
    Compare(Compare),
    /// Shows a report that was stored as JSON: as a summary, a page, CSV or a histogram log.
    Show(Show),
}

/// Publishers send as fast as the window of messages on their way and the broker's flow control let
/// them; subscribers check every delivery. The rate is what the broker can do; a latency under such
/// a load is that of a queue.
#[derive(Args, Clone, Debug)]
pub(crate) struct Flood {
    #[command(flatten)]
    load: Load,
    /// Messages of each publisher.
    #[arg(long, default_value_t = 1_000_000, conflicts_with = "seconds")]
    messages: u64,
    /// Publish for so long instead, seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// With --seconds: what does not count before, seconds.
    #[arg(long, default_value_t = 1.0, requires = "seconds")]
    warm_up: f64,
    /// Messages that may be on their way to the slowest subscriber. Keep it below what the broker
    /// queues for a subscriber, or it may drop what it would have delivered.
    #[arg(long, default_value_t = 20_000)]
    window: u64,
    #[command(flatten)]
    outputs: Outputs,
}

impl Flood {
    /// Runs it and shows what came of it; whether all is as it is expected to be.
    fn run(self) -> std::io::Result<bool> {
        let Self { load, messages, seconds, warm_up, window, outputs } = self;
        let stop = match seconds {
            None => Stop::Messages(messages),
            Some(seconds) => {
                Stop::After { warm_up: duration(warm_up)?, measured: duration(seconds)? }
            }
        };
        run(load, Pace::Flood { window }, stop, &outputs)
    }
}

impl Mode {
    /// Does it; whether nothing was found that is a failure.
    pub(crate) fn run(self) -> std::io::Result<bool> {
        match self {
            Self::Flood(flood) => flood.run(),
            Self::Floor(floor) => floor.run().map(|()| true),
            Self::Compare(compare) => compare.run(),
            Self::Show(show) => show.run().map(|()| true),
        }
    }
}

fn run(load: Load, pace: Pace, stop: Stop, outputs: &Outputs) -> std::io::Result<bool> {
    let topology = Topology::new(load.shape(), load.audience(), &load.topic);
    let run = run_id();
    let payloads = Payloads::new(run, load.payload);
    let (environment, expects) = (Environment::observe(load.pid), load.expect);
    let mut report = drive::run(Plan { load, topology, payloads, pace, stop })?;
    report.run = format!("{run:08x}");
    report.command = std::env::args().collect();
    report.environment = environment;
    outputs.write(&mut report)?;
    Ok(!expects || report.is_clean())
}

fn duration(seconds: f64) -> std::io::Result<std::time::Duration> {
    std::time::Duration::try_from_secs_f64(seconds).map_err(std::io::Error::other)
}

/// A number that no other run has, by the odds.
fn run_id() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}
