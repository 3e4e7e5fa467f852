//! A sample as text: for a screen, or line after line.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

use super::sample::{Sample, Slow};

/// How the text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) has_colors: bool,
    /// Longer lines are cut.
    pub(super) columns: usize,
    /// Further lines are left out.
    pub(super) rows: usize,
}

impl Look {
    /// For no screen: nothing is cut, and nothing coloured.
    pub(super) const PLAIN: Self =
        Self { has_colors: false, columns: usize::MAX, rows: usize::MAX };
}

/// A value that has no place of its own is cut behind so many columns.
const VALUE_COLUMNS_MAX: usize = 200;
/// Some letters take no column, and there may be any number of them: for each column there are no more
/// letters than these.
const LETTERS_PER_COLUMN_MAX: usize = 4;

/// A line, and how it is meant.
struct Line {
    text: String,
    tone: Tone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Heading,
    /// Something to look at.
    Alarming,
}

/// The lines that tell of a sample, each with its end.
pub(super) fn show(sample: &Sample, host: &str, look: Look) -> String {
    let mut lines = Vec::new();
    append_summary(sample, host, &mut lines);
    append_rates(sample, &mut lines);
    append_slowest(sample, &mut lines);
    append_drops(sample, &mut lines);
    let mut text = String::new();
    for line in lines.into_iter().take(look.rows) {
        let cut = cut(&line.text, look.columns);
        let (begin, end) = match line.tone {
            _ if !look.has_colors => ("", ""),
            Tone::Plain => ("", ""),
            Tone::Heading => ("\x1b[1m", "\x1b[0m"),
            Tone::Alarming => ("\x1b[31m", "\x1b[0m"),
        };
        // A String takes everything.
        let _ = writeln!(text, "{begin}{}{end}", cut.trim_end());
    }
    text
}

fn append_summary(sample: &Sample, host: &str, lines: &mut Vec<Line>) {
    let version = if sample.version.is_empty() { "a broker" } else { &sample.version };
    let uptime = sample.uptime_s.map_or(String::new(), |s| format!(", up {}", duration(s)));
    lines.push(heading(format!(
        "{} at {}{uptime}",
        shortened(&plain(version), VALUE_COLUMNS_MAX),
        plain(host)
    )));
    let clients = &sample.clients;
    lines.push(plain_line(format!(
        "clients        {} connected, {} away, {} at most",
        count(clients.connected),
        count(clients.disconnected),
        count(clients.maximum)
    )));
    lines.push(plain_line(format!(
        "kept           {} subscriptions, {} retained, {} waiting ({}), memory {}",
        count(sample.subscriptions),
        count(sample.retained),
        count(sample.waiting_messages),
        bytes(sample.waiting_bytes),
        bytes(sample.memory_bytes)
    )));
}

fn append_rates(sample: &Sample, lines: &mut Vec<Line>) {
    let (totals, rates) = (sample.totals, sample.per_second.unwrap_or_default());
    lines.push(plain_line(String::new()));
    lines.push(heading(format!("{:14} {:>12} {:>12} {:>12}", "", "in", "out", "dropped")));
    let per_second = [rates.messages_received, rates.messages_sent, rates.messages_dropped];
    let [received, sent, dropped] = per_second.map(rate);
    let tone = match rates.messages_dropped {
        Some(dropped) if dropped > 0.0 => Tone::Alarming,
        _ => Tone::Plain,
    };
    let text = format!("{:14} {received:>12} {sent:>12} {dropped:>12}", "messages/s");
    lines.push(Line { text, tone });
    let [received, sent] = [rates.bytes_received, rates.bytes_sent].map(|rate| {
        // Below what a float holds exactly: a rate of bytes is no more than that.
        bytes(rate.map(|rate| rate.round() as u64))
    });
    lines.push(plain_line(format!("{:14} {received:>12} {sent:>12}", "bytes/s")));
    let all = [totals.messages_received, totals.messages_sent, totals.messages_dropped];
    let [received, sent, dropped] = all.map(count);
    lines.push(plain_line(format!("{:14} {received:>12} {sent:>12} {dropped:>12}", "messages")));
    let [received, sent] = [totals.bytes_received, totals.bytes_sent].map(bytes);
    lines.push(plain_line(format!("{:14} {received:>12} {sent:>12}", "bytes")));
}

