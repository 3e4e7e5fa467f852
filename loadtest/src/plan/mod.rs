//! What is asked for: from the command line to who publishes what to whom.

mod address;
mod load;
mod preset;
mod schedule;
mod shape;
mod target;
mod topology;
mod transport;

pub(crate) use address::Address;
pub(crate) use load::{Load, at_least_one, qos};
pub(crate) use preset::Preset;
pub(crate) use schedule::{Arrivals, Schedule};
pub(crate) use shape::Shape;
pub(crate) use target::Target;
pub(crate) use topology::{Audience, Topology};
pub(crate) use transport::Transport;
