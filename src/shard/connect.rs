//! A connection opens and sends CONNECT (3.1). Whether it may is decided here; where it belongs,
//! in `place`; what its session becomes, in `establish`.

use std::net::SocketAddr;

use ahash::RandomState;
use skein_protocol::{
    Error, Frame, ReasonCode, Version,
    packet::{Connect, Packet, PacketType, Will},
    qos::QoS,
};

use super::{
    Connection, ConnectionId, NoticeLevel, Shard, Stage, Turn,
    connection::{Admitted, PendingConnect},
    establish::granted_expiry_s,
    memory::MemoryLevel,
    phase::Phase,
    place::Admission,
    respond::Violation,
    timers::Timer,
};
use crate::{
    access::certificate,
    session::{AcceptOrder, ListenerId, PeerAddress},
};

/// How long a CONNECT may have waited for a shard that is busy. One that comes longer than this
/// after its connection was accepted was sent late.
const UNREAD_MS_MAX: u64 = 1_000;

/// Makes client ids for those who bring none [MQTT-3.1.3-6]: unguessable, as whoever knows an id
/// can take its session over.
#[derive(Debug)]
pub(super) struct ClientIds {
    keyed: RandomState,
    made: u64,
}

impl ClientIds {
    pub(super) fn new(keyed: RandomState) -> Self {
        Self { keyed, made: 0 }
    }

    fn next(&mut self) -> Box<str> {
        self.made += 1;
        let high = self.keyed.hash_one((self.made, 0_u8));
        let low = self.keyed.hash_one((self.made, 1_u8));
        format!("skein-{high:016x}{low:016x}").into()
    }
}

/// Topics that only the broker itself publishes to: all of its own but the states of bridges, which
/// these say themselves.
pub(super) fn is_reserved_for_broker(topic: &str) -> bool {
    let state_of_bridge = topic
        .strip_prefix("$SYS/broker/connection/")
        .and_then(|rest| rest.strip_suffix("/state"))
        .is_some_and(|name| !name.is_empty() && !name.contains('/'));
    !state_of_bridge && matches!(topic.split('/').next(), Some("$SYS" | "$CONTROL"))
}

impl Shard {
    pub(super) fn on_opened(
        &mut self,
        id: ConnectionId,
        peer: PeerAddress,
        listener: ListenerId,
        order: AcceptOrder,
        turn: &mut Turn<'_>,
    ) {
        self.metrics.connections_opened += 1;
        self.connections.insert(Connection::new(id, peer, listener, order, turn.now));
        if self.stop.has_begun() {
            self.close(id, turn);
            return;
        }
        self.arm_connection(id, turn.now.plus(self.settings.limits.connect_timeout_ms));
    }

