//! From what was asked for to a run.

use std::{
    hash::{BuildHasher, RandomState},
    io,
};

use skein_protocol::Version;

use super::{Pace, Plan, Stop, coordinator};
use crate::{
    client::Dialer,
    crowd::{Arrivals, Crowd},
    plan::{Load, Topology},
    report::{Environment, Report},
    verify::Payloads,
};

/// Runs a load.
pub(crate) fn run(load: &Load, pace: Pace, stop: Stop) -> io::Result<Report> {
    if load.session_expiry > 0 && load.target.version != Version::V5 {
        let text = "--session-expiry needs --version 5: before, a session that outlives its connection \
                    brings what an earlier run has left in it";
        return Err(io::Error::other(text));
    }
    let topology = Topology::new(load.shape(), load.audience(), load.topic());
    let run = run_id();
    let payloads = Payloads::new(run, load.payload());
    let environment = Environment::observe(load.target.pid);
    let dialer = Dialer::new(&load.target)?;
    let plan = Plan { load: load.clone(), topology, dialer, payloads, pace, stop };
    let mut ballast = ballast(load)?;
    let mut report = coordinator::run(plan)?;
    ballast.leave();
    if load.ballast > 0 {
        let count = load.ballast;
        report.notes.push(format!("Beside the run the broker held {count} other subscriptions."));
    }
    report.run = format!("{run:08x}");
    report.command = std::env::args().collect();
    report.environment = environment;
    Ok(report)
}

/// Connections with subscriptions that match nothing.
fn ballast(load: &Load) -> io::Result<Crowd<'_>> {
    let mut crowd = Crowd::new(&load.target)?;
    let connections = load.ballast.div_ceil(BALLAST_EACH);
    let filters = |seat: usize| {
        let first = seat * BALLAST_EACH;
        let numbers = first..load.ballast.min(first + BALLAST_EACH);
        numbers.map(|number| format!("skein/ballast/{}/{number}", number % 1000)).collect()
    };
    let arrivals = Arrivals {
        client_id: &|seat| format!("{}-ballast-{seat}", load.target.client_id),
        filters: &filters,
        qos: load.subscribe_qos(),
        clean_start: true,
        session_expiry_s: 0,
        at_once: 1,
        leaves: false,
    };
    crowd
        .open(0..connections, &arrivals)?
        .check()
        .map_err(|error| io::Error::other(format!("the ballast: {error}")))?;
    Ok(crowd)
}

/// Subscriptions of one connection of the ballast.
const BALLAST_EACH: usize = 10_000;

/// A number that no other run has, by the odds.
pub(crate) fn run_id() -> u32 {
    RandomState::new().hash_one(std::process::id()) as u32
}
