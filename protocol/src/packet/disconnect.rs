//! DISCONNECT (3.14): the last packet of a connection that ends in order.

use std::fmt;

use super::PacketType;
use crate::properties::{UserProperties, properties};
use crate::wire::Reader;
use crate::{Error, ReasonCode, Version};

/// A farewell; since MQTT 5.0 with a reason, and from servers too.
#[derive(Clone, Debug, PartialEq)]
pub struct Disconnect<'a> {
    /// Why; [`ReasonCode::Success`] is a normal disconnection.
    pub reason: ReasonCode,
    /// The properties; empty before MQTT 5.0.
    pub properties: DisconnectProperties<'a>,
}

properties! {
    /// Properties of DISCONNECT (3.14.2.2).
    pub struct DisconnectProperties<'a> {
        /// A new Session Expiry Interval in seconds; a client's to send [MQTT-3.14.2-2].
        session_expiry_s: Option<u32> = SessionExpiryInterval,
        /// Server Reference.
        server_reference: Option<&'a str> = ServerReference,
        /// Reason String.
        reason_string: Option<&'a str> = ReasonString,
        /// User Properties.
        user_properties: UserProperties<'a> = UserProperty,
    }
}

impl Disconnect<'_> {
    /// This reason and no properties.
    pub fn with_reason(reason: ReasonCode) -> Self {
        Self { reason, properties: DisconnectProperties::default() }
    }
}

impl<'a> Disconnect<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let mut disconnect = Self::with_reason(ReasonCode::Success);
        // Since 5.0 the reason and then the properties may be left out at the end (3.14.2.1).
        if version == Version::V5 && !reader.is_empty() {
            disconnect.reason = ReasonCode::decode(reader.u8()?, PacketType::Disconnect)?;
            if !reader.is_empty() {
                disconnect.properties = DisconnectProperties::read(&mut reader)?;
            }
        }
        reader.finish()?;
        Ok(disconnect)
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        match (version, self.properties.block_len()) {
            (Version::V3_1 | Version::V3_1_1, _) => 0,
            (Version::V5, 0) if self.reason == ReasonCode::Success => 0,
            (Version::V5, 0) => 1,
            (Version::V5, _) => 1 + self.properties.len(),
        }
    }

    pub(super) fn write_body(&self, version: Version, out: &mut Vec<u8>) {
        let body_len = self.body_len(version);
        if body_len > 0 {
            out.push(self.reason as u8);
        }
        if body_len > 1 {
            self.properties.write(out);
        }
    }
}

/// E.g. `DISCONNECT reason=0x8E Session taken over`.
impl fmt::Display for Disconnect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DISCONNECT reason={}{}", self.reason, self.properties)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_codec, decode};
    use super::*;
    use crate::Packet;

    /// 3.14.2.1 and 3.14.2.2.1: what is empty at the end is left out.
    #[test]
    fn three_lengths_are_written() {
        let mut disconnect = Disconnect::with_reason(ReasonCode::Success);
        for version in Version::ALL {
            assert_codec(&[0xE0, 0], &Packet::Disconnect(disconnect.clone()), version);
        }
        disconnect.reason = ReasonCode::DisconnectWithWill;
        assert_codec(&[0xE0, 1, 4], &Packet::Disconnect(disconnect.clone()), Version::V5);
        disconnect.properties.session_expiry_s = Some(9);
        let bytes = [0xE0, 7, 4, 5, 0x11, 0, 0, 0, 9];
        assert_codec(&bytes, &Packet::Disconnect(disconnect), Version::V5);
    }

    #[test]
    fn what_could_have_been_left_out_is_read_too() {
        let normal = Ok(Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)));
        assert_eq!(decode(&[0xE0, 1, 0], Version::V5), normal);
        assert_eq!(decode(&[0xE0, 2, 0, 0], Version::V5), normal);
    }

    /// [MQTT-3.14.2-1]
    #[test]
    fn broken_farewells_are_refused() {
        assert_eq!(decode(&[0xE0, 1, 0], Version::V3_1_1), Err(Error::TrailingBytes));
        let reason = decode(&[0xE0, 1, 0x92], Version::V5);
        assert_eq!(reason, Err(Error::DisconnectReason(0x92)));
        let twice = [0xE0, 12, 0, 10, 0x11, 0, 0, 0, 9, 0x11, 0, 0, 0, 9];
        let id = crate::PropertyId::SessionExpiryInterval;
        assert_eq!(decode(&twice, Version::V5), Err(Error::PropertyDuplicate(id)));
    }
}
