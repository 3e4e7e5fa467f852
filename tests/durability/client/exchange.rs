//! What a client does about what comes.

use std::io::{self, ErrorKind};

use skein_protocol::qos::{AckError, Received};
use skein_protocol::{Ack, Packet, PacketId, PacketType, Publish, QoS, ReasonCode, SubAck};

use super::{Client, live::Live};
use crate::history::{Message, Operation};
use crate::scene::Moment;

impl Client {
    /// # Errors
    /// The broker has said good-bye, or something that it may not say.
    pub(super) fn hear(&mut self, live: &mut Live, packet: &Packet<'_>) -> io::Result<()> {
        match packet {
            Packet::Publish(publish) => self.on_publish(live, publish),
            Packet::PubAck(ack) => self.on_puback(ack),
            Packet::PubRec(ack) => self.on_pubrec(live, ack),
            Packet::PubRel(ack) => self.on_pubrel(live, ack.packet_id),
            Packet::PubComp(ack) => {
                self.scene.reach(Moment::Came(PacketType::PubComp));
                let finished = self.sender.on_pubcomp(ack.packet_id);
                finished.map_err(|error| self.unexpected(packet, error))
            }
            Packet::SubAck(suback) => self.on_suback(live, suback),
            Packet::Disconnect(disconnect) => {
                self.scene.hear_goodbye(disconnect.reason);
                Err(ErrorKind::ConnectionAborted.into())
            }
            _ => Err(self.violated(format!("this came: {packet}"))),
        }
    }

    fn on_publish(&mut self, live: &mut Live, publish: &Publish<'_>) -> io::Result<()> {
        let id = publish.packet_id;
        let is_new = match (publish.qos, id) {
            (QoS::ExactlyOnce, Some(id)) => self.held.insert(id.get()),
            _ => true,
        };
        if is_new {
            self.take(publish)?;
        }
        match (publish.qos, id) {
            (QoS::AtLeastOnce, Some(id)) => {
                live.link.say(&Packet::PubAck(Ack::success(id)));
                live.said.push(Moment::Sent(PacketType::PubAck));
            }
            (QoS::ExactlyOnce, Some(id)) => {
                live.link.say(&Packet::PubRec(Ack::success(id)));
                live.said.push(Moment::Sent(PacketType::PubRec));
            }
            _ => {}
        }
        Ok(())
    }

    /// The message is this client's now.
    fn take(&self, publish: &Publish<'_>) -> io::Result<()> {
        let (Some(topic), Some(message)) = (publish.topic, Message::of(publish.payload)) else {
            return Err(self.violated(format!("nobody has sent what came: {publish:?}")));
        };
        let (client, topic, qos) = (self.plan.client, topic.as_str().to_owned(), publish.qos);
        self.scene.history.record(Operation::Delivered { client, message, topic, qos });
        Ok(())
    }

    fn on_puback(&mut self, ack: &Ack<'_>) -> io::Result<()> {
        let finished = self.sender.on_puback(ack.packet_id);
        let outgoing =
            finished.map_err(|error| self.unexpected(&Packet::PubAck(ack.clone()), error))?;
        if ack.reason.is_error() {
            self.scene.hear_refusal(ack.reason);
        } else {
            self.scene.history.record(Operation::Acknowledged { message: outgoing.message });
        }
        self.scene.reach(Moment::Came(PacketType::PubAck));
        Ok(())
    }

    fn on_pubrec(&mut self, live: &mut Live, ack: &Ack<'_>) -> io::Result<()> {
        let came = self.sender.on_pubrec(ack.packet_id, ack.reason.is_error());
        match came.map_err(|error| self.unexpected(&Packet::PubRec(ack.clone()), error))? {
            Received::Release(outgoing) => {
                let message = outgoing.message;
                self.scene.history.record(Operation::Acknowledged { message });
                self.scene.reach(Moment::Came(PacketType::PubRec));
            }
            Received::Refused(_) => {
                self.scene.hear_refusal(ack.reason);
                return Ok(());
            }
            Received::Again => {}
        }
        live.link.say(&Packet::PubRel(Ack::success(ack.packet_id)));
        live.said.push(Moment::Sent(PacketType::PubRel));
        Ok(())
    }

    fn on_pubrel(&mut self, live: &mut Live, id: PacketId) -> io::Result<()> {
        self.scene.reach(Moment::Came(PacketType::PubRel));
        // One that was released already is one whose PUBCOMP was lost with its connection.
        self.held.remove(&id.get());
        live.link.say(&Packet::PubComp(Ack::success(id)));
        live.said.push(Moment::Sent(PacketType::PubComp));
        Ok(())
    }

    fn on_suback(&mut self, live: &mut Live, suback: &SubAck<'_>) -> io::Result<()> {
        if live.subscribing.take() != Some(suback.packet_id) {
            return Err(self.violated(format!("this answers nothing: {suback:?}")));
        }
        self.sender.release(suback.packet_id);
        let granted = suback.reasons.first().and_then(|reason| granted(*reason));
        let (filter, asked) = self.plan.filters[self.granted].clone();
        match granted {
            // Refused for now, because nothing can be written: asked for again.
            None => return Ok(()),
            Some(qos) if qos != asked => {
                return Err(self.violated(format!("{filter} was granted with QoS {qos}")));
            }
            Some(qos) => {
                let client = self.plan.client;
                self.scene.history.record(Operation::Subscribed { client, filter, qos });
            }
        }
        self.granted += 1;
        Ok(())
    }

    fn unexpected(&self, packet: &Packet<'_>, error: AckError) -> io::Error {
        self.violated(format!("{packet} came: {error}"))
    }
}

fn granted(reason: ReasonCode) -> Option<QoS> {
    match reason {
        ReasonCode::Success => Some(QoS::AtMostOnce),
        ReasonCode::GrantedQoS1 => Some(QoS::AtLeastOnce),
        ReasonCode::GrantedQoS2 => Some(QoS::ExactlyOnce),
        _ => None,
    }
}
