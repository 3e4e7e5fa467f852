//! What a peer can do wrong: one variant per broken rule, one table for its clause, its words and
//! the reason code that answers it.

use crate::{PacketType, PropertyId, ReasonCode};

/// One row per variant: the text (which begins with the clause) and the reason code.
macro_rules! errors {
    ($( $(#[$note:meta])* $name:ident $(($field:ty))? : $text:literal => $reason:ident, )*) => {
        /// A rule of MQTT that a peer has broken.
        ///
        /// The text begins with the clause of MQTT 5.0; a rule without a numbered clause is named
        /// by its section, and a rule of older versions only says so.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum Error {
            $( #[doc = $text] $(#[$note])* #[error($text)] $name $(($field))?, )*
        }

        impl Error {
            /// The reason code for the CONNACK, DISCONNECT or acknowledgement that answers it.
            pub fn reason(&self) -> ReasonCode {
                match self { $( Self::$name { .. } => ReasonCode::$reason, )* }
            }

            /// The text before its values are filled in.
            fn text(&self) -> &'static str {
                match self { $( Self::$name { .. } => $text, )* }
            }
        }
    };
}

errors! {
    // Framing and data representations.
    PacketTypeZero: "[2.1.2] packet type 0 is reserved" => MalformedPacket,
    PacketTypeReserved: "[2.1.2] packet type 15 is reserved before MQTT 5.0" => MalformedPacket,
    RemainingLengthTooLong: "[2.1.4] Remaining Length of more than four bytes" => MalformedPacket,
    PacketTooLarge: "[MQTT-3.2.2-15] packet longer than the Maximum Packet Size" => PacketTooLarge,
    ReservedFlags(PacketType): "[MQTT-2.1.3-1] reserved flags set in {0}" => MalformedPacket,
    PubRelFlags: "[MQTT-3.6.1-1] flags of PUBREL are not 0010" => MalformedPacket,
    SubscribeFlags: "[MQTT-3.8.1-1] flags of SUBSCRIBE are not 0010" => MalformedPacket,
    UnsubscribeFlags: "[MQTT-3.10.1-1] flags of UNSUBSCRIBE are not 0010" => MalformedPacket,
    DisconnectFlags: "[MQTT-3.14.1-1] reserved flags set in DISCONNECT" => MalformedPacket,
    AuthFlags: "[MQTT-3.15.1-1] reserved flags set in AUTH" => MalformedPacket,
    Truncated: "[4.13.1] the packet ends inside a field" => MalformedPacket,
    TrailingBytes: "[4.13.1] bytes after the last field of the packet" => MalformedPacket,
    VarintTooLong: "[1.5.5] variable byte integer of more than four bytes" => MalformedPacket,
    VarintNotMinimal: "[MQTT-1.5.5-1] variable byte integer not in its shortest form"
        => MalformedPacket,
    StringNotUtf8: "[MQTT-1.5.4-1] string is not well-formed UTF-8" => MalformedPacket,
    StringWithNull: "[MQTT-1.5.4-2] string contains U+0000" => MalformedPacket,
    PacketIdZero: "[MQTT-2.2.1-3] packet identifier 0" => ProtocolError,
    PacketIdInUse: "[MQTT-2.2.1-3] packet identifier is already in use" => PacketIdentifierInUse,
    QoSReserved: "[4.3] there is no QoS 3" => MalformedPacket,

    // Properties.
    PropertyLengthPastEnd: "[2.2.2.1] Property Length past the end of the packet"
        => MalformedPacket,
    PropertyUnknown(u8): "[2.2.2.2] unknown property {0:#04X}" => MalformedPacket,
    PropertyNotAllowed(PropertyId): "[2.2.2.2] {0} does not belong in this packet"
        => MalformedPacket,
    PropertyDuplicate(PropertyId): "[2.2.2.2] {0} more than once" => ProtocolError,
    PropertyTruncated(PropertyId): "[2.2.2.1] {0} goes on past the Property Length"
        => MalformedPacket,
    UserPropertyInvalid: "[MQTT-1.5.7-1] User Property is not a pair of valid UTF-8 strings"
        => MalformedPacket,
    BooleanInvalid(PropertyId): "[2.2.2.2] {0} is neither 0 nor 1" => ProtocolError,
    ReceiveMaximumZero: "[3.1.2.11.3] Receive Maximum 0" => ProtocolError,
    MaximumPacketSizeZero: "[3.1.2.11.4] Maximum Packet Size 0" => ProtocolError,
    MaximumQoSInvalid: "[3.2.2.3.4] Maximum QoS is neither 0 nor 1" => ProtocolError,
    PayloadFormatInvalid: "[3.3.2.3.2] Payload Format Indicator is neither 0 nor 1"
        => ProtocolError,
    SubscriptionIdentifierZero: "[3.8.2.1.2] Subscription Identifier 0" => ProtocolError,

    // Order and direction of packets.
    FirstPacketNotConnect: "[MQTT-3.1.0-1] the first packet is not CONNECT" => ProtocolError,
    SecondConnect: "[MQTT-3.1.0-2] a second CONNECT" => ProtocolError,
    ServerPacketFromClient(PacketType): "[MQTT-4.13.1-1] {0} is for servers to send"
        => ProtocolError,
    ClientPacketFromServer(PacketType): "[MQTT-4.13.1-1] {0} is for clients to send"
        => ProtocolError,
    KeepAliveTimeout: "[MQTT-3.1.2-22] nothing was heard for one and a half times the Keep Alive"
        => KeepAliveTimeout,

    // CONNECT.
    ProtocolNameInvalid: "[MQTT-3.1.2-1] protocol name is not MQTT" => UnsupportedProtocolVersion,
    ProtocolVersionUnsupported(u8): "[MQTT-3.1.2-2] protocol level {0} is not supported"
        => UnsupportedProtocolVersion,
    ConnectFlagReserved: "[MQTT-3.1.2-3] reserved flag set in CONNECT" => MalformedPacket,
    WillFieldsMissing: "[MQTT-3.1.2-9] Will Flag without will fields" => MalformedPacket,
    WillQoSWithoutWill: "[MQTT-3.1.2-11] Will QoS without Will Flag" => MalformedPacket,
    WillQoSReserved: "[MQTT-3.1.2-12] Will QoS 3" => MalformedPacket,
    WillRetainWithoutWill: "[MQTT-3.1.2-13] Will Retain without Will Flag" => MalformedPacket,
    UserNameMissing: "[MQTT-3.1.2-17] User Name Flag without user name" => MalformedPacket,
    PasswordMissing: "[MQTT-3.1.2-19] Password Flag without password" => MalformedPacket,
    PasswordWithoutUserName: "[MQTT-3.1.2-22 of 3.1.1] password without user name"
        => MalformedPacket,
    ClientIdEmpty: "[MQTT-3.1.3-8 of 3.1.1] empty client identifier without Clean Session"
        => ClientIdentifierNotValid,
    ClientIdRejected: "[MQTT-3.1.3-8] client identifier is not acceptable"
        => ClientIdentifierNotValid,
    SessionTakenOver: "[MQTT-3.1.4-3] another connection uses the client identifier"
        => SessionTakenOver,
    WillQoSNotSupported: "[MQTT-3.2.2-12] Will QoS above the Maximum QoS" => QoSNotSupported,
    WillRetainNotSupported: "[MQTT-3.2.2-13] Will Retain where retained messages are not available"
        => RetainNotSupported,

    // CONNACK.
    FirstPacketNotConnAck: "[MQTT-3.2.0-1] the first packet of the server is not CONNACK"
        => ProtocolError,
    SecondConnAck: "[MQTT-3.2.0-2] a second CONNACK" => ProtocolError,
    SessionPresentUnexpected: "[MQTT-3.2.2-4] Session Present, though there is no session"
        => ProtocolError,
    ConnAckFlagsReserved: "[MQTT-3.2.2-1] reserved bits set in the flags of CONNACK"
        => MalformedPacket,
    SessionPresentOnRefusal: "[MQTT-3.2.2-6] Session Present in a CONNACK that refuses"
        => ProtocolError,
    ConnAckReason(u8): "[MQTT-3.2.2-8] {0:#04X} is no reason code of CONNACK" => MalformedPacket,
    ConnAckReturnCode(u8): "[3.2.2.3 of 3.1.1] return code {0} is reserved" => MalformedPacket,

    // Topics and filters.
    TopicNameEmpty: "[MQTT-4.7.3-1] empty topic name" => TopicNameInvalid,
    TopicNameWithNull: "[MQTT-4.7.3-2] topic name contains U+0000" => TopicNameInvalid,
    TopicNameTooLong: "[MQTT-4.7.3-3] topic name longer than 65,535 bytes" => TopicNameInvalid,
    TopicNameNotUtf8: "[MQTT-3.3.2-1] topic name is not well-formed UTF-8" => TopicNameInvalid,
    TopicNameWildcard: "[MQTT-3.3.2-2] wildcard in a topic name" => TopicNameInvalid,
    TopicNameTooDeep: "[4.7.3] topic name with more levels than this server takes"
        => TopicNameInvalid,
    TopicFilterEmpty: "[MQTT-4.7.3-1] empty topic filter" => TopicFilterInvalid,
    TopicFilterWithNull: "[MQTT-4.7.3-2] topic filter contains U+0000" => TopicFilterInvalid,
    TopicFilterTooLong: "[MQTT-4.7.3-3] topic filter longer than 65,535 bytes"
        => TopicFilterInvalid,
    TopicFilterNotUtf8: "[MQTT-3.8.3-1] topic filter is not well-formed UTF-8"
        => TopicFilterInvalid,
    TopicFilterMultiLevel: "[MQTT-4.7.1-1] # is not the whole last level of the filter"
        => TopicFilterInvalid,
    TopicFilterSingleLevel: "[MQTT-4.7.1-2] + is not a whole level of the filter"
        => TopicFilterInvalid,
    TopicFilterTooDeep: "[4.7.3] topic filter with more levels than this server takes"
        => TopicFilterInvalid,
    ShareNameEmpty: "[MQTT-4.8.2-1] empty share name" => TopicFilterInvalid,
    ShareNameInvalid: "[MQTT-4.8.2-2] share name with a wildcard or without a filter behind it"
        => TopicFilterInvalid,

    // PUBLISH.
    PublishDup: "[MQTT-3.3.1-2] DUP set in a PUBLISH of QoS 0" => MalformedPacket,
    PublishQoS: "[MQTT-3.3.1-4] QoS 3 in PUBLISH" => MalformedPacket,
    TopicMissing: "[3.3.2.1] PUBLISH with neither topic name nor topic alias" => ProtocolError,
    TopicAliasZero: "[MQTT-3.3.2-8] topic alias 0" => TopicAliasInvalid,
    TopicAliasTooLarge: "[MQTT-3.3.2-9] topic alias above the Topic Alias Maximum"
        => TopicAliasInvalid,
    TopicAliasUnknown: "[MQTT-3.3.2-7] topic alias that was never set" => ProtocolError,
    ResponseTopicWildcard: "[MQTT-3.3.2-14] wildcard in the Response Topic" => ProtocolError,
    SubscriptionIdentifierFromClient: "[MQTT-3.3.4-6] Subscription Identifier from a client"
        => ProtocolError,
    ReceiveMaximumExceeded: "[MQTT-3.3.4-7] more PUBLISH unacknowledged than the Receive Maximum"
        => ReceiveMaximumExceeded,
    QoSNotSupported: "[MQTT-3.2.2-11] PUBLISH above the Maximum QoS" => QoSNotSupported,
    RetainNotSupported: "[MQTT-3.2.2-14] retained messages are not available" => RetainNotSupported,

    // Acknowledgements.
    PubAckReason(u8): "[MQTT-3.4.2-1] {0:#04X} is no reason code of PUBACK" => MalformedPacket,
    PubRecReason(u8): "[MQTT-3.5.2-1] {0:#04X} is no reason code of PUBREC" => MalformedPacket,
    PubRelReason(u8): "[MQTT-3.6.2-1] {0:#04X} is no reason code of PUBREL" => MalformedPacket,
    PubCompReason(u8): "[MQTT-3.7.2-1] {0:#04X} is no reason code of PUBCOMP" => MalformedPacket,
    AckMismatched(PacketType): "[4.3] {0} does not answer this exchange" => ProtocolError,

    // SUBSCRIBE, UNSUBSCRIBE and their answers.
    SubscribeEmpty: "[MQTT-3.8.3-2] SUBSCRIBE without a topic filter" => ProtocolError,
    SubscriptionQoS: "[3.8.3.1] QoS 3 in the subscription options" => ProtocolError,
    RetainHandlingInvalid: "[3.8.3.1] Retain Handling 3" => ProtocolError,
    NoLocalOnShared: "[MQTT-3.8.3-4] No Local on a shared subscription" => ProtocolError,
    SubscriptionOptionsReserved: "[MQTT-3.8.3-5] reserved bits set in the subscription options"
        => MalformedPacket,
    SubAckReason(u8): "[MQTT-3.9.3-2] {0:#04X} is no reason code of SUBACK" => MalformedPacket,
    UnsubscribeEmpty: "[MQTT-3.10.3-2] UNSUBSCRIBE without a topic filter" => ProtocolError,
    UnsubAckReason(u8): "[MQTT-3.11.3-2] {0:#04X} is no reason code of UNSUBACK" => MalformedPacket,
    AckCountMismatched(PacketType): "[MQTT-3.9.3-1] {0} does not answer each topic filter once"
        => ProtocolError,

    // DISCONNECT and AUTH.
    DisconnectReason(u8): "[MQTT-3.14.2-1] {0:#04X} is no reason code of DISCONNECT"
        => MalformedPacket,
    SessionExpiryFromServer: "[MQTT-3.14.2-2] Session Expiry Interval in a DISCONNECT of a server"
        => ProtocolError,
    SessionExpiryRaised: "[3.14.2.2.2] DISCONNECT raises the Session Expiry Interval from 0"
        => ProtocolError,
    AuthReason(u8): "[MQTT-3.15.2-1] {0:#04X} is no reason code of AUTH" => MalformedPacket,
    AuthMethodMissing: "[3.15.2.2.2] AUTH without Authentication Method" => ProtocolError,
    AuthDataWithoutMethod: "[3.1.2.11.10] Authentication Data without Authentication Method"
        => ProtocolError,
    AuthMethodUnknown: "[MQTT-4.12.0-1] Authentication Method is not supported"
        => BadAuthenticationMethod,
    AuthMethodChanged: "[MQTT-4.12.1-1] Authentication Method is not the one of CONNECT"
        => ProtocolError,
    AuthWithoutMethod: "[MQTT-4.12.0-7] AUTH, though CONNECT named no Authentication Method"
        => ProtocolError,
    AuthUnexpected: "[MQTT-4.12.0-3] AUTH where none is due" => ProtocolError,
    PacketDuringAuthentication(PacketType): "[MQTT-3.1.2-30] {0} before authentication is finished"
        => ProtocolError,
}

impl Error {
    /// The clause that is broken, without brackets: `MQTT-3.3.1-4`, or a section, `2.1.2`, where
    /// the standard gives the rule no number.
    pub fn clause(&self) -> &'static str {
        let text = self.text();
        let end = text.find(']').expect("every text begins with its clause");
        &text[1..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_begins_with_the_clause() {
        assert_eq!(Error::PublishQoS.to_string(), "[MQTT-3.3.1-4] QoS 3 in PUBLISH");
        assert_eq!(Error::PublishQoS.clause(), "MQTT-3.3.1-4");
        assert_eq!(Error::PublishQoS.reason(), ReasonCode::MalformedPacket);
        assert_eq!(Error::PacketTypeZero.clause(), "2.1.2");
    }

    #[test]
    fn values_are_filled_into_the_text() {
        let rows = [
            (Error::PropertyUnknown(0x7F), "[2.2.2.2] unknown property 0x7F"),
            (
                Error::PropertyDuplicate(PropertyId::ContentType),
                "[2.2.2.2] Content Type more than once",
            ),
            (
                Error::ReservedFlags(PacketType::PingReq),
                "[MQTT-2.1.3-1] reserved flags set in PINGREQ",
            ),
            (
                Error::ProtocolVersionUnsupported(6),
                "[MQTT-3.1.2-2] protocol level 6 is not supported",
            ),
        ];
        for (error, text) in rows {
            assert_eq!(error.to_string(), text);
            assert!(text.starts_with(&format!("[{}] ", error.clause())));
        }
    }

    #[test]
    fn reasons_that_are_not_the_common_two_are_mapped() {
        let rows = [
            (Error::PacketTooLarge, 0x95),
            (Error::ProtocolVersionUnsupported(6), 0x84),
            (Error::ClientIdEmpty, 0x85),
            (Error::AuthMethodUnknown, 0x8C),
            (Error::KeepAliveTimeout, 0x8D),
            (Error::SessionTakenOver, 0x8E),
            (Error::TopicFilterMultiLevel, 0x8F),
            (Error::TopicNameWildcard, 0x90),
            (Error::ReceiveMaximumExceeded, 0x93),
            (Error::TopicAliasZero, 0x94),
            (Error::TopicAliasTooLarge, 0x94),
            (Error::TopicAliasUnknown, 0x82),
            (Error::RetainNotSupported, 0x9A),
            (Error::QoSNotSupported, 0x9B),
        ];
        for (error, code) in rows {
            assert_eq!(error.reason() as u8, code, "{error}");
        }
    }
}
