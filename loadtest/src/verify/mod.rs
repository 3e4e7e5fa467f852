//! What is checked of every delivery: that it is one of ours, whole, of the right topic, and when it
//! comes in the sequence of its publisher.

mod payload;
mod same;
mod seen;
mod unit;

pub(crate) use payload::{HEADER_BYTES, PAYLOAD_BYTES_MIN, Payloads, Stamp, Wrong};
pub(crate) use same::is_same;
pub(crate) use unit::{Tally, Unit};
