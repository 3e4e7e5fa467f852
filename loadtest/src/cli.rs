//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::{
    drive::{self, Pace, Plan, Stop},
    floor::Floor,
    plan::{Load, Topology},
    report::Report,
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
}

impl Flood {
    /// Runs it.
    pub(crate) fn run(self) -> std::io::Result<Report> {
        let Self { load, messages, seconds, warm_up, window } = self;
        let stop = match seconds {
            None => Stop::Messages(messages),
            Some(seconds) => {
                Stop::After { warm_up: duration(warm_up)?, measured: duration(seconds)? }
            }
        };
        run(load, Pace::Flood { window }, stop)
    }
}

impl Mode {
    /// Whether a broken promise is a failure.
    pub(crate) fn expects(&self) -> bool {
        match self {
            Self::Flood(flood) => flood.load.expect,
            Self::Floor(_) => false,
        }
    }
}

fn run(load: Load, pace: Pace, stop: Stop) -> std::io::Result<Report> {
    let topology = Topology::new(load.shape(), load.audience(), &load.topic);
    let run = run_id();
    let payloads = Payloads::new(run, load.payload);
    let mut report = drive::run(Plan { load, topology, payloads, pace, stop })?;
    report.run = format!("{run:08x}");
    report.command = std::env::args().collect();
    Ok(report)
}

fn duration(seconds: f64) -> std::io::Result<std::time::Duration> {
    std::time::Duration::try_from_secs_f64(seconds).map_err(std::io::Error::other)
}

/// A number that no other run has, by the odds.
fn run_id() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}

/// A run in one line.
pub(crate) fn line(report: &Report) -> String {
    use std::fmt::Write;
    let (scenario, traffic) = (&report.scenario, &report.traffic);
    let mut line = format!(
        "{}, QoS {}, {} B: {:.0} published/s, {:.0} delivered/s, {:.1} MB/s out",
        scenario.shape,
        scenario.publish_qos,
        scenario.payload_bytes,
        traffic.published_per_s,
        traffic.delivered_per_s,
        traffic.megabytes_out_per_s
    );
    if let Some(nanoseconds) = report.broker.as_ref().and_then(|broker| broker.ns_per_delivery) {
        let _ = write!(line, ", broker {nanoseconds:.0} ns CPU per delivery");
    }
    let _ = write!(line, ", generator {:.0} ns CPU per message", report.generator.ns_per_message);
    for found in &report.verification {
        let doubled = found.duplicate_with_dup + found.duplicate_without_dup + found.reordered;
        let _ = write!(
            line,
            "; missing {}, doubled or out of order {doubled}, corrupt {}",
            found.missing,
            found.corrupt + found.unexpected
        );
    }
    line
}
