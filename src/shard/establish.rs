//! A connection has found its home: the old connection goes, the session is made or resumed, and
//! CONNACK says so (3.2).

use std::{num::NonZeroU32, rc::Rc};

use skein_protocol::{
    ReasonCode, Version,
    packet::{ConnAck, ConnAckProperties, Connect, Packet, Will as WillFields},
    qos::QoS,
};

use super::{
    ConnectionId, NoticeLevel, Shard, Stage, Turn,
    place::{Admission, Claim},
    respond::Violation,
    timers::Timer,
};
use crate::{
    config::Overflow,
    session::{ApplicationRef, ListenerId, OutgoingAliases, Payload, Session, SessionKey, Will},
};

impl Shard {
    /// Makes the connection the one of its client id.
    pub(super) fn establish(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        connect: &Connect<'_>,
        admission: Admission,
        claim: Claim,
        turn: &mut Turn<'_>,
    ) {
        if self.connack_can_not_leave(client_id) {
            self.return_grant(client_id, claim.epoch, turn);
            let violation =
                Violation::new(ReasonCode::ServerUnavailable, "the store does not work");
            self.refuse_connect(id, connect.version, &violation, turn);
            return;
        }
        let sessions_max = self.settings.limits.sessions_max.div_ceil(self.shards);
        // A clean start takes the place of its own session, also where there are more than may be, as
        // there may be after a start with another number of shards.
        let is_new = self.sessions.find_by_client_id(client_id).is_none();
        if is_new && self.sessions.len() >= sessions_max {
            self.release(client_id, claim.epoch, turn);
            let violation = Violation::new(ReasonCode::QuotaExceeded, "sessions_max is reached");
            self.refuse_connect(id, connect.version, &violation, turn);
            return;
        }
        self.take_over(client_id, connect.clean_start, turn);
        let resumed = self.sessions.find_by_client_id(client_id);
        let session = resumed.unwrap_or_else(|| self.new_session(id, client_id, connect, claim));
        self.attach(id, session, connect, claim, turn);
        let is_resumed = resumed.is_some();
        let owner = admission.identity.user_name.clone();
        self.begin_durability(id, session, owner.as_deref(), is_resumed, turn);
        self.hold_connack(id, session);
        if let Some(connection) = self.connections.find_mut(id) {
            connection.is_resumed = is_resumed;
        }
        self.metrics.connections_accepted += 1;
        self.metrics.sessions_resumed += u64::from(is_resumed);
        let connack = self.connack(client_id, connect, &admission, is_resumed);
        self.write(id, &Packet::ConnAck(connack), turn);
        self.give_rights(id, session, admission);
        let text = connected_text(connect, is_resumed);
        self.notice_of(NoticeLevel::Info, "connected", id, &text, turn);
        self.set_shares_online(session, true);
        turn.effects.resumes.push(id);
        self.refill(session, turn);
    }

    /// Closes the connection that has this client id now [MQTT-3.1.4-3], and ends its session if
    /// the new one asks for a clean start [MQTT-3.1.2-4].
    fn take_over(&mut self, client_id: &str, clean_start: bool, turn: &mut Turn<'_>) {
        let Some(session) = self.sessions.find_by_client_id(client_id) else { return };
        if let Some(old) = self.sessions.at(session).connection {
            self.metrics.sessions_taken_over += 1;
            let text = "[MQTT-3.1.4-3] another connection came with the same client id";
            self.notice_of(NoticeLevel::Info, "taken-over", old, text, turn);
            let violation = Violation::new(ReasonCode::SessionTakenOver, text);
            self.disconnect(old, &violation, turn);
        }
        if clean_start && let Some(session) = self.sessions.find_by_client_id(client_id) {
            self.end_session(session, turn);
        }
    }

    fn new_session(
        &mut self,
        id: ConnectionId,
        client_id: &str,
        connect: &Connect<'_>,
        claim: Claim,
    ) -> SessionKey {
        let overflow = self.overflow_of(id);
        let client_id = client_id.into();
        self.sessions.insert(Session::new(client_id, claim.epoch, connect.version, overflow))
    }

    /// The policy of the listener that a connection came through.
    fn overflow_of(&self, id: ConnectionId) -> Overflow {
        let listener = self.connections.find(id).map(|connection| connection.listener.0);
        self.overflow_at(ListenerId(listener.unwrap_or_default()))
    }

    /// The policy of a listener; without one nobody is refused anything.
    pub(super) fn overflow_at(&self, listener: ListenerId) -> Overflow {
        let listener = self.settings.listeners.get(usize::from(listener.0));
        listener.map_or(Overflow::DropNewest, |listener| listener.overflow)
    }

