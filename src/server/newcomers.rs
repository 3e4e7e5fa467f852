//! How fast new connections are let in while others publish. A storm of them takes what time it can
//! get; the messages of those who are there would wait for it. So it is left a part of the shards'
//! time only, and the rest of the storm waits in the kernel's queue, where it costs nothing. Where
//! nobody publishes, or only who has just come, as after a start, everybody is let in at once.

use std::time::{Duration, Instant};

/// Messages a second of those who are there, from which on newcomers have to wait for them.
const PUBLISHES_PER_S_MIN: u128 = 20;
/// How long messages are counted until it is said whether there are so many.
const WINDOW: Duration = Duration::from_millis(100);
/// Newcomers may take this part of the shards' time.
const TIME_SHARE: u32 = 8;
/// Those of so much time may come at once.
const BURST: Duration = Duration::from_millis(8);
/// Nobody waits longer than this for those who came before: a shard that stood still beside a
/// newcomer, as on a machine that was stopped, has not worked for it.
const DEBT_MAX: Duration = Duration::from_secs(1);

/// The acceptor's counter of this, and what it counts.
pub(super) const COUNTER: (&str, &str) = (
    "newcomers_delayed",
    "Times that new connections were left in the kernel's queue because of \
     `newcomers_per_shard_per_s_max`",
);

/// What the shards have done since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// Messages from clients that have been there for a while.
    pub(super) publishes: usize,
    /// Microseconds that the shards have spent on newcomers.
    pub(super) newcomers_us: usize,
}

/// The pace at which new connections are let in.
#[derive(Debug)]
pub(super) struct Newcomers {
    shards: u32,
    /// How many each shard takes in a second; 0 for as many as come.
    per_s: u32,
    /// As of the beginning of the window.
    window: (Instant, usize),
    is_published: bool,
    /// What newcomers had cost at the last look.
    newcomers_us: usize,
    /// Those who came are paid for until then.
    paid_until: Instant,
    /// How often somebody had to wait.
    delays: u64,
    /// The listener whose newcomers came first in this turn.
    first_door: usize,
}

impl Newcomers {
    pub(super) fn new(shards: usize, now: Instant) -> Self {
        Self {
            shards: u32::try_from(shards).unwrap_or(u32::MAX).max(1),
            per_s: 0,
            window: (now, 0),
            is_published: false,
            newcomers_us: 0,
            paid_until: now,
            delays: 0,
            first_door: 0,
        }
    }

    /// The listener, of so many, whose newcomers come first in this turn. Each turn it is another one,
    /// as the pace is one for all: a storm at one door must not shut those behind it.
    pub(super) fn first_door(&mut self, count: usize) -> usize {
        self.first_door = (self.first_door + 1) % count.max(1);
        self.first_door
    }

