//! The live line: what a run does right now, for whoever watches a terminal. Nothing is written
//! where nobody watches.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::report::format::{count, microseconds, number};

/// Shows a line that overwrites itself.
#[derive(Debug)]
pub(crate) struct LiveLine<W: Write = io::Stderr> {
    out: Option<W>,
    last: Instant,
}

/// What happened since the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Live {
    /// Seconds since the run began.
    pub(crate) second: f64,
    /// PUBLISH packets sent each second.
    pub(crate) published_per_s: f64,
    /// PUBLISH packets received each second.
    pub(crate) delivered_per_s: f64,
    /// Median latency, if there is one.
    pub(crate) p50_us: Option<f64>,
    /// 99th percentile of the latency.
    pub(crate) p99_us: Option<f64>,
    /// The longest schedule lag, if there is a schedule.
    pub(crate) lag_max_us: Option<f64>,
    /// Connections lost since the first publish.
    pub(crate) connections_lost: u64,
}

impl LiveLine {
    /// A line on the standard error if that is a terminal.
    pub(crate) fn new(now: Instant) -> Self {
        let stderr = io::stderr();
        Self { out: stderr.is_terminal().then_some(stderr), last: now }
    }
}

impl<W: Write> LiveLine<W> {
    /// Whether somebody watches and the last line is old enough for another one.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.out.is_some() && now.duration_since(self.last) >= EVERY
    }

    /// Replaces the line. A terminal that is gone is no reason to end a run.
    pub(crate) fn show(&mut self, live: &Live, now: Instant) {
        self.last = now;
        if let Some(out) = &mut self.out {
            let shown = write!(out, "{CLEAR}{}", line(live)).and_then(|()| out.flush());
            if shown.is_err() {
                self.out = None;
            }
        }
    }

    /// Shows a text in place of the line.
    pub(crate) fn say(&mut self, text: &str) {
        if let Some(out) = &mut self.out
            && write!(out, "{CLEAR}{text}").and_then(|()| out.flush()).is_err()
        {
            self.out = None;
        }
    }
}

impl<W: Write> Drop for LiveLine<W> {
    /// Leaves an empty line behind, so that what is printed next stands alone.
    fn drop(&mut self) {
        self.say("");
    }
}

fn line(live: &Live) -> String {
    let mut text = format!(
        "{:.0} s: {} published/s, {} delivered/s",
        live.second,
        number(live.published_per_s),
        number(live.delivered_per_s)
    );
    let latencies = [("p50", live.p50_us), ("p99", live.p99_us), ("lag up to", live.lag_max_us)];
    for (name, value) in latencies {
        if let Some(value) = value {
            text += &format!(", {name} {}", microseconds(value));
        }
    }
    if live.connections_lost > 0 {
        text += &format!(", {} CONNECTIONS LOST", count(live.connections_lost));
    }
    text
}

/// Slow enough to be read.
const EVERY: Duration = Duration::from_millis(500);
/// To the line's begin, and nothing is left of what stood there.
const CLEAR: &str = "\r\x1b[K";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_known_and_losses_only_if_there_are() {
        let mut live = Live {
            second: 3.2,
            published_per_s: 93_324.0,
            delivered_per_s: 763_460.0,
            ..Live::default()
        };
        assert_eq!(line(&live), "3 s: 93,324 published/s, 763,460 delivered/s");
        live.p99_us = Some(1_500.0);
        live.connections_lost = 2;
        let expected = ", p99 1.50 ms, 2 CONNECTIONS LOST";
        assert!(line(&live).ends_with(expected), "{}", line(&live));
    }

    #[test]
    fn a_line_is_due_when_somebody_watches_and_the_last_is_old() {
        let now = Instant::now();
        let mut bytes = Vec::new();
        let mut watched = LiveLine { out: Some(&mut bytes), last: now };
        assert!(!watched.is_due(now + EVERY / 2) && watched.is_due(now + EVERY));
        watched.show(&Live::default(), now + EVERY);
        assert!(!watched.is_due(now + EVERY));
        drop(watched);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "\r\x1b[K0 s: 0 published/s, 0 delivered/s\r\x1b[K");
        let unwatched = LiveLine::<Vec<u8>> { out: None, last: now };
        assert!(!unwatched.is_due(now + EVERY));
    }
}
