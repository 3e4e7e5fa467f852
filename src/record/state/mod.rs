//! What the records of a log add up to: which sessions there are, what waits for them, what topics
//! retain. A dumb model with names for keys. It says what a snapshot has to hold, and recovery and
//! the commands that look at a store are made of it.

mod apply;
mod drain;
mod session;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use skein_protocol::qos::QoS;

pub use apply::StateError;
pub use drain::Drain;
pub use session::{Entry, Flight, SessionState, SubscriptionState, WillState};

/// All durable state.
#[derive(Debug, Default)]
pub struct State {
    sessions: BTreeMap<Box<str>, SessionState>,
    messages: BTreeMap<u64, MessageState>,
    retained: BTreeMap<Box<str>, RetainedState>,
    message_max: u64,
    connected_lost_at_ms: u64,
}

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
    /// How many entries and topics refer to it.
    references: u32,
}

impl MessageState {
    /// The properties that are forwarded.
    pub fn properties(&self) -> &[u8] {
        &self.bytes[..self.properties_bytes as usize]
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.properties_bytes as usize..]
    }
}

/// What a topic retains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedState {
    /// The message.
    pub message: u64,
    /// Who published it: Client Identifier, user, listener.
    pub author: [Option<Box<str>>; 3],
}

/// How much there is of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions.
    pub sessions: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Messages that something refers to.
    pub messages: usize,
    /// Messages on their way to a client.
    pub entries: usize,
    /// Topics that retain a message.
    pub retained: usize,
    /// Wills.
    pub wills: usize,
}

impl State {
    /// The sessions, in the order of their Client Identifiers.
    pub fn sessions(&self) -> impl Iterator<Item = (&str, &SessionState)> {
        self.sessions.iter().map(|(client_id, session)| (&**client_id, session))
    }

    /// The topics that retain a message, in order.
    pub fn retained(&self) -> impl Iterator<Item = (&str, &RetainedState)> {
        self.retained.iter().map(|(topic, retained)| (&**topic, retained))
    }

    /// A message by its number.
    pub fn message(&self, message: u64) -> Option<&MessageState> {
        self.messages.get(&message)
    }

    /// The largest number that a message ever had: the next ones are larger.
    pub fn message_max(&self) -> u64 {
        self.message_max
    }

    /// Notes when the sessions that were connected lost their connections: the newest time that is
    /// known of the broker that has ended without saying so.
    pub fn set_connected_lost_at(&mut self, ms: u64) {
        self.connected_lost_at_ms = ms;
    }

    /// When a session that was connected lost its connection; 0 if nobody has said so.
    pub fn connected_lost_at_ms(&self) -> u64 {
        self.connected_lost_at_ms
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        let sum = |count: fn(&SessionState) -> usize| self.sessions.values().map(count).sum();
        Counts {
            sessions: self.sessions.len(),
            subscriptions: sum(|session| session.subscriptions.len()),
            messages: self.messages.values().filter(|message| message.references > 0).count(),
            entries: sum(|session| session.queue.len() + session.flights.len()),
            retained: self.retained.len(),
            wills: sum(|session| usize::from(session.will.is_some())),
        }
    }
}
