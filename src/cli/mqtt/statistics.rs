//! `--stats`: how much it was, and how fast.

use std::fmt::Write;
use std::time::{Duration, Instant};

/// What was counted since the connection was there.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Statistics {
    began: Instant,
    messages: u64,
    payload_bytes: u64,
    lost: u64,
    answers: Spans,
}

/// Spans of time: how many, and how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Spans {
    count: u32,
    sum: Duration,
    shortest: Duration,
    longest: Duration,
}

impl Spans {
    /// One more.
    pub(in crate::cli) fn add(&mut self, span: Duration) {
        self.shortest = if self.count == 0 { span } else { self.shortest.min(span) };
        self.longest = self.longest.max(span);
        self.sum += span;
        self.count += 1;
    }

    /// The shortest, the mean and the longest in milliseconds, if there are any.
    pub(in crate::cli) fn millis(&self) -> Option<[f64; 3]> {
        let mean = self.sum.checked_div(self.count)?;
        Some([self.shortest, mean, self.longest].map(|span| span.as_secs_f64() * 1e3))
    }
}

impl Statistics {
    /// Begins to count.
    pub(in crate::cli) fn new(now: Instant) -> Self {
        Self { began: now, messages: 0, payload_bytes: 0, lost: 0, answers: Spans::default() }
    }

    /// A message was there, or was handed over.
    pub(in crate::cli) fn add_message(&mut self, payload_bytes: usize) {
        self.messages += 1;
        self.payload_bytes += payload_bytes as u64;
    }

    /// The broker has answered after this time.
    pub(in crate::cli) fn add_answer(&mut self, took: Duration) {
        self.answers.add(took);
    }

    /// The connection was lost.
    pub(in crate::cli) fn add_loss(&mut self) {
        self.lost += 1;
    }

    /// A line of it all.
    pub(in crate::cli) fn show(&self, now: Instant) -> String {
        /// A run that took no time would have been infinitely fast.
        const SECONDS_MIN: f64 = 1e-6;
        let seconds = now.saturating_duration_since(self.began).as_secs_f64().max(SECONDS_MIN);
        let (messages, bytes) = (self.messages, self.payload_bytes);
        let mut line = format!(
            "{messages} messages, {bytes} bytes of payload in {seconds:.3} s: {:.1} messages/s, \
             {:.0} bytes/s",
            messages as f64 / seconds,
            bytes as f64 / seconds
        );
        // A String takes everything.
        if let Some([shortest, mean, longest]) = self.answers.millis() {
            let _ = write!(
                line,
                "; acknowledged after {shortest:.3} to {longest:.3} ms, {mean:.3} on average"
            );
        }
        if self.lost > 0 {
            let _ = write!(line, "; the connection was lost {} times", self.lost);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_bytes_and_answers_are_told() {
        let began = Instant::now();
        let mut statistics = Statistics::new(began);
        for bytes in [100, 300] {
            statistics.add_message(bytes);
        }
        let line = statistics.show(began + Duration::from_secs(2));
        let expected = "2 messages, 400 bytes of payload in 2.000 s: 1.0 messages/s, 200 bytes/s";
        assert_eq!(line, expected);
        statistics.add_answer(Duration::from_millis(1));
        statistics.add_answer(Duration::from_millis(4));
        statistics.add_loss();
        let line = statistics.show(began + Duration::from_secs(2));
        let more = "; acknowledged after 1.000 to 4.000 ms, 2.500 on average; \
                    the connection was lost 1 times";
        assert_eq!(line, format!("{expected}{more}"));
    }

    #[test]
    fn no_time_at_all_is_no_division_by_zero() {
        let began = Instant::now();
        assert!(Statistics::new(began).show(began).starts_with("0 messages, 0 bytes"));
    }
}
