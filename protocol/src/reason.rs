//! Reason codes (2.4): one number for every way a packet can be answered.

use std::fmt;

use crate::{Error, PacketType};

/// One row per code: variant, number, name, the packets that may carry it (table 2-6).
macro_rules! reason_codes {
    ($( $(#[$note:meta])* $name:ident = $code:literal, $text:literal, [$($packet:ident)*]; )*) => {
        /// A reason code of MQTT 5.0; 0x80 and above mean failure.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $( #[doc = $text] $(#[$note])* $name = $code, )*
        }

        impl ReasonCode {
            /// Every reason code, in the order of their numbers.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// The name the standard gives it; for 0x00 that of most packets, "Success".
            pub fn name(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }

            /// Whether a packet of this type may carry it (table 2-6).
            pub fn is_valid_for(self, packet: PacketType) -> bool {
                match self {
                    $( Self::$name => matches!(packet, $( PacketType::$packet )|* ), )*
                }
            }
        }

        impl TryFrom<u8> for ReasonCode {
            type Error = u8;

            /// The reason code with this number; gives the number back when there is none.
            fn try_from(code: u8) -> Result<Self, u8> {
                match code {
                    $( $code => Ok(Self::$name), )*
                    _ => Err(code),
                }
            }
        }
    };
}

reason_codes! {
    /// Also Normal disconnection in DISCONNECT and Granted QoS 0 in SUBACK.
    #[default]
    Success = 0x00, "Success",
        [ConnAck PubAck PubRec PubRel PubComp SubAck UnsubAck Disconnect Auth];
    GrantedQoS1 = 0x01, "Granted QoS 1", [SubAck];
    GrantedQoS2 = 0x02, "Granted QoS 2", [SubAck];
    DisconnectWithWill = 0x04, "Disconnect with Will Message", [Disconnect];
    NoMatchingSubscribers = 0x10, "No matching subscribers", [PubAck PubRec];
    NoSubscriptionExisted = 0x11, "No subscription existed", [UnsubAck];
    ContinueAuthentication = 0x18, "Continue authentication", [Auth];
    ReAuthenticate = 0x19, "Re-authenticate", [Auth];
    UnspecifiedError = 0x80, "Unspecified error",
        [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    MalformedPacket = 0x81, "Malformed Packet", [ConnAck Disconnect];
    ProtocolError = 0x82, "Protocol Error", [ConnAck Disconnect];
    ImplementationSpecificError = 0x83, "Implementation specific error",
        [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    UnsupportedProtocolVersion = 0x84, "Unsupported Protocol Version", [ConnAck];
    ClientIdentifierNotValid = 0x85, "Client Identifier not valid", [ConnAck];
    BadUserNameOrPassword = 0x86, "Bad User Name or Password", [ConnAck];
    NotAuthorized = 0x87, "Not authorized", [ConnAck PubAck PubRec SubAck UnsubAck Disconnect];
    ServerUnavailable = 0x88, "Server unavailable", [ConnAck];
    ServerBusy = 0x89, "Server busy", [ConnAck Disconnect];
    Banned = 0x8A, "Banned", [ConnAck];
    ServerShuttingDown = 0x8B, "Server shutting down", [Disconnect];
    BadAuthenticationMethod = 0x8C, "Bad authentication method", [ConnAck Disconnect];
    KeepAliveTimeout = 0x8D, "Keep Alive timeout", [Disconnect];
    SessionTakenOver = 0x8E, "Session taken over", [Disconnect];
    TopicFilterInvalid = 0x8F, "Topic Filter invalid", [SubAck UnsubAck Disconnect];
    TopicNameInvalid = 0x90, "Topic Name invalid", [ConnAck PubAck PubRec Disconnect];
    PacketIdentifierInUse = 0x91, "Packet Identifier in use", [PubAck PubRec SubAck UnsubAck];
    PacketIdentifierNotFound = 0x92, "Packet Identifier not found", [PubRel PubComp];
    ReceiveMaximumExceeded = 0x93, "Receive Maximum exceeded", [Disconnect];
    TopicAliasInvalid = 0x94, "Topic Alias invalid", [Disconnect];
    PacketTooLarge = 0x95, "Packet too large", [ConnAck Disconnect];
    MessageRateTooHigh = 0x96, "Message rate too high", [Disconnect];
    QuotaExceeded = 0x97, "Quota exceeded", [ConnAck PubAck PubRec SubAck Disconnect];
    AdministrativeAction = 0x98, "Administrative action", [Disconnect];
    PayloadFormatInvalid = 0x99, "Payload format invalid", [ConnAck PubAck PubRec Disconnect];
    RetainNotSupported = 0x9A, "Retain not supported", [ConnAck Disconnect];
    QoSNotSupported = 0x9B, "QoS not supported", [ConnAck Disconnect];
    UseAnotherServer = 0x9C, "Use another server", [ConnAck Disconnect];
    ServerMoved = 0x9D, "Server moved", [ConnAck Disconnect];
    SharedSubscriptionsNotSupported = 0x9E, "Shared Subscriptions not supported",
        [SubAck Disconnect];
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded", [ConnAck Disconnect];
    MaximumConnectTime = 0xA0, "Maximum connect time", [Disconnect];
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription Identifiers not supported",
        [SubAck Disconnect];
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard Subscriptions not supported",
        [SubAck Disconnect];
}

impl ReasonCode {
    /// Whether the operation failed: 0x80 and above (2.4).
    pub fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// The nearest return code of a CONNACK before MQTT 5.0 (table 3.1 of 3.1.1).
    ///
    /// What those versions have no word for becomes 3, "server unavailable", which promises the
    /// client nothing about its name or rights.
    pub fn connack_return_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword | Self::BadAuthenticationMethod => 4,
            Self::NotAuthorized | Self::Banned => 5,
            _ => 3,
        }
    }

    /// The reason code for a return code of a CONNACK before MQTT 5.0.
    ///
    /// # Errors
    /// Codes 6 and above are reserved: [`Error::ConnAckReturnCode`].
    pub fn from_connack_return_code(code: u8) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::Success),
            1 => Ok(Self::UnsupportedProtocolVersion),
            2 => Ok(Self::ClientIdentifierNotValid),
            3 => Ok(Self::ServerUnavailable),
            4 => Ok(Self::BadUserNameOrPassword),
            5 => Ok(Self::NotAuthorized),
            _ => Err(Error::ConnAckReturnCode(code)),
        }
    }

    /// The reason code `code` of a packet of this type, or the error of that packet's clause.
    pub(crate) fn decode(code: u8, packet: PacketType) -> Result<Self, Error> {
        match Self::try_from(code) {
            Ok(reason) if reason.is_valid_for(packet) => Ok(reason),
            _ => Err(invalid_for(packet, code)),
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04X} {}", *self as u8, self.name())
    }
}

