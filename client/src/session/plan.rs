//! When and where to connect next.

use std::sync::Arc;
use std::time::Duration;

use super::Attempt;
use crate::{Backoff, Options, Verdict};

/// The shortest delay after a server has said that it is busy.
const LATER: Duration = Duration::from_secs(15);

/// So many servers in a row may name another one; then they count as lost.
const REDIRECTS_MAX: u32 = 4;

/// The memory of attempts, and the dice.
#[derive(Debug)]
pub(super) struct Plan {
    random: fastrand::Rng,
    /// Which server is tried next.
    server: usize,
    /// A server that another one has named, tried before all others.
    redirect: Option<Arc<str>>,
    redirects: u32,
    /// Servers tried since the last delay.
    tried: usize,
    /// Delays since the last stable connection.
    delays: u32,
    /// Attempts since the last stable connection.
    attempts: u32,
}

/// How a connection, or the try to make one, has ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) verdict: Verdict,
    /// For how long the connection had lasted; `None` if there was none.
    pub(super) lasted: Option<Duration>,
    /// The server that was named instead.
    pub(super) redirect: Option<Arc<str>>,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            server: 0,
            redirect: None,
            redirects: 0,
            tried: 0,
            delays: 0,
            attempts: 0,
        }
    }

    /// The attempt that begins now.
    pub(super) fn attempt(&mut self, options: &Options) -> Attempt {
        self.attempts = self.attempts.saturating_add(1);
        let listed = options.servers.get(self.server % options.servers.len().max(1));
        let server = self.redirect.take().or_else(|| listed.cloned()).unwrap_or_default();
        Attempt { server, number: self.attempts }
    }

    /// After which delay to try again; `None`: not at all.
    pub(super) fn after(&mut self, ending: Ending, options: &Options) -> Option<Duration> {
        let backoff = options.reconnect.as_ref()?;
        if ending.lasted.is_some_and(|lasted| lasted >= backoff.stable) {
            // Only now: a server that accepts and then kicks is not asked again in a hurry.
            (self.delays, self.attempts, self.tried, self.redirects) = (0, 0, 0, 0);
        }
        if backoff.attempts_max.is_some_and(|max| self.attempts >= max) {
            return None;
        }
        match ending.verdict {
            Verdict::Stop => None,
            Verdict::Retry if ending.lasted.is_some() => Some(self.delay(backoff)),
            Verdict::Retry => Some(self.next_server(options, backoff, Duration::ZERO)),
            Verdict::RetryLater => Some(self.next_server(options, backoff, LATER)),
            Verdict::Elsewhere => Some(self.elsewhere(ending.redirect, options, backoff)),
        }
    }

    /// The next server of the list at once, or, when all were tried, after a delay.
    fn next_server(
        &mut self,
        options: &Options,
        backoff: &Backoff,
        delay_min: Duration,
    ) -> Duration {
        self.server = (self.server + 1) % options.servers.len().max(1);
        self.tried += 1;
        if self.tried < options.servers.len() {
            return Duration::ZERO;
        }
        self.tried = 0;
        self.delay(backoff).max(delay_min)
    }

    fn elsewhere(
        &mut self,
        redirect: Option<Arc<str>>,
        options: &Options,
        backoff: &Backoff,
    ) -> Duration {
        match redirect {
            Some(server) if self.redirects < REDIRECTS_MAX => {
                self.redirects += 1;
                self.redirect = Some(server);
                Duration::ZERO
            }
            _ => self.next_server(options, backoff, LATER),
        }
    }

    /// The next delay of the backoff, a random share shorter than twice the one before.
    fn delay(&mut self, backoff: &Backoff) -> Duration {
        let doublings = self.delays.min(31);
        self.delays += 1;
        let whole = backoff.first.saturating_mul(1 << doublings).min(backoff.longest);
        let share = 1.0 - backoff.jitter.clamp(0.0, 1.0) * self.random.f64();
        whole.mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(servers: &[&str], jitter: f64) -> Options {
        let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(8));
        let mut options = Options::new(servers.iter().copied());
        options.reconnect = Some(backoff.jitter(jitter));
        options
    }

    fn ending(verdict: Verdict, lasted_s: Option<u64>) -> Ending {
        Ending { verdict, lasted: lasted_s.map(Duration::from_secs), redirect: None }
    }

    fn delays(plan: &mut Plan, options: &Options, lasted_s: Option<u64>, count: usize) -> Vec<u64> {
        let next = |_| plan.after(ending(Verdict::Retry, lasted_s), options).unwrap().as_secs();
        (0..count).map(next).collect()
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let options = options(&["a"], 0.0);
        assert_eq!(delays(&mut Plan::new(1), &options, None, 6), [1, 2, 4, 8, 8, 8]);
    }

    /// A server that accepts and kicks at once is not asked in a busy loop.
    #[test]
    fn only_a_stable_connection_resets_the_delay() {
        let options = options(&["a"], 0.0);
        let mut plan = Plan::new(1);
        assert_eq!(delays(&mut plan, &options, Some(29), 4), [1, 2, 4, 8]);
        assert_eq!(delays(&mut plan, &options, Some(30), 1), [1]);
    }

    #[test]
    fn jitter_shortens_by_a_random_share_that_the_seed_decides() {
        let options = options(&["a"], 1.0);
        let draw = |seed| {
            let mut plan = Plan::new(seed);
            (0..8).map(|_| plan.after(ending(Verdict::Retry, None), &options).unwrap()).collect()
        };
        let (one, same, other): (Vec<_>, Vec<_>, Vec<_>) = (draw(1), draw(1), draw(2));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert!(one.iter().all(|delay| *delay < Duration::from_secs(8)));
    }

    #[test]
    fn all_servers_are_tried_before_the_first_delay() {
        let options = options(&["a", "b", "c"], 0.0);
        let mut plan = Plan::new(1);
        let mut tried = Vec::new();
        for _ in 0..6 {
            let server = plan.attempt(&options).server;
            let delay = plan.after(ending(Verdict::Retry, None), &options).unwrap();
            tried.push((server.to_string(), delay.as_secs()));
        }
        let expected = [("a", 0), ("b", 0), ("c", 1), ("a", 0), ("b", 0), ("c", 2)];
        assert_eq!(tried, expected.map(|(server, delay)| (server.to_owned(), delay)));
    }

    #[test]
    fn a_busy_server_is_left_alone_for_a_while() {
        let options = options(&["a"], 1.0);
        let delay = Plan::new(1).after(ending(Verdict::RetryLater, None), &options);
        assert_eq!(delay, Some(LATER));
    }

    #[test]
    fn a_named_server_is_tried_at_once_but_not_in_circles() {
        let options = options(&["a"], 0.0);
        let mut plan = Plan::new(1);
        plan.attempt(&options);
        for _ in 0..REDIRECTS_MAX {
            let redirect = Some("x".into());
            let ending = Ending { redirect, ..ending(Verdict::Elsewhere, None) };
            assert_eq!(plan.after(ending, &options), Some(Duration::ZERO));
            assert_eq!(&*plan.attempt(&options).server, "x");
        }
        let again = Ending { redirect: Some("x".into()), ..ending(Verdict::Elsewhere, None) };
        assert_eq!(plan.after(again, &options), Some(LATER));
        assert_eq!(&*plan.attempt(&options).server, "a");
    }

    #[test]
    fn a_reason_that_stays_and_too_many_attempts_end_it() {
        let mut options = options(&["a"], 0.0);
        assert_eq!(Plan::new(1).after(ending(Verdict::Stop, None), &options), None);
        options.reconnect.as_mut().unwrap().attempts_max = Some(2);
        let mut plan = Plan::new(1);
        plan.attempt(&options);
        assert!(plan.after(ending(Verdict::Retry, None), &options).is_some());
        plan.attempt(&options);
        assert!(plan.after(ending(Verdict::Retry, None), &options).is_none());
        options.reconnect = None;
        assert_eq!(Plan::new(1).after(ending(Verdict::Retry, None), &options), None);
    }
}
