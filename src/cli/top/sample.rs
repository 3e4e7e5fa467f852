//! What a broker says below `$SYS`, taken together at one moment; and what happened between two.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Where a broker speaks of itself.
const ROOT: &str = "$SYS/broker/";

/// What a sample is made of. A broker says more, and a bridge keeps there what it likes.
const NAMES: [&str; 18] = [
    "version",
    "uptime",
    "clients/connected",
    "clients/disconnected",
    "clients/maximum",
    "subscriptions/count",
    "retained messages/count",
    "queues/messages",
    "queues/bytes",
    "memory/bytes",
    "heap/current",
    "publish/messages/received",
    "publish/messages/sent",
    "publish/messages/dropped",
    "bytes/received",
    "bytes/sent",
    "clients/slowest",
    "drops",
];

/// Rows of a list that are taken from a broker.
const ROWS_MAX: usize = 100;

/// What has been heard so far, by what of [`NAMES`] it is.
#[derive(Debug, Default)]
pub(super) struct Board {
    values: BTreeMap<&'static str, String>,
    /// Whether what is said together was said just now, and not kept from earlier.
    is_live: bool,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Sample {
    pub(super) version: String,
    pub(super) uptime_s: Option<u64>,
    pub(super) clients: Clients,
    pub(super) subscriptions: Option<u64>,
    pub(super) retained: Option<u64>,
    pub(super) waiting_messages: Option<u64>,
    pub(super) waiting_bytes: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) totals: Totals,
    /// A second, since the sample before; nothing is known of that with the first one.
    pub(super) per_second: Option<PerSecond>,
    pub(super) slowest: Vec<Slow>,
    pub(super) drops: Vec<Dropped>,
    #[serde(skip)]
    taken: Taken,
}

/// When a sample was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Taken {
    at: Instant,
    is_live: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Clients {
    pub(super) connected: Option<u64>,
    pub(super) disconnected: Option<u64>,
    pub(super) maximum: Option<u64>,
}

/// Counted since the broker has started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) messages_received: Option<u64>,
    pub(super) messages_sent: Option<u64>,
    pub(super) messages_dropped: Option<u64>,
    pub(super) bytes_received: Option<u64>,
    pub(super) bytes_sent: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct PerSecond {
    pub(super) messages_received: Option<f64>,
    pub(super) messages_sent: Option<f64>,
    pub(super) messages_dropped: Option<f64>,
    pub(super) bytes_received: Option<f64>,
    pub(super) bytes_sent: Option<f64>,
}

/// A client that does not keep up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Slow {
    pub(super) client: String,
    pub(super) connected: bool,
    pub(super) slow: bool,
    pub(super) queued_messages: u64,
    pub(super) queued_bytes: u64,
    pub(super) unwritten_bytes: u64,
    pub(super) in_flight: u64,
    pub(super) dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dropped_per_second: Option<f64>,
}

/// Messages that were not delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Dropped {
    pub(super) reason: String,
    pub(super) prefix: String,
    pub(super) messages: u64,
}

impl Board {
    /// Takes in a message; true if it may be the first of those that are said together: as long as no
    /// uptime was heard, which begins them, each may.
    pub(super) fn note(&mut self, topic: &str, payload: &[u8], is_retained: bool) -> bool {
        let name = topic.strip_prefix(ROOT);
        let Some(name) = NAMES.into_iter().find(|known| name == Some(*known)) else { return false };
        self.values.insert(name, String::from_utf8_lossy(payload).into_owned());
        // An access list may keep this client from reading it.
        let begins = name == "uptime" || !self.values.contains_key("uptime");
        if begins {
            // After a reconnect what was kept comes once more.
            self.is_live = !is_retained;
        }
        begins
    }

