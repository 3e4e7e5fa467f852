//! Records change the state.

use skein_protocol::qos::PacketId;

use super::{
    super::{Place, Record, RecordError, Records, Spot},
    Entry, Flight, MessageState, RetainedState, SessionState, State, SubscriptionState, WillState,
    message::{Body, Kept},
};

/// Why a record can not follow those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It is no record.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// It is about a session that is not there.
    #[error("client {0:?} has no session")]
    UnknownSession(Box<str>),
    /// It refers to a message that is not there.
    #[error("there is no message {0}")]
    UnknownMessage(u64),
    /// It is about an entry that does not wait for this client.
    #[error("client {client_id:?} has no entry {entry} in its queue")]
    UnknownEntry {
        /// The Client Identifier.
        client_id: Box<str>,
        /// The entry.
        entry: u64,
    },
    /// It is about a Packet Identifier that is not in use.
    #[error("client {client_id:?} does not use Packet Identifier {packet_id}")]
    UnknownPacketId {
        /// The Client Identifier.
        client_id: Box<str>,
        /// The Packet Identifier.
        packet_id: u16,
    },
    /// A number that must be larger than all before it is not.
    #[error("number {0} is not larger than those before it")]
    NotLarger(u64),
    /// A will is due that is not there.
    #[error("client {0:?} has no will")]
    UnknownWill(Box<str>),
}

impl State {
    /// Reads the records of a batch and applies them. Of messages that lie in a file only the place
    /// is kept, if the state has a [`Shelf`](crate::record::Shelf).
    ///
    /// # Errors
    /// One is none, or can not follow those before it.
    pub fn apply_all(&mut self, mut records: Records<'_>) -> Result<(), StateError> {
        while let Some((bytes, spot)) = records.next_with_spot() {
            match (Record::decode(bytes)?, spot.filter(|_| self.shelf.is_some())) {
                (Record::Message { message, topic, .. }, Some(spot)) => {
                    self.place_message(message, &topic, spot, bytes)?;
                }
                (record, _) => self.apply(record)?,
            }
        }
        Ok(())
    }

    /// Reads a record and applies it.
    ///
    /// # Errors
    /// It is none, or can not follow those before it.
    pub fn apply_bytes(&mut self, record: &[u8]) -> Result<(), StateError> {
        self.apply(Record::decode(record)?)
    }

    /// Applies a record.
    ///
    /// # Errors
    /// It can not follow those before it; then nothing was changed.
    pub fn apply(&mut self, record: Record<'_>) -> Result<(), StateError> {
        match record {
            Record::Message { .. } => self.add_message(record),
            Record::Queued { .. } => self.queue(record),
            Record::Connected { .. } => {
                self.connect(record);
                Ok(())
            }
            Record::Ended { client_id } => self.end(&client_id),
            Record::Sent { client_id, entry, packet_id } => self.send(&client_id, entry, packet_id),
            Record::PubRelOwed { client_id, entry, packet_id } => {
                self.owe(&client_id, entry, packet_id)
            }
            Record::Received { client_id, packet_id } => self.receive(&client_id, packet_id),
            Record::Finished { client_id, packet_id } => self.finish(&client_id, packet_id),
            Record::Dropped { client_id, entry } => self.drop_entry(&client_id, entry),
            Record::Retained { .. } => self.retain(record),
            Record::Unretained { topic } => {
                let old = self.retained.remove(&*topic);
                self.release(old.map(|old| old.message));
                Ok(())
            }
            Record::Disconnected { ref client_id, .. }
            | Record::Subscribed { ref client_id, .. }
            | Record::Unsubscribed { ref client_id, .. }
            | Record::Held { ref client_id, .. }
            | Record::Released { ref client_id, .. }
            | Record::WillSet { ref client_id, .. }
            | Record::WillDue { ref client_id, .. }
            | Record::WillCleared { ref client_id } => {
                let session = self.session_mut(client_id)?;
                session.apply(record)
            }
        }
    }

    fn session_mut(&mut self, client_id: &str) -> Result<&mut SessionState, StateError> {
        let unknown = || StateError::UnknownSession(client_id.into());
        self.sessions.get_mut(client_id).ok_or_else(unknown)
    }