fn append_slowest(sample: &Sample, lines: &mut Vec<Line>) {
    if sample.slowest.is_empty() {
        return;
    }
    lines.push(plain_line(String::new()));
    lines.push(heading(format!(
        "{:30} {:9} {:>9} {:>10} {:>10} {:>9} {:>9} {:>9}",
        "slowest clients",
        "state",
        "waiting",
        "bytes",
        "unwritten",
        "in flight",
        "dropped",
        "a second"
    )));
    for slow in &sample.slowest {
        let text = format!(
            "{} {:9} {:>9} {:>10} {:>10} {:>9} {:>9} {:>9}",
            filled(&plain(&slow.client), 30),
            state(slow),
            count(Some(slow.queued_messages)),
            bytes(Some(slow.queued_bytes)),
            bytes(Some(slow.unwritten_bytes)),
            count(Some(slow.in_flight)),
            count(Some(slow.dropped)),
            rate(slow.dropped_per_second),
        );
        let is_losing = slow.slow || slow.dropped_per_second.is_some_and(|rate| rate > 0.0);
        lines.push(Line { text, tone: if is_losing { Tone::Alarming } else { Tone::Plain } });
    }
}

fn append_drops(sample: &Sample, lines: &mut Vec<Line>) {
    if sample.drops.is_empty() {
        return;
    }
    lines.push(plain_line(String::new()));
    lines.push(heading(format!("{:30} {:20} {:>12}", "dropped", "why", "messages")));
    for dropped in &sample.drops {
        let prefix = filled(&plain(&dropped.prefix), 30);
        let reason = filled(&plain(&dropped.reason), 20);
        let messages = count(Some(dropped.messages));
        lines.push(plain_line(format!("{prefix} {reason} {messages:>12}")));
    }
}

fn heading(text: String) -> Line {
    Line { text, tone: Tone::Heading }
}

fn plain_line(text: String) -> Line {
    Line { text, tone: Tone::Plain }
}

fn state(slow: &Slow) -> &'static str {
    match (slow.connected, slow.slow) {
        (false, _) => "away",
        (true, true) => "slow",
        (true, false) => "connected",
    }
}

/// Text that somebody else chose, without what would command a terminal.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() || turns_text(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

/// Whether it makes a terminal write in the other direction, so that text seems to be another.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What of it fits into so many columns; wide letters take two, and half of one cannot be shown.
fn cut(text: &str, columns_max: usize) -> &str {
    let letters_max = columns_max.saturating_mul(LETTERS_PER_COLUMN_MAX);
    let mut columns = 0;
    for (letters, (at, letter)) in text.char_indices().enumerate() {
        columns += letter.width().unwrap_or(0);
        if columns > columns_max || letters >= letters_max {
            return &text[..at];
        }
    }
    text
}

fn shortened(text: &str, columns_max: usize) -> String {
    let shown = cut(text, columns_max);
    if shown.len() == text.len() {
        text.to_owned()
    } else {
        format!("{}…", cut(text, columns_max - 1))
    }
}

/// The same, with spaces behind it up to so many columns.
fn filled(text: &str, columns: usize) -> String {
    let mut text = shortened(text, columns);
    let shown: usize = text.chars().filter_map(UnicodeWidthChar::width).sum();
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(shown)));
    text
}

