//! Lines for the log, with a bound per kind and second: what a peer can cause it can cause often,
//! and a log that is full of one thing hides the others and costs more than the broker's work.

use std::fmt;

use crate::session::{ConnectionId, ShardId, Time};
use crate::shard::{Metrics, Notice, NoticeLevel};

/// How long lines of one kind are counted together.
const WINDOW_MS: u64 = 1_000;

/// Prints the notices of one shard.
#[derive(Debug)]
pub(super) struct Notices {
    shard: ShardId,
    lines_per_second_max: u32,
    /// One per kind that has been seen. There are a few dozen kinds at most: they are literals of
    /// the source text.
    windows: Vec<Window>,
}

/// The lines of one kind since the first of the second.
#[derive(Debug)]
struct Window {
    kind: &'static str,
    level: NoticeLevel,
    since: Time,
    printed: u32,
    /// Lines that were not printed.
    more: u64,
}

impl Window {
    fn end(&self) -> Time {
        self.since.plus(WINDOW_MS)
    }
}

impl Notices {
    pub(super) fn new(shard: ShardId, lines_per_second_max: u32) -> Self {
        Self { shard, lines_per_second_max, windows: Vec::new() }
    }

    /// From now on so many lines of one kind are printed per second.
    pub(super) fn change_limit(&mut self, lines_per_second_max: u32) {
        self.lines_per_second_max = lines_per_second_max;
    }

    /// Prints what is not too much of its kind, and the counts of what was too much in the second
    /// that has passed.
    pub(super) fn print(&mut self, notices: &mut Vec<Notice>, now: Time) {
        self.close_windows(now);
        for notice in notices.drain(..) {
            if self.admit(&notice, now) {
                let Notice { level, connection, client, text, .. } = &notice;
                line(*level, self.shard, *connection, client.as_deref(), text);
            }
        }
    }

    /// When lines that were not printed must be counted out, at the latest.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.windows.iter().filter(|window| window.more > 0).map(Window::end).min()
    }

    /// Counts out what was not printed yet: the loop ends.
    pub(super) fn end(&mut self) {
        self.close_windows(Time::NEVER);
    }

    /// Prints the shard's counters, and what it dropped by reason and first topic level.
    pub(super) fn print_metrics(&self, metrics: &Metrics, connections: usize) {
        use fmt::Write;
        let mut text = format!("counters: connections={connections}");
        for (name, value) in metrics.rows() {
            // Writing into a String cannot fail.
            let _ = write!(text, " {name}={value}");
        }
        line(NoticeLevel::Info, self.shard, None, None, &text);
        for (reason, prefix, count) in metrics.drops() {
            let text =
                format!("dropped: topic=\"{prefix}/…\" reason=\"{}\" {count}", reason.name());
            line(NoticeLevel::Info, self.shard, None, None, &text);
        }
    }

    /// Whether one more line of this kind may be printed; it is counted either way.
    fn admit(&mut self, notice: &Notice, now: Time) -> bool {
        let known = self.windows.iter().position(|window| window.kind == notice.kind);
        let index = known.unwrap_or(self.windows.len());
        if known.is_none() {
            let Notice { kind, level, .. } = *notice;
            self.windows.push(Window { kind, level, since: now, printed: 0, more: 0 });
        }
        let window = &mut self.windows[index];
        if window.end() <= now {
            // Nothing is left to be counted out: `close_windows` came first.
            *window = Window { since: now, printed: 0, ..*window };
        }
        let has_room = window.printed < self.lines_per_second_max;
        window.printed += u32::from(has_room);
        window.more += u64::from(!has_room);
        has_room
    }

    fn close_windows(&mut self, now: Time) {
        let shard = self.shard;
        for window in &mut self.windows {
            if window.more > 0 && window.end() <= now {
                let text =
                    format!("{}: {} more like this in the last second", window.kind, window.more);
                line(window.level, shard, None, None, &text);
                window.more = 0;
            }
        }
    }
}

/// One line: whom it is about, then what happened.
fn line(
    level: NoticeLevel,
    shard: ShardId,
    connection: Option<ConnectionId>,
    client: Option<&str>,
    text: &str,
) {
    let connection = connection.map(tracing::field::display);
    let client = client.map(|client| tracing::field::display(Escaped(client)));
    let message = Escaped(text);
    // The message stands last so that the text format prints the others in front of it.
    match level {
        NoticeLevel::Debug => tracing::debug!(%shard, connection, client, %message),
        NoticeLevel::Info => tracing::info!(%shard, connection, client, %message),
        NoticeLevel::Warning => tracing::warn!(%shard, connection, client, %message),
    }
}

/// Text that a peer may have chosen: control characters are escaped, so that it can neither begin
/// a line of its own nor command a terminal.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(char::is_control) {
            let last = piece.char_indices().next_back().filter(|(_, last)| last.is_control());
            if let Some((end, last)) = last {
                write!(formatter, "{}{}", &piece[..end], last.escape_default())?;
            } else {
                formatter.write_str(piece)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(kind: &'static str) -> Notice {
        let text = String::from("text");
        Notice { level: NoticeLevel::Info, kind, connection: None, client: None, text }
    }

    #[test]
    fn a_kind_has_so_many_lines_per_second_and_the_rest_is_counted() {
        let mut notices = Notices::new(ShardId::new(0), 2);
        let at = Time::from_millis;
        let admitted: Vec<bool> =
            (0..5).map(|ms| notices.admit(&notice("refused"), at(ms))).collect();
        assert_eq!(admitted, [true, true, false, false, false]);
        assert!(notices.admit(&notice("another kind"), at(5)));
        assert_eq!(notices.next_deadline(), Some(at(WINDOW_MS)));
        notices.close_windows(at(WINDOW_MS - 1));
        assert_eq!(notices.windows[0].more, 3);
        notices.close_windows(at(WINDOW_MS));
        assert_eq!(notices.windows[0].more, 0);
        assert_eq!(notices.next_deadline(), None);
        assert!(notices.admit(&notice("refused"), at(WINDOW_MS)));
    }

    #[test]
    fn text_of_a_peer_cannot_begin_a_line() {
        assert_eq!(Escaped("a\nb\u{1b}[31mü").to_string(), "a\\nb\\u{1b}[31mü");
        assert_eq!(Escaped("plain").to_string(), "plain");
        assert_eq!(Escaped("").to_string(), "");
    }
}
