//! Packets of a live connection, and among them the acknowledgements of both handshakes (4.3).

use skein_protocol::{
    Error, Frame, ReasonCode, Version,
    packet::{Ack, Packet, PacketType},
    qos::{AckError, PacketId, Received},
};

use super::{
    ConnectionId, NoticeLevel, Shard, Turn,
    phase::Phase,
    respond::{AckKind, Violation},
};
use crate::{
    record::Record,
    session::{Delivery, SessionKey},
};

impl Shard {
    pub(super) fn on_live_packet(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        version: Version,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.phase = Phase::Reading;
        let outcome = self.take_live_packet(id, session, version, frame, turn);
        // Whoever is punished for it loses more than the connection.
        self.phase = Phase::Changing;
        outcome
    }

    #[inline]
    fn take_live_packet(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        version: Version,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        match frame.packet_type() {
            PacketType::Publish => {
                let bytes = frame.body.len();
                self.on_publish(id, session, version, frame, None, turn)?;
                self.pause_for_rate(id, bytes, turn);
            }
            PacketType::PubAck => {
                let ack = Ack::decode(frame, version)?;
                self.phase = Phase::Changing;
                self.on_puback(id, session, &ack, turn);
            }
            PacketType::PubRec => {
                let ack = Ack::decode(frame, version)?;
                self.phase = Phase::Changing;
                self.on_pubrec(id, session, &ack, turn);
            }
            PacketType::PubRel => {
                let packet_id = Ack::decode(frame, version)?.packet_id;
                self.phase = Phase::Changing;
                self.on_pubrel(id, session, packet_id, turn);
            }
            PacketType::PubComp => {
                let packet_id = Ack::decode(frame, version)?.packet_id;
                self.phase = Phase::Changing;
                self.on_pubcomp(id, session, packet_id, turn);
            }
            _ => return self.on_seldom_packet(id, session, version, frame, turn),
        }
        Ok(())
    }

    /// Everything that is not part of a message's way. Apart from that, as a packet of any kind
    /// is large to pass around.
    #[cold]
    fn on_seldom_packet(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        version: Version,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        if frame.packet_type() == PacketType::Connect {
            // Whatever is in it: what a first one may be wrong with is no reason for a DISCONNECT.
            return Err(Error::SecondConnect.into());
        }
        let packet = Packet::decode(frame, version)?;
        self.phase = Phase::Changing;
        match packet {
            Packet::Subscribe(subscribe) => {
                self.on_subscribe(id, session, &subscribe, turn)?;
                self.pause_for_lanes(id);
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.on_unsubscribe(id, session, &unsubscribe, turn)?;
                self.pause_for_lanes(id);
            }
            Packet::PingReq => self.write(id, &Packet::PingResp, turn),
            Packet::Disconnect(disconnect) => self.on_disconnect(id, session, &disconnect, turn)?,
            Packet::Auth(auth) => self.on_auth(id, session, &auth, turn)?,
            packet => return Err(Error::ServerPacketFromClient(packet.packet_type()).into()),
        }
        Ok(())
    }

    /// A QoS 1 message is the client's. A reason that refuses ends it all the same
    /// [MQTT-4.8.2-6].
    fn on_puback(&mut self, id: ConnectionId, key: SessionKey, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        match self.sessions.at_mut(key).sender.on_puback(ack.packet_id) {
            Ok(delivery) => {
                let packet_id = ack.packet_id;
                self.record(key, |client_id| Record::Finished { client_id, packet_id });
                self.settle(delivery);
            }
            Err(error) => self.note_stray_ack(id, PacketType::PubAck, ack.packet_id, error, turn),
        }
        self.refill(key, turn);
    }

    /// A message that a window held is the client's now, or nobody's.
    fn settle(&mut self, delivery: Delivery) {
        self.memory.release(delivery.bytes());
        self.kept.release(delivery.message);
    }

    fn on_pubrec(&mut self, id: ConnectionId, key: SessionKey, ack: &Ack<'_>, turn: &mut Turn<'_>) {
        let received =
            self.sessions.at_mut(key).sender.on_pubrec(ack.packet_id, ack.reason.is_error());
        let packet_id = ack.packet_id;
        let release = |shard: &mut Self, reason, turn: &mut Turn<'_>| {
            if shard.is_durable(key) {
                shard.hold_for_all(id, false);
            }
            shard.acknowledge(id, AckKind::Rel, ack.packet_id, reason, turn);
        };
        match received {
            Ok(Received::Release(delivery)) => {
                // It must never be sent again once PUBREL has left [MQTT-4.3.3-6].
                self.record(key, |client_id| Record::Received { client_id, packet_id });
                self.settle(delivery);
                release(self, ReasonCode::Success, turn);
            }
            Ok(Received::Again) => release(self, ReasonCode::Success, turn),
            Ok(Received::Refused(delivery)) => {
                self.record(key, |client_id| Record::Finished { client_id, packet_id });
                self.settle(delivery);
            }
            Err(AckError::Unknown) if !ack.reason.is_error() => {
                release(self, ReasonCode::PacketIdentifierNotFound, turn);
            }
            Err(error) => self.note_stray_ack(id, PacketType::PubRec, ack.packet_id, error, turn),
        }
        self.refill(key, turn);
    }

    /// The client lets go of an id. Owed or not, PUBCOMP answers it [MQTT-4.3.3-11]. On a resumed
    /// session an unknown id is no error (MQTT 5, 3.7.2.1): the last PUBCOMP was lost with the
    /// connection, and a client that is told of an error takes its publish for failed.
    fn on_pubrel(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        packet_id: PacketId,
        turn: &mut Turn<'_>,
    ) {
        let was_held = self.sessions.at_mut(key).receiver.on_pubrel(packet_id);
        if was_held {
            self.record(key, |client_id| Record::Released { client_id, packet_id });
        }
        if self.is_durable(key) {
            self.hold_for_all(id, false);
        }
        let recovers = self.connections.find(id).is_some_and(|connection| connection.is_resumed);
        let reason = if was_held || recovers {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.acknowledge(id, AckKind::Comp, packet_id, reason, turn);
    }

    fn on_pubcomp(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        packet_id: PacketId,
        turn: &mut Turn<'_>,
    ) {
        match self.sessions.at_mut(key).sender.on_pubcomp(packet_id) {
            Ok(()) => self.record(key, |client_id| Record::Finished { client_id, packet_id }),
            Err(error) => self.note_stray_ack(id, PacketType::PubComp, packet_id, error, turn),
        }
        self.refill(key, turn);
    }

    /// An acknowledgement that fits no exchange changes none.
    fn note_stray_ack(
        &self,
        id: ConnectionId,
        packet: PacketType,
        packet_id: PacketId,
        error: AckError,
        turn: &mut Turn<'_>,
    ) {
        let text = format!("{packet} for packet id {packet_id} fits no exchange: {error:?}");
        self.notice_of(NoticeLevel::Debug, "stray-acknowledgement", id, &text, turn);
    }
}