/// A number with a comma between each three digits, or `-` if it is not known.
fn count(number: Option<u64>) -> String {
    let Some(number) = number else { return "-".to_owned() };
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

fn rate(per_second: Option<f64>) -> String {
    match per_second {
        Some(rate) if rate < 10.0 => format!("{rate:.1}"),
        // No counter is so fast that a float is too coarse for it.
        Some(rate) => count(Some(rate.round() as u64)),
        None => "-".to_owned(),
    }
}

fn bytes(number: Option<u64>) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let Some(number) = number else { return "-".to_owned() };
    if number < 1024 {
        return format!("{number} B");
    }
    let mut amount = number as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::sample::tests::board;
    use super::*;

    const SLOWEST: &str = r#"[{"client":"bad\u001b[2J","connected":true,"slow":true,
        "queued_messages":1500,"queued_bytes":2048,"unwritten_bytes":3,"in_flight":20,"dropped":7}]"#;

    fn sample() -> Sample {
        let rows = |uptime, received, dropped| {
            [
                ("version", "skein version 1"),
                ("uptime", uptime),
                ("clients/connected", "12"),
                ("publish/messages/received", received),
                ("publish/messages/dropped", dropped),
                ("clients/slowest", SLOWEST),
                ("drops", r#"[{"reason":"queue full","prefix":"home","messages":7}]"#),
            ]
        };
        let start = Instant::now();
        let first = board(false, &rows("3600 seconds", "0", "0")).sample(start, None);
        let at = start + Duration::from_secs(10);
        board(false, &rows("3610 seconds", "123456", "7")).sample(at, Some(&first))
    }

    #[test]
    fn a_sample_is_a_table() {
        let text = show(&sample(), "here", Look::PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "skein version 1 at here, up 1 h 0 min");
        assert_eq!(lines[1], "clients        12 connected, - away, - at most");
        assert_eq!(lines[5], "messages/s           12,346            -          0.7");
        assert_eq!(
            lines[11],
            "bad\\u{1b}[2J                   slow          1,500    2.0 KiB        3 B        20         \
             7       0.0"
        );
        assert_eq!(
            lines[14].split_whitespace().collect::<Vec<_>>(),
            ["home", "queue", "full", "7"]
        );
        assert!(!text.contains('\x1b'), "nobody commands the terminal");
    }

    #[test]
    fn a_screen_has_so_many_lines_and_columns_and_its_colors_end() {
        let look = Look { has_colors: true, columns: 20, rows: 6 };
        let text = show(&sample(), "here", look);
        assert_eq!(text.lines().count(), 6);
        assert!(text.starts_with("\x1b[1mskein version 1 at h\x1b[0m\n"), "{text:?}");
        assert!(text.contains("\x1b[31mmessages/s"), "losses are alarming");
        assert_eq!(text.matches("\x1b[0m").count(), text.matches("\x1b[").count() / 2);
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(|n| count(Some(n))),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1023, 1024, 1 << 40].map(|n| bytes(Some(n))),
            ["0 B", "1023 B", "1.0 KiB", "1.0 TiB"]
        );
        assert_eq!(
            [5, 65, 3_700, 90_000].map(duration),
            ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]
        );
        assert_eq!([Some(0.04), Some(1234.5), None].map(rate), ["0.0", "1,235", "-"]);
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("漢字漢", 4), "漢…");
        assert_eq!([cut("a漢字", 4), cut("漢字", usize::MAX)], ["a漢", "漢字"]);
        // Marks above letters, one upon the other.
        assert_eq!(cut(&"\u{301}".repeat(99), 3).chars().count(), 12);
    }

    #[test]
    fn what_others_chose_is_short_and_runs_one_way() {
        let (long, turned) = ("v".repeat(5_000), "a\u{202e}b\u{2066}c");
        let drops = format!(r#"[{{"reason":"{long}","prefix":"{turned}","messages":7}}]"#);
        let rows = [("version", long.as_str()), ("clients/connected", "1"), ("drops", &drops)];
        let text = show(&board(false, &rows).sample(Instant::now(), None), "here", Look::PLAIN);
        assert!(text.contains("a\\u{202e}b\\u{2066}c"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 220), "{text}");
    }

    #[test]
    fn wide_letters_take_two_columns() {
        let wide = "\u{6f22}".repeat(60);
        let slowest = format!(r#"[{{"client":"{wide}","connected":true}}]"#);
        let drops = format!(r#"[{{"reason":"full","prefix":"{}","messages":7}}]"#, "\u{6f22}a");
        let rows = [("version", wide.as_str()), ("clients/slowest", &slowest), ("drops", &drops)];
        let sample = board(false, &rows).sample(Instant::now(), None);
        let look = Look { has_colors: false, columns: 39, rows: 99 };
        let text = show(&sample, "here", look);
        // Nineteen of them, as half a letter cannot be shown.
        assert_eq!(text.lines().next(), Some(&wide[..19 * 3]));
        // What follows them stands where it always does.
        let text = show(&sample, "here", Look::PLAIN);
        let column = format!("\n{}\u{2026}  connected ", &wide[..14 * 3]);
        assert!(text.contains(&column), "{text}");
        let column = format!("\n\u{6f22}a{} full ", " ".repeat(27));
        assert!(text.contains(&column), "{text}");
    }
}
