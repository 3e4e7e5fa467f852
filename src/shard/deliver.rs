//! A message goes to a session: written at once, queued, or dropped and counted.

use std::{rc::Rc, sync::Arc};

use skein_protocol::qos::{PacketId, QoS};

use super::{
    Shard, Turn, connect::lower, memory::MemoryLevel, metrics::DropReason, sending::Sending,
};
use crate::{
    access::Author,
    router::Route,
    session::{
        Application, ApplicationRef, Delivery, Grant, KeptMessages, ListenerId, Matched, Publisher,
        Pushed, QueueLimits, SessionKey, ShareOrigin,
    },
};

/// A message on its way to its receivers on this shard.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) message: ApplicationRef<'a>,
    /// Who is paused when a receiver does not keep up.
    pub(super) publisher: Option<Publisher>,
    /// Orders the retained messages of one publishing shard; zero for others.
    pub(super) stamp: u64,
    /// Whose it is, if it is to be retained and an access list may take that back.
    pub(super) author: Option<&'a Arc<Author>>,
    /// Whether several sessions here get it, so that it is worth being framed apart.
    is_for_many: bool,
    /// Its number in the journal of this shard; 0 as long as it is not recorded.
    pub(super) number: u64,
    /// The copy that queues and windows share, made when the first needs it.
    kept: Option<Rc<Application>>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(message: ApplicationRef<'a>, publisher: Option<Publisher>) -> Self {
        Self {
            message,
            publisher,
            stamp: 0,
            author: None,
            is_for_many: false,
            number: 0,
            kept: None,
        }
    }

    /// A message that is kept already.
    pub(super) fn of_kept(kept: &'a Rc<Application>) -> Self {
        Self { kept: Some(Rc::clone(kept)), ..Self::new(kept.borrow(), None) }
    }

    fn keep(&mut self, messages: &mut KeptMessages, topic: Option<&Rc<str>>) -> Rc<Application> {
        Rc::clone(self.kept.get_or_insert_with(|| messages.keep(&self.message, topic)))
    }
}

/// How one receiver gets a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) grant: &'a Grant,
    /// The topic as the route holds it, to be kept with the message.
    pub(super) topic: Option<&'a Rc<str>>,
    pub(super) retain: bool,
    pub(super) share: Option<&'a Rc<ShareOrigin>>,
    /// A retained reply: it comes in bounded steps and is never cut short by queue limits.
    pub(super) is_replay: bool,
}

impl Shard {
    /// Delivers to every local session of the route; `own` is the session that published.
    #[inline]
    pub(super) fn deliver_to_receivers(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        route: &Route,
        own: Option<SessionKey>,
        turn: &mut Turn<'_>,
    ) {
        outgoing.is_for_many = route.receivers.len() > 1;
        let asks = self.rights.restrict_anybody();
        for receiver in &route.receivers {
            let Some(grant) = receiver.grant_for(own) else { continue };
            if asks && self.is_withheld(receiver.session, false, outgoing) {
                continue;
            }
            let retain = outgoing.message.retain && grant.retain_as_published;
            let topic = Some(&route.topic);
            let terms = Terms { grant, topic, retain, share: None, is_replay: false };
            self.deliver_allowed(receiver.session, terms, outgoing, turn);
        }
    }

