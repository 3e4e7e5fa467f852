//! One session of the model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skein_protocol::qos::QoS;
use skein_protocol::{RetainHandling, Version};

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionState {
    /// The user that it belongs to.
    pub owner: Option<Box<str>>,
    /// The listener through which its client came last.
    pub listener: Box<str>,
    /// The version of MQTT that its client speaks.
    pub version: Version,
    /// Session Expiry Interval, seconds.
    pub expiry_s: u32,
    /// When its client connected or disconnected last.
    pub at_ms: u64,
    /// Whether its client was connected.
    pub is_connected: bool,
    /// By filter.
    pub subscriptions: BTreeMap<Box<str>, SubscriptionState>,
    /// What waits, oldest first.
    pub queue: VecDeque<Entry>,
    /// What was sent and is not finished, by Packet Identifier.
    pub flights: BTreeMap<u16, Flight>,
    /// QoS 2 Packet Identifiers of the client that wait for PUBREL.
    pub held: BTreeSet<u16>,
    /// Its will.
    pub will: Option<Box<WillState>>,
    /// The largest number that an entry of it ever had.
    pub entry_max: u64,
}

/// A subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// The QoS that was granted.
    pub qos: QoS,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: RetainHandling,
    /// The Subscription Identifier.
    pub identifier: Option<u32>,
}

/// A message on its way to the session's client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub entry: u64,
    /// The message; 0 once PUBREC has come, because then it is the client's.
    pub message: u64,
    /// The QoS of the delivery.
    pub qos: QoS,
    /// The RETAIN flag of the delivery.
    pub retain: bool,
    /// The Subscription Identifiers of the delivery.
    pub identifiers: Box<[u32]>,
    /// The shared subscription that it was picked for.
    pub share: Option<Box<str>>,
}

/// An entry that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The entry. Entries go out again in the order of their numbers [MQTT-4.6.0-1].
    pub entry: Entry,
    /// Whether PUBREC has come: only PUBREL is owed.
    pub is_received: bool,
}

/// A will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WillState {
    /// The Will Topic.
    pub topic: Box<str>,
    /// The properties that are forwarded.
    pub properties: Box<[u8]>,
    /// The Will Payload.
    pub payload: Box<[u8]>,
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval, seconds.
    pub delay_s: u32,
    /// Message Expiry Interval of the published will, seconds.
    pub message_expiry_s: Option<u32>,
    /// When it is due, once the connection is lost.
    pub due_ms: Option<u64>,
}

impl Entry {
    /// An entry of which nothing is owed but PUBREL.
    pub(super) fn without_message(entry: u64) -> Self {
        let identifiers = Box::default();
        Self { entry, message: 0, qos: QoS::ExactlyOnce, retain: false, identifiers, share: None }
    }
}

impl SessionState {
    /// When the session is over, if its client does not come back; `None` if it never is, or as
    /// long as it is connected.
    pub fn expires_at_ms(&self) -> Option<u64> {
        let ends = !self.is_connected && self.expiry_s != u32::MAX;
        ends.then(|| self.at_ms.saturating_add(u64::from(self.expiry_s) * 1000))
    }

    /// Takes an entry out of the queue.
    pub(super) fn take_queued(&mut self, entry: u64) -> Option<Entry> {
        if self.queue.front().is_some_and(|front| front.entry == entry) {
            return self.queue.pop_front();
        }
        let at = self.queue.binary_search_by_key(&entry, |queued| queued.entry).ok()?;
        self.queue.remove(at)
    }
}
