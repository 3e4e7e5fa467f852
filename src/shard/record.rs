//! What is recorded of sessions and messages. Of a session that is not durable nothing is.

use std::borrow::Cow;

use skein_protocol::{
    packet::SubscriptionOptions,
    qos::{PacketId, QoS},
};

use super::{
    Connection, ConnectionId, ListenerId, Shard, Time, Turn, deliver::Outgoing, journal::Journal,
};
use crate::{
    config::Settings,
    record::{Durability, Record},
    session::{ApplicationRef, Delivery, HeldSubscription, Session, SessionKey, ShareOrigin, Will},
    topic::Subscriber,
};

impl Journal {
    /// Records a message; returns its number.
    fn push_message(&mut self, message: &ApplicationRef<'_>) -> u64 {
        let number = self.next_message();
        let expires_at_ms = message.expires_at.map(|at| self.unix_ms(at));
        self.push(&message.to_record(number, expires_at_ms));
        number
    }

    fn push_queued(&mut self, client_id: &str, delivery: &Delivery, message: u64) {
        let share = delivery.share().map(|origin| Cow::Owned(share_text(origin)));
        self.push(&delivery.to_record(client_id, message, share));
    }

    /// An entry gets its Packet Identifier. Of QoS 2 that has to be durable before the PUBLISH
    /// leaves: another message must not get the same one after a crash [MQTT-4.3.3-5].
    #[cold]
    #[inline(never)]
    pub(super) fn push_sent(
        &mut self,
        (client_id, durability): (&str, Durability),
        (entry, packet_id, qos): (u64, PacketId, QoS),
        connection: &mut Connection,
    ) {
        self.push(&Record::Sent { client_id: Cow::Borrowed(client_id), entry, packet_id });
        if qos == QoS::ExactlyOnce {
            let ticket = self.want(durability);
            self.hold(ticket, connection.id, &mut connection.outbox, false);
        }
    }

    fn push_subscribed(&mut self, client_id: &str, filter: &str, options: &Granted) {
        self.push(&Record::Subscribed {
            client_id: Cow::Borrowed(client_id),
            filter: Cow::Borrowed(filter),
            qos: options.subscriber.qos,
            no_local: options.subscriber.no_local,
            retain_as_published: options.subscriber.retain_as_published,
            retain_handling: options.retain_handling,
            identifier: options.subscriber.identifier.map(std::num::NonZeroU32::get),
        });
    }

    fn push_will(&mut self, client_id: &str, will: &Will) {
        let message = will.message.borrow();
        self.push(&Record::WillSet {
            client_id: Cow::Borrowed(client_id),
            topic: Cow::Borrowed(message.topic),
            properties: Cow::Borrowed(message.properties),
            payload: Cow::Borrowed(message.payload.as_slice()),
            qos: message.qos,
            retain: message.retain,
            delay_s: will.delay_s,
            message_expiry_s: will.message_expiry_s,
        });
    }
}

/// A subscription as it was granted.
struct Granted {
    subscriber: Subscriber,
    retain_handling: skein_protocol::RetainHandling,
}

impl Shard {
    /// Records something of a session, if it is durable.
    #[inline]
    pub(super) fn record<'s>(
        &'s mut self,
        key: SessionKey,
        record: impl FnOnce(Cow<'s, str>) -> Record<'s>,
    ) {
        let session = self.sessions.at(key);
        if session.durability.is_some() {
            self.journal.push(&record(Cow::Borrowed(&session.client_id)));
        }
    }

    /// As [`Shard::record`], for what has a time.
    pub(super) fn record_at<'s>(
        &'s mut self,
        key: SessionKey,
        at: Time,
        record: impl FnOnce(Cow<'s, str>, u64) -> Record<'s>,
    ) {
        let at_ms = self.journal.unix_ms(at);
        self.record(key, |client_id| record(client_id, at_ms));
    }

    #[inline]
    pub(super) fn is_durable(&self, key: SessionKey) -> bool {
        self.sessions.at(key).durability.is_some()
    }

    /// A delivery waits for its session, or is about to be sent. The message is recorded once for
    /// all of a shard.
    pub(super) fn record_queued(
        &mut self,
        key: SessionKey,
        delivery: &Delivery,
        outgoing: &mut Outgoing<'_>,
    ) {
        let session = self.sessions.at(key);
        if session.durability.is_none() {
            return;
        }
        if outgoing.number == 0 {
            outgoing.number = self.journal.push_message(&outgoing.message);
        }
        self.journal.push_queued(&session.client_id, delivery, outgoing.number);
    }

    /// An entry goes without having been sent.
    pub(super) fn record_dropped(&mut self, key: SessionKey, delivery: &Delivery) {
        let entry = delivery.entry;
        self.record(key, |client_id| Record::Dropped { client_id, entry });
    }

    /// A subscription is made or replaced.
    pub(super) fn record_subscribed(
        &mut self,
        filter: &str,
        subscriber: Subscriber,
        options: SubscriptionOptions,
    ) {
        let session = self.sessions.at(subscriber.session);
        if session.durability.is_some() {
            let retain_handling = options.retain_handling;
            let granted = Granted { subscriber, retain_handling };
            self.journal.push_subscribed(&session.client_id, filter, &granted);
        }
    }

