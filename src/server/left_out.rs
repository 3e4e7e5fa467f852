//! Counting the log lines that nobody read in time.
//!
//! A line that finds [`LINES_WAITING_MAX`](super::log) others waiting is left out, so that a shard
//! never stands still for a terminal. The thread that writes the lines says how many those were as
//! soon as it can write again, and once more at the end.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use tracing_appender::non_blocking::ErrorCounter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::config::LogFormat;

/// Writes lines to `to`, each time preceded by the count of those that were left out meanwhile.
pub(super) struct Counting<W: Write> {
    to: W,
    format: LogFormat,
    left_out: LeftOut,
    /// How many have been told.
    told: usize,
}

/// How many lines have been left out since the start.
#[derive(Clone, Default)]
pub(super) struct LeftOut(Arc<OnceLock<ErrorCounter>>);

impl LeftOut {
    /// Counts with this counter from now on. Until then nothing can have been left out.
    pub(super) fn set(&self, counter: ErrorCounter) {
        // The first one stays; there is one log.
        let _ = self.0.set(counter);
    }

    fn count(&self) -> usize {
        self.0.get().map_or(0, ErrorCounter::dropped_lines)
    }
}

impl<W: Write> Counting<W> {
    pub(super) fn new(to: W, format: LogFormat, left_out: LeftOut) -> Self {
        Self { to, format, left_out, told: 0 }
    }

    /// Writes the line that says how many were left out since the last such line, if any were.
    fn tell(&mut self, count: usize) -> io::Result<()> {
        let more = count.saturating_sub(self.told);
        if more == 0 {
            return Ok(());
        }
        self.to.write_all(line(self.format, more).as_bytes())?;
        self.told = count;
        Ok(())
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tell(self.left_out.count())?;
        // All of it: a count must never stand in the middle of a line.
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tell(self.left_out.count())?;
        self.to.flush()
    }
}

fn line(format: LogFormat, more: usize) -> String {
    let mut time = String::new();
    // Without the time the count is still worth its line.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let message = format!("log: {more} lines were left out, nobody read them in time");
    match format {
        LogFormat::Text => format!("{time}  WARN {message}\n"),
        LogFormat::Json => {
            format!("{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"{message}\"}}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told_once_before_the_next_line() {
        let mut log = Counting::new(Vec::new(), LogFormat::Text, LeftOut::default());
        log.write_all(b"one\n").expect("a vector takes all");
        log.tell(3).expect("a vector takes all");
        log.tell(3).expect("a vector takes all");
        log.write_all(b"two\n").expect("a vector takes all");
        log.tell(4).expect("a vector takes all");
        let text = String::from_utf8(log.to).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[2]), ("one", "two"));
        assert!(lines[1].ends_with("WARN log: 3 lines were left out, nobody read them in time"));
        assert!(lines[3].contains("1 lines were left out"));
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn as_json_it_is_one_object_per_line() {
        let text = line(LogFormat::Json, 7);
        assert!(text.starts_with("{\"timestamp\":\"") && text.ends_with("\"}\n"), "{text}");
        assert!(text.contains("\"message\":\"log: 7 lines were left out"), "{text}");
    }
}