    fn add_message(&mut self, record: Record<'_>) -> Result<(), StateError> {
        let Record::Message { message, .. } = record else { return Ok(()) };
        self.keep_message(message, |_| MessageState::new(record).map(Box::new).map(Body::Held))
    }

    fn place_message(
        &mut self,
        message: u64,
        topic: &str,
        spot: Spot,
        record: &[u8],
    ) -> Result<(), StateError> {
        let place = Place::new(spot, record);
        self.keep_message(message, |this| Some(Body::At { topic: this.topics.share(topic), place }))
    }

    fn keep_message(
        &mut self,
        message: u64,
        body: impl FnOnce(&mut Self) -> Option<Body>,
    ) -> Result<(), StateError> {
        if self.messages.contains_key(&message) {
            return Err(StateError::NotLarger(message));
        }
        if let Some(body) = body(self) {
            self.messages.insert(message, Kept { references: 0, body });
            self.message_max = self.message_max.max(message);
        }
        Ok(())
    }

    /// One more refers to the message.
    fn refer(&mut self, message: u64) -> Result<&Kept, StateError> {
        let unknown = StateError::UnknownMessage(message);
        let kept = self.messages.get_mut(&message).ok_or(unknown)?;
        kept.references += 1;
        Ok(kept)
    }

    /// One less refers to each; the last one takes it along.
    fn release(&mut self, messages: impl IntoIterator<Item = u64>) {
        for message in messages {
            let Some(kept) = self.messages.get_mut(&message) else { continue };
            kept.references -= 1;
            if kept.references == 0 {
                self.messages.remove(&message);
            }
        }
    }

    fn connect(&mut self, record: Record<'_>) {
        let Record::Connected { client_id, owner, listener, version, expiry_s, at_ms } = record
        else {
            return;
        };
        let (owner, listener) = (owner.map(Into::into), listener.into());
        if let Some(session) = self.sessions.get_mut(&*client_id) {
            (session.owner, session.listener, session.version) = (owner, listener, version);
            (session.expiry_s, session.at_ms, session.is_connected) = (expiry_s, at_ms, true);
            return;
        }
        let session = SessionState {
            owner,
            listener,
            version,
            expiry_s,
            at_ms,
            is_connected: true,
            subscriptions: Default::default(),
            queue: Default::default(),
            flights: Default::default(),
            held: Default::default(),
            will: None,
            entry_max: 0,
        };
        self.sessions.insert(client_id.into(), session);
    }

    fn end(&mut self, client_id: &str) -> Result<(), StateError> {
        self.session_mut(client_id)?;
        let ended = self.sessions.remove(client_id);
        if let Some(session) = ended {
            self.release(session.queue.iter().map(|entry| entry.message));
            let flights = session.flights.values().filter(|flight| !flight.is_received);
            self.release(flights.map(|flight| flight.entry.message));
        }
        Ok(())
    }

    fn queue(&mut self, record: Record<'_>) -> Result<(), StateError> {
        let Record::Queued { client_id, entry, message, qos, retain, identifiers, share } = record
        else {
            return Ok(());
        };
        if self.session_mut(&client_id)?.entry_max >= entry {
            return Err(StateError::NotLarger(entry));
        }
        self.refer(message)?;
        let (identifiers, share) = (identifiers.into(), share.map(Into::into));
        let session = self.session_mut(&client_id)?;
        session.entry_max = entry;
        session.queue.push_back(Entry { entry, message, qos, retain, identifiers, share });
        Ok(())
    }

    fn send(&mut self, client_id: &str, entry: u64, packet_id: PacketId) -> Result<(), StateError> {
        let session = self.session_mut(client_id)?;
        if session.flights.contains_key(&packet_id.get()) {
            return Err(StateError::NotLarger(packet_id.get().into()));
        }
        let taken = session.take_queued(entry);
        let unknown = || StateError::UnknownEntry { client_id: client_id.into(), entry };
        let flight = Flight { entry: taken.ok_or_else(unknown)?, is_received: false };
        session.flights.insert(packet_id.get(), flight);
        Ok(())
    }

