//! Of two connections of one client the newer has the session, whichever of them the shards are
//! done with first.

use skein::shard::AcceptOrder;

use super::{At, Oracle, session::Session, violated};
use crate::link::{Link, LinkId};

/// How long a CONNECT may wait unread and still count from when its connection was accepted.
const UNREAD_MS_MAX: u64 = 1_000;

/// When a connection was accepted, and when its CONNECT was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    order: AcceptOrder,
    accepted: At,
    read: At,
}

impl Arrival {
    /// Whether this one was accepted before the other, and spoke soon enough to be the older.
    fn is_surely_before(&self, other: &Self) -> bool {
        let soon_ms = other.accepted.now.as_millis() + UNREAD_MS_MAX;
        self.order < other.order && self.read.now.as_millis() < soon_ms
    }

    /// Whether it may be the older at all.
    fn may_be_before(&self, other: &Self) -> bool {
        let soon_ms = other.accepted.now.as_millis() + UNREAD_MS_MAX;
        let was_soon = self.order < other.order && self.read.now.as_millis() <= soon_ms;
        was_soon || self.read.now < other.read.now
    }
}

impl Link {
    fn arrival(&self) -> Option<Arrival> {
        let (order, accepted) = self.accepted?;
        Some(Arrival { order, accepted, read: self.connect_read? })
    }
}

impl Oracle {
    /// A connection goes on with this session or replaces it.
    pub(super) fn check_order(&self, session: &Session, link: &Link, at: At) {
        let Some((newest, arrival)) = session.newest.zip(link.arrival()) else { return };
        if arrival.is_surely_before(&newest) && !session.may_be_over(at.now) {
            violated!(
                "a session is not ended or taken by a connection opened before its own",
                "{}: {arrival:?} came after {newest:?}",
                session.name
            );
        }
    }

    /// The session has this connection now.
    pub(super) fn note_newest(&mut self, number: usize, link: &Link) {
        self.sessions[number].newest = link.arrival();
    }

    /// The core has refused a connection because a newer one came before it.
    pub(crate) fn on_overtaken(&self, id: LinkId, links: &[Link], name: &str) {
        let session = self.by_name.get(name).map(|number| &self.sessions[*number]);
        // Hostile clients are not known by name.
        let Some(arrival) = links[id.0].arrival() else { return };
        let newest = session.and_then(|session| session.newest);
        if !newest.is_some_and(|newest| arrival.may_be_before(&newest)) {
            violated!(
                "only an older connection is refused for a newer one",
                "{name}: {arrival:?}, the newest is {newest:?}"
            );
        }
    }
}
