//! Messages: what is published and what arrives.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use skein_protocol::{PacketId, PayloadFormat, PublishProperties, QoS, TopicName, UserProperties};

use crate::{Error, Result};

/// A message to be published.
///
/// ```
/// use skein_client::{Publish, QoS};
///
/// let publish = Publish::new("home/hall/temp", "21.5").qos(QoS::AtLeastOnce).retain();
/// assert_eq!(publish.topic(), "home/hall/temp");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    topic: Arc<str>,
    payload: Bytes,
    qos: QoS,
    retain: bool,
    properties: Option<Box<Properties>>,
}

/// What MQTT 5.0 says about a message besides topic and payload (3.3.2.3). Left out on connections
/// of older versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// What the payload is.
    pub payload_format: Option<PayloadFormat>,
    /// How long the message is worth delivering, in seconds.
    pub message_expiry_s: Option<u32>,
    /// The MIME type of the payload, or what takes its place.
    pub content_type: Option<String>,
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What an answer is to carry along.
    pub correlation_data: Option<Bytes>,
    /// Pairs of text in order, duplicates kept.
    pub user_properties: Vec<(String, String)>,
}

impl Publish {
    /// A message of QoS 0. The payload is shared, not copied, when the message is sent again.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        let (topic, payload) = (topic.into(), payload.into());
        Self { topic, payload, qos: QoS::AtMostOnce, retain: false, properties: None }
    }

    /// How often it may arrive.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// The server is to keep it for those who subscribe later.
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The server is not to keep it.
    pub(crate) fn not_retained(mut self) -> Self {
        self.retain = false;
        self
    }

    /// The MIME type of the payload.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.properties_mut().content_type = Some(content_type.into());
        self
    }

    /// The payload is UTF-8 text.
    pub fn text(mut self) -> Self {
        self.properties_mut().payload_format = Some(PayloadFormat::Utf8);
        self
    }

    /// How long it is worth delivering, in whole seconds. The time it waits in the client counts.
    pub fn expires(mut self, after: Duration) -> Self {
        let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        self.properties_mut().message_expiry_s = Some(seconds);
        self
    }

    /// Where the answer is expected.
    pub fn response_topic(mut self, topic: impl Into<String>) -> Self {
        self.properties_mut().response_topic = Some(topic.into());
        self
    }

    /// What the answer is to carry along.
    pub fn correlation_data(mut self, data: impl Into<Bytes>) -> Self {
        self.properties_mut().correlation_data = Some(data.into());
        self
    }

    /// Adds a pair of text; order and duplicates are kept.
    pub fn user_property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties_mut().user_properties.push((key.into(), value.into()));
        self
    }

    /// Where it is published.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What is published.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Its QoS.
    pub fn level(&self) -> QoS {
        self.qos
    }

    /// Whether the server is to keep it.
    pub fn is_retained(&self) -> bool {
        self.retain
    }

    /// Its properties, if it has any.
    pub fn properties(&self) -> Option<&Properties> {
        self.properties.as_deref()
    }

    /// Its properties, to be changed.
    pub fn properties_mut(&mut self) -> &mut Properties {
        self.properties.get_or_insert_default()
    }

    /// The message of a packet that has a topic.
    pub(crate) fn from_packet(packet: &skein_protocol::Publish<'_>) -> Option<Self> {
        Some(Self {
            topic: packet.topic?.as_str().into(),
            payload: Bytes::copy_from_slice(packet.payload),
            qos: packet.qos,
            retain: packet.retain,
            properties: Properties::from_packet(&packet.properties),
        })
    }

    /// About how many bytes it takes, in memory as on the wire.
    pub(crate) fn size(&self) -> usize {
        /// Packet id, lengths and the like.
        const OVERHEAD: usize = 16;
        let properties = self.properties.as_ref().map_or(0, |properties| properties.size());
        self.topic.len() + self.payload.len() + properties + OVERHEAD
    }

    /// Checks once and for all that it can be written as a packet.
    pub(crate) fn check(&self) -> Result<()> {
        TopicName::new(&self.topic).map_err(|error| Error::bad_topic(&self.topic, error))?;
        self.properties.as_ref().map_or(Ok(()), |properties| properties.check())
    }
}

impl Properties {
    /// As a packet carries them. The pairs are the caller's to keep.
    pub(crate) fn as_packet<'a>(
        &'a self,
        pairs: &'a [(&'a str, &'a str)],
    ) -> PublishProperties<'a> {
        PublishProperties {
            payload_format: self.payload_format,
            message_expiry_s: self.message_expiry_s,
            content_type: self.content_type.as_deref(),
            response_topic: self.response_topic.as_deref().map(TopicName::assume_valid),
            correlation_data: self.correlation_data.as_deref(),
            user_properties: UserProperties::from_pairs(pairs),
            ..PublishProperties::default()
        }
    }

    /// The user properties as a packet borrows them.
    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        borrow_pairs(&self.user_properties)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if let Some(topic) = &self.response_topic {
            TopicName::new(topic).map_err(|error| Error::bad_topic(topic, error))?;
        }
        if let Some(content_type) = &self.content_type {
            check_text("content type", content_type)?;
        }
        check_length("correlation data", self.correlation_data.as_ref().map_or(0, Bytes::len))?;
        check_pairs(&self.user_properties)
    }

    fn from_packet(properties: &PublishProperties<'_>) -> Option<Box<Self>> {
        let bare = Self {
            payload_format: properties.payload_format,
            message_expiry_s: properties.message_expiry_s,
            content_type: properties.content_type.map(str::to_owned),
            response_topic: properties.response_topic.map(|topic| topic.as_str().to_owned()),
            correlation_data: properties.correlation_data.map(Bytes::copy_from_slice),
            user_properties: own_pairs(&properties.user_properties),
        };
        (bare != Self::default()).then(|| Box::new(bare))
    }

    fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let pairs = self.user_properties.iter().map(|(key, value)| 5 + key.len() + value.len());
        let correlation = self.correlation_data.as_ref().map_or(0, Bytes::len);
        text(&self.content_type) + text(&self.response_topic) + correlation + pairs.sum::<usize>()
    }
}

