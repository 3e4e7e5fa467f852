//! Reading the data representations of 1.5 off the front of a packet.

use super::varint::{peek_varint, varint_len};
use crate::{Error, PacketId};

/// A cursor over the bytes of one packet; what it gives borrows from them.
///
/// Every read past the end is [`Error::Truncated`] and leaves the cursor where it was.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Everything not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Succeeds when nothing is left, and is [`Error::TrailingBytes`] otherwise.
    #[inline]
    pub fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::TrailingBytes) }
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// A two byte integer, high byte first (1.5.2).
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// A four byte integer, high byte first (1.5.3).
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A packet identifier; 0 is [`Error::PacketIdZero`] [MQTT-2.2.1-3].
    #[inline]
    pub fn packet_id(&mut self) -> Result<PacketId, Error> {
        PacketId::new(self.u16()?).ok_or(Error::PacketIdZero)
    }

    /// A variable byte integer in its shortest form [MQTT-1.5.5-1].
    #[inline]
    pub fn varint(&mut self) -> Result<u32, Error> {
        let (number, length) = peek_varint(self.rest)?.ok_or(Error::Truncated)?;
        if length != varint_len(number) {
            return Err(Error::VarintNotMinimal);
        }
        self.take(length)?;
        Ok(number)
    }

    /// Binary data: a two byte length and that many bytes (1.5.6).
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8], Error> {
        let mut ahead = *self;
        let length = ahead.u16()?;
        let bytes = ahead.take(usize::from(length))?;
        *self = ahead;
        Ok(bytes)
    }

    /// A UTF-8 encoded string (1.5.4): well-formed [MQTT-1.5.4-1], no U+0000 [MQTT-1.5.4-2].
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, Error> {
        let text = str::from_utf8(self.binary()?).map_err(|_| Error::StringNotUtf8)?;
        if text.as_bytes().contains(&0) { Err(Error::StringWithNull) } else { Ok(text) }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_big_endian() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(reader.u8(), Ok(0x01));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.u8(), Err(Error::Truncated));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_read_past_the_end_moves_nothing() {
        let mut reader = Reader::new(&[0, 3, b'a', b'b']);
        assert_eq!(reader.binary(), Err(Error::Truncated));
        assert_eq!(reader.u32(), Ok(0x0003_6162));
        assert_eq!(Reader::new(&[0]).finish(), Err(Error::TrailingBytes));
    }

    /// The example of figure 1-2: "A" followed by U+2A6D4.
    #[test]
    fn the_string_of_the_standard_is_read() {
        let mut reader = Reader::new(&[0x00, 0x05, 0x41, 0xF0, 0xAA, 0x9B, 0x94]);
        assert_eq!(reader.string(), Ok("A𪛔"));
    }

    /// [MQTT-1.5.4-1] surrogates, overlong forms and stray bytes; [MQTT-1.5.4-2] U+0000;
    /// [MQTT-1.5.4-3] a byte order mark is kept.
    #[test]
    fn strings_are_well_formed_utf_8_without_null() {
        for bad in [&[0, 1, 0xFF][..], &[0, 3, 0xED, 0xA0, 0x80], &[0, 2, 0xC0, 0x80]] {
            assert_eq!(Reader::new(bad).string(), Err(Error::StringNotUtf8), "{bad:02X?}");
        }
        assert_eq!(Reader::new(&[0, 1, 0]).string(), Err(Error::StringWithNull));
        assert_eq!(Reader::new(&[0, 3, 0xEF, 0xBB, 0xBF]).string(), Ok("\u{FEFF}"));
    }

    /// [MQTT-1.5.5-1]
    #[test]
    fn variable_byte_integers_use_the_fewest_bytes() {
        assert_eq!(Reader::new(&[0x80, 0x00]).varint(), Err(Error::VarintNotMinimal));
        assert_eq!(Reader::new(&[0x80, 0x01]).varint(), Ok(128));
        assert_eq!(Reader::new(&[0x80]).varint(), Err(Error::Truncated));
        assert_eq!(Reader::new(&[0x80; 5]).varint(), Err(Error::VarintTooLong));
    }

    /// [MQTT-2.2.1-3]
    #[test]
    fn packet_id_zero_is_refused() {
        assert_eq!(Reader::new(&[0, 0]).packet_id(), Err(Error::PacketIdZero));
        assert_eq!(Reader::new(&[0, 9]).packet_id().map(PacketId::get), Ok(9));
    }
}
