//! UNSUBSCRIBE (3.10): filters that are no longer wanted.

use std::fmt;

use smallvec::SmallVec;

use super::Quoted;
use crate::properties::{UserProperties, properties};
use crate::wire::{Reader, put_string, put_u16};
use crate::{Error, PacketId, TopicFilter, Version};

/// A request to end subscriptions.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribe<'a> {
    /// What the UNSUBACK will carry.
    pub packet_id: PacketId,
    /// User Properties; empty before MQTT 5.0.
    pub user_properties: UserProperties<'a>,
    /// The filters in order, at least one [MQTT-3.10.3-2].
    pub filters: SmallVec<[TopicFilter<'a>; 2]>,
}

properties! {
    /// Properties of UNSUBSCRIBE (3.10.2.1).
    pub(crate) struct UnsubscribeProperties<'a> {
        /// User Properties.
        user_properties: UserProperties<'a> = UserProperty,
    }
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(body: &'a [u8], version: Version) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => UnsubscribeProperties::read(&mut reader)?,
            Version::V3_1 | Version::V3_1_1 => UnsubscribeProperties::default(),
        };
        let mut filters = SmallVec::new();
        while !reader.is_empty() {
            filters.push(TopicFilter::read(&mut reader)?);
        }
        if filters.is_empty() {
            return Err(Error::UnsubscribeEmpty);
        }
        Ok(Self { packet_id, user_properties: properties.user_properties, filters })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        let properties = if version == Version::V5 { self.properties().len() } else { 0 };
        let filters = self.filters.iter().map(|filter| 2 + filter.as_str().len());
        2 + properties + filters.sum::<usize>()
    }

    pub(super) fn write_body(&self, version: Version, out: &mut Vec<u8>) {
        put_u16(out, self.packet_id.get());
        if version == Version::V5 {
            self.properties().write(out);
        }
        for filter in &self.filters {
            put_string(out, filter.as_str());
        }
    }

    fn properties(&self) -> UnsubscribeProperties<'a> {
        UnsubscribeProperties { user_properties: self.user_properties }
    }
}

/// E.g. `UNSUBSCRIBE id=2 filters=["a/+", "b"]`.
impl fmt::Display for Unsubscribe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UNSUBSCRIBE id={} filters=[", self.packet_id)?;
        for (index, filter) in self.filters.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}", Quoted(filter.as_str()))?;
        }
        write!(f, "]{}", self.properties())
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::tests::{assert_codec, decode};
    use super::*;
    use crate::{Packet, PropertyId};

    /// The payload of figure 3.30: `a/b` and `c/d`.
    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::new(10).unwrap(),
            user_properties: UserProperties::default(),
            filters: smallvec![TopicFilter::new("a/b").unwrap(), TopicFilter::new("c/d").unwrap()],
        });
        assert_codec(b"\xA2\x0C\0\x0A\0\x03a/b\0\x03c/d", &packet, Version::V3_1);
        assert_codec(b"\xA2\x0C\0\x0A\0\x03a/b\0\x03c/d", &packet, Version::V3_1_1);
        assert_codec(b"\xA2\x0D\0\x0A\0\0\x03a/b\0\x03c/d", &packet, Version::V5);
    }

    /// [MQTT-3.10.3-1] [MQTT-3.10.3-2] [MQTT-2.2.1-3]
    #[test]
    fn broken_requests_are_refused() {
        let foreign = Error::PropertyNotAllowed(PropertyId::SubscriptionIdentifier);
        let rows: [(&[u8], Version, Error); 6] = [
            (b"\xA2\x02\0\x01", Version::V3_1_1, Error::UnsubscribeEmpty),
            (b"\xA2\x03\0\x01\0", Version::V5, Error::UnsubscribeEmpty),
            (b"\xA2\x05\0\0\0\x01a", Version::V3_1_1, Error::PacketIdZero),
            (b"\xA2\x04\0\x01\0\0", Version::V3_1_1, Error::TopicFilterEmpty),
            (b"\xA2\x05\0\x01\0\x01\xFF", Version::V3_1_1, Error::TopicFilterNotUtf8),
            (b"\xA2\x08\0\x01\x02\x0B\x01\0\x01a", Version::V5, foreign),
        ];
        for (bytes, version, error) in rows {
            assert_eq!(decode(bytes, version), Err(error), "{bytes:02X?}");
        }
    }
}
