//! Answers: packets into an outbox, refusals with a reason, and lines for the log.

use skein_protocol::{
    Error, ReasonCode, UserProperties, Version,
    packet::{
        Ack, AckProperties, ConnAck, ConnAckProperties, Disconnect, DisconnectProperties, Packet,
    },
    qos::PacketId,
};

use super::{Connection, ConnectionId, Notice, NoticeLevel, Shard, Turn};
use crate::session::Buffers;

/// Why a connection cannot go on: the reason for the peer, and the words for both.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) reason: ReasonCode,
    pub(super) text: String,
}

impl Violation {
    pub(super) fn new(reason: ReasonCode, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        Self { reason: error.reason(), text: error.to_string() }
    }
}

/// Which of the four acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckKind {
    Ack,
    Rec,
    Rel,
    Comp,
}

impl AckKind {
    /// The short form of 3.1.1, which is also that of 5.0 for success without properties.
    const fn first_byte(self) -> u8 {
        match self {
            Self::Ack => 0x40,
            Self::Rec => 0x50,
            Self::Rel => 0x62,
            Self::Comp => 0x70,
        }
    }

    fn packet(self, ack: Ack<'_>) -> Packet<'_> {
        match self {
            Self::Ack => Packet::PubAck(ack),
            Self::Rec => Packet::PubRec(ack),
            Self::Rel => Packet::PubRel(ack),
            Self::Comp => Packet::PubComp(ack),
        }
    }
}

impl Connection {
    /// Appends a packet; true if the outbox was empty before.
    pub(super) fn write(&mut self, packet: &Packet<'_>, buffers: &mut Buffers) -> bool {
        let was_empty = self.outbox.is_empty();
        let version = self.version;
        self.outbox.append_with(buffers, |out| packet.encode(version, out));
        was_empty
    }
}

impl Shard {
    /// A packet may carry so many user properties (CVE-2021-41039 was their number).
    #[inline]
    pub(super) fn check_user_properties(&self, pairs: UserProperties<'_>) -> Result<(), Violation> {
        if pairs.is_empty() {
            return Ok(());
        }
        self.count_user_properties(pairs)
    }

    fn count_user_properties(&self, pairs: UserProperties<'_>) -> Result<(), Violation> {
        if pairs.iter().count() <= self.settings.limits.user_properties_max {
            return Ok(());
        }
        Err(Violation::new(ReasonCode::QuotaExceeded, "more than user_properties_max"))
    }

    /// Appends a packet to a connection's outbox.
    pub(super) fn write(&mut self, id: ConnectionId, packet: &Packet<'_>, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        if connection.write(packet, &mut self.buffers) {
            turn.effects.dirty.push(id);
        }
    }

