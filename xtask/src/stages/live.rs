//! Stages that talk to a broker process.

use std::process::Command;

use super::need_test_target;
use crate::broker;
use crate::job::{Job, Stop, cargo};
use crate::tools::{self, FAKETIME, MOSQUITTO, MOSQUITTO_BROKER, NPM, OPENSSL, PYTHON};

pub(super) fn release(job: &mut Job) -> Result<(), Stop> {
    job.run(&mut broker::build())
}

pub(super) fn conformance(job: &mut Job) -> Result<(), Stop> {
    against_release(job, "conformance", &[])
}

/// One test after the other: each has a crowd of clients, and is to say at once what came of it.
pub(super) fn durability(job: &mut Job) -> Result<(), Stop> {
    tools::ensure(job, &[FAKETIME])?;
    against_release(job, "durability", &["--", "--nocapture", "--test-threads", "1"])
}

pub(super) fn interop(job: &mut Job) -> Result<(), Stop> {
    let targets = ["mosquitto", "command_line", "interop"];
    targets.into_iter().try_for_each(need_test_target)?;
    tools::ensure(job, &[PYTHON, NPM, MOSQUITTO, MOSQUITTO_BROKER, OPENSSL])?;
    job.run(&mut broker::build())?;
    job.run_all(targets.map(|name| test_of_release(name, &[])))
}

pub(super) fn bridge(job: &mut Job) -> Result<(), Stop> {
    need_test_target("bridge")?;
    tools::ensure(job, &[MOSQUITTO_BROKER])?;
    against_release(job, "bridge", &[])
}

/// Runs a test target, with these arguments, that starts the binary named by `SKEIN_BIN`.
fn against_release(job: &mut Job, name: &str, arguments: &[&str]) -> Result<(), Stop> {
    need_test_target(name)?;
    job.run(&mut broker::build())?;
    job.run(&mut test_of_release(name, arguments))
}

fn test_of_release(name: &str, arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.env("SKEIN_BIN", broker::binary()).args(["test", "--test", name]).args(arguments);
    command
}
