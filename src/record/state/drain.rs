//! A state that is taken apart into its records, a few at a time.

use std::collections::{VecDeque, btree_map};

use super::{super::Record, Entry, MessageState, RetainedState, SessionState, State};

/// What is left of a state. Its records are those of [`State::records`], and each can follow those
/// before it.
#[derive(Debug)]
pub struct Drain {
    messages: btree_map::IntoIter<u64, MessageState>,
    sessions: btree_map::IntoIter<Box<str>, SessionState>,
    /// What waits for the session that came last.
    queue: (Box<str>, VecDeque<Entry>),
    retained: btree_map::IntoValues<Box<str>, RetainedState>,
}

impl State {
    /// Takes it apart.
    pub fn into_drain(self) -> Drain {
        Drain {
            messages: self.messages.into_iter(),
            sessions: self.sessions.into_iter(),
            queue: Default::default(),
            retained: self.retained.into_values(),
        }
    }
}

impl Drain {
    /// Hands over the next records: one, or those of a session without what waits for it. False
    /// if none is left.
    pub fn take_next(&mut self, mut take: impl FnMut(&Record<'_>)) -> bool {
        let is_live = |(_, message): &(u64, MessageState)| message.references > 0;
        if let Some((number, message)) = self.messages.find(is_live) {
            take(&message.record(number));
        } else if let Some(entry) = self.queue.1.pop_front() {
            take(&entry.record(self.queue.0.as_ref().into()));
        } else if let Some((client_id, mut session)) = self.sessions.next() {
            // What waits comes later, unless something of it is older than what was sent.
            let sent_max = session.flights.values().map(|flight| flight.entry.entry).max();
            let is_newer = session.queue.front().is_some_and(|it| Some(it.entry) > sent_max);
            let queue = if is_newer { std::mem::take(&mut session.queue) } else { VecDeque::new() };
            session.records(&client_id).for_each(|record| take(&record));
            self.queue = (client_id, queue);
        } else if let Some(retained) = self.retained.next() {
            take(&retained.record());
        } else {
            return false;
        }
        true
    }
}
