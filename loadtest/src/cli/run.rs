//! What the modes with messages have in common.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    time::Duration,
};

use crate::{
    drive::{self, Pace, Plan, Stop},
    plan::{Load, Topology},
    report::{Environment, Outputs},
    verify::Payloads,
};

/// Runs a load and shows what came of it; whether all is as it is expected to be.
pub(super) fn run(load: Load, pace: Pace, stop: Stop, outputs: &Outputs) -> io::Result<bool> {
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

/// A duration of the command line.
pub(super) fn duration(seconds: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(io::Error::other)
}

/// A number that no other run has, by the odds.
fn run_id() -> u32 {
    RandomState::new().hash_one(std::process::id()) as u32
}
