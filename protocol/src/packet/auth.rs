//! AUTH (3.15): a step of an enhanced authentication, MQTT 5.0 only.

use std::fmt;

use super::PacketType;
use crate::properties::{UserProperties, properties};
use crate::wire::Reader;
use crate::{Error, ReasonCode};

/// A step of an authentication that takes more than one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth<'a> {
    /// Success, continue, or begin anew.
    pub reason: ReasonCode,
    /// The properties.
    pub properties: AuthProperties<'a>,
}

properties! {
    /// Properties of AUTH (3.15.2.2).
    pub struct AuthProperties<'a> {
        /// Authentication Method; absent only from the form without a body (3.15.2.1).
        method: Option<&'a str> = AuthenticationMethod,
        /// Authentication Data.
        data: Option<&'a [u8]> = AuthenticationData,
        /// Reason String.
        reason_string: Option<&'a str> = ReasonString,
        /// User Properties.
        user_properties: UserProperties<'a> = UserProperty,
    }
}

impl<'a> Auth<'a> {
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, Error> {
        if body.is_empty() {
            // 3.15.2.1: no body at all is Success without properties.
            return Ok(Self { reason: ReasonCode::Success, properties: AuthProperties::default() });
        }
        let mut reader = Reader::new(body);
        let reason = ReasonCode::decode(reader.u8()?, PacketType::Auth)?;
        let properties = AuthProperties::read(&mut reader)?;
        reader.finish()?;
        if properties.method.is_none() {
            return Err(Error::AuthMethodMissing);
        }
        Ok(Self { reason, properties })
    }

    pub(super) fn body_len(&self) -> usize {
        if self.is_short() { 0 } else { 1 + self.properties.len() }
    }

    pub(super) fn write_body(&self, out: &mut Vec<u8>) {
        if !self.is_short() {
            out.push(self.reason as u8);
            self.properties.write(out);
        }
    }

    fn is_short(&self) -> bool {
        self.reason == ReasonCode::Success && self.properties.block_len() == 0
    }
}

/// E.g. `AUTH reason=0x18 Continue authentication method="SCRAM-SHA-256" data=40 bytes`.
impl fmt::Display for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AUTH reason={}{}", self.reason, self.properties)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_codec, decode};
    use super::*;
    use crate::{Packet, Version};

    #[test]
    fn a_step_names_its_method() {
        let properties =
            AuthProperties { method: Some("M"), data: Some(&[1, 2]), ..Default::default() };
        let auth = Auth { reason: ReasonCode::ContinueAuthentication, properties };
        let bytes = b"\xF0\x0B\x18\x09\x15\0\x01M\x16\0\x02\x01\x02";
        assert_codec(bytes, &Packet::Auth(auth), Version::V5);
    }

    #[test]
    fn success_may_be_said_without_a_body() {
        let auth = Auth { reason: ReasonCode::Success, properties: AuthProperties::default() };
        assert_codec(&[0xF0, 0], &Packet::Auth(auth), Version::V5);
    }

    /// [MQTT-3.15.2-1] and 3.15.2.2.2
    #[test]
    fn broken_steps_are_refused() {
        let rows: [(&[u8], Error); 4] = [
            (&[0xF0, 2, 0x18, 0], Error::AuthMethodMissing),
            (&[0xF0, 5, 0x18, 3, 0x16, 0, 0], Error::AuthMethodMissing),
            (&[0xF0, 2, 0x01, 0], Error::AuthReason(0x01)),
            (&[0xF0, 1, 0x18], Error::Truncated),
        ];
        for (bytes, error) in rows {
            assert_eq!(decode(bytes, Version::V5), Err(error), "{bytes:02X?}");
        }
    }
}