    fn owe(&mut self, client_id: &str, entry: u64, packet_id: PacketId) -> Result<(), StateError> {
        let session = self.session_mut(client_id)?;
        if session.flights.contains_key(&packet_id.get()) {
            return Err(StateError::NotLarger(packet_id.get().into()));
        }
        let entry = Entry::without_message(entry);
        session.flights.insert(packet_id.get(), Flight { entry, is_received: true });
        Ok(())
    }

    fn receive(&mut self, client_id: &str, packet_id: PacketId) -> Result<(), StateError> {
        let flights = &mut self.session_mut(client_id)?.flights;
        let flight = flights.get_mut(&packet_id.get());
        let flight = flight.ok_or_else(|| unknown_id(client_id, packet_id))?;
        let is_first = !std::mem::replace(&mut flight.is_received, true);
        let released = Entry::without_message(flight.entry.entry);
        let message = std::mem::replace(&mut flight.entry, released).message;
        self.release(is_first.then_some(message));
        Ok(())
    }

    fn finish(&mut self, client_id: &str, packet_id: PacketId) -> Result<(), StateError> {
        let flight = self.session_mut(client_id)?.flights.remove(&packet_id.get());
        let flight = flight.ok_or_else(|| unknown_id(client_id, packet_id))?;
        self.release((!flight.is_received).then_some(flight.entry.message));
        Ok(())
    }

    fn drop_entry(&mut self, client_id: &str, entry: u64) -> Result<(), StateError> {
        let taken = self.session_mut(client_id)?.take_queued(entry);
        let unknown = || StateError::UnknownEntry { client_id: client_id.into(), entry };
        let taken = taken.ok_or_else(unknown)?;
        self.release([taken.message]);
        Ok(())
    }

    fn retain(&mut self, record: Record<'_>) -> Result<(), StateError> {
        let Record::Retained { message, author, user, listener } = record else { return Ok(()) };
        let topic = self.refer(message)?.body.topic().into();
        let author = [author, user, listener].map(|name| name.map(Into::into));
        let old = self.retained.insert(topic, RetainedState { message, author });
        self.release(old.map(|old| old.message));
        Ok(())
    }
}

fn unknown_id(client_id: &str, packet_id: PacketId) -> StateError {
    StateError::UnknownPacketId { client_id: client_id.into(), packet_id: packet_id.get() }
}

impl SessionState {
    /// What changes nothing but the session.
    fn apply(&mut self, record: Record<'_>) -> Result<(), StateError> {
        match record {
            Record::Disconnected { expiry_s, at_ms, .. } => {
                (self.expiry_s, self.at_ms, self.is_connected) = (expiry_s, at_ms, false);
            }
            Record::Subscribed { ref filter, .. } => {
                let filter = filter.as_ref().into();
                self.subscriptions.extend(subscription(&record).map(|it| (filter, it)));
            }
            Record::Unsubscribed { filter, .. } => drop(self.subscriptions.remove(&*filter)),
            Record::Held { packet_id, .. } => drop(self.held.insert(packet_id.get())),
            Record::Released { client_id, packet_id } => {
                if !self.held.remove(&packet_id.get()) {
                    return Err(unknown_id(&client_id, packet_id));
                }
            }
            Record::WillSet { .. } => self.will = will(record).map(Box::new),
            Record::WillDue { client_id, at_ms } => {
                let unknown = || StateError::UnknownWill(client_id.into());
                self.will.as_mut().ok_or_else(unknown)?.due_ms = Some(at_ms);
            }
            Record::WillCleared { .. } => self.will = None,
            _ => debug_assert!(false, "others are about more than the session"),
        }
        Ok(())
    }
}

fn subscription(record: &Record<'_>) -> Option<SubscriptionState> {
    let &Record::Subscribed {
        qos, no_local, retain_as_published, retain_handling, identifier, ..
    } = record
    else {
        return None;
    };
    Some(SubscriptionState { qos, no_local, retain_as_published, retain_handling, identifier })
}

fn will(record: Record<'_>) -> Option<WillState> {
    let Record::WillSet {
        topic, properties, payload, qos, retain, delay_s, message_expiry_s, ..
    } = record
    else {
        return None;
    };
    Some(WillState {
        topic: topic.into(),
        properties: properties.as_ref().into(),
        payload: payload.as_ref().into(),
        qos,
        retain,
        delay_s,
        message_expiry_s,
        due_ms: None,
    })
}
