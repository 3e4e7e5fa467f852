//! What the modes with messages have in common.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    time::Duration,
};

use crate::{
    drive::{self, Pace, Plan, Stop},
    plan::{Load, Topology},
    report::{Environment, Outputs, Report},
    verify::Payloads,
};

/// Runs a load.
pub(super) fn run(load: &Load, pace: Pace, stop: Stop) -> io::Result<Report> {
    let topology = Topology::new(load.shape(), load.audience(), load.topic());
    let run = run_id();
    let payloads = Payloads::new(run, load.payload());
    let environment = Environment::observe(load.target.pid);
    let plan = Plan { load: load.clone(), topology, payloads, pace, stop };
    let mut report = drive::run(plan)?;
    report.run = format!("{run:08x}");
    report.command = std::env::args().collect();
    report.environment = environment;
    Ok(report)
}

/// Shows what came of a load; whether all is as it is expected to be.
pub(super) fn show(mut report: Report, load: &Load, outputs: &Outputs) -> io::Result<bool> {
    outputs.write(&mut report)?;
    Ok(!load.expect || report.is_clean())
}

/// A duration of the command line.
pub(super) fn duration(seconds: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(io::Error::other)
}

/// A number that no other run has, by the odds.
fn run_id() -> u32 {
    RandomState::new().hash_one(std::process::id()) as u32
}
