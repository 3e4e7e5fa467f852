//! What the modes with messages have in common.

use std::{io, time::Duration};

use crate::{
    plan::Load,
    report::{Outputs, Report},
};

/// Shows what came of a load; whether all is as it is expected to be.
pub(super) fn show(mut report: Report, load: &Load, outputs: &Outputs) -> io::Result<bool> {
    outputs.write(&mut report)?;
    Ok(!load.expect || report.is_clean())
}

/// A duration of the command line.
pub(super) fn duration(seconds: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(io::Error::other)
}
