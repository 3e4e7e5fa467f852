//! `skein-loadtest rate`

use std::{io, time::Duration};

use clap::Args;

use super::run::{duration, show};
use crate::{
    drive::{self, Pace, Stop},
    plan::{Arrivals, Load, Target},
    report::Outputs,
    verify::HEADER_BYTES,
};

/// Latency: messages at a given rate, whatever the broker does.
///
/// Messages are sent when the schedule says, and latency is counted from the intended time of
/// sending: a broker that stalls is charged with all that had to wait. The latency from the actual
/// time and the lag between the two are shown beside it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Rate {
    /// Messages that all publishers together send each second.
    #[arg(long, value_parser = per_second)]
    rate: f64,
    /// How their times lie: fixed, poisson or poisson:SEED.
    #[arg(long, default_value = "fixed")]
    arrivals: Arrivals,
    /// So long before a message is due, microseconds, the load test does not sleep any more: waking
    /// up takes long, and would make messages leave late. 0 leaves the processor to others, as is
    /// right if the load test and the broker share one.
    #[arg(long, default_value_t = 50)]
    spin: u64,
    /// What is measured, seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// What does not count before, seconds.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    outputs: Outputs,
}

impl Rate {
    /// The broker.
    pub(super) fn target(&self) -> &Target {
        &self.load.target
    }

    /// Runs it and shows what came of it; whether all is as it is expected to be.
    pub(super) fn run(self) -> io::Result<bool> {
        let Self { load, rate: per_s, arrivals, spin, seconds, warm_up, outputs } = self;
        if load.payload() < HEADER_BYTES {
            let reason = format!("latency needs the times in payloads of {HEADER_BYTES} bytes");
            return Err(io::Error::other(reason));
        }
        let spin = Duration::from_micros(spin);
        let stop = Stop::After { warm_up: duration(warm_up)?, measured: duration(seconds)? };
        let report = drive::run(&load, Pace::Rate { per_s, arrivals, spin }, stop)?;
        show(report, &load, &outputs)
    }
}

fn per_second(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a rate is a number above 0".to_owned()),
    }
}
