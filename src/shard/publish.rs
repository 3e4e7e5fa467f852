//! PUBLISH comes in (3.3): checked, refused or acknowledged. Where it goes, in `spread`.

use std::num::NonZeroU16;

use super::{
    ConnectionId, Shard, Turn,
    deliver::Outgoing,
    phase::Phase,
    respond::{AckKind, Violation},
    room::Incoming,
};
use crate::{
    record::Record,
    router::Route,
    session::{ApplicationRef, Payload, Publisher, SHARED_PAYLOAD_BYTES_MIN, SessionKey},
};
use skein_protocol::{
    Error, Frame, ReasonCode, TopicName, Version,
    packet::Publish,
    qos::{Arrival, ArrivalError, PacketId, QoS},
};

impl Shard {
    pub(super) fn on_publish(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        version: Version,
        frame: Frame<'_>,
        has_room: Option<bool>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let last = self.routes.last();
        let known = last.as_deref().map(|route| TopicName::assume_valid(&route.topic));
        let publish = &Publish::decode_knowing(frame, version, known)?;
        self.metrics.publishes_received += u64::from(has_room.is_none());
        self.check_publish(publish)?;
        self.reach_failpoint(publish.topic.map_or("", TopicName::as_str));
        self.phase = Phase::Changing;
        self.reach_failpoint(publish.topic.map_or("", TopicName::as_str));
        let incoming = Incoming { publish, frame, has_room };
        match (publish.properties.topic_alias, publish.topic) {
            (None, Some(topic)) => self.on_publish_to(id, session, topic, &incoming, turn),
            (Some(alias), _) => self.on_aliased_publish(id, session, alias, &incoming, turn),
            (None, None) => Err(Error::TopicAliasUnknown.into()),
        }
    }

    /// The topic is named by an alias, or the alias by the topic [MQTT-3.3.2-12].
    fn on_aliased_publish(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        alias: NonZeroU16,
        incoming: &Incoming<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let Some(connection) = self.connections.find_mut(id) else { return Ok(()) };
        // The aliases are taken out for the call, as the topic is borrowed from them.
        let mut aliases = connection.incoming_aliases.take().unwrap_or_default();
        let alias_max = self.settings.limits.topic_alias_maximum;
        let topic = incoming.publish.topic.map(TopicName::as_str);
        let bytes_max = self.settings.limits.topic_alias_bytes_max;
        let bytes = aliases.bytes() + topic.map_or(0, str::len);
        if topic.is_some() && bytes > bytes_max {
            let text = "the topics with an alias are longer than topic_alias_bytes_max";
            return Err(Violation::new(ReasonCode::QuotaExceeded, text));
        }
        let topic = TopicName::assume_valid(aliases.resolve(alias, topic, alias_max)?);
        let outcome = self.on_publish_to(id, session, topic, incoming, turn);
        if let Some(connection) = self.connections.find_mut(id) {
            connection.incoming_aliases = Some(aliases);
        }
        outcome
    }

    /// What no client may send, whatever the topic.
    fn check_publish(&self, publish: &Publish<'_>) -> Result<(), Violation> {
        let limits = &self.settings.limits;
        if publish.qos > limits.maximum_qos {
            let text = "[MQTT-3.2.2-11] the QoS is above the maximum that CONNACK named";
            return Err(Violation::new(ReasonCode::QoSNotSupported, text));
        }
        if publish.retain && !limits.retain_available {
            let text = "[MQTT-3.2.2-14] retained messages are not available";
            return Err(Violation::new(ReasonCode::RetainNotSupported, text));
        }
        let properties = &publish.properties;
        if !properties.subscription_identifiers.is_empty() {
            return Err(Error::SubscriptionIdentifierFromClient.into());
        }
        self.check_user_properties(properties.user_properties)
    }

