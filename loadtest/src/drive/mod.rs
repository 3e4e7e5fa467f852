//! The loop that drives connections, and what decides when they publish.
//!
//! ```text
//!   coordinator ── phase ──▶ worker 0 … n      each: poll → read and check → publish → flush
//!        ▲──── progress, seconds ───┘
//! ```
//!
//! A worker is a thread with connections of its own. What it has done it tells once a turn; nothing
//! is shared for each message.

mod coordinator;
mod desk;
mod fleet;
mod flood;
mod live;
mod load_run;
mod member;
mod outcome;
mod pacer;
mod plan;
mod rate;
mod series;
mod shared;
mod spans;
mod timer;
mod watch;
mod window;
mod worker;

pub(crate) use load_run::{run, run_id};
pub(crate) use plan::{Pace, Plan, Stop};
