//! CONNACK (3.2): the answer to CONNECT.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

use crate::properties::{UserProperties, properties};
use crate::wire::Reader;
use crate::{Error, PacketType, QoS, ReasonCode, Version};

/// Whether the server takes the connection, and on what terms.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnAck<'a> {
    /// Whether the session of an earlier connection goes on; MQTT 3.1 cannot say so.
    pub session_present: bool,
    /// Success, or why not. Before MQTT 5.0 it is written as the nearest return code.
    pub reason: ReasonCode,
    /// The properties; empty before MQTT 5.0.
    pub properties: ConnAckProperties<'a>,
}

properties! {
    /// Properties of CONNACK (3.2.2.3). What is absent is as the client asked or unlimited.
    pub struct ConnAckProperties<'a> {
        /// Session Expiry Interval in seconds, if not the one the client asked for.
        session_expiry_s: Option<u32> = SessionExpiryInterval,
        /// How many QoS 1 and 2 messages the server takes at once.
        receive_maximum: Option<NonZeroU16> = ReceiveMaximum,
        /// The highest QoS the server takes; only 0 and 1 can be said.
        maximum_qos: Option<QoS> = MaximumQoS,
        /// Whether the server keeps retained messages.
        retain_available: Option<bool> = RetainAvailable,
        /// The longest packet the server takes, in bytes.
        maximum_packet_size: Option<NonZeroU32> = MaximumPacketSize,
        /// The client identifier the server chose [MQTT-3.2.2-16].
        assigned_client_id: Option<&'a str> = AssignedClientIdentifier,
        /// The highest topic alias the server takes.
        topic_alias_maximum: Option<u16> = TopicAliasMaximum,
        /// Reason String.
        reason_string: Option<&'a str> = ReasonString,
        /// Whether filters may have wildcards.
        wildcard_subscription_available: Option<bool> = WildcardSubscriptionAvailable,
        /// Whether subscriptions may have identifiers.
        subscription_identifiers_available: Option<bool> = SubscriptionIdentifiersAvailable,
        /// Whether subscriptions may be shared.
        shared_subscription_available: Option<bool> = SharedSubscriptionAvailable,
        /// The keep alive in seconds that holds instead of the client's [MQTT-3.2.2-21].
        server_keep_alive_s: Option<u16> = ServerKeepAlive,
        /// Response Information.
        response_information: Option<&'a str> = ResponseInformation,
        /// Server Reference.
        server_reference: Option<&'a str> = ServerReference,
        /// Authentication Method.
        authentication_method: Option<&'a str> = AuthenticationMethod,
        /// Authentication Data.
        authentication_data: Option<&'a [u8]> = AuthenticationData,
        /// User Properties.
        user_properties: UserProperties<'a> = UserProperty,
    }
}

impl<'a> ConnAck<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let session_present = read_flags(&mut reader, version)?;
        let code = reader.u8()?;
        let (reason, properties) = match version {
            Version::V3_1 | Version::V3_1_1 => {
                (ReasonCode::from_connack_return_code(code)?, ConnAckProperties::default())
            }
            Version::V5 => {
                let reason = ReasonCode::decode(code, PacketType::ConnAck)?;
                (reason, ConnAckProperties::read(&mut reader)?)
            }
        };
        reader.finish()?;
        if session_present && reason != ReasonCode::Success {
            return Err(Error::SessionPresentOnRefusal);
        }
        Ok(Self { session_present, reason, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + if version == Version::V5 { self.properties.len() } else { 0 }
    }

    pub(super) fn write_body(&self, version: Version, out: &mut Vec<u8>) {
        out.push(u8::from(self.session_present && version != Version::V3_1));
        match version {
            Version::V3_1 | Version::V3_1_1 => out.push(self.reason.connack_return_code()),
            Version::V5 => {
                out.push(self.reason as u8);
                self.properties.write(out);
            }
        }
    }
}

impl fmt::Display for ConnAck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session_present, reason, properties } = self;
        write!(f, "CONNACK session_present={session_present} reason={reason}{properties}")
    }
}

/// The Session Present flag [MQTT-3.2.2-1]; in MQTT 3.1 the byte means nothing.
fn read_flags(reader: &mut Reader<'_>, version: Version) -> Result<bool, Error> {
    match (reader.u8()?, version) {
        (_, Version::V3_1) | (0, _) => Ok(false),
        (1, _) => Ok(true),
        _ => Err(Error::ConnAckFlagsReserved),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_codec, decode};
    use super::*;
    use crate::Packet;

    fn connack(session_present: bool, reason: ReasonCode) -> ConnAck<'static> {
        ConnAck { session_present, reason, properties: ConnAckProperties::default() }
    }

    #[test]
    fn the_versions_write_it_each_in_its_way() {
        let accepted = Packet::ConnAck(connack(true, ReasonCode::Success));
        assert_codec(&[0x20, 2, 1, 0], &accepted, Version::V3_1_1);
        assert_codec(&[0x20, 3, 1, 0, 0], &accepted, Version::V5);
        let refused = Packet::ConnAck(connack(false, ReasonCode::NotAuthorized));
        assert_codec(&[0x20, 2, 0, 5], &refused, Version::V3_1);
        assert_codec(&[0x20, 2, 0, 5], &refused, Version::V3_1_1);
        assert_codec(&[0x20, 3, 0, 0x87, 0], &refused, Version::V5);
    }

    #[test]
    fn version_3_1_has_no_session_present() {
        let mut out = Vec::new();
        let packet = Packet::ConnAck(connack(true, ReasonCode::Success));
        packet.encode(Version::V3_1, &mut out);
        assert_eq!(out, [0x20, 2, 0, 0]);
        let read = decode(&[0x20, 2, 0xFF, 0], Version::V3_1);
        assert_eq!(read, Ok(Packet::ConnAck(connack(false, ReasonCode::Success))));
    }

    /// [MQTT-3.2.2-1] [MQTT-3.2.2-6] [MQTT-3.2.2-8]
    #[test]
    fn broken_answers_are_refused() {
        let rows: [(&[u8], Version, Error); 8] = [
            (&[0x20, 2, 2, 0], Version::V3_1_1, Error::ConnAckFlagsReserved),
            (&[0x20, 2, 0, 6], Version::V3_1_1, Error::ConnAckReturnCode(6)),
            (&[0x20, 2, 1, 5], Version::V3_1_1, Error::SessionPresentOnRefusal),
            (&[0x20, 3, 0, 0, 0], Version::V3_1_1, Error::TrailingBytes),
            (&[0x20, 2, 0, 0], Version::V5, Error::Truncated),
            (&[0x20, 3, 0, 0x8E, 0], Version::V5, Error::ConnAckReason(0x8E)),
            (&[0x20, 5, 0, 0, 2, 0x24, 2], Version::V5, Error::MaximumQoSInvalid),
            (&[0x20, 3, 0, 0, 1], Version::V5, Error::PropertyLengthPastEnd),
        ];
        for (bytes, version, error) in rows {
            assert_eq!(decode(bytes, version), Err(error), "{bytes:02X?}");
        }
    }
}
