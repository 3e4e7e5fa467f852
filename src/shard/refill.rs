//! A session's connection has room again: what is owed goes out in order. First what an earlier
//! connection left unfinished, then the queue, then retained replies.

use std::rc::Rc;

use skein_protocol::{
    ReasonCode,
    qos::{PacketId, QoS, Resend},
};

use super::{ConnectionId, Shard, Turn, metrics::DropReason, respond::AckKind, sending::Sending};
use crate::{
    record::Record,
    session::{Delivery, SessionKey},
};

/// The next thing that goes out again.
enum Owed {
    Publish(PacketId, Delivery),
    PubRel(PacketId),
}

impl Shard {
    /// The kernel took bytes of this connection.
    pub(super) fn on_flushed(&mut self, id: ConnectionId, written: usize, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        self.memory.adjust(connection.charged, connection.outbox.len());
        connection.charged = connection.outbox.len();
        if connection.outbox.is_empty() {
            connection.outbox.release(&mut self.buffers);
        }
        // Above the limit nothing was read from it, see `wants_packets`: that it takes bytes was
        // its only sign of life. Now it is read again.
        let bytes_max = self.settings.limits.outbox_bytes_max;
        let left = connection.outbox.len();
        if left + written > bytes_max {
            connection.heard_at = turn.now;
            if left <= bytes_max {
                turn.effects.resumes.push(id);
            }
        }
        let Some(session) = connection.session() else { return };
        self.refill(session, turn);
    }

    /// Sends what waits for the session, as far as its window and its outbox allow.
    pub(super) fn refill(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let session = self.sessions.at(key);
        let Some(id) = session.connection else { return };
        if session.sender.is_resending() || !session.queue.is_empty() {
            self.send_owed(key, id, turn);
            self.spill(key, turn);
        }
        self.ease(key, turn);
        self.update_fullness(key);
        self.pump_replays(key, turn);
    }

    fn send_owed(&mut self, key: SessionKey, id: ConnectionId, turn: &mut Turn<'_>) {
        while self.has_room(id) {
            let sent = self.resend_next(key, id, turn) || self.send_next_queued(key, turn);
            if !sent {
                break;
            }
        }
    }

    /// Whether the outbox is below the mark up to which it is filled from the queue.
    pub(super) fn has_room(&self, id: ConnectionId) -> bool {
        let high_water = self.settings.limits.outbox_high_water_bytes;
        self.connections.find(id).is_some_and(|connection| connection.outbox.len() < high_water)
    }

    /// Resends one message or PUBREL of an earlier connection [MQTT-4.4.0-1]. False if none is
    /// left or the window is used up.
    fn resend_next(&mut self, key: SessionKey, id: ConnectionId, turn: &mut Turn<'_>) -> bool {
        let owed = match self.sessions.at_mut(key).sender.next_resend() {
            Some(Resend::Publish(packet_id, delivery)) => {
                Owed::Publish(packet_id, delivery.clone())
            }
            Some(Resend::PubRel(packet_id)) => Owed::PubRel(packet_id),
            None => return false,
        };
        match owed {
            Owed::Publish(packet_id, delivery) => {
                self.resend_publish(key, id, packet_id, &delivery, turn);
            }
            Owed::PubRel(packet_id) => {
                self.acknowledge(id, AckKind::Rel, packet_id, ReasonCode::Success, turn);
            }
        }
        true
    }

    fn resend_publish(
        &mut self,
        key: SessionKey,
        id: ConnectionId,
        packet_id: PacketId,
        delivery: &Delivery,
        turn: &mut Turn<'_>,
    ) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        let message = delivery.message.borrow();
        let sending = Sending { dup: true, ..Sending::of(&message, delivery, Some(packet_id)) };
        let is_denied = self.rights.deny(key, delivery.message.topic());
        if !is_denied && connection.takes(&sending, turn.now) {
            if connection.write_publish(&sending, None, &mut self.buffers, turn.now) {
                turn.effects.dirty.push(id);
            }
            self.metrics.publishes_sent += 1;
            return;
        }
        let reason = if is_denied { DropReason::Denied } else { DropReason::PacketTooLarge };
        self.give_up(key, id, packet_id, delivery, reason, turn);
    }

    /// This connection takes less than the one before, or the session may receive less: the message is dropped, and the exchange goes
    /// on as if it had been sent [MQTT-3.1.2-25]. The client may have received it with QoS 2 on the
    /// last connection and hold its id, which would make it take the next message of this id for
    /// this one; PUBREL lets it go. A client that knows no such id says so in PUBCOMP.
    fn give_up(
        &mut self,
        key: SessionKey,
        id: ConnectionId,
        packet_id: PacketId,
        delivery: &Delivery,
        reason: DropReason,
        turn: &mut Turn<'_>,
    ) {
        let sender = &mut self.sessions.at_mut(key).sender;
        let goes_on = match delivery.qos {
            QoS::ExactlyOnce => sender.on_pubrec(packet_id, false).is_ok(),
            QoS::AtLeastOnce | QoS::AtMostOnce => sender.on_puback(packet_id).is_ok(),
        };
        debug_assert!(goes_on, "what was just resent is in flight");
        self.record(key, |client_id| match delivery.qos {
            QoS::ExactlyOnce => Record::Received { client_id, packet_id },
            QoS::AtLeastOnce | QoS::AtMostOnce => Record::Finished { client_id, packet_id },
        });
        if delivery.qos == QoS::ExactlyOnce {
            if self.is_durable(key) {
                self.hold_for_all(id, false);
            }
            self.acknowledge(id, AckKind::Rel, packet_id, ReasonCode::Success, turn);
        }
        self.memory.release(delivery.bytes());
        if reason == DropReason::Denied {
            self.metrics.count_drop(reason, delivery.message.topic());
        } else {
            self.drop_message(key, delivery.message.topic(), reason, turn);
        }
    }

    /// Sends the oldest message of the queue. False if there is none or the window is used up.
    fn send_next_queued(&mut self, key: SessionKey, turn: &mut Turn<'_>) -> bool {
        let session = self.sessions.at_mut(key);
        if session.sender.quota() == 0 {
            return false;
        }
        let Some(delivery) = session.queue.pop() else { return false };
        self.memory.release(delivery.bytes());
        if self.rights.deny(key, delivery.message.topic()) {
            self.withdraw(&delivery, turn);
            self.record_dropped(key, &delivery);
        } else if delivery.message.borrow().is_expired(turn.now) {
            let message = Rc::clone(&delivery.message);
            self.record_dropped(key, &delivery);
            self.drop_message(key, message.topic(), DropReason::Expired, turn);
        } else {
            self.send_delivery(key, delivery, false, turn);
        }
        true
    }
}
