//! The types a property's value can have, each knowing its bytes.

use std::fmt::{self, Display};
use std::num::{NonZeroU16, NonZeroU32};

use super::PropertyId;
use crate::packet::{ByteCount, Quoted};
use crate::wire::{
    Reader, VARINT_MAX, put_binary, put_string, put_u16, put_u32, put_varint, varint_len,
};
use crate::{Error, QoS, TopicName};

/// The value of one property.
pub(crate) trait Value<'a>: Sized {
    /// Reads the value that follows the identifier `id`.
    fn read(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error>;
    /// Bytes on the wire, without the identifier.
    fn len(&self) -> usize;
    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);
    /// Prints the value for a log line.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// What the payload of a message is (3.3.2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PayloadFormat {
    /// Unspecified bytes.
    Bytes = 0,
    /// UTF-8 text.
    Utf8 = 1,
}

/// The number of a subscription: 1 to 268,435,455, written as a variable byte integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionIdentifier(pub(crate) NonZeroU32);

impl SubscriptionIdentifier {
    /// Reads the number behind a property identifier; 0 is refused (3.8.2.1.2).
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        NonZeroU32::new(reader.varint()?).map(Self).ok_or(Error::SubscriptionIdentifierZero)
    }
}

impl<'a> Value<'a> for SubscriptionIdentifier {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Self::read(reader)
    }

    fn len(&self) -> usize {
        debug_assert!(self.0.get() <= VARINT_MAX);
        varint_len(self.0.get())
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.get());
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'a> Value<'a> for u16 {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.u16()
    }

    fn len(&self) -> usize {
        2
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_u16(out, *self);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<'a> Value<'a> for u32 {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.u32()
    }

    fn len(&self) -> usize {
        4
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_u32(out, *self);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<'a> Value<'a> for NonZeroU16 {
    fn read(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Self::new(reader.u16()?).ok_or(match id {
            PropertyId::TopicAlias => Error::TopicAliasZero,
            _ => Error::ReceiveMaximumZero,
        })
    }

    fn len(&self) -> usize {
        2
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_u16(out, self.get());
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Maximum Packet Size is the only four byte property that cannot be 0.
impl<'a> Value<'a> for NonZeroU32 {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Self::new(reader.u32()?).ok_or(Error::MaximumPacketSizeZero)
    }

    fn len(&self) -> usize {
        4
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_u32(out, self.get());
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<'a> Value<'a> for bool {
    fn read(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::BooleanInvalid(id)),
        }
    }

    fn len(&self) -> usize {
        1
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<'a> Value<'a> for PayloadFormat {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            0 => Ok(Self::Bytes),
            1 => Ok(Self::Utf8),
            _ => Err(Error::PayloadFormatInvalid),
        }
    }

    fn len(&self) -> usize {
        1
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Utf8 => "utf8",
        })
    }
}

/// Maximum QoS; 2 is what its absence means, so it is never written (3.2.2.3.4).
impl<'a> Value<'a> for QoS {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            _ => Err(Error::MaximumQoSInvalid),
        }
    }

    fn len(&self) -> usize {
        1
    }

    fn write(&self, out: &mut Vec<u8>) {
        debug_assert_ne!(*self, Self::ExactlyOnce, "Maximum QoS 2 is said by leaving it out");
        out.push(*self as u8);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<'a> Value<'a> for &'a str {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.string()
    }

    fn len(&self) -> usize {
        2 + str::len(self)
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_string(out, self);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(self).fmt(f)
    }
}

impl<'a> Value<'a> for &'a [u8] {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.binary()
    }

    fn len(&self) -> usize {
        2 + <[u8]>::len(self)
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_binary(out, self);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ByteCount(<[u8]>::len(self)).fmt(f)
    }
}

/// Response Topic, the only property that is a topic name [MQTT-3.3.2-14].
impl<'a> Value<'a> for TopicName<'a> {
    fn read(_id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Self::new(reader.string()?).map_err(|error| match error {
            Error::TopicNameWildcard => Error::ResponseTopicWildcard,
            other => other,
        })
    }

    fn len(&self) -> usize {
        2 + self.as_str().len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_string(out, self.as_str());
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(self.as_str()).fmt(f)
    }
}
