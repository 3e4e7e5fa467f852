//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7), which look alike.

use std::fmt;

use super::check_header;
use crate::properties::{UserProperties, properties};
use crate::wire::{Reader, put_u16};
use crate::{Error, Frame, PacketId, ReasonCode, Version};

/// One step of the QoS 1 or QoS 2 handshake.
#[derive(Clone, Debug, PartialEq)]
pub struct Ack<'a> {
    /// The exchange it belongs to.
    pub packet_id: PacketId,
    /// How the step went; before MQTT 5.0 always success.
    pub reason: ReasonCode,
    /// The properties; empty before MQTT 5.0.
    pub properties: AckProperties<'a>,
}

properties! {
    /// Properties of the acknowledgements (3.4.2.2), SUBACK and UNSUBACK among them.
    pub struct AckProperties<'a> {
        /// Reason String.
        reason_string: Option<&'a str> = ReasonString,
        /// User Properties.
        user_properties: UserProperties<'a> = UserProperty,
    }
}

impl Ack<'_> {
    /// Success, with nothing more to say.
    pub fn success(packet_id: PacketId) -> Self {
        Self::with_reason(packet_id, ReasonCode::Success)
    }

    /// This reason and no properties.
    pub fn with_reason(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: AckProperties::default() }
    }
}

impl<'a> Ack<'a> {
    /// Parses the frame of a PUBACK, PUBREC, PUBREL or PUBCOMP without allocating.
    ///
    /// # Errors
    /// The first rule the bytes break.
    #[inline]
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        check_header(&frame, version)?;
        let mut reader = Reader::new(frame.body);
        let mut ack = Self::success(reader.packet_id()?);
        // Since 5.0 the reason and then the properties may be left out at the end (3.4.2.1).
        if version == Version::V5 && !reader.is_empty() {
            ack.reason = ReasonCode::decode(reader.u8()?, frame.packet_type())?;
            if !reader.is_empty() {
                ack.properties = AckProperties::read(&mut reader)?;
            }
        }
        reader.finish()?;
        Ok(ack)
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        match (version, self.properties.block_len()) {
            (Version::V3_1 | Version::V3_1_1, _) => 2,
            (Version::V5, 0) if self.reason == ReasonCode::Success => 2,
            (Version::V5, 0) => 3,
            (Version::V5, _) => 3 + self.properties.len(),
        }
    }

    pub(super) fn write_body(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        let body_len = self.body_len(version);
        if body_len > 2 {
            out.push(self.reason as u8);
        }
        if body_len > 3 {
            self.properties.write(out);
        }
    }
}

/// The fields; the packet's name is the packet's to print.
impl fmt::Display for Ack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id={} reason={}{}", self.packet_id, self.reason, self.properties)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_codec, decode};
    use super::*;
    use crate::Packet;

    fn ack(number: u16, reason: ReasonCode) -> Ack<'static> {
        Ack::with_reason(PacketId::new(number).unwrap(), reason)
    }

    #[test]
    fn before_5_0_an_acknowledgement_is_an_identifier() {
        let ack = ack(0x0102, ReasonCode::Success);
        for version in [Version::V3_1, Version::V3_1_1] {
            assert_codec(&[0x40, 2, 1, 2], &Packet::PubAck(ack.clone()), version);
            assert_codec(&[0x50, 2, 1, 2], &Packet::PubRec(ack.clone()), version);
            assert_codec(&[0x62, 2, 1, 2], &Packet::PubRel(ack.clone()), version);
            assert_codec(&[0x70, 2, 1, 2], &Packet::PubComp(ack.clone()), version);
            assert_eq!(decode(&[0x40, 3, 1, 2, 0], version), Err(Error::TrailingBytes));
            assert_eq!(decode(&[0x40, 1, 1], version), Err(Error::Truncated));
        }
    }

    /// 3.4.2.1 and 3.4.2.2.1: what is empty at the end is left out.
    #[test]
    fn since_5_0_three_lengths_are_written() {
        let mut ack = ack(7, ReasonCode::Success);
        assert_codec(&[0x40, 2, 0, 7], &Packet::PubAck(ack.clone()), Version::V5);
        ack.reason = ReasonCode::NotAuthorized;
        assert_codec(&[0x40, 3, 0, 7, 0x87], &Packet::PubAck(ack.clone()), Version::V5);
        ack.properties.reason_string = Some("no");
        let bytes = [0x50, 9, 0, 7, 0x87, 5, 0x1F, 0, 2, b'n', b'o'];
        assert_codec(&bytes, &Packet::PubRec(ack.clone()), Version::V5);
        ack.reason = ReasonCode::Success;
        let bytes = [0x50, 9, 0, 7, 0x00, 5, 0x1F, 0, 2, b'n', b'o'];
        assert_codec(&bytes, &Packet::PubRec(ack), Version::V5);
    }

    #[test]
    fn what_could_have_been_left_out_is_read_too() {
        let short = Ok(Packet::PubAck(ack(7, ReasonCode::Success)));
        assert_eq!(decode(&[0x40, 3, 0, 7, 0], Version::V5), short);
        assert_eq!(decode(&[0x40, 4, 0, 7, 0, 0], Version::V5), short);
    }

    /// [MQTT-2.2.1-3] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
    #[test]
    fn broken_acknowledgements_are_refused() {
        let rows: [(&[u8], Error); 9] = [
            (&[0x40, 2, 0, 0], Error::PacketIdZero),
            (&[0x40, 0], Error::Truncated),
            (&[0x40, 3, 0, 1, 0x92], Error::PubAckReason(0x92)),
            (&[0x50, 3, 0, 1, 0x01], Error::PubRecReason(0x01)),
            (&[0x62, 3, 0, 1, 0x80], Error::PubRelReason(0x80)),
            (&[0x70, 3, 0, 1, 0xFF], Error::PubCompReason(0xFF)),
            (&[0x40, 5, 0, 1, 0, 0, 0], Error::TrailingBytes),
            (&[0x40, 4, 0, 1, 0, 9], Error::PropertyLengthPastEnd),
            (
                &[0x40, 7, 0, 1, 0, 3, 0x23, 0, 1],
                Error::PropertyNotAllowed(crate::PropertyId::TopicAlias),
            ),
        ];
        for (bytes, error) in rows {
            assert_eq!(decode(bytes, Version::V5), Err(error), "{bytes:02X?}");
        }
    }
}
