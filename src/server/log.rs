//! Where log lines go: standard error, as text for people or JSON for machines.
//!
//! A thread of its own writes them. A shard that wrote to a terminal or a pipe itself would stand
//! still as soon as nobody reads there.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::left_out::{Counting, LeftOut};
use crate::config::{self, LogFormat, LogLevel};

/// Lines that wait for the writing thread; when nobody reads them further ones are left out, and
/// counted.
const LINES_WAITING_MAX: usize = 8_192;

/// The log of this process. Dropping it writes what waits, within a second or so.
#[must_use = "lines are written until it is dropped"]
#[derive(Debug)]
pub struct Log {
    _writer: WorkerGuard,
}

/// Lets the lines of this process be written from now on. For a program; a library leaves this to
/// the program it is in. If it was done before, the first one goes on.
pub fn start_log(settings: &config::Log) -> Log {
    let left_out = LeftOut::default();
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .lossy(true)
        .thread_name("log")
        .finish(Counting::new(io::stderr(), settings.format, left_out.clone()));
    left_out.set(writer.error_counter());
    let lines = fmt::layer().with_target(false).with_writer(writer);
    let lines = match settings.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let level = level(settings.level);
    // What rustls warns of, any peer can cause as often as it likes; what ends a connection it
    // returns as an error besides, and that is logged within a bound.
    let filter = Targets::new()
        .with_target("skein", level)
        .with_target("rustls", level.min(Level::ERROR))
        .with_default(level.min(Level::WARN));
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    Log { _writer: guard }
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}
