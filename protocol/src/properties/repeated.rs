//! The two properties that may stand more than once in a packet, kept without allocating.

use std::fmt;

use super::value::SubscriptionIdentifier;
use super::{PropertyId, Slot};
use crate::Error;
use crate::wire::{Reader, put_string, put_varint, varint_len};

/// User Properties: pairs of strings in the order of the packet, duplicates kept [MQTT-3.1.3-10].
#[derive(Clone, Copy)]
pub struct UserProperties<'a>(Source<'a, (&'a str, &'a str)>);

/// Subscription Identifiers of a PUBLISH: 1 to 268,435,455 each (3.3.2.3.8).
#[derive(Clone, Copy)]
pub struct SubscriptionIdentifiers<'a>(Source<'a, u32>);

/// Where the values come from.
#[derive(Clone, Copy)]
enum Source<'a, T> {
    /// The properties of a packet, read before and found valid, from the first occurrence on;
    /// other properties stand in between.
    Block(&'a [u8]),
    /// The caller's.
    Slice(&'a [T]),
}

impl<'a> UserProperties<'a> {
    /// These pairs, in this order.
    pub const fn from_pairs(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self(Source::Slice(pairs))
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let (block, slice) = self.0.parts();
        let read = Occurrences { id: PropertyId::UserProperty, reader: Reader::new(block) };
        slice.iter().copied().chain(read.filter_map(|mut value| read_pair(&mut value).ok()))
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> SubscriptionIdentifiers<'a> {
    /// These identifiers, each 1 to 268,435,455.
    pub const fn from_slice(identifiers: &'a [u32]) -> Self {
        Self(Source::Slice(identifiers))
    }

    /// The identifiers in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (block, slice) = self.0.parts();
        let id = PropertyId::SubscriptionIdentifier;
        let read = Occurrences { id, reader: Reader::new(block) };
        slice.iter().copied().chain(read.filter_map(|mut value| value.varint().ok()))
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Slot<'a> for UserProperties<'a> {
    fn read(
        &mut self,
        _id: PropertyId,
        reader: &mut Reader<'a>,
        occurrence: &'a [u8],
    ) -> Result<(), Error> {
        read_pair(reader).map_err(|_| Error::UserPropertyInvalid)?;
        self.0.begin(occurrence);
        Ok(())
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn len(&self) -> usize {
        self.iter().map(|(key, value)| 5 + key.len() + value.len()).sum()
    }

    fn write(&self, id: PropertyId, out: &mut Vec<u8>) {
        for (key, value) in self.iter() {
            out.push(id as u8);
            put_string(out, key);
            put_string(out, value);
        }
    }

    /// How many, not what: they may hold anything a client wants to tell another.
    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() { Ok(()) } else { write!(f, " {name}={}", self.iter().count()) }
    }
}

impl<'a> Slot<'a> for SubscriptionIdentifiers<'a> {
    fn read(
        &mut self,
        _id: PropertyId,
        reader: &mut Reader<'a>,
        occurrence: &'a [u8],
    ) -> Result<(), Error> {
        SubscriptionIdentifier::read(reader)?;
        self.0.begin(occurrence);
        Ok(())
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn len(&self) -> usize {
        self.iter().map(|identifier| 1 + varint_len(identifier)).sum()
    }

    fn write(&self, id: PropertyId, out: &mut Vec<u8>) {
        for identifier in self.iter() {
            debug_assert_ne!(identifier, 0, "a subscription identifier is never 0");
            out.push(id as u8);
            put_varint(out, identifier);
        }
    }

    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() { Ok(()) } else { write!(f, " {name}={self:?}") }
    }
}

impl<'a, T> Source<'a, T> {
    fn parts(&self) -> (&'a [u8], &'a [T]) {
        match *self {
            Self::Block(block) => (block, &[]),
            Self::Slice(slice) => (&[], slice),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Block(_) => false,
            Self::Slice(slice) => slice.is_empty(),
        }
    }

    /// Remembers where the first occurrence is.
    fn begin(&mut self, occurrence: &'a [u8]) {
        if let Self::Slice(_) = self {
            *self = Self::Block(occurrence);
        }
    }
}

/// The occurrences of one property among others; each as a reader that stands at the value.
struct Occurrences<'a> {
    id: PropertyId,
    reader: Reader<'a>,
}

impl<'a> Iterator for Occurrences<'a> {
    type Item = Reader<'a>;

    fn next(&mut self) -> Option<Reader<'a>> {
        // The block was valid when the packet was read, so an error here is its end.
        loop {
            let id = PropertyId::try_from(self.reader.u8().ok()?).ok()?;
            let value = self.reader;
            id.skip(&mut self.reader).ok()?;
            if id == self.id {
                return Some(value);
            }
        }
    }
}

fn read_pair<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, &'a str), Error> {
    Ok((reader.string()?, reader.string()?))
}

impl Default for UserProperties<'_> {
    fn default() -> Self {
        Self(Source::Slice(&[]))
    }
}

impl Default for SubscriptionIdentifiers<'_> {
    fn default() -> Self {
        Self(Source::Slice(&[]))
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl PartialEq for SubscriptionIdentifiers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for SubscriptionIdentifiers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublishProperties;

    /// Two user properties and two identifiers with other properties in between.
    const BLOCK: &[u8] =
        b"\x26\0\x01k\0\x01v\x0B\x05\x01\x01\x26\0\x01k\0\0\x03\0\x01t\x0B\x80\x01";

    #[test]
    fn repeated_properties_are_found_among_others_in_order() {
        let properties = PublishProperties::decode(BLOCK).unwrap();
        let pairs = [("k", "v"), ("k", "")];
        assert_eq!(properties.user_properties, UserProperties::from_pairs(&pairs));
        assert_eq!(properties.user_properties.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(properties.subscription_identifiers.iter().collect::<Vec<_>>(), [5, 128]);
        assert_eq!(format!("{:?}", properties.subscription_identifiers), "[5, 128]");
        assert_eq!(format!("{:?}", properties.user_properties), r#"[("k", "v"), ("k", "")]"#);
        assert!(!properties.user_properties.is_empty());
        assert_eq!(properties.content_type, Some("t"));
    }

    #[test]
    fn order_and_count_matter_when_comparing() {
        let pairs = [("a", "1"), ("b", "2")];
        let swapped = [("b", "2"), ("a", "1")];
        assert_ne!(UserProperties::from_pairs(&pairs), UserProperties::from_pairs(&swapped));
        assert_ne!(UserProperties::from_pairs(&pairs), UserProperties::from_pairs(&pairs[..1]));
        assert_eq!(UserProperties::default(), UserProperties::from_pairs(&[]));
        assert!(SubscriptionIdentifiers::default().is_empty());
    }

    /// [MQTT-1.5.7-1], and 3.8.2.1.2 for the identifier.
    #[test]
    fn bad_values_are_refused() {
        let decode = |block| PublishProperties::decode(block).unwrap_err();
        assert_eq!(decode(b"\x26\0\x01k\0\x01\xFF"), Error::UserPropertyInvalid);
        assert_eq!(decode(b"\x26\0\x01\0\0\0"), Error::UserPropertyInvalid);
        assert_eq!(decode(b"\x26\0\x01k"), Error::UserPropertyInvalid);
        assert_eq!(decode(b"\x0B\0"), Error::SubscriptionIdentifierZero);
    }
}
