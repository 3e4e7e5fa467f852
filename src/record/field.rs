//! How the parts of a record stand in bytes: numbers as in LEB128, lengths in front.

use std::borrow::Cow;

use skein_protocol::qos::{PacketId, QoS};
use skein_protocol::{RetainHandling, Version};

use super::RecordError;

/// What is left of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        let (byte, rest) = self.rest.split_first().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(super) fn finish(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::TrailingBytes) }
    }

    fn number(&mut self) -> Result<u64, RecordError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if (bits << shift) >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(RecordError::NumberTooLarge)
    }

    fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = usize::try_from(self.number()?).map_err(|_| RecordError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// A part of a record.
pub(super) trait Field<'a>: Sized {
    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads it off the front.
    fn take(reader: &mut Reader<'a>) -> Result<Self, RecordError>;
}

impl Field<'_> for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut number = *self;
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        reader.number()
    }
}

impl Field<'_> for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Self::try_from(reader.number()?).map_err(|_| RecordError::NumberTooLarge)
    }
}

impl Field<'_> for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::UnknownValue("flag")),
        }
    }
}

impl<'a> Field<'a> for Cow<'a, [u8]> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self);
    }

    fn take(reader: &mut Reader<'a>) -> Result<Self, RecordError> {
        reader.bytes().map(Cow::Borrowed)
    }
}

impl<'a> Field<'a> for Cow<'a, str> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(reader: &mut Reader<'a>) -> Result<Self, RecordError> {
        let text = std::str::from_utf8(reader.bytes()?).map_err(|_| RecordError::NotText)?;
        Ok(Cow::Borrowed(text))
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(reader: &mut Reader<'a>) -> Result<Self, RecordError> {
        if bool::take(reader)? { T::take(reader).map(Some) } else { Ok(None) }
    }
}

impl<'a, T: Field<'a>> Field<'a> for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|value| value.put(out));
    }

    /// Each takes a byte at least, so a length that lies allocates nothing.
    fn take(reader: &mut Reader<'a>) -> Result<Self, RecordError> {
        let mut values = Self::new();
        for _ in 0..reader.number()? {
            values.push(T::take(reader)?);
        }
        Ok(values)
    }
}

impl Field<'_> for PacketId {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(self.get()).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let number = u16::try_from(reader.number()?).map_err(|_| RecordError::NumberTooLarge)?;
        Self::new(number).ok_or(RecordError::UnknownValue("packet identifier"))
    }
}

impl Field<'_> for QoS {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Self::try_from(reader.byte()?).map_err(|_| RecordError::UnknownValue("QoS"))
    }
}

impl Field<'_> for Version {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::V3_1 => 3,
            Self::V3_1_1 => 4,
            Self::V5 => 5,
        });
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        match reader.byte()? {
            3 => Ok(Self::V3_1),
            4 => Ok(Self::V3_1_1),
            5 => Ok(Self::V5),
            _ => Err(RecordError::UnknownValue("version of MQTT")),
        }
    }
}

impl Field<'_> for RetainHandling {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        match reader.byte()? {
            0 => Ok(Self::SendAtSubscribe),
            1 => Ok(Self::SendIfNew),
            2 => Ok(Self::DoNotSend),
            _ => Err(RecordError::UnknownValue("Retain Handling")),
        }
    }
}