    /// Whether nothing was heard yet.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All of it, as of now; what was said `before` makes rates of it.
    pub(super) fn sample(&self, at: Instant, before: Option<&Sample>) -> Sample {
        let mut sample = Sample {
            version: self.text("version").unwrap_or_default().to_owned(),
            uptime_s: self.number("uptime"),
            clients: Clients {
                connected: self.number("clients/connected"),
                disconnected: self.number("clients/disconnected"),
                maximum: self.number("clients/maximum"),
            },
            subscriptions: self.number("subscriptions/count"),
            retained: self.number("retained messages/count"),
            waiting_messages: self.number("queues/messages"),
            waiting_bytes: self.number("queues/bytes"),
            memory_bytes: self.number("memory/bytes").or_else(|| self.number("heap/current")),
            totals: Totals {
                messages_received: self.number("publish/messages/received"),
                messages_sent: self.number("publish/messages/sent"),
                messages_dropped: self.number("publish/messages/dropped"),
                bytes_received: self.number("bytes/received"),
                bytes_sent: self.number("bytes/sent"),
            },
            per_second: None,
            slowest: self.list("clients/slowest"),
            drops: self.list("drops"),
            taken: Taken { at, is_live: self.is_live },
        };
        if let Some(before) = before {
            sample.compare(before);
        }
        sample
    }

    /// The number that a value begins with: Mosquitto says "7 seconds".
    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.split(' ').next()?.parse().ok()
    }

    fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(NAMES.contains(&name), "{name} is not kept");
        self.values.get(name).map(String::as_str)
    }

    /// A list of JSON; without it, an empty one.
    fn list<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Vec<T> {
        let rows = self.text(name).and_then(|text| serde_json::from_str(text).ok());
        let mut rows: Vec<T> = rows.unwrap_or_default();
        rows.truncate(ROWS_MAX);
        rows
    }
}

impl Sample {
    fn compare(&mut self, before: &Self) {
        let Some(elapsed) = self.since(before) else { return };
        let (new, old) = (&self.totals, &before.totals);
        let rate = |new: Option<u64>, old: Option<u64>| {
            Some(new?.checked_sub(old?)? as f64 / elapsed.as_secs_f64())
        };
        self.per_second = Some(PerSecond {
            messages_received: rate(new.messages_received, old.messages_received),
            messages_sent: rate(new.messages_sent, old.messages_sent),
            messages_dropped: rate(new.messages_dropped, old.messages_dropped),
            bytes_received: rate(new.bytes_received, old.bytes_received),
            bytes_sent: rate(new.bytes_sent, old.bytes_sent),
        });
        for slow in &mut self.slowest {
            let old = before.slowest.iter().find(|old| old.client == slow.client);
            slow.dropped_per_second = rate(Some(slow.dropped), old.map(|old| old.dropped));
        }
    }

    /// How long after the other one it was said; `None` if that is not known, or the broker has
    /// started anew meanwhile.
    fn since(&self, before: &Self) -> Option<Duration> {
        if self.uptime_s < before.uptime_s {
            return None;
        }
        if before.taken.is_live && self.taken.is_live {
            let elapsed = self.taken.at.saturating_duration_since(before.taken.at);
            return Some(elapsed).filter(|elapsed| !elapsed.is_zero());
        }
        // What was kept was said some time before it came; only the broker's own clock knows when.
        let seconds = self.uptime_s?.checked_sub(before.uptime_s?)?;
        Some(Duration::from_secs(seconds)).filter(|elapsed| !elapsed.is_zero())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::top) fn board(is_retained: bool, rows: &[(&str, &str)]) -> Board {
        let mut board = Board::default();
        for (name, value) in rows {
            board.note(&format!("{ROOT}{name}"), value.as_bytes(), is_retained);
        }
        board
    }

    #[test]
    fn what_was_kept_is_dated_by_the_brokers_clock_and_the_rest_by_ours() {
        let start = Instant::now();
        let rows = |uptime, sent| [("uptime", uptime), ("bytes/sent", sent)];
        let first = board(true, &rows("100 seconds", "1000")).sample(start, None);
        assert_eq!((first.uptime_s, first.per_second), (Some(100), None));
        // It came right after the kept one, and was said five seconds later.
        let at = start + Duration::from_secs(1);
        let second = board(false, &rows("105 seconds", "1500")).sample(at, Some(&first));
        assert_eq!(second.per_second.and_then(|rates| rates.bytes_sent), Some(100.0));
        let at = at + Duration::from_millis(5_500);
        let third = board(false, &rows("110 seconds", "2050")).sample(at, Some(&second));
        assert_eq!(third.per_second.and_then(|rates| rates.bytes_sent), Some(100.0));
        let again = board(false, &rows("1 seconds", "5")).sample(at, Some(&third));
        assert_eq!(again.per_second, None, "the broker has started anew");
    }

