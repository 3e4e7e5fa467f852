//! What a model client hears, and its answers.

use skein_protocol::{Ack, Frame, Packet, PacketId, Publish, QoS, ReasonCode, Version};

use super::{Client, Stage};
use crate::{
    link::{LinkId, Said},
    oracle::{Delivery, violated},
    plan::Feature,
    scene::Scene,
};

impl Client {
    /// Understands what was read, packet by packet.
    pub(super) fn hear(&mut self, id: LinkId, scene: &mut Scene) {
        let bytes = std::mem::take(&mut self.conversation.unread);
        let mut start = 0;
        while let Some((frame, size)) = cut(&bytes[start..]) {
            start += size;
            let place = self.conversation.heard_bytes;
            self.conversation.heard_bytes += size as u64;
            let packet = match Packet::decode(frame, self.version) {
                Ok(packet) => packet,
                Err(error) => violated!("the broker writes what can be read", "{error}: {frame:?}"),
            };
            scene.log.note(|| format!("{} hears on {id:?}: {packet}", self.name));
            scene.step += 1;
            let most = scene.link(id).facts.as_ref().map_or(0, |facts| facts.packet_bytes_max);
            if size > most {
                violated!("the maximum packet size is kept", "{} of {most}: {packet}", self.name);
            }
            self.on_packet(id, place, &packet, scene);
            if self.link != Some(id) {
                return;
            }
        }
        self.conversation.unread = bytes;
        self.conversation.unread.drain(..start);
    }

