//! The Application Message of MQTT: what a publisher sent, without the envelope of one delivery.

use std::{borrow::Cow, rc::Rc};

use bytes::Bytes;
use skein_protocol::qos::QoS;

use super::Time;
use crate::record::Record;

/// Payloads of at least this many bytes are shared by reference instead of copied into each
/// outbox: beyond it a copy costs more than the extra slice in the write.
pub const SHARED_PAYLOAD_BYTES_MIN: usize = 16 * 1024;

/// A payload, borrowed for the time of one call.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Small: copied where it goes.
    Inline(&'a [u8]),
    /// Large: the receivers of one shard share it. The inner count is touched once per shard,
    /// the outer one stays on its core.
    Shared(&'a Rc<Bytes>),
}

impl<'a> Payload<'a> {
    /// Its bytes.
    pub fn as_slice(self) -> &'a [u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// Its length in bytes.
    pub fn len(self) -> usize {
        self.as_slice().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.as_slice().is_empty()
    }
}

/// An Application Message, borrowed from where it stands: a packet, a lane's batch or the store.
#[derive(Clone, Copy, Debug)]
pub struct ApplicationRef<'a> {
    /// The topic it was published to, whole (aliases are resolved).
    pub topic: &'a str,
    /// The properties a server forwards unaltered (MQTT 5, 3.3.2.3), as wire bytes without length.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: Payload<'a>,
    /// The QoS it was published with.
    pub qos: QoS,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// When it expires, if it does [MQTT-3.3.2-5].
    pub expires_at: Option<Time>,
}

impl ApplicationRef<'_> {
    /// Bytes it holds, for budgets.
    pub fn bytes(&self) -> usize {
        self.topic.len() + self.properties.len() + self.payload.len()
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whole seconds it has left, rounded up, for the Message Expiry Interval [MQTT-3.3.2-6].
    pub fn seconds_left(&self, now: Time) -> Option<u32> {
        let left = self.expires_at?.since(now).div_ceil(1000);
        Some(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// It as a record of this number, with the time at which it expires as that stands in the log.
    pub fn to_record(&self, message: u64, expires_at_ms: Option<u64>) -> Record<'_> {
        Record::Message {
            message,
            topic: Cow::Borrowed(self.topic),
            properties: Cow::Borrowed(self.properties),
            payload: Cow::Borrowed(self.payload.as_slice()),
            qos: self.qos,
            retain: self.retain,
            expires_at_ms,
        }
    }

    /// A copy to keep.
    pub fn to_owned(&self) -> Application {
        self.keep_in(self.topic.into(), Vec::new())
    }

    /// A copy to keep, with the topic as others have it and in memory that was used before.
    pub(super) fn keep_in(&self, topic: Rc<str>, mut bytes: Vec<u8>) -> Application {
        debug_assert_eq!(&*topic, self.topic, "the same topic, kept once");
        let (inline, shared) = match self.payload {
            Payload::Inline(bytes) => (bytes, None),
            Payload::Shared(bytes) => (&[][..], Some(Rc::clone(bytes))),
        };
        bytes.clear();
        bytes.reserve_exact(self.properties.len() + inline.len());
        bytes.extend_from_slice(self.properties);
        bytes.extend_from_slice(inline);
        Application {
            topic,
            bytes,
            properties_len: self.properties.len(),
            shared,
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
        }
    }
}

/// An Application Message that is kept: queued, in flight, retained or a will.
#[derive(Clone, Debug)]
pub struct Application {
    topic: Rc<str>,
    /// The properties, and behind them the payload unless it is shared.
    bytes: Vec<u8>,
    properties_len: usize,
    shared: Option<Rc<Bytes>>,
    qos: QoS,
    retain: bool,
    expires_at: Option<Time>,
}

impl Application {
    /// What a slot in a queue costs beside the bytes of the message.
    pub const OVERHEAD_BYTES: usize = 128;

    /// Its borrowed form.
    pub fn borrow(&self) -> ApplicationRef<'_> {
        let (properties, inline) = self.bytes.split_at(self.properties_len);
        ApplicationRef {
            topic: &self.topic,
            properties,
            payload: self.shared.as_ref().map_or(Payload::Inline(inline), Payload::Shared),
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
        }
    }

    /// Forgets the payload; returns how many bytes of memory it keeps.
    pub(super) fn clear(&mut self) -> usize {
        self.shared = None;
        self.bytes.clear();
        self.bytes.capacity()
    }

    /// The memory of its bytes, to be used again.
    pub(super) fn take_memory(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The topic it was published to.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The topic, for another message with the same one.
    pub(super) fn shared_topic(&self) -> Rc<str> {
        Rc::clone(&self.topic)
    }

    /// Bytes it is charged with in a budget.
    pub fn bytes(&self) -> usize {
        self.borrow().bytes() + Self::OVERHEAD_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(expires_at: Option<Time>) -> ApplicationRef<'static> {
        ApplicationRef {
            topic: "a",
            properties: &[],
            payload: Payload::Inline(b"x"),
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at,
        }
    }

    #[test]
    fn the_seconds_left_are_rounded_up_and_expiry_is_exact() {
        let message = message(Some(Time::from_millis(5_000)));
        assert_eq!(message.seconds_left(Time::from_millis(3_001)), Some(2));
        assert!(!message.is_expired(Time::from_millis(4_999)));
        assert!(message.is_expired(Time::from_millis(5_000)));
    }

    #[test]
    fn a_copy_has_what_was_copied() {
        let large = Rc::new(Bytes::from(vec![7; SHARED_PAYLOAD_BYTES_MIN]));
        for payload in [Payload::Inline(b"x"), Payload::Inline(b""), Payload::Shared(&large)] {
            let message = ApplicationRef { properties: &[1, 1], payload, ..message(None) };
            let kept = message.to_owned();
            let copy = kept.borrow();
            assert_eq!((copy.topic, copy.properties), ("a", &[1, 1][..]));
            assert_eq!(copy.payload.as_slice(), payload.as_slice());
            assert_eq!(kept.bytes(), message.bytes() + Application::OVERHEAD_BYTES);
            let is_shared = |payload| matches!(payload, Payload::Shared(_));
            assert_eq!(is_shared(copy.payload), is_shared(payload));
        }
    }

    #[test]
    fn without_an_expiry_nothing_expires() {
        assert_eq!(message(None).seconds_left(Time::NEVER), None);
        assert!(!message(None).is_expired(Time::NEVER));
    }
}
