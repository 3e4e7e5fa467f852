//! One PUBLISH is written into a connection's outbox, in the shape its client wants.

use skein_protocol::{
    Version,
    qos::{PacketId, QoS},
};

use super::{Connection, Time};
use crate::{
    router::{Envelope, Frames, Shape},
    session::{ApplicationRef, Buffers, Delivery, Payload, TopicField},
};

/// One PUBLISH to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending<'a> {
    pub(super) message: &'a ApplicationRef<'a>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) packet_id: Option<PacketId>,
    pub(super) identifiers: &'a [u32],
}

impl<'a> Sending<'a> {
    /// What a delivery is sent as for the first time.
    pub(super) fn of(
        message: &'a ApplicationRef<'a>,
        delivery: &'a Delivery,
        packet_id: Option<PacketId>,
    ) -> Self {
        Self {
            message,
            qos: delivery.qos,
            retain: delivery.retain,
            dup: false,
            packet_id,
            identifiers: delivery.identifiers(),
        }
    }

    fn shape(&self, version: Version) -> Shape {
        Shape { version, qos: self.qos, retain: self.retain }
    }

    fn envelope(&self, connection: &Connection) -> Envelope<'_> {
        let version = connection.version;
        let identifiers = if version == Version::V5 { self.identifiers } else { &[] };
        let aliases = connection.outgoing_aliases.as_ref();
        let topic = aliases.map_or(TopicField::Whole, |a| a.field(self.message.topic));
        let packet_id = self.packet_id;
        Envelope { shape: self.shape(version), dup: self.dup, packet_id, topic, identifiers }
    }

    /// Whether only the packet id differs between this and other receivers.
    fn is_plain(&self, connection: &Connection) -> bool {
        !self.dup
            && connection.outgoing_aliases.is_none()
            && (self.identifiers.is_empty() || connection.version != Version::V5)
    }
}

/// The longest packet MQTT can express; a message that came as one may need more to go out.
const PACKET_BYTES_MAX: usize = 5 + skein_protocol::wire::VARINT_MAX as usize;
/// However it is wrapped, a PUBLISH of so few bytes is no longer than that.
const SURELY_SHORT_BYTES: usize = PACKET_BYTES_MAX / 2;

impl Connection {
    /// Whether a PUBLISH is not larger than the client allows [MQTT-3.1.2-24].
    #[inline(always)] // In the loop over all receivers a call costs more than the answer.
    pub(super) fn takes(&self, sending: &Sending<'_>, now: Time) -> bool {
        (self.packet_bytes_max == u32::MAX && sending.message.bytes() < SURELY_SHORT_BYTES)
            || self.takes_measured(sending, now)
    }

    #[inline(never)]
    fn takes_measured(&self, sending: &Sending<'_>, now: Time) -> bool {
        let packet_bytes = sending.envelope(self).packet_len(sending.message, now);
        packet_bytes <= PACKET_BYTES_MAX && self.takes_bytes(packet_bytes)
    }

    /// Appends a PUBLISH; true if the outbox was empty before.
    #[inline(always)] // As above.
    pub(super) fn write_publish(
        &mut self,
        sending: &Sending<'_>,
        frames: Option<&mut Frames>,
        buffers: &mut Buffers,
        now: Time,
    ) -> bool {
        let was_empty = self.outbox.is_empty();
        match frames {
            Some(frames) if sending.is_plain(self) => {
                let frame = frames.frame(sending.shape(self.version), sending.message, now);
                if let Some(id) = sending.packet_id {
                    frame.set_packet_id(id);
                }
                self.outbox.append(&frame.bytes, buffers);
            }
            _ => self.write_envelope(sending, buffers, now),
        }
        if let Payload::Shared(payload) = sending.message.payload {
            self.outbox.append_shared(payload);
        }
        was_empty
    }

    #[inline(never)]
    fn write_envelope(&mut self, sending: &Sending<'_>, buffers: &mut Buffers, now: Time) {
        let envelope = sending.envelope(self);
        self.outbox.append_with(buffers, |out| {
            envelope.write(sending.message, now, out);
        });
        if let TopicField::Introduces(alias) = envelope.topic
            && let Some(aliases) = &mut self.outgoing_aliases
        {
            aliases.introduced(sending.message.topic, alias);
        }
    }
}
