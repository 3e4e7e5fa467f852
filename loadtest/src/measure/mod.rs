//! What is measured: time, the load test's own work, and the broker's process from outside.

mod open_files;
mod process;
mod recorder;
mod run_clock;
mod verdict;

pub(crate) use open_files::raise_open_files;
pub(crate) use process::{Process, ProcessSample, ThreadSample};
pub(crate) use recorder::{Interval, Recorder};
pub(crate) use run_clock::RunClock;
pub(crate) use verdict::Loads;
