//! Pressure: a connected session that takes messages more slowly than they come.
//!
//! ```text
//!            above the high-water mark                 grace over
//!   calm ────────────────────────────▶ pressing ───────────────────▶ slow
//!    ▲                                    │   publishers paused       │  nobody paused, QoS 0 dropped,
//!    └──────── below the low-water mark ──┴───────────────────────────┘  QoS 1 and 2 queued
//! ```
//!
//! A client that reads, but too slowly, goes round and round. It has the whole grace once; as long as
//! it was slow lately its publishers wait for it no more than a fiftieth of the time.

use std::collections::BTreeSet;

use super::{ConnectionId, ShardId, Time};

/// A connection that publishes, on whichever shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Publisher {
    /// Its shard.
    pub shard: ShardId,
    /// Its id there.
    pub connection: ConnectionId,
}

/// For how much of the time since it was slow a session may pause its publishers: one part in this.
const SLOW_SHARE: u64 = 50;

/// How long a session that is above its high-water mark `now` may pause its publishers,
/// milliseconds: the whole grace, or less if it was slow lately.
pub fn grace_ms(grace_ms_max: u64, slow_at: Option<Time>, now: Time) -> u64 {
    slow_at.map_or(grace_ms_max, |at| grace_ms_max.min(now.since(at) / SLOW_SHARE))
}

/// A session above its high-water mark.
#[derive(Debug)]
pub struct Pressure {
    /// Names this pressure in the pauses it causes; never used again in one shard.
    pub serial: u64,
    /// When the publishers are let go, whatever the session does.
    pub grace_ends: Time,
    /// Whether the grace is over.
    pub is_slow: bool,
    paused: BTreeSet<Publisher>,
    /// The last one added: most messages in a row come from one publisher.
    last: Option<Publisher>,
}

impl Pressure {
    /// Pressure that begins now.
    pub fn new(serial: u64, grace_ends: Time) -> Self {
        Self { serial, grace_ends, is_slow: false, paused: BTreeSet::new(), last: None }
    }

    /// Notes that this publisher is to be paused. False if it is already.
    pub fn add(&mut self, publisher: Publisher) -> bool {
        if self.is_slow || self.last == Some(publisher) {
            return false;
        }
        self.last = Some(publisher);
        self.paused.insert(publisher)
    }

    /// Takes out everybody who was paused, in a fixed order.
    pub fn release(&mut self) -> BTreeSet<Publisher> {
        self.last = None;
        std::mem::take(&mut self.paused)
    }
}