fn invalid_for(packet: PacketType, code: u8) -> Error {
    match packet {
        PacketType::ConnAck => Error::ConnAckReason(code),
        PacketType::PubAck => Error::PubAckReason(code),
        PacketType::PubRec => Error::PubRecReason(code),
        PacketType::PubRel => Error::PubRelReason(code),
        PacketType::PubComp => Error::PubCompReason(code),
        PacketType::SubAck => Error::SubAckReason(code),
        PacketType::UnsubAck => Error::UnsubAckReason(code),
        PacketType::Auth => Error::AuthReason(code),
        // Only DISCONNECT is left among the packets that carry a reason code.
        _ => Error::DisconnectReason(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_print_as_number_and_name() {
        assert_eq!(ReasonCode::SessionTakenOver.to_string(), "0x8E Session taken over");
        assert_eq!(ReasonCode::Success.to_string(), "0x00 Success");
        for &reason in ReasonCode::ALL {
            let expected = format!("0x{:02X} {}", reason as u8, reason.name());
            assert_eq!(reason.to_string(), expected);
        }
    }

    #[test]
    fn every_number_is_one_code_or_none() {
        let known = (0..=255).filter_map(|code| ReasonCode::try_from(code).ok());
        assert!(known.eq(ReasonCode::ALL.iter().copied()));
        assert_eq!(ReasonCode::ALL.len(), 43);
        assert_eq!(ReasonCode::try_from(0x03), Err(0x03));
        assert_eq!(ReasonCode::MalformedPacket as u8, 0x81);
        assert!(ReasonCode::UnspecifiedError.is_error() && !ReasonCode::ReAuthenticate.is_error());
    }

    /// Spot checks of table 2-6.
    #[test]
    fn codes_belong_to_packets() {
        assert!(ReasonCode::PacketIdentifierNotFound.is_valid_for(PacketType::PubComp));
        assert!(!ReasonCode::PacketIdentifierNotFound.is_valid_for(PacketType::PubAck));
        assert!(!ReasonCode::Success.is_valid_for(PacketType::Publish));
        let error = ReasonCode::decode(0x92, PacketType::PubAck);
        assert_eq!(error, Err(Error::PubAckReason(0x92)));
        assert_eq!(ReasonCode::decode(0x03, PacketType::Auth), Err(Error::AuthReason(0x03)));
    }

    #[test]
    fn return_codes_of_3_1_1_round_trip() {
        for code in 0..=5 {
            let reason = ReasonCode::from_connack_return_code(code).unwrap();
            assert_eq!(reason.connack_return_code(), code);
        }
        let reserved = ReasonCode::from_connack_return_code(6);
        assert_eq!(reserved, Err(Error::ConnAckReturnCode(6)));
        assert_eq!(ReasonCode::ServerBusy.connack_return_code(), 3);
        assert_eq!(ReasonCode::Banned.connack_return_code(), 5);
    }
}