    #[test]
    fn mosquitto_names_are_understood_and_what_it_does_not_say_is_not_known() {
        let rows = [
            ("version", "mosquitto version 2.0.11"),
            ("uptime", "7 seconds"),
            ("clients/connected", "3"),
            ("heap/current", "4096"),
            ("publish/messages/received", "12"),
        ];
        let sample = board(true, &rows).sample(Instant::now(), None);
        assert_eq!((sample.clients.connected, sample.memory_bytes), (Some(3), Some(4096)));
        assert_eq!((sample.totals.messages_received, sample.waiting_bytes), (Some(12), None));
        assert!(sample.slowest.is_empty() && sample.drops.is_empty());
    }

    #[test]
    fn lists_are_json_and_nonsense_is_an_empty_one() {
        let slowest = r#"[{"client":"a","slow":true,"dropped":10,"unheard_of":1}]"#;
        let rows = |slowest| [("uptime", "1 seconds"), ("clients/slowest", slowest)];
        let start = Instant::now();
        let first = board(false, &rows(slowest)).sample(start, None);
        assert_eq!((first.slowest[0].dropped, first.slowest[0].slow), (10, true));
        let more = slowest.replace("10", "30");
        let second =
            board(false, &rows(&more)).sample(start + Duration::from_secs(10), Some(&first));
        assert_eq!(second.slowest[0].dropped_per_second, Some(2.0));
        for nonsense in ["", "{", "7", "[7]"] {
            assert!(board(false, &rows(nonsense)).sample(start, None).slowest.is_empty());
        }
        assert!(!Board::default().note("home/uptime", b"x", false));
    }

    /// After a reconnect, what was kept comes once more, at a time that says nothing.
    #[test]
    fn what_was_kept_is_dated_by_the_brokers_clock_after_a_reconnect_too() {
        let start = Instant::now();
        let mut board = board(false, &[("uptime", "100 seconds"), ("bytes/sent", "1000")]);
        let first = board.sample(start, None);
        board.note("$SYS/broker/uptime", b"105 seconds", true);
        board.note("$SYS/broker/bytes/sent", b"1500", true);
        // It was said a moment ago, and had been said five seconds after the first.
        let second = board.sample(start + Duration::from_secs(9), Some(&first));
        assert_eq!(second.per_second.and_then(|rates| rates.bytes_sent), Some(100.0));
    }

    #[test]
    fn what_no_sample_holds_is_not_kept() {
        let mut board = Board::default();
        for number in 0..1_000 {
            board.note(&format!("$SYS/broker/clients/{number}"), b"x", false);
        }
        board.note("$SYS/broker/clients/connected", b"3", false);
        assert_eq!(board.values.len(), 1);
    }

    /// By an access list that lets it read a part only.
    #[test]
    fn who_may_not_read_the_uptime_hears_of_the_rest() {
        let mut board = Board::default();
        let mut note = |name: &str, is_retained| {
            board.note(&format!("{ROOT}{name}"), b"1", is_retained);
            board.note(&format!("{ROOT}{name}"), b"2", is_retained)
        };
        assert!(note("clients/connected", true) && note("clients/maximum", false));
        assert!(!note("load/bytes/sent/1min", false), "nobody looks at that");
        // Once it is there, only that begins what is said together.
        assert!(note("uptime", false) && !note("clients/connected", false));
    }

    #[test]
    fn without_an_uptime_rates_are_known_of_what_is_said_just_now() {
        let start = Instant::now();
        let mut board = board(true, &[("bytes/sent", "1000")]);
        let first = board.sample(start, None);
        let mut rate_of = |payload: &[u8], is_retained, before: &Sample| {
            board.note("$SYS/broker/bytes/sent", payload, is_retained);
            let sample = board.sample(before.taken.at + Duration::from_secs(5), Some(before));
            (sample.per_second.and_then(|rates| rates.bytes_sent), sample)
        };
        let (rate, second) = rate_of(b"1500", false, &first);
        assert_eq!(rate, None, "nobody knows when the first was said");
        let (rate, third) = rate_of(b"2000", false, &second);
        assert_eq!(rate, Some(100.0));
        assert_eq!(rate_of(b"2500", true, &third).0, None);
    }
}
