//! The state as records again: what a snapshot holds, and what an export shows.

use std::borrow::Cow;

use skein_protocol::qos::PacketId;

use super::{
    super::Record, Entry, MessageState, RetainedState, SessionState, State, message::Body,
};

impl State {
    /// Records that add up to this state, in an order in which each can follow those before it.
    /// They are made as they are asked for, so they can be taken in bounded steps. Messages that lie
    /// in files are not among them; [`Drain`](super::Drain) has all.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let live = self.messages.iter().filter(|(_, message)| message.references > 0);
        let messages = live.filter_map(|(number, message)| match &message.body {
            Body::Held(held) => Some(held.record(*number)),
            Body::At { .. } => None,
        });
        let sessions = self.sessions.iter().flat_map(|(id, session)| session.records(id));
        let retained = self.retained.values().map(RetainedState::record);
        messages.chain(sessions).chain(retained)
    }
}

impl MessageState {
    pub(super) fn record(&self, message: u64) -> Record<'_> {
        Record::Message {
            message,
            topic: text(&self.topic),
            properties: self.properties().into(),
            payload: self.payload().into(),
            qos: self.qos,
            retain: self.retain,
            expires_at_ms: self.expires_at_ms,
        }
    }
}

impl RetainedState {
    pub(super) fn record(&self) -> Record<'_> {
        let [author, user, listener] = self.author.each_ref().map(|name| name.as_deref());
        let [author, user, listener] = [author, user, listener].map(|name| name.map(text));
        Record::Retained { message: self.message, author, user, listener }
    }
}

impl SessionState {
    pub(super) fn records<'a>(&'a self, client_id: &'a str) -> impl Iterator<Item = Record<'a>> {
        let client_id = text(client_id);
        let id = client_id.clone();
        let subscriptions = self.subscriptions.iter().map(move |(filter, it)| Record::Subscribed {
            client_id: id.clone(),
            filter: text(filter),
            qos: it.qos,
            no_local: it.no_local,
            retain_as_published: it.retain_as_published,
            retain_handling: it.retain_handling,
            identifier: it.identifier,
        });
        let id = client_id.clone();
        let held = self.held.iter().filter_map(|number| PacketId::new(*number));
        let held = held.map(move |packet_id| Record::Held { client_id: id.clone(), packet_id });
        let will = self.will_records(client_id.clone());
        let entries = self.entry_records(client_id.clone());
        let end = self.end_record(client_id.clone());
        std::iter::once(self.begin_record(client_id))
            .chain(subscriptions)
            .chain(held)
            .chain(entries)
            .chain(will)
            .chain(end)
    }

    fn begin_record<'a>(&'a self, client_id: Cow<'a, str>) -> Record<'a> {
        Record::Connected {
            client_id,
            owner: self.owner.as_deref().map(text),
            listener: text(&self.listener),
            version: self.version,
            expiry_s: self.expiry_s,
            at_ms: self.at_ms,
        }
    }

    fn end_record<'a>(&'a self, client_id: Cow<'a, str>) -> Option<Record<'a>> {
        let (expiry_s, at_ms) = (self.expiry_s, self.at_ms);
        (!self.is_connected).then_some(Record::Disconnected { client_id, expiry_s, at_ms })
    }

    fn will_records<'a>(&'a self, client_id: Cow<'a, str>) -> impl Iterator<Item = Record<'a>> {
        let due = self.will.as_ref().and_then(|will| will.due_ms);
        let due = due.map(|at_ms| Record::WillDue { client_id: client_id.clone(), at_ms });
        let set = self.will.as_ref().map(|will| Record::WillSet {
            client_id,
            topic: text(&will.topic),
            properties: Cow::from(&*will.properties),
            payload: Cow::from(&*will.payload),
            qos: will.qos,
            retain: will.retain,
            delay_s: will.delay_s,
            message_expiry_s: will.message_expiry_s,
        });
        set.into_iter().chain(due)
    }

    /// Everything is queued in the order of the numbers, whatever was sent first; then some of it
    /// is sent.
    fn entry_records<'a>(&'a self, client_id: Cow<'a, str>) -> impl Iterator<Item = Record<'a>> {
        let flights = self.flights.values().filter(|flight| !flight.is_received);
        let mut live: Vec<&Entry> = flights.map(|flight| &flight.entry).collect();
        live.extend(&self.queue);
        live.sort_by_key(|entry| entry.entry);
        let id = client_id.clone();
        let queued = live.into_iter().map(move |entry| entry.record(id.clone()));
        let sent = self.flights.iter().filter_map(move |(number, flight)| {
            let (client_id, entry) = (client_id.clone(), flight.entry.entry);
            let packet_id = PacketId::new(*number)?;
            Some(match flight.is_received {
                true => Record::PubRelOwed { client_id, entry, packet_id },
                false => Record::Sent { client_id, entry, packet_id },
            })
        });
        queued.chain(sent)
    }
}

impl Entry {
    pub(super) fn record<'a>(&'a self, client_id: Cow<'a, str>) -> Record<'a> {
        Record::Queued {
            client_id,
            entry: self.entry,
            message: self.message,
            qos: self.qos,
            retain: self.retain,
            identifiers: self.identifiers.to_vec(),
            share: self.share.as_deref().map(text),
        }
    }
}

fn text(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}
