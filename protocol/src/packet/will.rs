//! The will of a CONNECT (3.1.2.5, 3.1.3.2 to 3.1.3.4).

use crate::properties::{PayloadFormat, PropertyId, Slot, UserProperties, properties};
use crate::wire::{Reader, put_binary, put_string};
use crate::{Error, QoS, TopicName, Version};

/// The message a server publishes when the connection ends without DISCONNECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Will<'a> {
    /// Where it is published.
    pub topic: TopicName<'a>,
    /// Its payload, at most 65,535 bytes.
    pub payload: &'a [u8],
    /// Its QoS.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Its properties; empty before MQTT 5.0.
    pub properties: WillProperties<'a>,
}

properties! {
    /// Properties of the will (3.1.3.2).
    pub struct WillProperties<'a> {
        /// Payload Format Indicator.
        payload_format: Option<PayloadFormat> = PayloadFormatIndicator,
        /// Message Expiry Interval in seconds.
        message_expiry_s: Option<u32> = MessageExpiryInterval,
        /// Content Type.
        content_type: Option<&'a str> = ContentType,
        /// Response Topic.
        response_topic: Option<TopicName<'a>> = ResponseTopic,
        /// Correlation Data.
        correlation_data: Option<&'a [u8]> = CorrelationData,
        /// Will Delay Interval in seconds.
        delay_interval_s: Option<u32> = WillDelayInterval,
        /// User Properties, forwarded in order [MQTT-3.1.3-10].
        user_properties: UserProperties<'a> = UserProperty,
    }
}

impl WillProperties<'_> {
    /// Appends what the published will carries unaltered: payload format, content type, response
    /// topic, correlation data, user properties in order; as wire bytes without a length in front.
    pub fn encode_forwarded(&self, out: &mut Vec<u8>) {
        self.payload_format.write(PropertyId::PayloadFormatIndicator, out);
        self.content_type.write(PropertyId::ContentType, out);
        self.response_topic.write(PropertyId::ResponseTopic, out);
        self.correlation_data.write(PropertyId::CorrelationData, out);
        self.user_properties.write(PropertyId::UserProperty, out);
    }
}

impl<'a> Will<'a> {
    /// Reads the will fields of the payload of a CONNECT.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        version: Version,
        qos: QoS,
        retain: bool,
    ) -> Result<Self, Error> {
        if reader.is_empty() {
            return Err(Error::WillFieldsMissing);
        }
        let properties = match version {
            Version::V5 => WillProperties::read(reader)?,
            Version::V3_1 | Version::V3_1_1 => WillProperties::default(),
        };
        let topic = TopicName::from_wire(reader.binary()?, None)?;
        Ok(Self { topic, payload: reader.binary()?, qos, retain, properties })
    }

    pub(super) fn len(&self, version: Version) -> usize {
        let properties = if version == Version::V5 { self.properties.len() } else { 0 };
        properties + 2 + self.topic.as_str().len() + 2 + self.payload.len()
    }

    pub(super) fn write(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::V5 {
            self.properties.write(out);
        }
        put_string(out, self.topic.as_str());
        put_binary(out, self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublishProperties;

    /// [MQTT-3.1.3-10], and 3.1.3.2: everything but the two intervals goes out with the message.
    #[test]
    fn a_will_forwards_what_a_publish_forwards() {
        let pairs = [("b", "1"), ("a", "2")];
        let will = WillProperties {
            payload_format: Some(PayloadFormat::Utf8),
            message_expiry_s: Some(2),
            content_type: Some("t"),
            response_topic: Some(TopicName::assume_valid("r")),
            correlation_data: Some(&[0xFF]),
            delay_interval_s: Some(9),
            user_properties: UserProperties::from_pairs(&pairs),
        };
        let mut forwarded = Vec::new();
        will.encode_forwarded(&mut forwarded);
        let expected = b"\x01\x01\x03\0\x01t\x08\0\x01r\x09\0\x01\xFF\
            \x26\0\x01b\0\x011\x26\0\x01a\0\x012";
        assert_eq!(forwarded, expected);
        let publish = PublishProperties {
            payload_format: will.payload_format,
            content_type: will.content_type,
            response_topic: will.response_topic,
            correlation_data: will.correlation_data,
            user_properties: will.user_properties,
            ..PublishProperties::default()
        };
        assert_eq!(PublishProperties::decode(&forwarded), Ok(publish));
    }
}