/// A message that arrived. Cheap to clone: topic and payload are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    topic: Arc<str>,
    payload: Bytes,
    qos: QoS,
    retain: bool,
    dup: bool,
    packet_id: Option<PacketId>,
    identifiers: Arc<[u32]>,
    topic_alias: Option<NonZeroU16>,
    properties: Option<Arc<Properties>>,
    pub(crate) delivery: Option<Delivery>,
}

/// The number of a message that is to be acknowledged; see
/// [`Session::acknowledge`](crate::session::Session::acknowledge).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery(pub(crate) u64);

impl Message {
    pub(crate) fn new(
        topic: Arc<str>,
        publish: &skein_protocol::Publish<'_>,
        delivery: Option<Delivery>,
    ) -> Self {
        Self {
            topic,
            payload: Bytes::copy_from_slice(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            identifiers: publish.properties.subscription_identifiers.iter().collect(),
            topic_alias: publish.properties.topic_alias,
            properties: Properties::from_packet(&publish.properties).map(Arc::from),
            delivery,
        }
    }

    /// Where it was published; never an alias.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What was published.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The payload as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        str::from_utf8(&self.payload)
    }

    /// The QoS it arrived with.
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// Whether the server had kept it (3.3.1.3).
    pub fn is_retained(&self) -> bool {
        self.retain
    }

    /// Whether it may have arrived before [MQTT-3.3.1-1].
    pub fn is_duplicate(&self) -> bool {
        self.dup
    }

    /// Its packet identifier, above QoS 0.
    pub fn packet_id(&self) -> Option<PacketId> {
        self.packet_id
    }

    /// The identifiers of the subscriptions it arrived for, if the server tells.
    pub fn subscription_identifiers(&self) -> &[u32] {
        &self.identifiers
    }

    /// The alias its packet carried; [`topic`](Self::topic) is what it stands for.
    pub fn topic_alias(&self) -> Option<NonZeroU16> {
        self.topic_alias
    }

    /// Its properties, if it has any.
    pub fn properties(&self) -> Option<&Properties> {
        self.properties.as_deref()
    }

    /// Where an answer is expected.
    pub fn response_topic(&self) -> Option<&str> {
        self.properties.as_ref()?.response_topic.as_deref()
    }

    /// What an answer is to carry along.
    pub fn correlation_data(&self) -> Option<&Bytes> {
        self.properties.as_ref()?.correlation_data.as_ref()
    }

    /// The MIME type of the payload, if it was told.
    pub fn content_type(&self) -> Option<&str> {
        self.properties.as_ref()?.content_type.as_deref()
    }

    /// What acknowledges it; `None` for QoS 0.
    pub fn delivery(&self) -> Option<Delivery> {
        self.delivery
    }
}

/// The alias with this number, if it is one.
pub(crate) fn alias(number: usize) -> Option<NonZeroU16> {
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

pub(crate) fn borrow_pairs(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

pub(crate) fn own_pairs(pairs: &UserProperties<'_>) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(crate) fn check_pairs(pairs: &[(String, String)]) -> Result<()> {
    pairs.iter().try_for_each(|(key, value)| {
        check_text("user property", key).and_then(|()| check_text("user property", value))
    })
}

/// Text on the wire has a length of two bytes and no U+0000 [MQTT-1.5.4-2].
pub(crate) fn check_text(what: &'static str, text: &str) -> Result<()> {
    check_length(what, text.len())?;
    if text.contains('\0') {
        return Err(Error::Protocol(skein_protocol::Error::StringWithNull));
    }
    Ok(())
}

pub(crate) fn check_length(what: &'static str, bytes: usize) -> Result<()> {
    if bytes > usize::from(u16::MAX) { Err(Error::FieldTooLong(what)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_packet_can_carry_is_refused_before_it_is_queued() {
        let long = "x".repeat(65_536);
        let rows = [
            (Publish::new("a/#", ""), "wildcard"),
            (Publish::new("", ""), "empty topic name"),
            (Publish::new(long.clone(), ""), "longer than 65,535"),
            (Publish::new("a", "").response_topic("b/+"), "wildcard"),
            (Publish::new("a", "").content_type(long.clone()), "content type is longer"),
            (Publish::new("a", "").correlation_data(long), "correlation data is longer"),
            (Publish::new("a", "").user_property("k", "\0"), "U+0000"),
        ];
        for (publish, words) in rows {
            let error = publish.check().expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(Publish::new("a/b", "x").user_property("k", "v").check().is_ok());
    }

    #[test]
    fn a_payload_is_shared_not_copied() {
        let payload = Bytes::from(vec![7; 1000]);
        let publish = Publish::new("a", payload.clone());
        let copies = [publish.clone(), publish];
        assert!(copies.iter().all(|copy| copy.payload().as_ptr() == payload.as_ptr()));
    }
}
