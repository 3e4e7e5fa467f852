//! What the clients of one run saw, in one order, and whether it keeps the promises.
//!
//! The order is real: an operation that a client records before it sends stands before everything
//! that this can have caused, and one that it records after it has received stands behind all that
//! has led to it.

mod anomaly;
mod check;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Mutex, MutexGuard};

use skein_protocol::QoS;

pub(crate) use anomaly::Anomaly;
pub(crate) use check::{anomalies, lost};

/// A message of the run; no other has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    /// The client that publishes it.
    pub(crate) publisher: usize,
    /// Its place among all that this client publishes.
    pub(crate) number: u64,
}

/// Something that a client did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A CONNACK has come that accepts, for a session that outlives its connection.
    Connected { client: usize, session_present: bool },
    /// A SUBSCRIBE is about to be sent.
    Asked { client: usize, filter: String, qos: QoS },
    /// The SUBACK has come.
    Subscribed { client: usize, filter: String, qos: QoS },
    /// A PUBLISH is about to be sent for the first time.
    Published { message: Message, topic: String, qos: QoS },
    /// The broker owns it: PUBACK or PUBREC has come, and it is no refusal.
    Acknowledged { message: Message },
    /// A PUBLISH has come, and not with a packet identifier of QoS 2 that is held.
    Delivered { client: usize, message: Message, topic: String, qos: QoS },
    /// At the end, a topic retains this message.
    Retained { message: Message, topic: String },
    /// Something has come that the standard does not allow, or bytes that nobody has sent.
    Violated { client: usize, what: String },
}

/// Messages to topics below this one are published with RETAIN, and nobody subscribes to them before
/// the end.
pub(crate) const KEPT: &str = "kept/";

/// What takes down operations, from all clients.
#[derive(Debug, Default)]
pub(crate) struct History {
    operations: Mutex<Vec<Operation>>,
}

impl History {
    /// Takes one down, now.
    pub(crate) fn record(&self, operation: Operation) {
        self.operations().push(operation);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.operations().len()
    }

    /// All of them, in order.
    pub(crate) fn operations(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.operations.lock().expect("nobody panics with it")
    }
}

impl Operation {
    /// Whether this client has done or seen it, or it is about this message, or its publisher has
    /// connected.
    fn concerns(&self, who: usize, what: Option<Message>) -> bool {
        match self {
            Self::Connected { client, .. } => {
                *client == who || what.is_some_and(|what| what.publisher == *client)
            }
            Self::Asked { client, .. }
            | Self::Subscribed { client, .. }
            | Self::Violated { client, .. }
            | Self::Delivered { client, .. } => *client == who,
            Self::Published { message, .. }
            | Self::Acknowledged { message }
            | Self::Retained { message, .. } => {
                what.is_some_and(|what| what.publisher == message.publisher)
            }
        }
    }
}

impl Message {
    /// The bytes that carry it: its name, and as many others as its number says.
    pub(crate) fn payload(self) -> Vec<u8> {
        let mut payload = format!("{}/{}/", self.publisher, self.number).into_bytes();
        let padding = (self.number * 37 % 200) as usize;
        payload.extend(std::iter::repeat_n(b'.', padding));
        payload
    }

    /// The message that these bytes carry, if all of them are as they were sent.
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(payload).ok()?.split('/');
        let (publisher, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let message = Self { publisher, number };
        (message.payload() == payload).then_some(message)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of publisher {}", self.number, self.publisher)
    }
}
