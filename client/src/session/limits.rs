//! What a server takes, and the checks that keep what it does not take from being sent.

use std::borrow::Cow;

use skein_protocol::{ConnAckProperties, QoS, TopicFilter};

use crate::{Error, Feature, Publish, Result};

/// What a server takes, as its CONNACK says (3.2.2.3). Before MQTT 5.0 it says nothing, and
/// everything is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The highest QoS of a PUBLISH.
    pub maximum_qos: QoS,
    /// Whether messages may be retained.
    pub retain: bool,
    /// The longest packet in bytes.
    pub packet_bytes_max: usize,
    /// How many messages of QoS 1 and 2 it takes at once.
    pub receive_maximum: u16,
    /// The highest topic alias.
    pub topic_alias_maximum: u16,
    /// Whether filters may have wildcards.
    pub wildcard_subscriptions: bool,
    /// Whether subscriptions may be shared.
    pub shared_subscriptions: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_identifiers: bool,
}

/// The longest packet MQTT can write: a header of five bytes and a Remaining Length of 268,435,455.
const PACKET_BYTES_MAX: usize = 5 + 268_435_455;

impl Limits {
    /// No limits but those of MQTT before 5.0, where there are no aliases and identifiers either.
    pub(super) const BEFORE_V5: Self = Self {
        maximum_qos: QoS::ExactlyOnce,
        retain: true,
        packet_bytes_max: PACKET_BYTES_MAX,
        receive_maximum: u16::MAX,
        topic_alias_maximum: 0,
        wildcard_subscriptions: true,
        shared_subscriptions: true,
        subscription_identifiers: false,
    };

    /// The terms of a CONNACK of MQTT 5.0; what is absent is unlimited.
    pub(super) fn new(properties: &ConnAckProperties<'_>) -> Self {
        let size = properties.maximum_packet_size.map_or(PACKET_BYTES_MAX, |size| {
            usize::try_from(size.get()).unwrap_or(PACKET_BYTES_MAX)
        });
        Self {
            maximum_qos: properties.maximum_qos.unwrap_or(QoS::ExactlyOnce),
            retain: properties.retain_available.unwrap_or(true),
            packet_bytes_max: size.min(PACKET_BYTES_MAX),
            receive_maximum: properties.receive_maximum.map_or(u16::MAX, |maximum| maximum.get()),
            topic_alias_maximum: properties.topic_alias_maximum.unwrap_or(0),
            wildcard_subscriptions: properties.wildcard_subscription_available.unwrap_or(true),
            shared_subscriptions: properties.shared_subscription_available.unwrap_or(true),
            subscription_identifiers: properties.subscription_identifiers_available.unwrap_or(true),
        }
    }

    /// Whether the server takes such a message [MQTT-3.2.2-11] [MQTT-3.2.2-14].
    pub(super) fn check_publish(&self, publish: &Publish) -> Result<()> {
        if publish.level() > self.maximum_qos {
            return Err(Error::Unsupported(Feature::QoS(publish.level())));
        }
        if publish.is_retained() && !self.retain {
            return Err(Error::Unsupported(Feature::Retain));
        }
        Ok(())
    }

    /// As much of the message as the server takes [MQTT-3.2.2-11] [MQTT-3.2.2-14].
    pub(super) fn lower<'a>(&self, publish: &'a Publish) -> Cow<'a, Publish> {
        if self.check_publish(publish).is_ok() {
            return Cow::Borrowed(publish);
        }
        let lowered = publish.clone().qos(publish.level().min(self.maximum_qos));
        Cow::Owned(if self.retain { lowered } else { lowered.not_retained() })
    }

    /// Whether the server takes such a filter (3.2.2.3.11, 3.2.2.3.13).
    pub(super) fn check_filter(&self, filter: TopicFilter<'_>) -> Result<()> {
        if filter.has_wildcard() && !self.wildcard_subscriptions {
            return Err(Error::Unsupported(Feature::WildcardSubscriptions));
        }
        if filter.share().is_some() && !self.shared_subscriptions {
            return Err(Error::Unsupported(Feature::SharedSubscriptions));
        }
        Ok(())
    }

    /// Whether the server takes a packet of this size [MQTT-3.2.2-15].
    pub(super) fn check_size(&self, size: usize) -> Result<()> {
        let max = self.packet_bytes_max;
        if size > max { Err(Error::TooLarge { size, max }) } else { Ok(()) }
    }
}
