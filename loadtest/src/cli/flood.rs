//! `skein-loadtest flood`

use std::io;

use clap::Args;

use super::run::{duration, run};
use crate::{
    drive::{Pace, Stop},
    plan::Load,
    report::Outputs,
};

/// Capacity: as many messages as the broker takes.
///
/// Publishers send as fast as the window of messages on their way and the broker's flow control let
/// them; subscribers check every delivery. The rate is what the broker can do; a latency under such
/// a load is that of a queue.
#[derive(Args, Clone, Debug)]
pub(crate) struct Flood {
    #[command(flatten)]
    load: Load,
    /// Messages of each publisher.
    #[arg(long, default_value_t = 1_000_000, conflicts_with = "seconds")]
    messages: u64,
    /// Publish for so long instead, seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// With --seconds: what does not count before, seconds.
    #[arg(long, default_value_t = 1.0, requires = "seconds")]
    warm_up: f64,
    /// Messages that may be on their way to the slowest subscriber. Keep it below what the broker
    /// queues for a subscriber, or it may drop what it would have delivered.
    #[arg(long, default_value_t = 20_000)]
    window: u64,
    #[command(flatten)]
    outputs: Outputs,
}

impl Flood {
    /// Runs it and shows what came of it; whether all is as it is expected to be.
    pub(super) fn run(self) -> io::Result<bool> {
        let Self { load, messages, seconds, warm_up, window, outputs } = self;
        let stop = match seconds {
            None => Stop::Messages(messages),
            Some(seconds) => {
                Stop::After { warm_up: duration(warm_up)?, measured: duration(seconds)? }
            }
        };
        run(load, Pace::Flood { window }, stop, &outputs)
    }
}
