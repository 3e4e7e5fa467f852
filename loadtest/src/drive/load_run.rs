//! From what was asked for to a run.

use std::{
    hash::{BuildHasher, RandomState},
    io,
};

use super::{Pace, Plan, Stop, coordinator};
use crate::{
    plan::{Load, Topology},
    report::{Environment, Report},
    verify::Payloads,
};

/// Runs a load.
pub(crate) fn run(load: &Load, pace: Pace, stop: Stop) -> io::Result<Report> {
    let topology = Topology::new(load.shape(), load.audience(), load.topic());
    let run = run_id();
    let payloads = Payloads::new(run, load.payload());
    let environment = Environment::observe(load.target.pid);
    let plan = Plan { load: load.clone(), topology, payloads, pace, stop };
    let mut report = coordinator::run(plan)?;
    report.run = format!("{run:08x}");
    report.command = std::env::args().collect();
    report.environment = environment;
    Ok(report)
}

/// A number that no other run has, by the odds.
pub(crate) fn run_id() -> u32 {
    RandomState::new().hash_one(std::process::id()) as u32
}
