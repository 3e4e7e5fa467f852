//! Property identifiers and the type each one's value has (table 2-4).

use std::fmt;

use super::PropertyValue;
use crate::Error;
use crate::wire::Reader;

/// What a property's value looks like on the wire (1.5).
#[derive(Clone, Copy)]
enum Shape {
    Byte,
    TwoByte,
    FourByte,
    Varint,
    /// A UTF-8 string: a two byte length and that many bytes.
    Text,
    /// Binary data, written in the same way.
    Binary,
    Pair,
}

/// One row per property: variant, identifier, name, shape.
macro_rules! property_ids {
    ($( $name:ident = $id:literal, $text:literal, $shape:ident; )*) => {
        /// A property of MQTT 5.0.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $( #[doc = $text] $name = $id, )*
        }

        impl PropertyId {
            /// The name the standard gives it.
            pub fn name(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }

            fn shape(self) -> Shape {
                match self { $( Self::$name => Shape::$shape, )* }
            }
        }

        impl TryFrom<u8> for PropertyId {
            type Error = Error;

            /// The property with this identifier, or [`Error::PropertyUnknown`].
            fn try_from(id: u8) -> Result<Self, Error> {
                match id {
                    $( $id => Ok(Self::$name), )*
                    _ => Err(Error::PropertyUnknown(id)),
                }
            }
        }
    };
}

property_ids! {
    PayloadFormatIndicator = 0x01, "Payload Format Indicator", Byte;
    MessageExpiryInterval = 0x02, "Message Expiry Interval", FourByte;
    ContentType = 0x03, "Content Type", Text;
    ResponseTopic = 0x08, "Response Topic", Text;
    CorrelationData = 0x09, "Correlation Data", Binary;
    SubscriptionIdentifier = 0x0B, "Subscription Identifier", Varint;
    SessionExpiryInterval = 0x11, "Session Expiry Interval", FourByte;
    AssignedClientIdentifier = 0x12, "Assigned Client Identifier", Text;
    ServerKeepAlive = 0x13, "Server Keep Alive", TwoByte;
    AuthenticationMethod = 0x15, "Authentication Method", Text;
    AuthenticationData = 0x16, "Authentication Data", Binary;
    RequestProblemInformation = 0x17, "Request Problem Information", Byte;
    WillDelayInterval = 0x18, "Will Delay Interval", FourByte;
    RequestResponseInformation = 0x19, "Request Response Information", Byte;
    ResponseInformation = 0x1A, "Response Information", Text;
    ServerReference = 0x1C, "Server Reference", Text;
    ReasonString = 0x1F, "Reason String", Text;
    ReceiveMaximum = 0x21, "Receive Maximum", TwoByte;
    TopicAliasMaximum = 0x22, "Topic Alias Maximum", TwoByte;
    TopicAlias = 0x23, "Topic Alias", TwoByte;
    MaximumQoS = 0x24, "Maximum QoS", Byte;
    RetainAvailable = 0x25, "Retain Available", Byte;
    UserProperty = 0x26, "User Property", Pair;
    MaximumPacketSize = 0x27, "Maximum Packet Size", FourByte;
    WildcardSubscriptionAvailable = 0x28, "Wildcard Subscription Available", Byte;
    SubscriptionIdentifiersAvailable = 0x29, "Subscription Identifiers Available", Byte;
    SharedSubscriptionAvailable = 0x2A, "Shared Subscription Available", Byte;
}

impl PropertyId {
    /// Reads the value that follows this identifier, whatever it may be.
    pub(super) fn read<'a>(self, reader: &mut Reader<'a>) -> Result<PropertyValue<'a>, Error> {
        Ok(match self.shape() {
            Shape::Byte => PropertyValue::Number(reader.u8()?.into()),
            Shape::TwoByte => PropertyValue::Number(reader.u16()?.into()),
            Shape::FourByte => PropertyValue::Number(reader.u32()?),
            Shape::Varint => PropertyValue::Number(reader.varint()?),
            Shape::Text => PropertyValue::Text(reader.string()?),
            Shape::Binary => PropertyValue::Binary(reader.binary()?),
            Shape::Pair => PropertyValue::Pair(reader.string()?, reader.string()?),
        })
    }

    /// Moves past the value that follows this identifier.
    pub(crate) fn skip(self, reader: &mut Reader<'_>) -> Result<(), Error> {
        match self.shape() {
            Shape::Byte => reader.take(1).map(drop),
            Shape::TwoByte => reader.take(2).map(drop),
            Shape::FourByte => reader.take(4).map(drop),
            Shape::Varint => reader.varint().map(drop),
            Shape::Text | Shape::Binary => reader.binary().map(drop),
            Shape::Pair => reader.binary().and_then(|_| reader.binary()).map(drop),
        }
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 2-4 has 27 rows, 0x01 to 0x2A.
    #[test]
    fn identifiers_are_those_of_the_table() {
        let known = (0..=255).filter_map(|id| PropertyId::try_from(id).ok());
        assert_eq!(known.clone().count(), 27);
        for id in known {
            assert_eq!(PropertyId::try_from(id as u8), Ok(id));
        }
        assert_eq!(PropertyId::try_from(0x04), Err(Error::PropertyUnknown(0x04)));
        assert_eq!(PropertyId::SharedSubscriptionAvailable as u8, 0x2A);
        assert_eq!(PropertyId::MaximumQoS.to_string(), "Maximum QoS");
    }

    #[test]
    fn values_are_skipped_by_their_shape() {
        let rows: [(PropertyId, &[u8]); 6] = [
            (PropertyId::MaximumQoS, &[1]),
            (PropertyId::TopicAlias, &[0, 1]),
            (PropertyId::WillDelayInterval, &[0, 0, 0, 1]),
            (PropertyId::SubscriptionIdentifier, &[0x80, 0x01]),
            (PropertyId::CorrelationData, &[0, 2, 0xFF, 0xFF]),
            (PropertyId::UserProperty, &[0, 1, b'k', 0, 0]),
        ];
        for (id, value) in rows {
            let mut reader = Reader::new(value);
            assert_eq!(id.skip(&mut reader), Ok(()), "{id}");
            assert_eq!(reader.finish(), Ok(()), "{id}");
            assert_eq!(
                id.skip(&mut Reader::new(&value[..value.len() - 1])),
                Err(Error::Truncated),
                "{id}"
            );
        }
    }
}