    /// Delivers to one session.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        session: SessionKey,
        terms: Terms<'_>,
        outgoing: &mut Outgoing<'_>,
        turn: &mut Turn<'_>,
    ) {
        let asks = self.rights.restrict_anybody();
        if asks && self.is_withheld(session, terms.is_replay, outgoing) {
            return;
        }
        self.deliver_allowed(session, terms, outgoing, turn);
    }

    /// Whether the session may not receive the topic. It may ask for it all the same, as with
    /// Mosquitto: that is counted, and no matter for the log. Apart from the delivery, which has no
    /// register to spare.
    #[inline(never)]
    fn is_withheld(
        &mut self,
        session: SessionKey,
        is_replay: bool,
        outgoing: &Outgoing<'_>,
    ) -> bool {
        if !self.rights.deny(session, outgoing.message.topic) {
            return false;
        }
        self.metrics.count_drop(DropReason::Denied, outgoing.message.topic);
        if outgoing.stamp != 0 && !is_replay {
            self.replays.note_dropped(session);
        }
        true
    }

    /// Delivers to a session that may receive the topic.
    #[inline]
    fn deliver_allowed(
        &mut self,
        session: SessionKey,
        terms: Terms<'_>,
        outgoing: &mut Outgoing<'_>,
        turn: &mut Turn<'_>,
    ) {
        if outgoing.message.is_expired(turn.now) {
            self.drop_message(session, outgoing.message.topic, DropReason::Expired, turn);
            return;
        }
        let is_taken = match lower(outgoing.message.qos, terms.grant.qos) {
            QoS::AtMostOnce => self.deliver_at_most_once(session, terms, outgoing, turn),
            qos => self.deliver_in_exchange(session, qos, terms, outgoing, turn),
        };
        // What was dropped here may still come as a retained reply.
        if outgoing.stamp != 0 && !terms.is_replay {
            if is_taken {
                self.replays.note_live(session, outgoing.message.topic, outgoing.stamp);
            } else {
                self.replays.note_dropped(session);
            }
        }
    }

    /// False if it is dropped.
    #[inline]
    fn deliver_at_most_once(
        &mut self,
        key: SessionKey,
        terms: Terms<'_>,
        outgoing: &Outgoing<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let session = self.sessions.at(key);
        let Some(id) = session.connection else { return false };
        let Some(connection) = self.connections.find_mut(id) else { return false };
        let limits = &self.settings.limits;
        let waiting = connection.outbox.len();
        // Who is slow has asked for its retained messages all the same; a step is bounded.
        let is_behind = session.is_slow() || waiting >= limits.outbox_bytes_max;
        if is_behind && !terms.is_replay {
            self.drop_message(key, outgoing.message.topic, DropReason::SlowConsumer, turn);
            return false;
        }
        if waiting > 0 && self.memory.level() >= MemoryLevel::DropQoS0 {
            self.drop_message(key, outgoing.message.topic, DropReason::Memory, turn);
            return false;
        }
        let sending = Sending {
            message: &outgoing.message,
            qos: QoS::AtMostOnce,
            retain: terms.retain,
            dup: false,
            packet_id: None,
            identifiers: terms.grant.identifiers(),
        };
        if !connection.takes(&sending, turn.now) {
            self.drop_message(key, outgoing.message.topic, DropReason::PacketTooLarge, turn);
            return false;
        }
        let frames = outgoing.is_for_many.then_some(&mut self.frames);
        if connection.write_publish(&sending, frames, &mut self.buffers, turn.now) {
            turn.effects.dirty.push(id);
        }
        self.metrics.publishes_sent += 1;
        if connection.outbox.len() > limits.outbox_high_water_bytes {
            self.press(key, outgoing.publisher, turn);
        }
        true
    }

    /// False if it is dropped.
    fn deliver_in_exchange(
        &mut self,
        key: SessionKey,
        qos: QoS,
        terms: Terms<'_>,
        outgoing: &mut Outgoing<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let mut delivery = Delivery::new(outgoing.keep(&mut self.kept, terms.topic), qos);
        delivery.retain = terms.retain;
        delivery.matched = match terms.share {
            None => terms.grant.matched.clone(),
            Some(origin) => Matched::new(terms.grant.identifiers(), Some(Rc::clone(origin))),
        };
        if self.journal.is_on() {
            delivery.entry = self.journal.next_entry();
        }
        if !self.sends_at_once(key) {
            return self.enqueue(key, delivery, terms.is_replay, outgoing, turn);
        }
        if self.journal.is_on() {
            self.record_queued(key, &delivery, outgoing);
        }
        if !self.send_delivery(key, delivery, outgoing.is_for_many, turn) {
            // What was recorded of it may be gone with the entry: the next one records it anew.
            outgoing.number = 0;
        }
        let connection = self.sessions.at(key).connection;
        let waiting = connection.and_then(|id| self.connections.find(id)).map(|c| c.outbox.len());
        if waiting.is_some_and(|bytes| bytes > self.settings.limits.outbox_high_water_bytes) {
            self.press(key, outgoing.publisher, turn);
        }
        true
    }

    /// Whether a QoS 1 or 2 message may leave now, ahead of nobody.
    fn sends_at_once(&self, key: SessionKey) -> bool {
        let session = self.sessions.at(key);
        let Some(connection) = session.connection.and_then(|id| self.connections.find(id)) else {
            return false;
        };
        session.queue.is_empty()
            && session.sender.quota() > 0
            && !session.is_slow()
            && connection.outbox.len() < self.settings.limits.outbox_bytes_max
    }

    /// Begins the exchange and writes the PUBLISH; `frames` hold this very message if
    /// `is_framed`. The session is connected and has quota. False if it is dropped.
    pub(super) fn send_delivery(
        &mut self,
        key: SessionKey,
        delivery: Delivery,
        is_framed: bool,
        turn: &mut Turn<'_>,
    ) -> bool {
        let session = self.sessions.at_mut(key);
        let Some(id) = session.connection else { return false };
        let Some(connection) = self.connections.find_mut(id) else { return false };
        let frames = is_framed.then_some(&mut self.frames);
        let message = delivery.message.borrow();
        if !connection.takes(&Sending::of(&message, &delivery, PacketId::new(1)), turn.now) {
            self.record_dropped(key, &delivery);
            self.drop_message(key, delivery.message.topic(), DropReason::PacketTooLarge, turn);
            return false;
        }
        self.memory.charge(delivery.bytes());
        let Ok((packet_id, delivery)) = session.sender.begin(delivery.qos, delivery) else {
            unreachable!("the sender has quota, and its ids outnumber it")
        };
        if let Some(durability) = session.durability {
            let sent = (delivery.entry, packet_id, delivery.qos);
            self.journal.push_sent((&session.client_id, durability), sent, connection);
        }
        let message = delivery.message.borrow();
        let sending = Sending::of(&message, delivery, Some(packet_id));
        if connection.write_publish(&sending, frames, &mut self.buffers, turn.now) {
            turn.effects.dirty.push(id);
        }
        self.metrics.publishes_sent += 1;
        true
    }

    /// Puts a delivery into the session's queue, or does what its policy says. False if it is
    /// dropped.
    fn enqueue(
        &mut self,
        key: SessionKey,
        delivery: Delivery,
        is_replay: bool,
        outgoing: &mut Outgoing<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        if self.memory.level() >= MemoryLevel::RefuseQueues && !is_replay {
            self.drop_message(key, delivery.message.topic(), DropReason::Memory, turn);
            return false;
        }
        let limits = self.queue_limits(key);
        if !self.sessions.at(key).queue.fits(delivery.bytes(), limits) {
            self.drop_expired(key, turn);
        }
        let session = self.sessions.at(key);
        if session.durability.is_some()
            && (is_replay || session.queue.takes(delivery.bytes(), limits, session.overflow))
        {
            self.record_queued(key, &delivery, outgoing);
        }
        let session = self.sessions.at_mut(key);
        let before = session.queue.memory_bytes();
        let pushed = if is_replay {
            session.queue.push_unbounded(delivery);
            Pushed::Queued
        } else {
            session.queue.push(delivery, limits, session.overflow)
        };
        let after = session.queue.memory_bytes();
        self.memory.adjust(before, after);
        self.spill(key, turn);
        let is_queued = matches!(pushed, Pushed::Queued | Pushed::DroppedOldest(_));
        self.on_pushed(key, pushed, turn);
        self.update_fullness(key);
        self.press_for_queue(key, outgoing.publisher, turn);
        is_queued
    }

    /// How much may wait for a session; a bridge may have limits of its own.
    pub(super) fn queue_limits(&self, key: SessionKey) -> QueueLimits {
        let (session, limits) = (self.sessions.at(key), &self.settings.limits);
        let mut bridges = self.settings.bridges.iter();
        let bridge = (session.listener == ListenerId::INSIDE)
            .then(|| bridges.find(|bridge| *bridge.client_id == *session.client_id))
            .flatten();
        let own = |own: Option<usize>, general| own.filter(|max| *max > 0).unwrap_or(general);
        QueueLimits {
            messages_max: own(bridge.map(|it| it.queue_messages_max), limits.queue_messages_max),
            bytes_max: own(bridge.map(|it| it.queue_bytes_max), limits.queue_bytes_max),
        }
    }

    pub(super) fn on_pushed(&mut self, key: SessionKey, pushed: Pushed, turn: &mut Turn<'_>) {
        let dropped = match pushed {
            Pushed::Queued => return,
            Pushed::DroppedNewest(delivery) => vec![delivery],
            Pushed::DroppedOldest(deliveries) => {
                deliveries.iter().for_each(|delivery| self.record_dropped(key, delivery));
                deliveries
            }
            Pushed::Overflowed(delivery) => {
                self.doomed.extend(self.sessions.at(key).connection);
                vec![delivery]
            }
        };
        for delivery in dropped {
            self.drop_message(key, delivery.message.topic(), DropReason::QueueFull, turn);
        }
    }

    /// A message that a session wanted is not delivered: counted by session, topic prefix and
    /// reason, and told in the log ever more seldom.
    pub(super) fn drop_message(
        &mut self,
        key: SessionKey,
        topic: &str,
        reason: DropReason,
        turn: &mut Turn<'_>,
    ) {
        self.metrics.count_drop(reason, topic);
        let session = self.sessions.at_mut(key);
        session.dropped = session.dropped.saturating_add(1);
        if session.dropped.is_power_of_two() {
            let text = format!(
                "message to {topic:?} dropped: {}; {} so far",
                reason.name(),
                session.dropped
            );
            turn.effects.notices.push(super::Notice {
                level: super::NoticeLevel::Warning,
                kind: "message-dropped",
                connection: session.connection,
                client: Some(Box::from(&*session.client_id)),
                text,
            });
        }
    }
}
