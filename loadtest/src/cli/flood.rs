//! `skein-loadtest flood`

use std::{io, time::Duration};

use clap::Args;

use super::{
    repeat::repeated,
    run::{duration, show},
};
use crate::{
    drive::{self, Pace, Stop},
    plan::{Load, Preset, Target},
    report::Outputs,
};

/// Capacity: as many messages as the broker takes.
///
/// Publishers send as fast as the window of messages on their way and the broker's flow control let
/// them; subscribers check every delivery. The rate is what the broker can do; a latency under such
/// a load is that of a queue.
#[derive(Args, Clone, Debug)]
pub(crate) struct Flood {
    /// A load that others have published figures for. It sets what is not given here: payload,
    /// topic, messages and more. Shapes: 1:1, 20:1, 1:20, mesh:20.
    #[arg(long)]
    preset: Option<Preset>,
    /// Messages of each publisher [default: 1000000].
    #[arg(long, conflicts_with = "seconds")]
    messages: Option<u64>,
    /// Publish for so long instead, seconds.
    #[arg(long, conflicts_with = "preset")]
    seconds: Option<f64>,
    /// With --seconds: what does not count before, seconds.
    #[arg(long, default_value_t = 1.0, requires = "seconds")]
    warm_up: f64,
    /// Messages that may be on their way to the slowest subscriber [default: 20000; preset surge:
    /// no bound]. Keep it below what the broker queues for a subscriber, or it may drop what it
    /// would have delivered.
    #[arg(long)]
    window: Option<u64>,
    /// Runs that count [default: 1; preset surge-strict: 5]. With several there is one more before
    /// that does not, and the median run is shown with the range of all.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    outputs: Outputs,
}

impl Flood {
    /// The broker.
    pub(super) fn target(&self) -> &Target {
        &self.load.target
    }

    /// Runs it and shows what came of it; whether all is as it is expected to be.
    pub(super) fn run(self) -> io::Result<bool> {
        let Self { mut load, preset, messages, seconds, warm_up, window, repeat, outputs } = self;
        let preset = preset.map(|preset| preset.apply(&mut load)).transpose();
        let preset = preset.map_err(io::Error::other)?;
        let messages = messages.or(preset.map(|preset| preset.messages)).unwrap_or(MESSAGES);
        let is_faithful = preset.is_some_and(|preset| preset.is_faithful);
        let stop = match seconds {
            None if is_faithful => Stop::Surge { messages },
            None => Stop::Messages(messages),
            Some(seconds) => {
                Stop::After { warm_up: duration(warm_up)?, measured: duration(seconds)? }
            }
        };
        let stagger = if is_faithful { SURGE_STAGGER } else { Duration::ZERO };
        let window = window.unwrap_or(if is_faithful { u64::MAX } else { WINDOW });
        let pace = Pace::Flood { window, stagger };
        let repeats = repeat.or(preset.map(|preset| preset.repeats)).unwrap_or(1);
        let report = repeated(repeats, || drive::run(&load, pace, stop))?;
        show(report, &load, &outputs)
    }
}

/// Messages of each publisher, if nothing is said.
const MESSAGES: u64 = 1_000_000;
/// Messages on their way, if nothing is said.
const WINDOW: u64 = 20_000;
/// SurgeMQ's benchmark started its publishers so long after one another.
const SURGE_STAGGER: Duration = Duration::from_millis(20);