    /// A topic retains a message, or none.
    pub(super) fn record_retained(&mut self, outgoing: &mut Outgoing<'_>, is_kept: bool) {
        if !self.journal.is_on() {
            return;
        }
        if !is_kept {
            let topic = Cow::Borrowed(outgoing.message.topic);
            return self.journal.push(&Record::Unretained { topic });
        }
        if outgoing.number == 0 {
            outgoing.number = self.journal.push_message(&outgoing.message);
        }
        let author = outgoing.author;
        let listener = author.and_then(|author| name_of(&self.settings, author.listener));
        let user = author.and_then(|author| author.identity.user_name.as_deref());
        self.journal.push(&Record::Retained {
            message: outgoing.number,
            author: author.map(|author| Cow::Borrowed(&*author.client_id)),
            user: user.map(Cow::Borrowed),
            listener: listener.map(Cow::Borrowed),
        });
    }

    /// A connection has joined its session: whether that is durable from now on, and what of it was
    /// not recorded yet.
    pub(super) fn begin_durability(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        owner: Option<&str>,
        is_resumed: bool,
        turn: &mut Turn<'_>,
    ) {
        if !self.journal.is_on() {
            return;
        }
        let promised =
            self.connections.find(id).and_then(|connection| self.promise_of(connection.listener));
        let session = self.sessions.at_mut(key);
        let durability = promised.filter(|_| !session.ends_with_connection());
        let before = session.durability;
        // What lies on disk is in the log, and could not be recorded anew when the client comes
        // back by another listener.
        let stays = session.queue.is_spilled() && !session.ends_with_connection();
        let durability = durability.or_else(|| before.filter(|_| stays));
        if let Some(before) = before.filter(|_| durability.is_none()) {
            self.record(key, |client_id| Record::Ended { client_id });
            // It goes on, so no grant is over; but its next end waits for this one.
            self.journal.end_later(&self.sessions.at(key).client_id, 0, before);
        }
        let session = self.sessions.at_mut(key);
        session.durability = durability;
        if durability.is_none() {
            self.set_session_durable(key, false);
            return;
        }
        self.record_connected(id, key, owner, turn.now);
        if before.is_none() && is_resumed {
            self.record_whole(key);
            self.set_session_durable(key, true);
            // Each other shard has a part in what CONNACK waits for, which it hears of behind its
            // new interests: whatever it acknowledges from then on waits for this session.
            self.journal.tell(self.others().collect());
        }
        let Self { sessions, journal, .. } = self;
        let session = sessions.at(key);
        match &session.will {
            Some(will) => journal.push_will(&session.client_id, will),
            None if is_resumed => {
                journal.push(&Record::WillCleared { client_id: Cow::Borrowed(&session.client_id) });
            }
            None => {}
        }
    }

    fn record_connected(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        owner: Option<&str>,
        now: Time,
    ) {
        let listener = self.connections.find(id).map(|connection| connection.listener);
        let listener = name_of(&self.settings, listener.unwrap_or_default());
        let session = self.sessions.at(key);
        let at_ms = self.journal.unix_ms(now);
        self.journal.push(&Record::Connected {
            client_id: Cow::Borrowed(&session.client_id),
            owner: owner.map(Cow::Borrowed),
            listener: listener.unwrap_or_default().into(),
            version: session.version,
            expiry_s: session.expiry_s,
            at_ms,
        });
    }

    /// All that a session has which was in memory only so far.
    fn record_whole(&mut self, key: SessionKey) {
        let Self { sessions, subscriptions, journal, .. } = self;
        let session = sessions.at(key);
        for held in &session.subscriptions {
            let entry = subscriptions.entry(held.filter);
            let found = match &held.group {
                Some(group) => entry.share(group).and_then(|share| share.member(key)),
                None => entry.subscriber(key),
            };
            let Some(subscriber) = found.copied() else { continue };
            let retain_handling = skein_protocol::RetainHandling::DoNotSend;
            let filter = held_text(held, &subscriptions.text(held.filter));
            let granted = Granted { subscriber, retain_handling };
            journal.push_subscribed(&session.client_id, &filter, &granted);
        }
        for packet_id in session.receiver.held_ids() {
            journal.push(&Record::Held { client_id: (&*session.client_id).into(), packet_id });
        }
        record_exchanges(session, journal);
        for delivery in session.queue.iter() {
            let message = journal.push_message(&delivery.message.borrow());
            journal.push_queued(&session.client_id, delivery, message);
        }
    }
}

fn record_exchanges(session: &Session, journal: &mut Journal) {
    let mut before = 0;
    for (packet_id, delivery) in session.sender.exchanges() {
        let client_id = Cow::Borrowed(&*session.client_id);
        let Some(delivery) = delivery else {
            journal.push(&Record::PubRelOwed { client_id, entry: before, packet_id });
            continue;
        };
        let message = journal.push_message(&delivery.message.borrow());
        journal.push_queued(&session.client_id, delivery, message);
        before = delivery.entry;
        journal.push(&Record::Sent { client_id, entry: before, packet_id });
    }
}

/// A shared subscription as the client names it.
fn share_text(origin: &ShareOrigin) -> String {
    format!("$share/{}/{}", origin.group, origin.pattern)
}

/// A subscription as the client names it.
pub(super) fn held_text(held: &HeldSubscription, pattern: &str) -> String {
    match &held.group {
        Some(group) => format!("$share/{group}/{pattern}"),
        None => pattern.to_owned(),
    }
}

/// What a listener is called, if it is one of the settings, or the inside.
fn name_of(settings: &Settings, listener: ListenerId) -> Option<&str> {
    if listener == ListenerId::INSIDE {
        return Some(ListenerId::INSIDE_NAME);
    }
    settings.listeners.get(usize::from(listener.0)).map(|it| it.name.as_str())
}