    fn on_publish_to(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        topic: TopicName<'_>,
        incoming: &Incoming<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let publish = incoming.publish;
        // Most topics are shorter than they may have levels: nothing has to be counted.
        let levels_max = self.settings.limits.topic_levels_max;
        if topic.as_str().len() >= levels_max && topic.level_count() > levels_max {
            let text = "the topic has more than topic_levels_max levels";
            return Err(Violation::new(ReasonCode::TopicNameInvalid, text));
        }
        if self.waits_for_room(id, topic.as_str(), incoming) {
            return Ok(());
        }
        if let Some(packet_id) = publish.packet_id {
            match self.sessions.at_mut(session).receiver.on_publish(publish.qos, packet_id) {
                Ok(Arrival::New) => {}
                Ok(Arrival::Duplicate) => {
                    // Owned already: acknowledged again, never delivered again [MQTT-4.3.3-10]. The
                    // first one may have come where nothing is promised, and is kept all the same.
                    let success = ReasonCode::Success;
                    self.hold_for_all(id, true);
                    self.acknowledge(id, AckKind::Rec, packet_id, success, turn);
                    return Ok(());
                }
                Err(ArrivalError::PacketIdInUse) => {
                    return self.refuse_packet_id(id, session, publish, packet_id, turn);
                }
                Err(ArrivalError::ReceiveMaximumExceeded) => {
                    return Err(Error::ReceiveMaximumExceeded.into());
                }
            }
        }
        if !self.may_publish(session, topic) {
            let text = "[MQTT-3.3.5-2] the topic is denied";
            let refusal = Violation::new(ReasonCode::NotAuthorized, text);
            self.refuse_publish(id, session, publish, &refusal, turn);
            return Ok(());
        }
        let route = self.routes.find(topic.as_str(), &self.subscriptions);
        match self.refusal((id, session), topic, incoming, &route) {
            // Nothing can be promised, which an older client understands by the end alone.
            Some(refusal) if self.sessions.at(session).version != Version::V5 => {
                if let Some(packet_id) = publish.packet_id {
                    self.sessions.at_mut(session).receiver.acknowledged(packet_id);
                }
                self.close_unsafe_publisher(id, &refusal, turn);
            }
            Some(refusal) => self.refuse_publish(id, session, publish, &refusal, turn),
            None => self.accept_publish((id, session), topic, publish, &route, turn),
        }
        Ok(())
    }

    /// The id belongs to an exchange of the other QoS, which goes on. Only MQTT 5 can be told so,
    /// and only in an acknowledgement: a DISCONNECT has no such reason [MQTT-3.14.2-1].
    fn refuse_packet_id(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        publish: &Publish<'_>,
        packet_id: PacketId,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let refusal = Violation::from(Error::PacketIdInUse);
        if self.sessions.at(session).version != Version::V5 {
            return Err(refusal);
        }
        self.metrics.publishes_refused += 1;
        self.acknowledge_refusal(id, answer_to(publish.qos), packet_id, &refusal, turn);
        Ok(())
    }

    /// Why a PUBLISH that is allowed is not taken on: what it is for has no room.
    #[inline]
    fn refusal(
        &self,
        (id, session): (ConnectionId, SessionKey),
        topic: TopicName<'_>,
        incoming: &Incoming<'_>,
        route: &Route,
    ) -> Option<Violation> {
        if incoming.publish.qos == QoS::AtMostOnce {
            return None;
        }
        if let Some(violation) = self.journal.trouble.violation()
            && self.needs_journal(session, incoming.publish, route)
        {
            return Some(violation);
        }
        let version = self.connections.find(id).map(|connection| connection.version);
        if version != Some(Version::V5) {
            return None;
        }
        if let Some(refusal) = self.room_refusal(id, topic.as_str(), incoming) {
            return Some(refusal);
        }
        if route.is_full {
            let text = "every queue of those who want the topic is full";
            return Some(Violation::new(ReasonCode::QuotaExceeded, text));
        }
        None
    }

