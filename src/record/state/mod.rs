//! What the records of a log add up to: which sessions there are, what waits for them, what topics
//! retain. A dumb model with names for keys. It says what a snapshot has to hold, and recovery and
//! the commands that look at a store are made of it.

mod apply;
mod drain;
mod message;
mod session;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

pub use apply::StateError;
pub use drain::Drain;
pub use message::MessageState;
pub use session::{Entry, Flight, SessionState, SubscriptionState, WillState};

use super::Shelf;
use message::{Kept, Topics};

/// All durable state.
#[derive(Debug, Default)]
pub struct State {
    sessions: BTreeMap<Box<str>, SessionState>,
    messages: BTreeMap<u64, Kept>,
    retained: BTreeMap<Box<str>, RetainedState>,
    message_max: u64,
    connected_lost_at_ms: u64,
    topics: Topics,
    /// Where messages lie that are not held.
    shelf: Option<Box<dyn Shelf>>,
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
    /// A state that does not hold messages whose records lie in these files.
    pub fn with_shelf(shelf: Box<dyn Shelf>) -> Self {
        Self { shelf: Some(shelf), ..Self::default() }
    }

    /// The sessions, in the order of their Client Identifiers.
    pub fn sessions(&self) -> impl Iterator<Item = (&str, &SessionState)> {
        self.sessions.iter().map(|(client_id, session)| (&**client_id, session))
    }

    /// The sessions whose Client Identifiers come after this one, in order; all without one.
    pub fn sessions_after<'a>(
        &'a self,
        client_id: Option<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a SessionState)> + use<'a> {
        let from = client_id.map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.sessions.range::<str, _>((from, Bound::Unbounded));
        after.map(|(client_id, session)| (&**client_id, session))
    }

    /// The session of a Client Identifier.
    pub fn session(&self, client_id: &str) -> Option<&SessionState> {
        self.sessions.get(client_id)
    }

    /// The topics that retain a message, in order.
    pub fn retained(&self) -> impl Iterator<Item = (&str, &RetainedState)> {
        self.retained.iter().map(|(topic, retained)| (&**topic, retained))
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
