//! The end of a bridge.

use std::time::{Duration, Instant};

use skein_client::ReasonCode;
use skein_client::reactor::{Reactor, Seat};

use super::Relay;

/// A bridge that comes to its end: it takes nothing more, brings over what is on its way, says so, and
/// goes.
pub(in crate::server::bridge) struct Leaving {
    until: Instant,
    /// Whether its sessions end, too: it has been removed.
    ends_sessions: bool,
    has_said: bool,
    has_gone: bool,
}

impl Leaving {
    fn new(until: Instant, ends_sessions: bool) -> Self {
        Self { until, ends_sessions, has_said: false, has_gone: false }
    }

    /// Whether it is to say now that it ends: once, when nothing is on its way or it is late.
    pub(super) fn says(&mut self, now: Instant, is_idle: bool) -> bool {
        let says = !self.has_said && (is_idle || now >= self.until);
        self.has_said |= says;
        says
    }

    /// Whether it is to go now: once, after it has said so and everything is written, or it is late.
    pub(super) fn goes(&mut self, now: Instant, has_written: bool) -> bool {
        let goes = self.has_said && !self.has_gone && (has_written || now >= self.until);
        self.has_gone |= goes;
        goes
    }
}

impl Relay {
    /// Begins to end. Of one that ends already, what the settings say last decides about its sessions.
    pub(in crate::server::bridge) fn leave(&mut self, until: Instant, ends_sessions: bool) {
        let leaving = self.leaving.get_or_insert(Leaving::new(until, ends_sessions));
        leaving.ends_sessions = ends_sessions;
    }

    /// Nothing is on its way that could still arrive.
    pub(super) fn is_idle(&self, reactor: &mut Reactor) -> bool {
        [&self.local, &self.remote].into_iter().all(|end| {
            let is_up = reactor.seat(end.id).is_some_and(|seat| seat.session().is_up());
            !is_up || (end.passing.is_empty() && end.waiting.is_empty())
        })
    }

    /// Everything has been said, as far as somebody listens.
    pub(super) fn has_written(&self, reactor: &mut Reactor) -> bool {
        let is_done = |seat: Seat<'_>| {
            let statistics = seat.session().statistics(Duration::ZERO);
            !seat.session().is_up() || statistics.queued + statistics.in_flight == 0
        };
        [self.local.id, self.remote.id].into_iter().all(|id| reactor.seat(id).is_none_or(is_done))
    }

    pub(super) fn go(&self, reactor: &mut Reactor) {
        let ends = self.leaving.as_ref().is_some_and(|leaving| leaving.ends_sessions);
        for id in [self.local.id, self.remote.id] {
            if let Some(mut seat) = reactor.seat(id) {
                seat.disconnect_with(ReasonCode::Success, ends.then_some(0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    #[test]
    fn who_leaves_with_something_on_its_way_says_so_when_that_has_arrived_and_then_goes() {
        let now = Instant::now();
        let mut leaving = Leaving::new(now + 100 * STEP, false);
        for step in 0..3 {
            assert!(!leaving.says(now + step * STEP, false), "something is on its way");
            assert!(!leaving.goes(now + step * STEP, true), "it has not said so");
        }
        let now = now + 3 * STEP;
        assert!(leaving.says(now, true) && !leaving.says(now, true), "once");
        assert!(!leaving.goes(now, false), "not everything is written");
        assert!(leaving.goes(now, true) && !leaving.goes(now, true), "once");
    }

    #[test]
    fn who_is_late_says_so_and_goes_whatever_is_on_its_way() {
        let until = Instant::now();
        let mut leaving = Leaving::new(until, false);
        assert!(!leaving.goes(until, false), "it has not said so");
        assert!(leaving.says(until, false) && leaving.goes(until, false));
        assert!(!leaving.says(until, true) && !leaving.goes(until, true));
    }
}
