//! From what a run showed to what a reader sees: the schema of a report, and its outputs.

mod conditions;
mod csv;
mod fill;
pub(crate) mod format;
mod hlog;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod latency;
mod model;
mod outputs;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod text;

pub(crate) use model::*;
pub(crate) use outputs::{Outputs, Show, is_standard_output, read_text, to_file};
