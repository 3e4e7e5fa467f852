//! What the broker says of itself below `$SYS`, every `sys_interval_s` seconds.
//!
//! ```text
//!   acceptor ──Report──▶ each shard      looks at its sessions, between other work
//!      ▲                     │
//!      └──────Reported───────┘           all have answered: the sums and lists become messages
//!   acceptor ──Announce──▶ each shard    gives them to those who want them, and keeps them
//! ```

mod load;
mod topics;

use std::time::{Duration, Instant};

use self::load::Loads;
pub use self::topics::SYS_TOPICS;
use self::topics::{Sums, announcements};
use super::acceptor::{Acceptor, Request};
use crate::net::{Command, ReportDesk, ShardReport};

/// When what is said next, and what was heard of it so far.
#[derive(Debug, Default)]
pub(super) struct Speaker {
    /// When the shards are asked next.
    ask_at: Option<Instant>,
    /// Whether they were asked, and have not all answered.
    is_waiting: bool,
    /// By shard.
    reports: Vec<Option<ShardReport>>,
    loads: Loads,
    /// When what was said last was said.
    said_at: Option<Instant>,
    /// The most clients that were found connected.
    clients_max: usize,
}

impl Speaker {
    /// When the acceptor has to look again.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Whether the shards are to be asked now.
    fn is_due(&mut self, interval: Duration, now: Instant) -> bool {
        if interval.is_zero() {
            self.ask_at = None;
            return false;
        }
        // The first time soon: who starts a broker wants to see it.
        const FIRST_WAIT: Duration = Duration::from_millis(100);
        // An interval that a reload has made shorter holds at once.
        let at = self.ask_at.map_or(now + FIRST_WAIT, |at| at.min(now + interval));
        let is_due = at <= now;
        self.ask_at = Some(if is_due { now + interval } else { at });
        is_due
    }
}

impl Acceptor {
    /// Asks the shards how they are, when it is time. One that has not answered is not asked again.
    pub(super) fn look_at_speaker(&mut self, now: Instant) {
        let interval = Duration::from_secs(self.settings.sys_interval_s);
        if self.ends_at.is_some() || !self.serves() {
            return;
        }
        if self.speaker.is_due(interval, now) && !self.speaker.is_waiting {
            self.speaker.is_waiting = true;
            self.speaker.reports = (0..self.dealer.shards()).map(|_| None).collect();
            let handle = self.reloading.handle().clone();
            let desk = ReportDesk::new(move |report| {
                handle.request(Request::Reported(Box::new(report)));
            });
            self.dealer.tell_all(|| Command::Report(desk.clone()));
        }
    }

    /// A shard has answered. Once all have, it is said.
    pub(super) fn take_report(&mut self, report: ShardReport, now: Instant) {
        let index = report.shard.index();
        if let Some(place) = self.speaker.reports.get_mut(index) {
            *place = Some(report);
        }
        if self.ends_at.is_some() || self.speaker.reports.iter().any(Option::is_none) {
            return;
        }
        self.speaker.is_waiting = false;
        let reports: Vec<_> =
            std::mem::take(&mut self.speaker.reports).into_iter().flatten().collect();
        let refused = self.refusals.rows().map(|(_, count)| count).sum();
        let sums = Sums::of(&reports, refused);
        self.speaker.clients_max = self.speaker.clients_max.max(sums.clients_connected);
        let since = self.speaker.said_at.replace(now).unwrap_or(self.start);
        self.speaker.loads.note(&sums, now.saturating_duration_since(since));
        let uptime = now.saturating_duration_since(self.start);
        let Speaker { loads, clients_max, .. } = &self.speaker;
        let announced = announcements(&reports, &sums, loads, *clients_max, uptime);
        self.dealer.tell_all(|| Command::Announce(announced.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shards_are_asked_at_each_interval_and_sooner_when_it_has_become_shorter() {
        let mut speaker = Speaker::default();
        let (start, seconds) = (Instant::now(), Duration::from_secs);
        assert!(!speaker.is_due(seconds(0), start));
        assert_eq!(speaker.next_deadline(), None);
        assert!(!speaker.is_due(seconds(10), start));
        let first = speaker.next_deadline().expect("it is on");
        assert!(first < start + seconds(1));
        assert!(speaker.is_due(seconds(10), first));
        assert_eq!(speaker.next_deadline(), Some(first + seconds(10)));
        assert!(!speaker.is_due(seconds(10), first + seconds(3)));
        assert!(!speaker.is_due(seconds(2), first + seconds(3)));
        assert!(speaker.is_due(seconds(2), first + seconds(5)));
        assert!(!speaker.is_due(seconds(0), first + seconds(9)));
        assert_eq!(speaker.next_deadline(), None);
    }
}
