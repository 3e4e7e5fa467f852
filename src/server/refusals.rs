//! Connections that the acceptor closes at once: counted by reason, and told of within a bound.

use std::net::IpAddr;
use std::time::Instant;

use super::throttle::Throttle;
use crate::net::Crowd;

/// Why a connection is closed before anything is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A limit on all connections, or on those of one listener.
    Full,
    /// The listener expects proxies, and this is none of them.
    Stranger,
    /// Its address has too many connections, or they come too fast.
    Crowded(Crowd),
}

/// The counters of this: their names, and what they count.
pub(super) const COUNTERS: [(&str, &str); 3] = [
    ("connections_refused", "Connections closed at once because `connections_max` was reached"),
    (
        "connections_untrusted",
        "Connections closed at once because `proxy_protocol_from` does not name their address",
    ),
    (
        "connections_crowded",
        "Connections closed at once because of `connections_per_address_max` or \
         `connections_per_address_per_s_max`",
    ),
];

/// What was refused so far.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// In the order of [`COUNTERS`].
    counts: [u64; COUNTERS.len()],
    lines: Throttle,
}

impl Refusals {
    /// Counts a refusal and tells of it, if it is not one of too many.
    pub(super) fn note(
        &mut self,
        refusal: Refusal,
        listener: &str,
        address: Option<IpAddr>,
        now: Instant,
    ) {
        let counter = match refusal {
            Refusal::Full => 0,
            Refusal::Stranger => 1,
            Refusal::Crowded(_) => 2,
        };
        self.counts[counter] += 1;
        if !self.lines.admit(now) {
            return;
        }
        let why = match refusal {
            Refusal::Full => "connections_max is reached".to_owned(),
            Refusal::Stranger => "proxy_protocol_from does not name its address".to_owned(),
            Refusal::Crowded(crowd) => crowd.to_string(),
        };
        let address = address.map(tracing::field::display);
        tracing::warn!(listener, address, "connection closed at once: {why}");
    }

    /// Tells how many were not told of, once their second is over.
    pub(super) fn tell_more(&mut self, now: Instant) {
        if let Some(more) = self.lines.take_more(now) {
            tracing::warn!("{more} more connections closed at once in the last second");
        }
    }

    /// When [`tell_more`](Self::tell_more) is wanted.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.lines.next_deadline()
    }

    /// Every counter with its value, for the log.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        COUNTERS.iter().zip(self.counts).map(|((name, _), count)| (*name, count))
    }
}
