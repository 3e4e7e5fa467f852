//! The command line: one file for each mode.

mod flood;
mod rate;
mod repeat;
mod run;
mod scenario;

use std::io;

use clap::{Parser, Subcommand};

use crate::{compare::Compare, floor::Floor, plan::Target, report::Show, storm::Storm, sweep};

use flood::Flood;
use rate::Rate;
use scenario::Scenario;

/// A load test for any MQTT broker.
///
/// Two modes, which never mix: flood shows how much a broker takes, rate how long it needs. Every
/// delivery is checked: loss, duplicates, order, content.
#[derive(Parser)]
#[command(name = "skein-loadtest", version, args_override_self = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

/// What is to be done.
#[derive(Subcommand)]
pub(crate) enum Mode {
    /// Capacity: as many messages as the broker takes, bounded only by flow control.
    Flood(Flood),
    /// Latency: messages at a given rate, whatever the broker does.
    Rate(Rate),
    /// Connections that come and go, memory of those that do nothing, messages for those who are
    /// away.
    Storm(Storm),
    /// A run whose flags stand in a TOML file.
    Run(Scenario),
    /// The null broker, the least that any broker has to do: a yardstick.
    Floor(Floor),
    /// Starts brokers and compares them, run by run in turn: medians, ranges, and how sure a
    /// difference is.
    Compare(Compare),
    /// Finds the highest rate that holds a limit of latency without losing anything.
    Sweep(sweep::Options),
    /// Shows a report that was stored as JSON: as a summary, a page, CSV or a histogram log.
    Show(Show),
}

impl Mode {
    /// Does it; whether nothing was found that is a failure.
    pub(crate) fn run(self) -> io::Result<bool> {
        match self {
            Self::Flood(flood) => flood.run(),
            Self::Rate(rate) => rate.run(),
            Self::Storm(storm) => storm.run(),
            Self::Run(scenario) => scenario.run(),
            Self::Floor(floor) => floor.run().map(|()| true),
            Self::Compare(compare) => compare.run(),
            Self::Sweep(options) => options.run(),
            Self::Show(show) => show.run().map(|()| true),
        }
    }

    /// The broker that it is about.
    ///
    /// # Errors
    /// It is about none that is up, or its file cannot be read.
    pub(crate) fn target(&self) -> io::Result<Target> {
        match self {
            Self::Flood(flood) => Ok(flood.target().clone()),
            Self::Rate(rate) => Ok(rate.target().clone()),
            Self::Storm(storm) => Ok(storm.target().clone()),
            Self::Run(scenario) => scenario.mode()?.target(),
            Self::Floor(_) | Self::Compare(_) | Self::Sweep(_) | Self::Show(_) => {
                Err(io::Error::other("what runs against a broker is flood, rate, storm or run"))
            }
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  How much does the broker at the usual port take, one publisher to twenty subscribers?
    skein-loadtest flood --shape 1:20 --pid $(pidof mosquitto)
  The same with QoS 1 on MQTT 5, and fail (exit code 1) if a promise is broken:
    skein-loadtest flood --shape 1:20 --qos 1 --version 5 --expect
  How long does a message take at 10,000 a second, between 50 pairs of devices?
    skein-loadtest rate --rate 10000 --shape pairs:50 --html report.html
  What would the least possible broker need on this machine?
    skein-loadtest floor --listen 127.0.0.1:1884 &
    skein-loadtest flood --address 127.0.0.1:1884 --pid $!
  How much better is one broker than another, and how sure is that?
    skein-loadtest compare --floor --suite shapes \\
      --broker 'skein=skein serve --listen 127.0.0.1:{port}' \\
      --broker 'mosquitto=mosquitto -c {file:mosquitto.conf}'
  Which rate holds a p99 of 2 ms?
    skein-loadtest sweep --p99-max-ms 2 -- rate --shape 1:20

Exit codes: 0 all is well; 1 a promise was broken and --expect was given, a broker of a comparison
failed or got worse than its baseline, no rate of a sweep held; 2 the test could not run.";
