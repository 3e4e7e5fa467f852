//! From what a run showed to what a reader sees: the schema of a report, and its outputs.

mod fill;
pub(crate) mod latency;
mod model;

pub(crate) use model::*;