    /// Ends the exchange with the reason; before 5.0 there is none, and the message is accepted
    /// and goes nowhere [MQTT-3.3.5-2].
    fn refuse_publish(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        publish: &Publish<'_>,
        refusal: &Violation,
        turn: &mut Turn<'_>,
    ) {
        self.metrics.publishes_refused += 1;
        self.notice_of(super::NoticeLevel::Warning, "publish-refused", id, &refusal.text, turn);
        let Some(packet_id) = publish.packet_id else { return };
        let is_v5 = self.sessions.at(session).version == Version::V5;
        let kind = answer_to(publish.qos);
        if is_v5 || kind == AckKind::Ack {
            self.sessions.at_mut(session).receiver.acknowledged(packet_id);
        }
        if is_v5 {
            self.acknowledge_refusal(id, kind, packet_id, refusal, turn);
        } else {
            if kind == AckKind::Rec && self.is_durable(session) {
                self.record(session, |client_id| Record::Held { client_id, packet_id });
                self.hold_for_all(id, true);
            }
            self.acknowledge(id, kind, packet_id, ReasonCode::Success, turn);
        }
    }

    fn accept_publish(
        &mut self,
        (id, session): (ConnectionId, SessionKey),
        topic: TopicName<'_>,
        publish: &Publish<'_>,
        route: &Route,
        turn: &mut Turn<'_>,
    ) {
        let mut properties = Vec::new();
        if !publish.properties.is_empty() {
            publish.properties.encode_forwarded(&mut properties);
        }
        let shared;
        let payload = if publish.payload.len() >= SHARED_PAYLOAD_BYTES_MIN {
            shared = std::rc::Rc::new(bytes::Bytes::copy_from_slice(publish.payload));
            Payload::Shared(&shared)
        } else {
            Payload::Inline(publish.payload)
        };
        let expiry_s = publish.properties.message_expiry_s;
        let message = ApplicationRef {
            topic: topic.as_str(),
            properties: &properties,
            payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: expiry_s.map(|s| turn.now.plus(u64::from(s) * 1000)),
        };
        let publisher = Publisher { shard: self.id, connection: id };
        if let Some(packet_id) = publish.packet_id {
            // Before the deliveries: a client that leaves when its own message has come back has
            // then heard that we have it, too.
            let is_wanted = !route.is_empty();
            if publish.qos == QoS::ExactlyOnce {
                self.record(session, |client_id| Record::Held { client_id, packet_id });
            }
            if self.needs_journal(session, publish, route) {
                self.hold_for_publish(id);
            }
            self.acknowledge_publish(id, session, publish.qos, packet_id, is_wanted, turn);
        }
        let author = if publish.retain { self.author(session) } else { None };
        let mut outgoing = Outgoing::new(message, Some(publisher));
        outgoing.author = author.as_ref();
        self.spread(&mut outgoing, route, Some(session), turn);
        self.pause_for_memory(id, turn);
    }

    /// Whether what this PUBLISH changes outlives the broker, so that its acknowledgement waits.
    #[inline]
    fn needs_journal(&self, session: SessionKey, publish: &Publish<'_>, route: &Route) -> bool {
        self.journal.is_on()
            && (publish.retain
                || route.is_durable
                || !route.durable_shards.is_empty()
                || !route.shares.is_empty()
                || (publish.qos == QoS::ExactlyOnce && self.is_durable(session)))
    }

    fn acknowledge_publish(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        qos: QoS,
        packet_id: PacketId,
        is_wanted: bool,
        turn: &mut Turn<'_>,
    ) {
        let reason =
            if is_wanted { ReasonCode::Success } else { ReasonCode::NoMatchingSubscribers };
        if qos == QoS::ExactlyOnce {
            self.acknowledge(id, AckKind::Rec, packet_id, reason, turn);
        } else {
            self.sessions.at_mut(session).receiver.acknowledged(packet_id);
            self.acknowledge(id, AckKind::Ack, packet_id, reason, turn);
        }
    }
}

/// The first answer to a PUBLISH of QoS 1 or 2.
fn answer_to(qos: QoS) -> AckKind {
    match qos {
        QoS::ExactlyOnce => AckKind::Rec,
        QoS::AtLeastOnce | QoS::AtMostOnce => AckKind::Ack,
    }
}