    /// Joins connection and session for each other.
    fn attach(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        connect: &Connect<'_>,
        claim: Claim,
        turn: &mut Turn<'_>,
    ) {
        self.disarm_session(key);
        let overflow = self.overflow_of(id);
        if overflow != Overflow::Refuse {
            self.set_session_full(key, false);
        }
        let will = connect.will.as_ref().map(|will| Box::new(owned_will(will)));
        let limits = &self.settings.limits;
        let session = self.sessions.at_mut(key);
        session.epoch = claim.epoch;
        session.order = claim.order;
        session.version = connect.version;
        session.overflow = overflow;
        session.connection = Some(id);
        session.queue.retry();
        session.expiry_s = granted_expiry_s(connect, limits);
        session.will = will;
        let theirs = connect.properties.receive_maximum.map_or(u16::MAX, |maximum| maximum.get());
        session.sender.begin_connection(theirs.min(limits.in_flight_max));
        // Before 5.0 a client can not be told a Receive Maximum: it has all packet ids.
        let ours = if connect.version == Version::V5 { limits.receive_maximum } else { u16::MAX };
        session.receiver.begin_connection(ours);

        let keep_alive_s = self.keep_alive_s(connect);
        let aliases_max = connect.properties.topic_alias_maximum.unwrap_or(0);
        let aliases_max = aliases_max.min(self.settings.limits.topic_alias_outgoing_max);
        let hasher = self.placement.clone();
        let Some(connection) = self.connections.find_mut(id) else { return };
        connection.stage = Stage::Live(key);
        connection.take_terms(connect);
        connection.outgoing_aliases =
            (aliases_max > 0).then(|| Box::new(OutgoingAliases::new(aliases_max, hasher)));
        connection.heard_at = turn.now;
        connection.silence_ms_max = u32::from(keep_alive_s) * 1500;
        let deadline = match keep_alive_s {
            0 => super::Time::NEVER,
            _ => turn.now.plus(u64::from(connection.silence_ms_max)),
        };
        self.arm_connection(id, deadline);
    }

    /// Stops the clocks that run while a session has no connection.
    fn disarm_session(&mut self, key: SessionKey) {
        let session = self.sessions.at_mut(key);
        let (expires_at, will_at) = (session.expires_at.take(), session.will_at.take());
        if let Some(at) = expires_at {
            self.timers.cancel(at, Timer::SessionEnds(key));
        }
        if let Some(at) = will_at {
            self.timers.cancel(at, Timer::WillDue(key));
        }
    }

    /// The keep-alive in force, seconds. `keep_alive_s_max` binds only clients that can be told
    /// [MQTT-3.2.2-21]: a 3.1.1 client would not know why it is closed.
    fn keep_alive_s(&self, connect: &Connect<'_>) -> u16 {
        let (asked, most) = (connect.keep_alive_s, self.settings.limits.keep_alive_s_max);
        let is_bound = connect.version == Version::V5 && most > 0;
        if is_bound && (asked == 0 || asked > most) { most } else { asked }
    }

    /// The CONNACK that accepts.
    pub(super) fn connack<'a>(
        &self,
        client_id: &'a str,
        connect: &Connect<'_>,
        admission: &'a Admission,
        session_present: bool,
    ) -> ConnAck<'a> {
        let limits = &self.settings.limits;
        let unavailable = |is_available: bool| (!is_available).then_some(false);
        let keep_alive_s = self.keep_alive_s(connect);
        let expiry_s = granted_expiry_s(connect, limits);
        let asked_expiry_s = connect.properties.session_expiry_s.unwrap_or(0);
        let properties = ConnAckProperties {
            session_expiry_s: (expiry_s != asked_expiry_s).then_some(expiry_s),
            receive_maximum: limits.receive_maximum.try_into().ok(),
            maximum_qos: (limits.maximum_qos != QoS::ExactlyOnce).then_some(limits.maximum_qos),
            retain_available: unavailable(limits.retain_available),
            maximum_packet_size: u32::try_from(limits.packet_bytes_max)
                .ok()
                .and_then(NonZeroU32::new),
            assigned_client_id: connect.client_id.is_empty().then_some(client_id),
            topic_alias_maximum: (limits.topic_alias_maximum > 0)
                .then_some(limits.topic_alias_maximum),
            wildcard_subscription_available: unavailable(limits.wildcard_subscription_available),
            subscription_identifiers_available: unavailable(
                limits.subscription_identifiers_available,
            ),
            shared_subscription_available: unavailable(limits.shared_subscription_available),
            authentication_method: admission.method.as_deref(),
            authentication_data: admission.data.as_deref(),
            server_keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
            ..ConnAckProperties::default()
        };
        // A 3.1 CONNACK has no session-present flag [MQTT 3.1, 3.2].
        let session_present = session_present && connect.version != Version::V3_1;
        ConnAck { session_present, reason: ReasonCode::Success, properties }
    }
}

/// The Session Expiry Interval that holds, seconds: clean session 0 of 3.1 and 3.1.1 has its own.
pub(super) fn granted_expiry_s(connect: &Connect<'_>, limits: &crate::config::Limits) -> u32 {
    let asked = match connect.version {
        Version::V5 => connect.properties.session_expiry_s.unwrap_or(0),
        Version::V3_1 | Version::V3_1_1 if connect.clean_start => 0,
        Version::V3_1 | Version::V3_1_1 => limits.session_expiry_v3_s,
    };
    asked.min(limits.session_expiry_s_max)
}

fn owned_will(will: &WillFields<'_>) -> Will {
    let mut properties = Vec::new();
    will.properties.encode_forwarded(&mut properties);
    let message = ApplicationRef {
        topic: will.topic.as_str(),
        properties: &properties,
        payload: Payload::Inline(will.payload),
        qos: will.qos,
        retain: will.retain,
        expires_at: None,
    };
    Will {
        message: Rc::new(message.to_owned()),
        delay_s: will.properties.delay_interval_s.unwrap_or(0),
        message_expiry_s: will.properties.message_expiry_s,
    }
}

fn connected_text(connect: &Connect<'_>, is_resumed: bool) -> String {
    let session = if is_resumed { "session resumed" } else { "new session" };
    format!("connected: MQTT {}, {session}, keep alive {} s", connect.version, connect.keep_alive_s)
}
