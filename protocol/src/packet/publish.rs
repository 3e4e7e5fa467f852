//! PUBLISH (3.3): a message, the packet a broker sees most.

use std::fmt;
use std::num::NonZeroU16;

use super::{ByteCount, PacketType, Quoted, put_remaining_length};
use crate::properties::{
    PayloadFormat, PropertyId, Slot, SubscriptionIdentifiers, UserProperties, properties,
};
use crate::wire::{Reader, put_string, put_u16, varint_len};
use crate::{Error, Frame, PacketId, QoS, TopicName, Version};

/// One message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish<'a> {
    /// Whether it may have been sent before [MQTT-3.3.1-1].
    pub dup: bool,
    /// How it is delivered.
    pub qos: QoS,
    /// Towards a server: keep it. From a server: it was kept (3.3.1.3).
    pub retain: bool,
    /// The topic; `None` when only a topic alias names it, which MQTT 5.0 alone can say.
    pub topic: Option<TopicName<'a>>,
    /// The packet identifier: `Some` exactly if the QoS is above 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// The properties; empty before MQTT 5.0.
    pub properties: PublishProperties<'a>,
    /// The payload.
    pub payload: &'a [u8],
}

properties! {
    /// Properties of PUBLISH (3.3.2.3).
    pub struct PublishProperties<'a> {
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
        /// The identifiers of the subscriptions that match; a server's to send [MQTT-3.3.4-6].
        subscription_identifiers: SubscriptionIdentifiers<'a> = SubscriptionIdentifier,
        /// Topic Alias, never 0 [MQTT-3.3.2-8].
        topic_alias: Option<NonZeroU16> = TopicAlias,
        /// User Properties, forwarded in order [MQTT-3.3.2-18].
        user_properties: UserProperties<'a> = UserProperty,
    }
}

impl PublishProperties<'_> {
    /// Appends what a server forwards unaltered (3.3.2.3): payload format, content type, response
    /// topic, correlation data, user properties in order; as wire bytes without a length in front.
    pub fn encode_forwarded(&self, out: &mut Vec<u8>) {
        self.payload_format.write(PropertyId::PayloadFormatIndicator, out);
        self.content_type.write(PropertyId::ContentType, out);
        self.response_topic.write(PropertyId::ResponseTopic, out);
        self.correlation_data.write(PropertyId::CorrelationData, out);
        self.user_properties.write(PropertyId::UserProperty, out);
    }
}

const FLAG_RETAIN: u8 = 0x01;
const QOS_SHIFT: u8 = 1;
const FLAG_DUP: u8 = 0x08;

impl<'a> Publish<'a> {
    /// Parses the frame of a PUBLISH without allocating.
    ///
    /// # Errors
    /// The first rule the bytes break.
    #[inline]
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        Self::decode_knowing(frame, version, None)
    }

    /// Parses the frame of a PUBLISH as [`Publish::decode`] does, and faster if its topic is
    /// `known`: text that was found to be a topic name is not looked at again.
    ///
    /// # Errors
    /// The first rule the bytes break.
    #[inline]
    pub fn decode_knowing(
        frame: Frame<'a>,
        version: Version,
        known: Option<TopicName<'a>>,
    ) -> Result<Self, Error> {
        debug_assert_eq!(frame.packet_type(), PacketType::Publish);
        frame.check_length(version)?;
        let (dup, retain) = (frame.header & FLAG_DUP != 0, frame.header & FLAG_RETAIN != 0);
        let qos = QoS::try_from(frame.header >> QOS_SHIFT & 3).map_err(|_| Error::PublishQoS)?;
        // MQTT 3.1 says that DUP applies above QoS 0 and forbids nothing; [MQTT-3.3.1-2] is newer.
        if dup && qos == QoS::AtMostOnce && version != Version::V3_1 {
            return Err(Error::PublishDup);
        }
        let mut reader = Reader::new(frame.body);
        let topic = reader.binary()?;
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(reader.packet_id()?) };
        let (topic, properties) = match version {
            Version::V5 => {
                let properties = PublishProperties::read(&mut reader)?;
                (aliased_topic(topic, properties.topic_alias, known)?, properties)
            }
            Version::V3_1 | Version::V3_1_1 => {
                (Some(TopicName::from_wire(topic, known)?), PublishProperties::default())
            }
        };
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload: reader.rest() })
    }

    /// Appends the packet as `version` writes it.
    ///
    /// # Panics
    /// If a field is longer than 65,535 bytes, or the packet than 256 MiB.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let body_len = self.body_len(version);
        out.reserve(1 + varint_len(body_len as u32) + body_len);
        out.push(self.header());
        put_remaining_length(out, body_len);
        self.write_body(version, out);
    }

    pub(super) fn header(&self) -> u8 {
        let dup = if self.dup { FLAG_DUP } else { 0 };
        let retain = if self.retain { FLAG_RETAIN } else { 0 };
        (PacketType::Publish as u8) << 4 | dup | (self.qos as u8) << QOS_SHIFT | retain
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        let packet_id = if self.packet_id.is_some() { 2 } else { 0 };
        let properties = if version == Version::V5 { self.properties.len() } else { 0 };
        2 + self.topic_text().len() + packet_id + properties + self.payload.len()
    }

    pub(super) fn write_body(&self, version: Version, out: &mut Vec<u8>) {
        debug_assert_eq!(self.packet_id.is_some(), self.qos > QoS::AtMostOnce, "[MQTT-2.2.1-2]");
        debug_assert!(self.topic.is_some() || version == Version::V5, "an alias needs MQTT 5.0");
        put_string(out, self.topic_text());
        if let Some(packet_id) = self.packet_id {
            put_u16(out, packet_id.get());
        }
        if version == Version::V5 {
            self.properties.write(out);
        }
        out.extend_from_slice(self.payload);
    }

    fn topic_text(&self) -> &'a str {
        self.topic.map_or("", TopicName::as_str)
    }
}

/// E.g. `PUBLISH topic="a/b" qos=1 id=7 retain payload=12 bytes`.
impl fmt::Display for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PUBLISH topic={} qos={}", Quoted(self.topic_text()), self.qos)?;
        if let Some(packet_id) = self.packet_id {
            write!(f, " id={packet_id}")?;
        }
        f.write_str(if self.dup { " dup" } else { "" })?;
        f.write_str(if self.retain { " retain" } else { "" })?;
        write!(f, " payload={}{}", ByteCount(self.payload.len()), self.properties)
    }
}

/// The topic of a PUBLISH of MQTT 5.0, which may be empty if an alias stands for it (3.3.2.1).
#[inline]
fn aliased_topic<'a>(
    topic: &'a [u8],
    alias: Option<NonZeroU16>,
    known: Option<TopicName<'a>>,
) -> Result<Option<TopicName<'a>>, Error> {
    match (topic, alias) {
        ([], Some(_)) => Ok(None),
        ([], None) => Err(Error::TopicMissing),
        (topic, _) => TopicName::from_wire(topic, known).map(Some),
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
