//! SUBACK (3.9): one answer per filter of a SUBSCRIBE.

use std::fmt;

use smallvec::SmallVec;

use super::{AckProperties, PacketType};
use crate::wire::{Reader, put_u16};
use crate::{Error, PacketId, ReasonCode, Version};

/// The answer to a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct SubAck<'a> {
    /// That of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One per filter, in order [MQTT-3.9.3-1]. Before MQTT 5.0 every failure is written as 0x80.
    pub reasons: SmallVec<[ReasonCode; 4]>,
    /// The properties; empty before MQTT 5.0.
    pub properties: AckProperties<'a>,
}

impl<'a> SubAck<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => AckProperties::read(&mut reader)?,
            Version::V3_1 | Version::V3_1_1 => AckProperties::default(),
        };
        let codes = reader.rest().iter();
        let reasons = codes.map(|code| decode_reason(*code, version)).collect::<Result<_, _>>()?;
        Ok(Self { packet_id, reasons, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        let properties = if version == Version::V5 { self.properties.len() } else { 0 };
        2 + properties + self.reasons.len()
    }

    pub(super) fn write_body(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        if version == Version::V5 {
            self.properties.write(out);
        }
        out.extend(self.reasons.iter().map(|reason| encode_reason(*reason, version)));
    }
}

/// E.g. `SUBACK id=1 reasons=[0x01, 0x80]`.
impl fmt::Display for SubAck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SUBACK id={} reasons=", self.packet_id)?;
        show_reasons(&self.reasons, f)?;
        self.properties.fmt(f)
    }
}

/// Prints reason codes as a list of numbers.
pub(super) fn show_reasons(reasons: &[ReasonCode], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("[")?;
    for (index, reason) in reasons.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{:#04X}", *reason as u8)?;
    }
    f.write_str("]")
}

/// Before MQTT 5.0 there are three granted levels and one failure (3.9.3 of 3.1.1).
fn decode_reason(code: u8, version: Version) -> Result<ReasonCode, Error> {
    match (version, code) {
        (Version::V5, _) | (_, 0..=2 | 0x80) => ReasonCode::decode(code, PacketType::SubAck),
        _ => Err(Error::SubAckReason(code)),
    }
}

fn encode_reason(reason: ReasonCode, version: Version) -> u8 {
    match version {
        Version::V3_1 | Version::V3_1_1 if reason.is_error() => 0x80,
        _ => reason as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_codec, decode};
    use super::*;
    use crate::Packet;

    fn suback(reasons: &[ReasonCode]) -> SubAck<'static> {
        let packet_id = PacketId::new(10).unwrap();
        SubAck { packet_id, reasons: reasons.into(), properties: AckProperties::default() }
    }

    #[test]
    fn the_versions_write_it_each_in_its_way() {
        let reasons = [ReasonCode::Success, ReasonCode::GrantedQoS2, ReasonCode::UnspecifiedError];
        let packet = Packet::SubAck(suback(&reasons));
        assert_codec(&[0x90, 5, 0, 10, 0, 2, 0x80], &packet, Version::V3_1);
        assert_codec(&[0x90, 5, 0, 10, 0, 2, 0x80], &packet, Version::V3_1_1);
        assert_codec(&[0x90, 6, 0, 10, 0, 0, 2, 0x80], &packet, Version::V5);
        let refused = Packet::SubAck(suback(&[ReasonCode::TopicFilterInvalid]));
        assert_codec(&[0x90, 4, 0, 10, 0, 0x8F], &refused, Version::V5);
    }

    #[test]
    fn every_failure_is_0x80_before_5_0() {
        let mut out = Vec::new();
        Packet::SubAck(suback(&[ReasonCode::NotAuthorized])).encode(Version::V3_1_1, &mut out);
        assert_eq!(out, [0x90, 3, 0, 10, 0x80]);
    }

    /// [MQTT-3.9.3-2]
    #[test]
    fn codes_of_other_packets_are_refused() {
        let rows: [(&[u8], Version, Error); 4] = [
            (&[0x90, 3, 0, 1, 3], Version::V3_1_1, Error::SubAckReason(3)),
            (&[0x90, 3, 0, 1, 0x87], Version::V3_1_1, Error::SubAckReason(0x87)),
            (&[0x90, 4, 0, 1, 0, 0x11], Version::V5, Error::SubAckReason(0x11)),
            (&[0x90, 3, 0, 0, 0], Version::V5, Error::PacketIdZero),
        ];
        for (bytes, version, error) in rows {
            assert_eq!(decode(bytes, version), Err(error), "{bytes:02X?}");
        }
    }
}
