//! The bytes of an outgoing PUBLISH. A message is encoded once per shape and copied from there
//! into the outboxes; only the packet id differs between receivers of one shape.

use skein_protocol::{
    Version,
    qos::{PacketId, QoS},
    wire,
};

use crate::session::{ApplicationRef, Payload, Time, TopicField};

/// Property identifiers that a server writes itself (MQTT 5, 2.2.2.2).
const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const TOPIC_ALIAS: u8 = 0x23;

/// What receivers must have in common to get the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whether properties are written.
    pub version: Version,
    /// The delivery's QoS.
    pub qos: QoS,
    /// The delivery's RETAIN flag.
    pub retain: bool,
}

impl Shape {
    const COUNT: usize = 12;

    fn index(self) -> usize {
        let properties = usize::from(self.version == Version::V5);
        (properties * 3 + self.qos as usize) * 2 + usize::from(self.retain)
    }
}

/// Everything of an outgoing PUBLISH beside the message.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Version, QoS and RETAIN.
    pub shape: Shape,
    /// Whether it was sent before [MQTT-3.3.1-1].
    pub dup: bool,
    /// Present exactly for QoS 1 and 2.
    pub packet_id: Option<PacketId>,
    /// How the topic is written.
    pub topic: TopicField,
    /// Subscription Identifiers.
    pub identifiers: &'a [u32],
}

impl Envelope<'_> {
    /// Appends the PUBLISH to `out`: all of it, or all but the payload when that is shared.
    /// Returns at which byte of it the packet id stands, if there is one.
    #[inline]
    pub fn write(&self, message: &ApplicationRef<'_>, now: Time, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let topic = match self.topic {
            TopicField::Alias(_) => "",
            TopicField::Whole | TopicField::Introduces(_) => message.topic,
        };
        let expiry_s = message.seconds_left(now);
        let properties = self.properties_len(message, expiry_s);
        out.push(self.first_byte());
        wire::put_varint(out, self.remaining_len(topic, properties, message) as u32);
        wire::put_string(out, topic);
        let id_at = out.len() - start;
        if let Some(id) = self.packet_id {
            wire::put_u16(out, id.get());
        }
        if self.shape.version == Version::V5 {
            wire::put_varint(out, properties as u32);
            self.write_properties(message, expiry_s, out);
        }
        if let Payload::Inline(payload) = message.payload {
            out.extend_from_slice(payload);
        }
        id_at
    }

    fn first_byte(&self) -> u8 {
        let qos = self.shape.qos as u8;
        0x30 | u8::from(self.dup) << 3 | qos << 1 | u8::from(self.shape.retain)
    }

    fn remaining_len(&self, topic: &str, properties: usize, message: &ApplicationRef<'_>) -> usize {
        let id = if self.packet_id.is_some() { 2 } else { 0 };
        let properties = match self.shape.version {
            Version::V5 => wire::varint_len(properties as u32) + properties,
            Version::V3_1 | Version::V3_1_1 => 0,
        };
        2 + topic.len() + id + properties + message.payload.len()
    }

    fn properties_len(&self, message: &ApplicationRef<'_>, expiry_s: Option<u32>) -> usize {
        let identifiers: usize = self.identifiers.iter().map(|id| 1 + wire::varint_len(*id)).sum();
        let alias = if self.topic == TopicField::Whole { 0 } else { 3 };
        let expiry = if expiry_s.is_some() { 5 } else { 0 };
        message.properties.len() + identifiers + alias + expiry
    }

    fn write_properties(
        &self,
        message: &ApplicationRef<'_>,
        expiry_s: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(message.properties);
        if let Some(seconds) = expiry_s {
            out.push(MESSAGE_EXPIRY_INTERVAL);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        for identifier in self.identifiers {
            out.push(SUBSCRIPTION_IDENTIFIER);
            wire::put_varint(out, *identifier);
        }
        if let TopicField::Introduces(alias) | TopicField::Alias(alias) = self.topic {
            out.push(TOPIC_ALIAS);
            wire::put_u16(out, alias);
        }
    }

    /// Length of the whole packet in bytes, shared payload included.
    pub fn packet_len(&self, message: &ApplicationRef<'_>, now: Time) -> usize {
        let topic = if matches!(self.topic, TopicField::Alias(_)) { "" } else { message.topic };
        let properties = self.properties_len(message, message.seconds_left(now));
        let remaining = self.remaining_len(topic, properties, message);
        1 + wire::varint_len(remaining as u32) + remaining
    }
}

/// One encoded PUBLISH.
#[derive(Debug, Default)]
pub struct Frame {
    /// The packet, without a shared payload.
    pub bytes: Vec<u8>,
    /// Where the packet id stands; meaningful for QoS 1 and 2.
    id_at: usize,
}

