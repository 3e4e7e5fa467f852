//! Where log lines go: standard error, as text for people or JSON for machines.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Log, LogFormat, LogLevel};

/// Lets the lines of this process be written from now on. For a program; a library leaves this to
/// the program it is in. Does nothing if it was done before.
pub fn start_log(settings: &Log) {
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match settings.format {
        LogFormat::Text => lines.with_target(false).with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_target(false).boxed(),
    };
    let level = level(settings.level);
    let filter = Targets::new().with_target("skein", level).with_default(level.min(Level::WARN));
    // A second subscriber of one process is refused; the first goes on.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
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
