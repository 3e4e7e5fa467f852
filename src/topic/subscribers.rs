//! What stands at one filter of the trie: this shard's subscribers in full, and of every other
//! shard one bit (law 1: filters are replicated, subscribers are not).

use std::num::NonZeroU32;

use skein_protocol::qos::QoS;
use smallvec::SmallVec;
use thin_vec::ThinVec;

use super::{ShardSet, Share};
use crate::session::{Grant, Matched, SessionKey};

/// One session's subscription to one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Whose.
    pub session: SessionKey,
    /// Granted maximum QoS.
    pub qos: QoS,
    /// Not to get what it publishes itself [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Keep the RETAIN flag as published.
    pub retain_as_published: bool,
    /// Whether its session is recorded.
    pub is_durable: bool,
    /// Subscription Identifier.
    pub identifier: Option<NonZeroU32>,
}

impl Subscriber {
    /// Whether what it gets is recorded.
    fn is_recorded(&self) -> bool {
        self.is_durable && self.qos != QoS::AtMostOnce
    }

    /// What this subscription alone grants.
    pub fn grant(&self) -> Grant {
        Grant {
            qos: self.qos,
            retain_as_published: self.retain_as_published,
            matched: self.identifier.and_then(|id| Matched::new(&[id.get()], None)),
        }
    }
}

/// What stands at one filter.
#[derive(Debug, Default)]
pub struct FilterEntry {
    /// This shard's subscribers, sorted by session. Most filters have one, which stands in place.
    local: SmallVec<[Subscriber; 1]>,
    /// Shares of this filter, in the order they came.
    shares: ThinVec<Share>,
    /// The number of the interest message that made this filter known to the other shards: a
    /// SUBSCRIBE that joins while it is on its way waits for the same number.
    pub barrier: u64,
    /// Other shards with a subscriber.
    pub shards: ShardSet,
    /// Other shards where every subscriber's queue is full (policy `refuse`).
    pub full_shards: ShardSet,
    /// Local subscribers whose queue is full.
    pub full_local: u32,
    /// Local subscribers for whom messages are recorded.
    durable_local: u32,
    /// Other shards with such subscribers.
    pub durable_shards: ShardSet,
}

// Every shard has one for each filter that anybody wants.
const _: () = assert!(size_of::<FilterEntry>() <= 72);

impl FilterEntry {
    /// This shard's subscribers, sorted by session.
    pub fn local(&self) -> &[Subscriber] {
        &self.local
    }

    /// This session's subscription.
    pub fn subscriber(&self, session: SessionKey) -> Option<&Subscriber> {
        let found = self.local.binary_search_by_key(&session, |s| s.session);
        found.ok().map(|at| &self.local[at])
    }

    /// Takes a subscriber in, or changes its options; the replaced one is given back
    /// [MQTT-3.8.4-3].
    pub fn subscribe(&mut self, subscriber: Subscriber) -> Option<Subscriber> {
        self.durable_local += u32::from(subscriber.is_recorded());
        match self.local.binary_search_by_key(&subscriber.session, |s| s.session) {
            Ok(at) => {
                let replaced = std::mem::replace(&mut self.local[at], subscriber);
                self.durable_local -= u32::from(replaced.is_recorded());
                Some(replaced)
            }
            Err(at) => {
                self.local.insert(at, subscriber);
                None
            }
        }
    }

    /// Whether messages are recorded for a local subscriber.
    pub fn is_durable(&self) -> bool {
        self.durable_local > 0
    }

    /// Takes a subscriber out.
    pub fn unsubscribe(&mut self, session: SessionKey) -> Option<Subscriber> {
        let at = self.local.binary_search_by_key(&session, |s| s.session).ok()?;
        let subscriber = self.local.remove(at);
        self.durable_local -= u32::from(subscriber.is_recorded());
        if self.local.is_empty() {
            self.local = SmallVec::new();
        }
        Some(subscriber)
    }

    /// The shares of this filter.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The share with this name.
    pub fn share(&self, group: &str) -> Option<&Share> {
        self.shares.iter().find(|share| &*share.origin.group == group)
    }

    /// The share with this name.
    pub fn share_mut(&mut self, group: &str) -> Option<&mut Share> {
        self.shares.iter_mut().find(|share| &*share.origin.group == group)
    }

    /// Adds a share nobody has named before.
    pub fn add_share(&mut self, share: Share) -> &mut Share {
        self.shares.push(share);
        self.shares.last_mut().expect("a share was just pushed")
    }

    /// Takes a share out.
    pub fn remove_share(&mut self, group: &str) {
        self.shares.retain(|share| &*share.origin.group != group);
        if self.shares.is_empty() {
            self.shares = ThinVec::new();
        }
    }

    /// Whether everybody who wants this filter has a full queue.
    pub fn is_full(&self) -> bool {
        self.shares.is_empty()
            && self.full_local as usize == self.local.len()
            && self.shards.is_subset_of(self.full_shards)
    }

    /// Whether nobody wants this filter, here or elsewhere.
    pub fn is_empty(&self) -> bool {
        self.local.is_empty() && self.shares.is_empty() && self.shards.is_empty()
    }
}
