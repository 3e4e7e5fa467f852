//! The deadlines of one shard, in order. Who arms a timer remembers its time, so that nothing
//! stale is kept; keep-alive is touched lazily, once each time it might have passed.

use std::collections::BTreeSet;

use crate::session::{ConnectionId, SessionKey, Time};

/// What is to be looked at when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Has the connection been silent for too long?
    Connection(ConnectionId),
    /// What the connection's client proved of itself is over.
    IdentityEnds(ConnectionId),
    /// The session's expiry interval is over.
    SessionEnds(SessionKey),
    /// The will's delay is over.
    WillDue(SessionKey),
    /// The slow-consumer grace is over.
    GraceEnds(SessionKey),
    /// Something in the session's full queue has expired.
    QueueExpires(SessionKey),
    /// A retained message has expired.
    RetainedExpires,
    /// A connection that published too fast may be read again.
    RateAllows(ConnectionId),
    /// What was recorded goes to the store, though nobody waits for it.
    JournalDue,
    /// Publishers that were paused for memory may go on for a while.
    MemoryPauseEnds,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: BTreeSet<(Time, Timer)>,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Time, timer: Timer) {
        self.armed.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, at: Time, timer: Timer) {
        let was_armed = self.armed.remove(&(at, timer));
        debug_assert!(was_armed, "who arms a timer knows its time: {timer:?}");
    }

    /// Takes out those of connections that published too fast.
    pub(super) fn take_rates(&mut self) -> Vec<ConnectionId> {
        let mut taken = Vec::new();
        self.armed.retain(|(_, timer)| match timer {
            Timer::RateAllows(id) => {
                taken.push(*id);
                false
            }
            _ => true,
        });
        taken
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.armed.first().map(|(at, _)| *at)
    }

    /// Takes out one timer whose time has come.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        let &(at, timer) = self.armed.first()?;
        (at <= now).then(|| {
            self.armed.pop_first();
            timer
        })
    }
}