    /// The layers below MQTT know more of the peer than the socket does.
    pub(super) fn on_introduced(
        &mut self,
        id: ConnectionId,
        source: Option<SocketAddr>,
        certificates: Vec<Box<[u8]>>,
    ) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        let certificate_id = certificates.first().map(|der| certificate::id_of(der));
        connection.peer.introduce(source, certificates, certificate_id);
    }

    pub(super) fn arm_connection(&mut self, id: ConnectionId, at: super::Time) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        if connection.timer_at != super::Time::NEVER {
            self.timers.cancel(connection.timer_at, Timer::Connection(id));
        }
        connection.timer_at = at;
        if at != super::Time::NEVER {
            self.timers.arm(at, Timer::Connection(id));
        }
    }

    #[inline]
    pub(super) fn on_packet(&mut self, id: ConnectionId, frame: Frame<'_>, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        connection.heard_at = turn.now;
        match connection.stage {
            Stage::Live(session) => {
                let version = connection.version;
                if let Err(violation) = self.on_live_packet(id, session, version, frame, turn) {
                    self.punish(id, &violation, turn);
                }
            }
            _ => self.on_early_packet(id, frame, turn),
        }
    }

    /// A packet before CONNACK.
    #[cold]
    #[inline(never)]
    fn on_early_packet(&mut self, id: ConnectionId, frame: Frame<'_>, turn: &mut Turn<'_>) {
        match self.connections.find(id).map(|connection| &connection.stage) {
            Some(Stage::AwaitingConnect(order)) => {
                let order = order.of_connect_read_at(turn.now, UNREAD_MS_MAX);
                self.on_first_packet(id, frame, order, turn);
            }
            Some(Stage::Authenticating(_)) => self.on_packet_of_login(id, frame, turn),
            _ => debug_assert!(false, "no packet is wanted before CONNACK"),
        }
    }

    /// Bytes that are no packet.
    pub(super) fn on_malformed(&mut self, id: ConnectionId, error: &Error, turn: &mut Turn<'_>) {
        let violation = Violation { reason: error.reason(), text: error.to_string() };
        self.punish(id, &violation, turn);
    }

    fn on_first_packet(
        &mut self,
        id: ConnectionId,
        frame: Frame<'_>,
        order: AcceptOrder,
        turn: &mut Turn<'_>,
    ) {
        if frame.packet_type() != PacketType::Connect {
            self.punish(id, &Error::FirstPacketNotConnect.into(), turn);
            return;
        }
        self.phase = Phase::Reading;
        let decoded = Packet::decode(frame, Version::V5);
        match decoded {
            Ok(Packet::Connect(connect)) => {
                if let Some(connection) = self.connections.find_mut(id) {
                    connection.take_terms(&connect);
                }
                let admitted = self.admit(id, &connect);
                self.reach_failpoint(connect.client_id);
                self.phase = Phase::Changing;
                match admitted {
                    Ok(()) => self.authenticate(id, &connect, order, turn),
                    Err(violation) => self.refuse_connect(id, connect.version, &violation, turn),
                }
            }
            Ok(_) => unreachable!("a packet of type CONNECT decodes to one"),
            Err(error) => {
                let version = version_to_answer_in(frame);
                self.phase = Phase::Changing;
                self.refuse_malformed_connect(id, version, &error.into(), turn);
            }
        }
    }

    /// Whether a well-formed CONNECT may come in.
    fn admit(&self, id: ConnectionId, connect: &Connect<'_>) -> Result<(), Violation> {
        let limits = &self.settings.limits;
        let refuse = |reason, text| Err(Violation::new(reason, text));
        if self.stop.has_begun() {
            return refuse(ReasonCode::ServerUnavailable, "the broker is shutting down");
        }
        if self.memory.level() >= MemoryLevel::RefuseConnections {
            return refuse(ReasonCode::QuotaExceeded, "memory_bytes_max is nearly used up");
        }
        let is_empty_refused = match connect.version {
            Version::V5 => false,
            Version::V3_1_1 => !connect.clean_start,
            Version::V3_1 => true,
        };
        if connect.client_id.is_empty() && is_empty_refused {
            let text = "[MQTT-3.1.3-8] an empty client id needs a clean session";
            return refuse(ReasonCode::ClientIdentifierNotValid, text);
        }
        if connect.client_id.len() > limits.client_id_bytes_max {
            let text = "the client id is longer than client_id_bytes_max";
            return refuse(ReasonCode::ClientIdentifierNotValid, text);
        }
        self.check_user_properties(connect.properties.user_properties)?;
        if self.journal.trouble.has_failed()
            && granted_expiry_s(connect, limits) > 0
            && self.promise_to(id).is_some()
        {
            return refuse(ReasonCode::ServerUnavailable, "the store does not work");
        }
        connect.will.as_ref().map_or(Ok(()), |will| self.admit_will(will))
    }

    fn admit_will(&self, will: &Will<'_>) -> Result<(), Violation> {
        let limits = &self.settings.limits;
        let refuse = |reason, text| Err(Violation::new(reason, text));
        if will.qos > limits.maximum_qos {
            return refuse(
                ReasonCode::QoSNotSupported,
                "[MQTT-3.2.2-12] the will's QoS is too high",
            );
        }
        if will.retain && !limits.retain_available {
            let text = "[MQTT-3.2.2-13] retained messages are not available";
            return refuse(ReasonCode::RetainNotSupported, text);
        }
        if will.topic.level_count() > limits.topic_levels_max {
            let text = "the will's topic has more than topic_levels_max levels";
            return refuse(ReasonCode::TopicNameInvalid, text);
        }
        if !self.is_publishable(will.topic) {
            return refuse(ReasonCode::NotAuthorized, WILL_DENIED);
        }
        Ok(())
    }

    /// The client is known: may it come in with what it asks for? Remembers the CONNECT and finds
    /// out where its client id lives.
    pub(super) fn admit_client(
        &mut self,
        id: ConnectionId,
        pending: PendingConnect,
        connect: &Connect<'_>,
        admission: Admission,
        turn: &mut Turn<'_>,
    ) {
        if self.stop.has_begun() {
            let text = "the broker is shutting down";
            let violation = Violation::new(ReasonCode::ServerUnavailable, text);
            return self.refuse_connect(id, connect.version, &violation, turn);
        }
        let client_id = &pending.client_id;
        let Some(connection) = self.connections.find(id) else { return };
        if let Some(will) = &connect.will
            && !self
                .access
                .permissions(connection.listener, &admission.identity, client_id)
                .may_publish(will.topic)
        {
            let violation = Violation::new(ReasonCode::NotAuthorized, WILL_DENIED);
            return self.refuse_connect(id, connect.version, &violation, turn);
        }
        let connack = self.connack(client_id, connect, &admission, true);
        let connack_bytes = Packet::ConnAck(connack).encoded_len(connect.version);
        let Some(connection) = self.connections.find_mut(id) else { return };
        if !connection.takes_bytes(connack_bytes) {
            let text = "[MQTT-3.1.2-24] the CONNACK is longer than the Maximum Packet Size";
            let violation = Violation::new(ReasonCode::PacketTooLarge, text);
            self.refuse_connect(id, connect.version, &violation, turn);
            return;
        }
        let admitted = Admitted { pending, admission };
        connection.stage = Stage::AwaitingGrant(Box::new(admitted));
        self.locate(id, turn);
    }

    /// A client id whose registrar is this shard, which spares a round.
    pub(super) fn new_client_id(&mut self) -> Box<str> {
        loop {
            let client_id = self.client_ids.next();
            if self.registrar_of(&client_id) == self.id {
                return client_id;
            }
        }
    }

    /// A timer says that a connection may have been silent for too long.
    pub(super) fn on_silence(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        connection.timer_at = super::Time::NEVER;
        if connection.session().is_none() {
            self.metrics.connect_timeouts += 1;
            let text = "no CONNECT, or no end of the login, within connect_timeout_ms";
            self.notice(NoticeLevel::Info, "connect-timeout", id, None, text, turn);
            self.close(id, turn);
            return;
        }
        // While we do not read, its silence is ours.
        let is_full = connection.outbox.len() > self.settings.limits.outbox_bytes_max;
        let waits_for_store = connection.outbox.is_holding() && is_full;
        if connection.is_paused() || waits_for_store || self.journal.trouble.is_behind() {
            connection.heard_at = turn.now;
        }
        let deadline = connection.heard_at.plus(u64::from(connection.silence_ms_max));
        if turn.now < deadline {
            self.arm_connection(id, deadline);
            return;
        }
        self.metrics.keep_alive_timeouts += 1;
        let text = "[MQTT-3.1.2-22] silent for one and a half keep-alive intervals";
        self.notice_of(NoticeLevel::Info, "keep-alive-timeout", id, text, turn);
        self.disconnect(id, &Violation::new(ReasonCode::KeepAliveTimeout, text), turn);
    }
}

/// Why a CONNECT is refused whose will the client may not publish.
const WILL_DENIED: &str = "the will's topic is denied";

/// The version to answer a broken CONNECT in: its own, or the latest if its level is above that. The
/// bridges of Mosquitto ask for 0x83 and 0x84 first, and take only the answer of 3.1.1 for one.
fn version_to_answer_in(frame: Frame<'_>) -> Version {
    match Connect::peek_version(frame) {
        Ok(version) => version,
        Err(Error::ProtocolVersionUnsupported(level))
            if level > Version::V5.level() && level & 0x80 == 0 =>
        {
            Version::V5
        }
        Err(_) => Version::V3_1_1,
    }
}

/// The packet as it came, to be parsed again later or elsewhere.
pub(super) fn whole_packet(frame: Frame<'_>) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(frame.body.len() + 5);
    bytes.push(frame.header);
    skein_protocol::wire::put_varint(&mut bytes, frame.body.len() as u32);
    bytes.extend_from_slice(frame.body);
    bytes.into()
}

/// The highest QoS both sides know.
pub(super) fn lower(one: QoS, other: QoS) -> QoS {
    one.min(other)
}
