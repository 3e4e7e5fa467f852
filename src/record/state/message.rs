//! One message of the model: held, or known by its place in a file.

use std::sync::Arc;

use skein_protocol::qos::QoS;

use super::{
    super::{Place, Record, Shelf, Window},
    State,
};

/// How many topics are remembered, so that messages to the same one share its name.
const TOPICS_REMEMBERED: usize = 1 << 10;

/// A message that is stored once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageState {
    /// The Topic Name.
    pub topic: Box<str>,
    /// The properties that are forwarded, and behind them the payload.
    bytes: Box<[u8]>,
    properties_bytes: u32,
    /// The QoS it was published with.
    pub qos: QoS,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// When it expires.
    pub expires_at_ms: Option<u64>,
}

/// A message, and how many entries and topics refer to it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) references: u32,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Held(Box<MessageState>),
    /// Its record lies in a file. A topic that retains it must be known without reading it.
    At {
        topic: Arc<str>,
        place: Place,
    },
}

/// Topics of messages that came last.
#[derive(Debug, Default)]
pub(super) struct Topics(Vec<Option<Arc<str>>>);

impl State {
    /// A message by its number, if it is held in memory.
    pub fn message(&self, message: u64) -> Option<&MessageState> {
        match &self.messages.get(&message)?.body {
            Body::Held(held) => Some(held),
            Body::At { .. } => None,
        }
    }

    /// The record of a message, wherever it is.
    ///
    /// # Errors
    /// It lies in a file that can not be read any more.
    pub fn recall<'a>(
        &'a self,
        message: u64,
        window: &'a mut Window,
    ) -> Result<Option<Record<'a>>, String> {
        let place = match self.messages.get(&message).map(|kept| &kept.body) {
            None => return Ok(None),
            Some(Body::Held(held)) => return Ok(Some(held.record(message))),
            Some(Body::At { place, .. }) => place,
        };
        let shelf: &dyn Shelf = self.shelf.as_deref().ok_or("its files are not known")?;
        let record = Record::decode(window.record(place, shelf)?);
        record.map(Some).map_err(|error| error.to_string())
    }

    /// Whether several entries and topics refer to a message.
    pub fn is_shared(&self, message: u64) -> bool {
        self.messages.get(&message).is_some_and(|kept| kept.references > 1)
    }

    /// Bytes of messages that it holds in memory, rather than in files.
    pub fn message_bytes_held(&self) -> usize {
        let held = |kept: &Kept| match &kept.body {
            Body::Held(held) => held.bytes_held(),
            Body::At { .. } => 0,
        };
        self.messages.values().map(held).sum()
    }
}

impl MessageState {
    /// Of a record of this kind.
    pub(super) fn new(record: Record<'_>) -> Option<Self> {
        let Record::Message { topic, properties, payload, qos, retain, expires_at_ms, .. } = record
        else {
            return None;
        };
        Some(Self {
            topic: topic.into(),
            properties_bytes: u32::try_from(properties.len()).unwrap_or(u32::MAX),
            bytes: [&*properties, &*payload].concat().into_boxed_slice(),
            qos,
            retain,
            expires_at_ms,
        })
    }

    /// The properties that are forwarded.
    pub fn properties(&self) -> &[u8] {
        &self.bytes[..self.properties_bytes as usize]
    }

    pub(super) fn bytes_held(&self) -> usize {
        self.topic.len() + self.bytes.len()
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.properties_bytes as usize..]
    }
}

impl Body {
    pub(super) fn topic(&self) -> &str {
        match self {
            Self::Held(held) => &held.topic,
            Self::At { topic, .. } => topic,
        }
    }
}

impl Topics {
    /// The same topic, in memory that others may have, too.
    pub(super) fn share(&mut self, topic: &str) -> Arc<str> {
        self.0.resize(TOPICS_REMEMBERED, None);
        let at = crc32fast::hash(topic.as_bytes()) as usize % TOPICS_REMEMBERED;
        match &self.0[at] {
            Some(known) if **known == *topic => Arc::clone(known),
            _ => Arc::clone(self.0[at].insert(topic.into())),
        }
    }
}