    fn on_packet(&mut self, id: LinkId, place: u64, packet: &Packet<'_>, scene: &mut Scene) {
        if self.conversation.farewell.is_some() {
            violated!("nothing follows DISCONNECT", "{}: {packet}", self.name);
        }
        if let Packet::ConnAck(connack) = packet {
            self.on_connack(id, connack, scene);
            return;
        }
        if self.stage != Stage::Live {
            violated!("CONNACK comes first", "{}: {packet}", self.name);
        }
        let session = scene.link(id).session;
        let is_handshake =
            matches!(packet, Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_));
        if let Some(store) = scene.store.as_mut().filter(|_| is_handshake) {
            store.note_handshake();
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(id, place, publish, scene),
            Packet::PubAck(ack) => self.on_puback(ack, scene),
            Packet::PubRec(ack) => self.on_pubrec(id, ack, scene),
            Packet::PubComp(ack) => self.on_pubcomp(ack, scene),
            Packet::PubRel(ack) => {
                scene.oracle.on_pubrel(id, session, ack.packet_id.get());
                let was_held = self.received.remove(&ack.packet_id.get());
                let reason = match was_held {
                    true => ReasonCode::Success,
                    false => ReasonCode::PacketIdentifierNotFound,
                };
                let said = Said::Finished(ack.packet_id.get());
                let pubcomp = Packet::PubComp(Ack::with_reason(ack.packet_id, reason));
                self.answer(id, &pubcomp, said, scene);
            }
            Packet::SubAck(suback) => {
                self.expect(suback.packet_id, "SUBACK");
                let reasons: Vec<u8> = suback.reasons.iter().map(|r| *r as u8).collect();
                let packet_id = suback.packet_id.get();
                scene.oracle.on_suback(id, session, packet_id, &reasons, scene.step);
            }
            Packet::UnsubAck(unsuback) => {
                self.expect(unsuback.packet_id, "UNSUBACK");
                let reasons: Vec<u8> = unsuback.reasons.iter().map(|r| *r as u8).collect();
                scene.oracle.on_unsuback(id, session, &reasons);
            }
            Packet::PingResp => match self.conversation.pings.checked_sub(1) {
                Some(left) => self.conversation.pings = left,
                None => violated!("PINGRESP answers PINGREQ", "{}", self.name),
            },
            Packet::Disconnect(disconnect) if self.is_v5() => {
                self.conversation.farewell = Some(disconnect.reason as u8);
            }
            other => violated!("a server sends what servers send", "{}: {other}", self.name),
        }
    }

    fn expect(&mut self, packet_id: PacketId, what: &str) {
        if !self.conversation.asked.remove(&packet_id.get()) {
            violated!("every answer has its request", "{} got {what} {packet_id}", self.name);
        }
    }

    fn on_publish(&mut self, id: LinkId, place: u64, publish: &Publish<'_>, scene: &mut Scene) {
        let topic = self.resolve(id, publish, scene);
        let delivery = Delivery {
            link: id,
            book: scene.link(id).book_at(place),
            topic: &topic,
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id.map(PacketId::get),
            properties: &publish.properties,
            payload: publish.payload,
        };
        let message = scene.oracle.find_message(publish.payload);
        scene.log.note(|| format!("{} hears message {message:?} of {topic}", self.name));
        let at = scene.at();
        scene.oracle.on_delivered(scene.links[id.0].session, &delivery, at);
        let Some(number) = publish.packet_id else { return };
        let refuses = self.is_v5()
            && scene.plan.does(Feature::RefusingAcknowledgements, &mut scene.draw, 1, 8);
        let reason =
            if refuses { ReasonCode::ImplementationSpecificError } else { ReasonCode::Success };
        let ack = Ack::with_reason(number, reason);
        let packet_id = number.get();
        if publish.qos == QoS::AtLeastOnce {
            self.answer(id, &Packet::PubAck(ack), Said::Finished(packet_id), scene);
        } else if refuses && !self.received.contains(&packet_id) {
            self.answer(id, &Packet::PubRec(ack), Said::Finished(packet_id), scene);
        } else {
            self.received.insert(packet_id);
            let ack = Ack::success(number);
            self.answer(id, &Packet::PubRec(ack), Said::Received(packet_id), scene);
        }
    }

    /// The topic, whole.
    fn resolve(&mut self, id: LinkId, publish: &Publish<'_>, scene: &Scene) -> String {
        const PROMISE: &str = "topic aliases are within the maximum, and were set";
        let most = scene.link(id).facts.as_ref().map_or(0, |facts| facts.alias_max);
        let topic = publish.topic.map(|topic| topic.as_str().to_owned());
        let Some(alias) = publish.properties.topic_alias else {
            return topic.unwrap_or_default();
        };
        if alias.get() > most {
            violated!(PROMISE, "{} got alias {alias} of {most}", self.name);
        }
        let aliases = &mut self.conversation.aliases_in;
        if let Some(topic) = &topic {
            aliases.insert(alias.get(), topic.clone());
        }
        match aliases.get(&alias.get()) {
            Some(topic) => topic.clone(),
            None => violated!(PROMISE, "{} got alias {alias}, never set", self.name),
        }
    }

    /// Answers now, or later but in order.
    fn answer(&mut self, id: LinkId, packet: &Packet<'_>, said: Said, scene: &mut Scene) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        let is_late = scene.plan.does(Feature::LateAcknowledgements, &mut scene.draw, 1, 2);
        if is_late || !self.conversation.late.is_empty() {
            self.conversation.late.push_back((bytes, said));
            return;
        }
        scene.log.note(|| format!("{} answers on {id:?}: {packet}", self.name));
        scene.link_mut(id).say(&bytes, said);
    }

    /// The place of what was sent with this id.
    fn find_sent(&self, packet_id: PacketId, is_right: impl Fn(&super::Sent) -> bool) -> usize {
        let place = self.sent.iter().position(|sent| sent.packet_id == packet_id.get());
        match place.filter(|place| is_right(&self.sent[*place])) {
            Some(place) => place,
            None => violated!(
                "every acknowledgement has its message",
                "{} got one for {packet_id}: {:?}",
                self.name,
                self.sent
            ),
        }
    }

    fn on_puback(&mut self, ack: &Ack<'_>, scene: &mut Scene) {
        let place = self.find_sent(ack.packet_id, |sent| sent.qos == 1);
        let Some(sent) = self.sent.remove(place) else { return };
        let keeps = scene.link(sent.link).keeps;
        scene.oracle.on_accepted(sent.message, ack.reason as u8, keeps);
    }

    fn on_pubrec(&mut self, id: LinkId, ack: &Ack<'_>, scene: &mut Scene) {
        let place = self.find_sent(ack.packet_id, |sent| sent.qos == 2);
        let sent = self.sent[place];
        if !sent.is_released {
            let keeps = scene.link(id).keeps;
            scene.oracle.on_accepted(sent.message, ack.reason as u8, keeps);
        }
        if ack.reason.is_error() {
            self.sent.remove(place);
            return;
        }
        self.sent[place].is_released = true;
        self.send_pubrel(id, &sent, scene);
    }

    fn on_pubcomp(&mut self, ack: &Ack<'_>, scene: &mut Scene) {
        let place = self.find_sent(ack.packet_id, |sent| sent.is_released);
        if let Some(sent) = self.sent.remove(place)
            && scene.link(sent.link).keeps
        {
            scene.oracle.on_completed(sent.message);
        }
    }
}

fn cut(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    match Frame::decode(bytes, usize::MAX) {
        Ok(found) => found,
        Err(error) => violated!("the broker writes what can be read", "{error}"),
    }
}

/// The reason of the DISCONNECT in what was read, if there is one; what is understood is dropped.
pub(super) fn farewell_in(unread: &mut Vec<u8>, version: Version) -> Option<u8> {
    let mut start = 0;
    let mut farewell = None;
    while let Some((frame, size)) = cut(&unread[start..]) {
        if let Ok(Packet::Disconnect(disconnect)) = Packet::decode(frame, version) {
            farewell = Some(disconnect.reason as u8);
        }
        start += size;
    }
    unread.drain(..start);
    farewell
}
