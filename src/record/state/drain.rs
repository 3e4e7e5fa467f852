//! A state that is taken apart into its records, a few at a time.

use std::{
    cmp::Reverse,
    collections::{VecDeque, btree_map},
    vec,
};

use super::{
    super::{Batch, Place, Shelf, Window},
    Entry, MessageState, RetainedState, SessionState, State,
    message::Body,
};

/// What is left of a state. Its records are those of [`State::records`] and those of the messages that
/// lie in files; each can follow those before it.
#[derive(Debug)]
pub struct Drain {
    /// Messages that lie in files, the last one first: they are read in the order in which they lie.
    places: Vec<Place>,
    shelf: Option<Box<dyn Shelf>>,
    window: Window,
    held: vec::IntoIter<(u64, Box<MessageState>)>,
    sessions: btree_map::IntoIter<Box<str>, SessionState>,
    /// What waits for the session that came last.
    queue: (Box<str>, VecDeque<Entry>),
    retained: btree_map::IntoValues<Box<str>, RetainedState>,
}

impl State {
    /// Takes it apart.
    pub fn into_drain(self) -> Drain {
        let (mut places, mut held) = (Vec::new(), Vec::new());
        for (number, message) in self.messages.into_iter().filter(|(_, it)| it.references > 0) {
            match message.body {
                Body::Held(message) => held.push((number, message)),
                Body::At { place, .. } => places.push(place),
            }
        }
        places.sort_unstable_by_key(|place| Reverse(place.spot()));
        Drain {
            places,
            shelf: self.shelf,
            window: Window::default(),
            held: held.into_iter(),
            sessions: self.sessions.into_iter(),
            queue: Default::default(),
            retained: self.retained.into_values(),
        }
    }
}

impl Drain {
    /// Bytes of messages that it holds in memory, rather than in files.
    pub fn message_bytes_held(&self) -> usize {
        let held = self.held.as_slice();
        self.window.bytes() + held.iter().map(|(_, message)| message.bytes_held()).sum::<usize>()
    }

    /// Appends the next records: one, or those of a session without what waits for it. False if none
    /// is left.
    ///
    /// # Errors
    /// A message lies in a file that can not be read any more.
    pub fn take_next(&mut self, batch: &mut Batch) -> Result<bool, String> {
        if let Some(place) = self.places.pop() {
            let shelf = self.shelf.as_deref().ok_or("its files are not known")?;
            batch.push(self.window.record(&place, shelf)?);
            return Ok(true);
        }
        if let Some((number, message)) = self.held.next() {
            batch.push_with(|out| message.record(number).encode(out));
        } else if let Some(entry) = self.queue.1.pop_front() {
            let client_id = self.queue.0.as_ref().into();
            batch.push_with(|out| entry.record(client_id).encode(out));
        } else if let Some((client_id, mut session)) = self.sessions.next() {
            // What waits comes later, unless something of it is older than what was sent.
            let sent_max = session.flights.values().map(|flight| flight.entry.entry).max();
            let is_newer = session.queue.front().is_some_and(|it| Some(it.entry) > sent_max);
            let queue = if is_newer { std::mem::take(&mut session.queue) } else { VecDeque::new() };
            let records = session.records(&client_id);
            records.for_each(|record| batch.push_with(|out| record.encode(out)));
            self.queue = (client_id, queue);
        } else if let Some(retained) = self.retained.next() {
            batch.push_with(|out| retained.record().encode(out));
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}
