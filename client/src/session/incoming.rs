//! What arrives on an accepted connection: messages above all (3.3, 4.3).

use std::sync::Arc;
use std::time::Duration;

use skein_protocol::qos::{Arrival, ArrivalError, Receiver};
use skein_protocol::{Ack, Frame, Packet, PacketId, Publish, QoS, ReasonCode, Version};

use super::{Effect, Mark, Phase, Session};
use crate::Message;
use crate::message::Delivery;

/// So many unacknowledged messages are borne, or twice the announced Receive Maximum if that is
/// more. The announced number itself would be right, but mosquitto 2.0 exceeds small ones as soon
/// as several acknowledgements reach it at once, and to hang up on it would lose what it has sent.
/// What we hold stays bounded.
const TOLERATED_MIN: u16 = 1024;

/// A message that was handed out on this connection.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    delivery: Delivery,
    id: PacketId,
    qos: QoS,
    /// How it is to be answered, once everything before it is.
    answer: Option<ReasonCode>,
    /// Nobody has it any more.
    is_released: bool,
}

/// A message that was handed out on an earlier connection. When the server sends it again, it is
/// not handed out a second time: who has it answers it.
#[derive(Debug)]
pub(super) struct Held {
    delivery: Delivery,
    qos: QoS,
    answer: Option<ReasonCode>,
}

impl Session {
    /// A message was dealt with: it is acknowledged with this reason, after all that arrived
    /// before it, in whatever order they are dealt with [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    ///
    /// An unacknowledged message uses up one of [`Options::receive_maximum`], so who does not
    /// acknowledge is not sent more. It may be acknowledged on a later connection as well.
    ///
    /// [`Options::receive_maximum`]: crate::Options::receive_maximum
    pub fn acknowledge(&mut self, delivery: Delivery, reason: ReasonCode, now: Duration) {
        let listed = self.unacknowledged.iter_mut().find(|listed| listed.delivery == delivery);
        if let Some(listed) = listed {
            listed.answer = Some(reason);
            let (id, qos) = (listed.id, listed.qos);
            self.mark_taken(id, qos, reason);
            self.send_acknowledgements(now);
        } else if let Some((id, held)) =
            self.held.iter_mut().find(|(_, held)| held.delivery == delivery)
        {
            held.answer = Some(reason);
            let (id, qos) = (*id, held.qos);
            self.mark_taken(id, qos, reason);
        }
    }

    /// Whether or not the server hears of it before the process ends, the message was dealt with.
    fn mark_taken(&mut self, id: PacketId, qos: QoS, reason: ReasonCode) {
        if qos == QoS::ExactlyOnce && !reason.is_error() {
            self.mark(Mark::Taken(id));
        }
    }

    /// Nobody will deal with this message: when the server sends it again, which it does on the
    /// next connection, it is handed out again. Until then it uses up its part of the window, and
    /// nothing behind it is acknowledged.
    pub fn release(&mut self, delivery: Delivery) {
        if let Some(listed) = self.unacknowledged.iter_mut().find(|it| it.delivery == delivery) {
            listed.is_released = true;
        }
        let held = self.held.iter().find(|(_, held)| held.delivery == delivery);
        if let Some(id) = held.map(|(id, _)| *id) {
            self.held.remove(&id);
            self.receiver.acknowledged(id);
        }
    }

    pub(super) fn on_frame(
        &mut self,
        frame: Frame<'_>,
        now: Duration,
    ) -> Result<(), skein_protocol::Error> {
        if !matches!(self.phase, Phase::Up { .. }) {
            return self.on_first_frame(frame, now);
        }
        match Packet::decode(frame, self.link.version)? {
            Packet::Publish(publish) => self.on_publish(&publish, now),
            Packet::PubAck(ack) => self.on_puback(&ack),
            Packet::PubRec(ack) => self.on_pubrec(&ack, now),
            Packet::PubRel(ack) => {
                self.on_pubrel(&ack, now);
                Ok(())
            }
            Packet::PubComp(ack) => self.on_pubcomp(&ack),
            Packet::SubAck(suback) => self.on_suback(&suback),
            Packet::UnsubAck(unsuback) => self.on_unsuback(&unsuback),
            Packet::PingResp => {
                self.link.keep_alive.on_pong(now);
                Ok(())
            }
            Packet::Disconnect(disconnect) => {
                self.on_disconnect(&disconnect, now);
                Ok(())
            }
            Packet::Auth(auth) => {
                self.on_auth(&auth, now);
                Ok(())
            }
            Packet::ConnAck(_) => Err(skein_protocol::Error::SecondConnAck),
            packet @ (Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq) => {
                Err(skein_protocol::Error::ClientPacketFromServer(packet.packet_type()))
            }
        }
    }

