//! What the modes with messages have in common.

use std::{io, time::Duration};

use crate::{
    plan::Load,
    report::{Outputs, Report},
};

/// Shows what came of a load; whether all is as it is expected to be.
pub(super) fn show(mut report: Report, load: &Load, outputs: &Outputs) -> io::Result<bool> {
    outputs.write(&mut report)?;
    let is_whole = report.is_clean() && report.traffic.connections_lost == 0;
    Ok(is_whole || !load.expect)
}

/// A duration of the command line.
pub(super) fn duration(seconds: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(io::Error::other)
}
