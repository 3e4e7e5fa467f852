//! The end of a bridge.

use std::time::{Duration, Instant};

use skein_client::ReasonCode;
use skein_client::reactor::{Reactor, Seat};

use super::Relay;

/// A bridge that comes to its end: it takes nothing more, brings over what is on its way, says so, and
/// goes.
pub(in crate::server::bridge) struct Leaving {
    pub(super) until: Instant,
    /// Whether its sessions end, too: it has been removed.
    pub(super) ends_sessions: bool,
    pub(super) has_said: bool,
    pub(super) has_gone: bool,
}

impl Relay {
    /// Begins to end.
    pub(in crate::server::bridge) fn leave(&mut self, until: Instant, ends_sessions: bool) {
        let (has_said, has_gone) = (false, false);
        self.leaving.get_or_insert(Leaving { until, ends_sessions, has_said, has_gone });
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