impl Frame {
    /// Puts another receiver's packet id in.
    #[inline]
    pub fn set_packet_id(&mut self, id: PacketId) {
        self.bytes[self.id_at..self.id_at + 2].copy_from_slice(&id.get().to_be_bytes());
    }
}

/// The frames of the message that is being delivered, by shape.
#[derive(Debug, Default)]
pub struct Frames {
    frames: [Frame; Shape::COUNT],
    /// A bit for each that holds the present message.
    valid: u16,
}

impl Frames {
    /// Another message: the frames of the last one are worth nothing.
    #[inline]
    pub fn begin(&mut self) {
        self.valid = 0;
    }

    /// The message in this shape: no alias, no identifiers, not sent before.
    #[inline]
    pub fn frame(&mut self, shape: Shape, message: &ApplicationRef<'_>, now: Time) -> &mut Frame {
        let frame = &mut self.frames[shape.index()];
        let bit = 1 << shape.index();
        if self.valid & bit == 0 {
            Self::encode(frame, shape, message, now);
            self.valid |= bit;
        }
        frame
    }

    #[inline(never)]
    fn encode(frame: &mut Frame, shape: Shape, message: &ApplicationRef<'_>, now: Time) {
        let packet_id = if shape.qos == QoS::AtMostOnce { None } else { PacketId::new(1) };
        let envelope =
            Envelope { shape, dup: false, packet_id, topic: TopicField::Whole, identifiers: &[] };
        frame.bytes.clear();
        frame.id_at = envelope.write(message, now, &mut frame.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use bytes::Bytes;
    use skein_protocol::{Frame as Cut, packet::Publish};

    use super::*;

    fn message(payload: Payload<'_>) -> ApplicationRef<'_> {
        ApplicationRef {
            topic: "a/b",
            properties: &[0x01, 0x01],
            payload,
            qos: QoS::ExactlyOnce,
            retain: false,
            expires_at: Some(Time::from_millis(9_500)),
        }
    }

    fn decode(bytes: &[u8], version: Version) -> Publish<'_> {
        let (frame, used) = Cut::decode(bytes, 1 << 20).expect("well-formed").expect("whole");
        assert_eq!(used, bytes.len());
        Publish::decode(frame, version).expect("well-formed")
    }

    #[test]
    fn every_shape_decodes_to_the_message_with_its_packet_id() {
        let message = message(Payload::Inline(b"hello"));
        let mut frames = Frames::default();
        frames.begin();
        for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for retain in [false, true] {
                    let shape = Shape { version, qos, retain };
                    let frame = frames.frame(shape, &message, Time::from_millis(500));
                    let id = PacketId::new(0x1234).filter(|_| qos != QoS::AtMostOnce);
                    id.into_iter().for_each(|id| frame.set_packet_id(id));
                    let publish = decode(&frame.bytes, version);
                    assert_eq!((publish.qos, publish.retain, publish.packet_id), (qos, retain, id));
                    assert_eq!(publish.payload, b"hello");
                    assert_eq!(publish.topic.map(|t| t.as_str()), Some("a/b"));
                    let expiry = (version == Version::V5).then_some(9);
                    assert_eq!(publish.properties.message_expiry_s, expiry);
                }
            }
        }
    }

    #[test]
    fn an_envelope_carries_identifiers_alias_and_dup() {
        let message = message(Payload::Inline(b"x"));
        let shape = Shape { version: Version::V5, qos: QoS::AtLeastOnce, retain: false };
        let envelope = Envelope {
            shape,
            dup: true,
            packet_id: PacketId::new(3),
            topic: TopicField::Alias(5),
            identifiers: &[1, 300],
        };
        let mut out = Vec::new();
        envelope.write(&message, Time::from_millis(0), &mut out);
        assert_eq!(envelope.packet_len(&message, Time::from_millis(0)), out.len());
        let publish = decode(&out, Version::V5);
        assert!(publish.dup && publish.topic.is_none());
        assert_eq!(publish.properties.topic_alias.map(|a| a.get()), Some(5));
        assert_eq!(
            publish.properties.subscription_identifiers.iter().collect::<Vec<_>>(),
            [1, 300]
        );
    }

    #[test]
    fn a_shared_payload_is_counted_but_not_copied() {
        let payload = Rc::new(Bytes::from(vec![7; 100_000]));
        let message = message(Payload::Shared(&payload));
        let mut frames = Frames::default();
        frames.begin();
        let shape = Shape { version: Version::V3_1_1, qos: QoS::AtLeastOnce, retain: false };
        let frame = frames.frame(shape, &message, Time::from_millis(0));
        frame.set_packet_id(PacketId::new(9).expect("not zero"));
        let whole = [&frame.bytes[..], &payload[..]].concat();
        assert_eq!(decode(&whole, Version::V3_1_1).packet_id.map(PacketId::get), Some(9));
    }
}