    /// Looks at what the shards have done. Each takes `per_s` newcomers a second from now on.
    pub(super) fn look(&mut self, work: Work, per_s: u32, now: Instant) {
        self.per_s = per_s;
        let (since, before) = self.window;
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            let publishes = work.publishes.wrapping_sub(before) as u128;
            let least = PUBLISHES_PER_S_MIN * elapsed.as_millis() / 1_000;
            self.is_published = publishes >= least.max(1);
            self.window = (now, work.publishes);
        }
        let spent_us = work.newcomers_us.wrapping_sub(self.newcomers_us);
        self.newcomers_us = work.newcomers_us;
        self.pay(Duration::from_micros(spent_us as u64) * TIME_SHARE / self.shards, now);
    }

    /// Somebody was let in. Who is refused costs too little to hold up others.
    pub(super) fn note_accepted(&mut self, now: Instant) {
        if self.per_s > 0 {
            self.pay(Duration::from_secs(1) / self.per_s / self.shards, now);
        }
    }

    /// Where nobody publishes, nobody pays: those whom a start has let in at once are no debt of those
    /// who come when the first of them publish.
    fn pay(&mut self, cost: Duration, now: Instant) {
        if self.is_published {
            let owed = self.paid_until.saturating_duration_since(now);
            self.paid_until = now + owed.saturating_add(cost).min(DEBT_MAX);
        }
    }

    /// Whether the next one has to wait; counts it if so.
    pub(super) fn must_wait(&mut self, now: Instant) -> bool {
        let must_wait = self.wait_until(now).is_some();
        self.delays += u64::from(must_wait);
        must_wait
    }

    /// The counter's name and value, for the log.
    pub(super) fn row(&self) -> (&'static str, u64) {
        (COUNTER.0, self.delays)
    }

    /// Until when the next one has to wait, if it has to; no longer than until it is known whether
    /// anybody still publishes.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let until = self.paid_until.checked_sub(BURST)?;
        let must_wait = self.per_s > 0 && self.is_published && until > now;
        must_wait.then(|| until.min(self.window.0 + WINDOW).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_S: u32 = 1_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// How many are let in at this moment.
    fn let_in(newcomers: &mut Newcomers, now: Instant) -> usize {
        let mut count = 0;
        while count < 10_000 && !newcomers.must_wait(now) {
            newcomers.note_accepted(now);
            count += 1;
        }
        count
    }

    /// Two shards, for a tenth of a second, that have got many messages.
    fn published(start: Instant) -> (Newcomers, Work) {
        let mut newcomers = Newcomers::new(2, start);
        let work = Work { publishes: 1_000, newcomers_us: 0 };
        newcomers.look(work, PER_S, start + ms(100));
        (newcomers, work)
    }

    #[test]
    fn where_nobody_publishes_everybody_is_let_in() {
        let start = Instant::now();
        let mut newcomers = Newcomers::new(2, start);
        newcomers.look(Work { publishes: 1, newcomers_us: 0 }, PER_S, start + ms(100));
        assert_eq!(let_in(&mut newcomers, start + ms(100)), 10_000);
        let (mut newcomers, work) = published(start);
        newcomers.look(work, 0, start + ms(100));
        assert_eq!(let_in(&mut newcomers, start + ms(100)), 10_000);
    }

    #[test]
    fn beside_publishers_each_shard_takes_its_pace() {
        let start = Instant::now();
        let (mut newcomers, _) = published(start);
        let burst = let_in(&mut newcomers, start + ms(100));
        assert_eq!(burst, 17, "8 ms of two shards, and the one that was too much");
        assert_eq!(let_in(&mut newcomers, start + ms(105)), 10);
        assert_eq!(newcomers.wait_until(start + ms(105)), Some(start + ms(105) + ms(1) / 2));
    }

    /// As handshakes of TLS are.
    #[test]
    fn dear_newcomers_are_fewer() {
        let start = Instant::now();
        let (mut newcomers, work) = published(start);
        let work = Work { newcomers_us: 20_000, ..work };
        newcomers.look(work, PER_S, start + ms(100));
        let until = newcomers.wait_until(start + ms(100));
        assert_eq!(until, Some(start + ms(100 + 80) - BURST));
    }

    /// As after a start: thousands have come before the first of them publish.
    #[test]
    fn who_came_while_nobody_published_is_no_debt_of_others() {
        let start = Instant::now();
        let mut newcomers = Newcomers::new(2, start);
        newcomers.look(Work { publishes: 0, newcomers_us: 0 }, PER_S, start + ms(100));
        assert_eq!(let_in(&mut newcomers, start + ms(100)), 10_000);
        let work = Work { publishes: 1_000, newcomers_us: 1_000_000 };
        newcomers.look(Work { publishes: 0, ..work }, PER_S, start + ms(150));
        newcomers.look(work, PER_S, start + ms(200));
        assert_eq!(let_in(&mut newcomers, start + ms(200)), 17);
    }

    /// A shard was stopped for an hour while it read a newcomer.
    #[test]
    fn nobody_waits_for_long_because_a_shard_stood_still() {
        let start = Instant::now();
        let (mut newcomers, work) = published(start);
        let mut look = |work: Work, at_ms: u64| {
            newcomers.look(work, PER_S, start + ms(at_ms));
            newcomers.must_wait(start + ms(at_ms))
        };
        let stopped = Work { newcomers_us: 3_600_000_000, ..work };
        assert!(look(stopped, 100));
        assert!(look(Work { publishes: 10_000, ..stopped }, 1_000));
        assert!(!look(Work { publishes: 20_000, ..stopped }, 1_100));
        assert!(look(Work { publishes: 30_000, newcomers_us: usize::MAX }, 3_000));
    }

    /// The acceptor looks again when it can know that nobody publishes any more.
    #[test]
    fn who_waits_is_looked_at_when_the_window_ends() {
        let start = Instant::now();
        let (mut newcomers, work) = published(start);
        newcomers.look(Work { newcomers_us: 1_000_000, ..work }, PER_S, start + ms(110));
        assert_eq!(newcomers.wait_until(start + ms(110)), Some(start + ms(200)));
        newcomers.look(Work { newcomers_us: 1_000_000, ..work }, PER_S, start + ms(200));
        assert_eq!(newcomers.wait_until(start + ms(200)), None);
    }

    #[test]
    fn the_pace_of_the_greatest_broker_and_of_the_smallest_is_kept() {
        let start = Instant::now();
        let published = |shards: usize, per_s: u32| {
            let mut newcomers = Newcomers::new(shards, start);
            newcomers.look(Work { publishes: 1_000, newcomers_us: 0 }, per_s, start + ms(100));
            newcomers
        };
        let mut slowest = published(1, 1);
        assert_eq!(let_in(&mut slowest, start + ms(100)), 1);
        assert!(slowest.must_wait(start + ms(1_000)));
        assert_eq!(let_in(&mut slowest, start + ms(1_100)), 1);
        let mut fastest = published(64, 1_000_000);
        assert_eq!(let_in(&mut fastest, start + ms(100)), 10_000);
        assert!(fastest.paid_until > start + ms(100));
    }

    #[test]
    fn every_door_is_first_in_turn() {
        let mut newcomers = Newcomers::new(1, Instant::now());
        let first: Vec<usize> = (0..5).map(|_| newcomers.first_door(3)).collect();
        assert_eq!(first, [1, 2, 0, 1, 2]);
        assert_eq!((newcomers.first_door(1), newcomers.first_door(0)), (0, 0));
    }

    #[test]
    fn the_pace_ends_with_the_messages() {
        let start = Instant::now();
        let (mut newcomers, work) = published(start);
        let_in(&mut newcomers, start + ms(100));
        newcomers.look(work, PER_S, start + ms(200));
        assert_eq!(let_in(&mut newcomers, start + ms(200)), 10_000);
    }
}