    /// Appends a packet that may carry a reason string, or `bare` without it, where the client
    /// wants none [MQTT-3.1.2-29] or it would be too large for it [MQTT-3.4.2-2].
    pub(super) fn write_or_bare<'a>(
        &mut self,
        id: ConnectionId,
        explained: &Packet<'a>,
        bare: &Packet<'a>,
        turn: &mut Turn<'_>,
    ) {
        let Some(connection) = self.connections.find(id) else { return };
        let fits = connection.takes_bytes(explained.encoded_len(connection.version));
        let packet = if connection.problem_information && fits { explained } else { bare };
        self.write(id, packet, turn);
    }

    /// An answer that the client forbids by its Maximum Packet Size can not be left out, as a
    /// PUBLISH can: the connection ends [MQTT-3.1.2-24].
    pub(super) fn check_answer(
        &self,
        id: ConnectionId,
        packet: &Packet<'_>,
    ) -> Result<(), Violation> {
        let Some(connection) = self.connections.find(id) else { return Ok(()) };
        if connection.takes_bytes(packet.encoded_len(connection.version)) {
            return Ok(());
        }
        let text = "[MQTT-3.1.2-24] the answer is longer than the Maximum Packet Size";
        Err(Violation::new(ReasonCode::PacketTooLarge, text))
    }

    /// Sends one of the four acknowledgements without a reason string.
    #[inline]
    pub(super) fn acknowledge(
        &mut self,
        id: ConnectionId,
        kind: AckKind,
        packet_id: PacketId,
        reason: ReasonCode,
        turn: &mut Turn<'_>,
    ) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        if connection.outbox.is_empty() {
            turn.effects.dirty.push(id);
        }
        let [high, low] = packet_id.get().to_be_bytes();
        if reason == ReasonCode::Success || connection.version != Version::V5 {
            connection.outbox.append(&[kind.first_byte(), 2, high, low], &mut self.buffers);
        } else {
            let bytes = [kind.first_byte(), 3, high, low, reason as u8];
            connection.outbox.append(&bytes, &mut self.buffers);
        }
    }

    /// Sends an acknowledgement that refuses, with the words for it.
    pub(super) fn acknowledge_refusal(
        &mut self,
        id: ConnectionId,
        kind: AckKind,
        packet_id: PacketId,
        refusal: &Violation,
        turn: &mut Turn<'_>,
    ) {
        let ack = |reason_string| {
            let properties = AckProperties { reason_string, ..AckProperties::default() };
            kind.packet(Ack { packet_id, reason: refusal.reason, properties })
        };
        self.write_or_bare(id, &ack(Some(&refusal.text)), &ack(None), turn);
    }

    /// Refuses a malformed CONNECT and closes. Before 5.0 there is no CONNACK for it
    /// [MQTT-3.1.4-1 of 3.1.1], unless a version is asked for that is not spoken here.
    pub(super) fn refuse_malformed_connect(
        &mut self,
        id: ConnectionId,
        version: Version,
        violation: &Violation,
        turn: &mut Turn<'_>,
    ) {
        self.metrics.protocol_errors += 1;
        let is_version_unknown = violation.reason == ReasonCode::UnsupportedProtocolVersion;
        if version == Version::V5 || is_version_unknown {
            self.refuse_connect(id, version, violation, turn);
            return;
        }
        self.note_refusal(id, violation, turn);
        self.close(id, turn);
    }

    /// Refuses a well-formed CONNECT and closes.
    pub(super) fn refuse_connect(
        &mut self,
        id: ConnectionId,
        version: Version,
        violation: &Violation,
        turn: &mut Turn<'_>,
    ) {
        self.note_refusal(id, violation, turn);
        if let Some(connection) = self.connections.find_mut(id) {
            connection.version = version;
        }
        self.say_no(id, violation, turn);
    }

    /// Sends the CONNACK that refuses, and closes.
    pub(super) fn say_no(&mut self, id: ConnectionId, violation: &Violation, turn: &mut Turn<'_>) {
        let connack = |reason_string| {
            let properties = ConnAckProperties { reason_string, ..ConnAckProperties::default() };
            let reason = violation.reason;
            Packet::ConnAck(ConnAck { session_present: false, reason, properties })
        };
        let (explained, bare) = (connack(Some(&*violation.text)), connack(None));
        self.write_or_bare(id, &explained, &bare, turn);
        self.close(id, turn);
    }

    fn note_refusal(&mut self, id: ConnectionId, violation: &Violation, turn: &mut Turn<'_>) {
        self.metrics.connections_refused += 1;
        self.notice(NoticeLevel::Warning, "connect-refused", id, None, &violation.text, turn);
    }

    /// Says why to a 5.0 client, then closes; its session lives on by its expiry and its will is
    /// due [MQTT-3.14.4-3], [MQTT-3.1.2-8].
    pub(super) fn disconnect(
        &mut self,
        id: ConnectionId,
        violation: &Violation,
        turn: &mut Turn<'_>,
    ) {
        let Some(connection) = self.connections.find(id) else { return };
        let session = connection.session();
        if connection.is_connack_held {
            self.take_back_connack(id, turn);
        } else if connection.version == Version::V5 && session.is_some() {
            let disconnect = |reason_string| {
                let properties =
                    DisconnectProperties { reason_string, ..DisconnectProperties::default() };
                Packet::Disconnect(Disconnect { reason: violation.reason, properties })
            };
            let (explained, bare) = (disconnect(Some(&*violation.text)), disconnect(None));
            if let Some(connection) = self.connections.find_mut(id) {
                connection.outbox.drop_held();
            }
            self.write_or_bare(id, &explained, &bare, turn);
        }
        let Some(connection) = self.close(id, turn) else { return };
        if let Some(session) = connection.session() {
            self.lose(session, true, turn);
        }
    }

    /// Refuses a connection after all, whose CONNACK waits: nothing may come before a CONNACK
    /// [MQTT-3.2.0-1].
    fn take_back_connack(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        connection.outbox.drop_held();
        let (reason, properties) = (ReasonCode::ServerUnavailable, ConnAckProperties::default());
        let refusal = ConnAck { session_present: false, reason, properties };
        self.write(id, &Packet::ConnAck(refusal), turn);
    }

    /// The peer broke a rule: a line in the log, the reason, and the end of this connection.
    pub(super) fn punish(&mut self, id: ConnectionId, violation: &Violation, turn: &mut Turn<'_>) {
        self.metrics.protocol_errors += 1;
        self.notice_of(NoticeLevel::Warning, "protocol-error", id, &violation.text, turn);
        self.disconnect(id, violation, turn);
    }

    /// A line about a connection, with the client id its session has.
    pub(super) fn notice_of(
        &self,
        level: NoticeLevel,
        kind: &'static str,
        id: ConnectionId,
        text: &str,
        turn: &mut Turn<'_>,
    ) {
        let session = self.connections.find(id).and_then(Connection::session);
        let client = session.map(|session| Box::from(&*self.sessions.at(session).client_id));
        self.notice(level, kind, id, client, text, turn);
    }

    /// A line about a connection.
    pub(super) fn notice(
        &self,
        level: NoticeLevel,
        kind: &'static str,
        id: ConnectionId,
        client: Option<Box<str>>,
        text: &str,
        turn: &mut Turn<'_>,
    ) {
        let text = match self.connections.find(id) {
            Some(connection) => format!("{text} (from {})", connection.peer),
            None => text.to_owned(),
        };
        turn.effects.notices.push(Notice { level, kind, connection: Some(id), client, text });
    }
}
