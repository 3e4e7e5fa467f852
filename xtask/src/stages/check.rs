//! Stages that read the code without running it.

use crate::job::{Job, Stop, cargo};
use crate::tools;

pub(super) fn fmt(job: &mut Job) -> Result<(), Stop> {
    job.cargo("fmt --all --check")
}

pub(super) fn clippy(job: &mut Job) -> Result<(), Stop> {
    job.cargo("clippy --workspace --all-targets -- --deny warnings")?;
    // Payloads by content type are features that nothing here turns on.
    job.cargo("clippy --package skein-client --all-targets --all-features -- --deny warnings")
}

/// What the Dockerfile builds, as far as the compiler judges it.
pub(super) fn image(job: &mut Job) -> Result<(), Stop> {
    tools::ensure(job, &[tools::MAKE])?;
    job.cargo("check --bin skein --features jemalloc")
}

pub(super) fn docs(job: &mut Job) -> Result<(), Stop> {
    let mut command = cargo();
    command.env("RUSTDOCFLAGS", "--deny warnings");
    command.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    command.args(["--features", super::unit::FORMATS]);
    job.run(&mut command)
}

/// Advisories are a database somewhere else: where it cannot be fetched the stage says so and
/// passes, since nothing in the repository could mend that.
pub(super) fn deny(job: &mut Job) -> Result<(), Stop> {
    let mut command = tools::cargo_deny(job)?;
    job.run(command.args(["check", "bans", "licenses", "sources"]))?;
    let mut command = tools::cargo_deny(job)?;
    let Err(stop) = job.run(command.args(["check", "advisories"])) else { return Ok(()) };
    let no_database = |line: &String| {
        line.contains("failed to fetch advisory database")
            || line.contains("failed to load advisory")
    };
    if job.tail().iter().any(no_database) {
        job.unchecked.push("the advisory database could not be fetched".to_owned());
        return Ok(());
    }
    Err(stop)
}
