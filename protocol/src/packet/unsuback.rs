//! UNSUBACK (3.11): the answer to UNSUBSCRIBE.

use std::fmt;

use smallvec::SmallVec;

use super::suback::show_reasons;
use super::{AckProperties, PacketType};
use crate::wire::{Reader, put_u16};
use crate::{Error, PacketId, ReasonCode, Version};

/// The answer to an UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct UnsubAck<'a> {
    /// That of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One per filter, in order [MQTT-3.11.3-1]; empty before MQTT 5.0.
    pub reasons: SmallVec<[ReasonCode; 4]>,
    /// The properties; empty before MQTT 5.0.
    pub properties: AckProperties<'a>,
}

impl<'a> UnsubAck<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        if version != Version::V5 {
            reader.finish()?;
            let properties = AckProperties::default();
            return Ok(Self { packet_id, reasons: SmallVec::new(), properties });
        }
        let properties = AckProperties::read(&mut reader)?;
        let codes = reader.rest().iter();
        let decode = |code: &u8| ReasonCode::decode(*code, PacketType::UnsubAck);
        Ok(Self { packet_id, reasons: codes.map(decode).collect::<Result<_, _>>()?, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        match version {
            Version::V3_1 | Version::V3_1_1 => 2,
            Version::V5 => 2 + self.properties.len() + self.reasons.len(),
        }
    }

    pub(super) fn write_body(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        if version == Version::V5 {
            self.properties.write(out);
            out.extend(self.reasons.iter().map(|reason| *reason as u8));
        }
    }
}

/// E.g. `UNSUBACK id=2 reasons=[0x00, 0x11]`.
impl fmt::Display for UnsubAck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UNSUBACK id={} reasons=", self.packet_id)?;
        show_reasons(&self.reasons, f)?;
        self.properties.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_codec, decode};
    use super::*;
    use crate::Packet;

    fn unsuback(reasons: &[ReasonCode]) -> UnsubAck<'static> {
        let packet_id = PacketId::new(10).unwrap();
        UnsubAck { packet_id, reasons: reasons.into(), properties: AckProperties::default() }
    }

    #[test]
    fn reasons_exist_since_5_0() {
        let plain = Packet::UnsubAck(unsuback(&[]));
        assert_codec(&[0xB0, 2, 0, 10], &plain, Version::V3_1);
        assert_codec(&[0xB0, 2, 0, 10], &plain, Version::V3_1_1);
        let reasons = [ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
        let packet = Packet::UnsubAck(unsuback(&reasons));
        assert_codec(&[0xB0, 5, 0, 10, 0, 0, 0x11], &packet, Version::V5);
    }

    /// [MQTT-3.11.3-2]
    #[test]
    fn broken_answers_are_refused() {
        assert_eq!(decode(&[0xB0, 3, 0, 10, 0], Version::V3_1_1), Err(Error::TrailingBytes));
        let reason = decode(&[0xB0, 4, 0, 10, 0, 0x01], Version::V5);
        assert_eq!(reason, Err(Error::UnsubAckReason(0x01)));
        assert_eq!(decode(&[0xB0, 2, 0, 10], Version::V5), Err(Error::Truncated));
    }
}
