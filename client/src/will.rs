//! The will: what the server publishes when the connection breaks (3.1.2.5).

use std::time::Duration;

use bytes::Bytes;
use skein_protocol::{QoS, TopicName, UserProperties, WillProperties};

use crate::message::{Properties, check_length};
use crate::{Publish, Result};

/// The message the server publishes when this client is gone without a DISCONNECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    publish: Publish,
    delay_s: u32,
}

impl Will {
    /// A will of QoS 0 that is published at once.
    pub fn new(topic: &str, payload: impl Into<Bytes>) -> Self {
        Self { publish: Publish::new(topic, payload), delay_s: 0 }
    }

    /// How often it may arrive.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.publish = self.publish.qos(qos);
        self
    }

    /// The server is to keep it for those who subscribe later.
    pub fn retain(mut self) -> Self {
        self.publish = self.publish.retain();
        self
    }

    /// How long the client may be gone before the will is published, in whole seconds; it is not
    /// when the client is back in time. Needs MQTT 5.0 and a session that lasts as long.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay_s = u32::try_from(delay.as_secs()).unwrap_or(u32::MAX);
        self
    }

    /// The properties of the message, to be changed.
    pub fn properties_mut(&mut self) -> &mut Properties {
        self.publish.properties_mut()
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_length("payload of the will", self.publish.payload().len())?;
        self.publish.check()
    }

    /// The user properties as a packet borrows them.
    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        self.publish.properties().map(Properties::pairs).unwrap_or_default()
    }

    pub(crate) fn as_packet<'a>(
        &'a self,
        pairs: &'a [(&'a str, &'a str)],
    ) -> skein_protocol::Will<'a> {
        let mut properties = WillProperties {
            delay_interval_s: (self.delay_s > 0).then_some(self.delay_s),
            user_properties: UserProperties::from_pairs(pairs),
            ..WillProperties::default()
        };
        if let Some(own) = self.publish.properties() {
            properties.payload_format = own.payload_format;
            properties.message_expiry_s = own.message_expiry_s;
            properties.content_type = own.content_type.as_deref();
            properties.response_topic = own.response_topic.as_deref().map(TopicName::assume_valid);
            properties.correlation_data = own.correlation_data.as_deref();
        }
        skein_protocol::Will {
            topic: TopicName::assume_valid(self.publish.topic()),
            payload: self.publish.payload(),
            qos: self.publish.level(),
            retain: self.publish.is_retained(),
            properties,
        }
    }
}
