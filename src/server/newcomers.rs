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
        }
    }

    /// Looks at what the shards have done. Each takes `per_s` newcomers a second from now on.
    pub(super) fn look(&mut self, work: Work, per_s: u32, now: Instant) {
        self.per_s = per_s;
        let (since, before) = self.window;
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            let publishes = work.publishes.wrapping_sub(before) as u128;
            let least = PUBLISHES_PER_S_MIN * elapsed.as_millis() / 1_000;
            self.is_published = publishes >= least;
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

    fn pay(&mut self, cost: Duration, now: Instant) {
        self.paid_until = self.paid_until.max(now) + cost;
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

    /// Until when the next one has to wait, if it has to.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let until = self.paid_until.checked_sub(BURST)?;
        (self.per_s > 0 && self.is_published && until > now).then_some(until)
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

    #[test]
    fn the_pace_ends_with_the_messages() {
        let start = Instant::now();
        let (mut newcomers, work) = published(start);
        let_in(&mut newcomers, start + ms(100));
        newcomers.look(work, PER_S, start + ms(200));
        assert_eq!(let_in(&mut newcomers, start + ms(200)), 10_000);
    }
}