    /// A new connection begins for what arrives: in the old session, or in a new one.
    pub(super) fn begin_receiving(&mut self, present: bool) {
        if !present {
            self.receiver = Receiver::new();
            self.held.clear();
        }
        let announced = self.options.receive_maximum.max(1);
        self.receiver.begin_connection(match self.link.version {
            // Mosquitto 2.0 sends everything at once that it had kept over a restart; to hang up on it
            // would never end.
            _ if self.options.is_relay => u16::MAX,
            Version::V5 => announced.saturating_mul(2).max(TOLERATED_MIN),
            // Nothing could be announced.
            Version::V3_1 | Version::V3_1_1 => u16::MAX,
        });
    }

    /// What is not acknowledged stays with whom it was handed to, for the server sends it again.
    pub(super) fn hold_unacknowledged(&mut self) {
        self.relay.forget_released();
        for Unacknowledged { delivery, id, qos, answer, is_released } in
            self.unacknowledged.drain(..)
        {
            if is_released {
                // Free, so that it arrives as a new message even with QoS 2.
                self.receiver.acknowledged(id);
            } else {
                self.held.insert(id, Held { delivery, qos, answer });
            }
        }
    }

    fn on_publish(
        &mut self,
        publish: &Publish<'_>,
        now: Duration,
    ) -> Result<(), skein_protocol::Error> {
        let topic = self.link.inbound.resolve(publish.topic, publish.properties.topic_alias)?;
        let Some(id) = publish.packet_id else {
            self.deliver(topic, publish, None);
            return Ok(());
        };
        // Servers of old send again on the same connection; who has the message answers it once.
        if publish.dup && self.is_unacknowledged(id, publish.qos) {
            return Ok(());
        }
        let arrival = self.receiver.on_publish(publish.qos, id).map_err(|error| match error {
            ArrivalError::ReceiveMaximumExceeded => skein_protocol::Error::ReceiveMaximumExceeded,
            ArrivalError::PacketIdInUse => skein_protocol::Error::PacketIdInUse,
        })?;
        let held = self.held.remove(&id);
        match (arrival, held.filter(|held| publish.dup && held.qos == publish.qos)) {
            (_, Some(held)) => self.list(held.delivery, id, publish.qos, held.answer),
            (Arrival::New, None) => {
                self.last_delivery += 1;
                let delivery = Delivery(self.last_delivery);
                self.list(delivery, id, publish.qos, None);
                self.deliver(topic, publish, Some(delivery));
            }
            // [MQTT-4.3.3-10]: it was answered, and the answer was lost.
            (Arrival::Duplicate, None) => {
                self.list(Delivery(0), id, publish.qos, Some(ReasonCode::Success));
            }
        }
        self.send_acknowledgements(now);
        Ok(())
    }

    /// PUBREL came (3.6): the handshake is over, and the id free [MQTT-4.3.3-12].
    fn on_pubrel(&mut self, ack: &Ack<'_>, now: Duration) {
        if self.passes_on_pubrel(ack.packet_id) {
            return;
        }
        let reason = match self.receiver.on_pubrel(ack.packet_id) {
            true => {
                self.mark(Mark::Finished(ack.packet_id));
                ReasonCode::Success
            }
            false => ReasonCode::PacketIdentifierNotFound,
        };
        self.write(&Packet::PubComp(Ack::with_reason(ack.packet_id, reason)), now);
    }

    fn is_unacknowledged(&self, id: PacketId, qos: QoS) -> bool {
        self.unacknowledged.iter().any(|listed| listed.id == id && listed.qos == qos)
    }

    fn list(&mut self, delivery: Delivery, id: PacketId, qos: QoS, answer: Option<ReasonCode>) {
        let is_released = false;
        self.unacknowledged.push_back(Unacknowledged { delivery, id, qos, answer, is_released });
    }

    fn deliver(&mut self, topic: Arc<str>, publish: &Publish<'_>, delivery: Option<Delivery>) {
        self.statistics.messages_received += 1;
        self.effects.push_back(Effect::Deliver(Message::new(topic, publish, delivery)));
    }

    /// Answers what may be answered: nothing before the first one that is not dealt with.
    fn send_acknowledgements(&mut self, now: Duration) {
        while let Some(Unacknowledged { answer: Some(reason), id, qos, .. }) =
            self.unacknowledged.front()
        {
            let (reason, id, qos) = (*reason, *id, *qos);
            self.unacknowledged.pop_front();
            let ack = Ack::with_reason(id, reason);
            let packet = match qos {
                QoS::ExactlyOnce => Packet::PubRec(ack),
                _ => Packet::PubAck(ack),
            };
            self.write(&packet, now);
            if qos != QoS::ExactlyOnce || reason.is_error() {
                self.receiver.acknowledged(id);
            }
        }
    }
}
