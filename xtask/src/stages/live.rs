//! Stages that talk to a broker process.

use super::need_test_target;
use crate::broker;
use crate::job::{Job, Stop, cargo};
use crate::tools::{self, MOSQUITTO, MOSQUITTO_BROKER, NPM, PYTHON};

pub(super) fn release(job: &mut Job) -> Result<(), Stop> {
    job.run(&mut broker::build())
}

pub(super) fn conformance(job: &mut Job) -> Result<(), Stop> {
    against_release(job, "conformance")
}

pub(super) fn interop(job: &mut Job) -> Result<(), Stop> {
    need_test_target("interop")?;
    tools::ensure(job, &[PYTHON, NPM, MOSQUITTO, MOSQUITTO_BROKER])?;
    against_release(job, "mosquitto")?;
    against_release(job, "command_line")?;
    against_release(job, "interop")
}

/// Runs a test target that starts the binary named by `SKEIN_BIN`.
fn against_release(job: &mut Job, name: &str) -> Result<(), Stop> {
    need_test_target(name)?;
    job.run(&mut broker::build())?;
    let mut command = cargo();
    command.env("SKEIN_BIN", broker::binary()).args(["test", "--test", name]);
    job.run(&mut command)
}
