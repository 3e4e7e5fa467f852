//! SUBSCRIBE (3.8): filters and how their messages are to be delivered.

use std::fmt;
use std::num::NonZeroU32;

use smallvec::SmallVec;

use super::Quoted;
use crate::properties::{SubscriptionIdentifier, UserProperties, properties};
use crate::wire::{Reader, put_string, put_u16};
use crate::{Error, PacketId, QoS, TopicFilter, Version};

/// A request for messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe<'a> {
    /// What the SUBACK will carry.
    pub packet_id: PacketId,
    /// Subscription Identifier for all filters: 1 to 268,435,455; none before MQTT 5.0.
    pub identifier: Option<NonZeroU32>,
    /// User Properties; empty before MQTT 5.0.
    pub user_properties: UserProperties<'a>,
    /// The filters in order, at least one [MQTT-3.8.3-2].
    pub filters: SmallVec<[(TopicFilter<'a>, SubscriptionOptions); 2]>,
}

/// How the messages of one subscription are delivered (3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest QoS of a delivery.
    pub qos: QoS,
    /// Whether the client's own messages are left out [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Whether the RETAIN flag is delivered as it was published.
    pub retain_as_published: bool,
    /// Which retained messages are delivered at once.
    pub retain_handling: RetainHandling,
}

/// When a SUBSCRIBE is answered with retained messages (3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    SendAtSubscribe = 0,
    /// Only if the subscription did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

properties! {
    /// Properties of SUBSCRIBE (3.8.2.1).
    pub(crate) struct SubscribeProperties<'a> {
        /// The identifier of all its subscriptions.
        identifier: Option<SubscriptionIdentifier> = SubscriptionIdentifier,
        /// User Properties.
        user_properties: UserProperties<'a> = UserProperty,
    }
}

const QOS_BITS: u8 = 0x03;
const FLAG_NO_LOCAL: u8 = 0x04;
const FLAG_RETAIN_AS_PUBLISHED: u8 = 0x08;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED_BITS_V5: u8 = 0xC0;

impl<'a> Subscribe<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => SubscribeProperties::read(&mut reader)?,
            Version::V3_1 | Version::V3_1_1 => SubscribeProperties::default(),
        };
        let mut filters = SmallVec::new();
        while !reader.is_empty() {
            let filter = TopicFilter::read(&mut reader)?;
            let options = SubscriptionOptions::decode(reader.u8()?, version)?;
            if options.no_local && filter.share().is_some() {
                return Err(Error::NoLocalOnShared);
            }
            filters.push((filter, options));
        }
        if filters.is_empty() {
            return Err(Error::SubscribeEmpty);
        }
        let SubscribeProperties { identifier, user_properties } = properties;
        let identifier = identifier.map(|identifier| identifier.0);
        Ok(Self { packet_id, identifier, user_properties, filters })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        let properties = if version == Version::V5 { self.properties().len() } else { 0 };
        let filters = self.filters.iter().map(|(filter, _)| 2 + filter.as_str().len() + 1);
        2 + properties + filters.sum::<usize>()
    }

    pub(super) fn write_body(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        if version == Version::V5 {
            self.properties().write(out);
        }
        for (filter, options) in &self.filters {
            put_string(out, filter.as_str());
            out.push(options.encode(version));
        }
    }

    fn properties(&self) -> SubscribeProperties<'a> {
        let identifier = self.identifier.map(SubscriptionIdentifier);
        SubscribeProperties { identifier, user_properties: self.user_properties }
    }
}

impl SubscriptionOptions {
    /// These options with nothing but a QoS, as MQTT 3.1.1 has them.
    pub fn with_qos(qos: QoS) -> Self {
        Self { qos, ..Self::default() }
    }

    fn decode(byte: u8, version: Version) -> Result<Self, Error> {
        let qos = QoS::try_from(byte & QOS_BITS).map_err(|_| Error::SubscriptionQoS)?;
        match version {
            // The upper bits of the byte are not used (MQTT 3.1, 3.8).
            Version::V3_1 => Ok(Self::with_qos(qos)),
            // [MQTT-3.8.3-4 of 3.1.1]
            Version::V3_1_1 if byte > QOS_BITS => Err(Error::SubscriptionOptionsReserved),
            Version::V3_1_1 => Ok(Self::with_qos(qos)),
            Version::V5 if byte & RESERVED_BITS_V5 != 0 => Err(Error::SubscriptionOptionsReserved),
            Version::V5 => Ok(Self {
                qos,
                no_local: byte & FLAG_NO_LOCAL != 0,
                retain_as_published: byte & FLAG_RETAIN_AS_PUBLISHED != 0,
                retain_handling: RetainHandling::decode(byte >> RETAIN_HANDLING_SHIFT)?,
            }),
        }
    }

    fn encode(self, version: Version) -> u8 {
        if version != Version::V5 {
            return self.qos as u8;
        }
        let no_local = if self.no_local { FLAG_NO_LOCAL } else { 0 };
        let as_published = if self.retain_as_published { FLAG_RETAIN_AS_PUBLISHED } else { 0 };
        let handling = (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT;
        self.qos as u8 | no_local | as_published | handling
    }
}

impl RetainHandling {
    fn decode(bits: u8) -> Result<Self, Error> {
        match bits {
            0 => Ok(Self::SendAtSubscribe),
            1 => Ok(Self::SendIfNew),
            2 => Ok(Self::DoNotSend),
            _ => Err(Error::RetainHandlingInvalid),
        }
    }
}

/// E.g. `SUBSCRIBE id=1 filters=["a/+" qos=1, "b" qos=0 no_local]`.
impl fmt::Display for Subscribe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SUBSCRIBE id={} filters=[", self.packet_id)?;
        for (index, (filter, options)) in self.filters.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {options}", Quoted(filter.as_str()))?;
        }
        write!(f, "]{}", self.properties())
    }
}

impl fmt::Display for SubscriptionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "qos={}", self.qos)?;
        f.write_str(if self.no_local { " no_local" } else { "" })?;
        f.write_str(if self.retain_as_published { " retain_as_published" } else { "" })?;
        f.write_str(match self.retain_handling {
            RetainHandling::SendAtSubscribe => "",
            RetainHandling::SendIfNew => " retain_handling=send_if_new",
            RetainHandling::DoNotSend => " retain_handling=do_not_send",
        })
    }
}

#[cfg(test)]
#[path = "subscribe_tests.rs"]
mod tests;
