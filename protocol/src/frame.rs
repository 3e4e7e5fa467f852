//! Cutting a stream of bytes into packets: the fixed header (2.1) and nothing else.

use crate::wire::{peek_varint, varint_len};
use crate::{Error, PacketType, Version};

/// One whole packet, cut but not parsed.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The first byte: packet type in the high four bits, flags in the low four (2.1.2, 2.1.3).
    pub header: u8,
    /// What the Remaining Length counts: variable header and payload.
    pub body: &'a [u8],
    /// Whether the Remaining Length was written in as few bytes as possible; demanded by MQTT 5.0
    /// only [MQTT-1.5.5-1].
    pub minimal_length: bool,
}

impl<'a> Frame<'a> {
    /// Cuts the first packet off `bytes`: the frame and how many bytes it took, or `None` when
    /// more bytes are needed.
    ///
    /// # Errors
    /// As soon as the header shows it, without waiting for the body: packet type 0, a Remaining
    /// Length of more than four bytes, and a packet of more than `packet_bytes_max` bytes, header
    /// included ([`Error::PacketTooLarge`] [MQTT-3.2.2-15]).
    #[inline]
    pub fn decode(
        bytes: &'a [u8],
        packet_bytes_max: usize,
    ) -> Result<Option<(Self, usize)>, Error> {
        let Some(head) = Head::decode(bytes)? else { return Ok(None) };
        let size = head.size + head.remaining;
        if size > packet_bytes_max {
            return Err(Error::PacketTooLarge);
        }
        let Some(body) = bytes.get(head.size..size) else { return Ok(None) };
        let minimal_length = head.size - 1 == varint_len(head.remaining as u32);
        Ok(Some((Self { header: bytes[0], body, minimal_length }, size)))
    }

    /// The size in bytes, header included, of the packet that starts `bytes`; `None` while its
    /// length field is not complete.
    ///
    /// # Errors
    /// Packet type 0 and a Remaining Length of more than four bytes.
    #[inline]
    pub fn size(bytes: &[u8]) -> Result<Option<usize>, Error> {
        Ok(Head::decode(bytes)?.map(|head| head.size + head.remaining))
    }

    /// The packet type of the header.
    ///
    /// # Panics
    /// If the header names type 0, which [`Frame::decode`] never lets through.
    #[inline]
    pub fn packet_type(&self) -> PacketType {
        PacketType::from_header(self.header).expect("Frame::decode refuses packet type 0")
    }

    /// The four flag bits of the header (2.1.3).
    #[inline]
    pub fn flags(&self) -> u8 {
        self.header & 0x0F
    }

    /// [MQTT-1.5.5-1], which holds for the Remaining Length since MQTT 5.0.
    #[inline]
    pub(crate) fn check_length(&self, version: Version) -> Result<(), Error> {
        if version == Version::V5 && !self.minimal_length {
            return Err(Error::VarintNotMinimal);
        }
        Ok(())
    }
}

/// A fixed header whose length field is complete.
struct Head {
    /// Bytes of the fixed header, 2 to 5.
    size: usize,
    /// The Remaining Length.
    remaining: usize,
}

impl Head {
    /// The fixed header at the front of `bytes`, `None` while it is not complete.
    #[inline]
    fn decode(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let Some((&header, length)) = bytes.split_first() else { return Ok(None) };
        if header < 0x10 {
            return Err(Error::PacketTypeZero);
        }
        // Most packets are shorter than 128 bytes, and this is the hottest branch of a broker.
        match length.first() {
            Some(&short) if short < 0x80 => {
                Ok(Some(Self { size: 2, remaining: usize::from(short) }))
            }
            _ => Self::decode_long(length),
        }
    }

    fn decode_long(length: &[u8]) -> Result<Option<Self>, Error> {
        let found = peek_varint(length).map_err(|_| Error::RemainingLengthTooLong)?;
        Ok(found.map(|(remaining, taken)| Self { size: 1 + taken, remaining: remaining as usize }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_cut_off_the_front() {
        let bytes = [0x30, 3, 0, 1, b'a', 0xC0, 0];
        let (frame, consumed) = Frame::decode(&bytes, 100).unwrap().unwrap();
        assert_eq!((frame.header, frame.body, consumed), (0x30, &[0, 1, b'a'][..], 5));
        assert_eq!((frame.packet_type(), frame.flags()), (PacketType::Publish, 0));
        let (frame, consumed) = Frame::decode(&bytes[consumed..], 100).unwrap().unwrap();
        assert_eq!((frame.packet_type(), frame.body.len(), consumed), (PacketType::PingReq, 0, 2));
    }

    #[test]
    fn every_shorter_prefix_needs_more_bytes() {
        let mut bytes = vec![0x30, 0x80, 0x01];
        bytes.extend([0; 128]);
        for cut in 0..bytes.len() {
            assert!(Frame::decode(&bytes[..cut], 1000).unwrap().is_none(), "{cut}");
        }
        assert_eq!(Frame::decode(&bytes, 1000).unwrap().unwrap().1, 131);
        assert_eq!(Frame::size(&bytes[..2]), Ok(None));
        assert_eq!(Frame::size(&bytes[..3]), Ok(Some(131)));
    }

    /// 2.1.4: the length has at most four bytes; the fourth already shows the error.
    #[test]
    fn a_remaining_length_of_five_bytes_is_refused() {
        let bytes = [0x30, 0x80, 0x80, 0x80, 0x80, 0x01];
        for shown in 5..=6 {
            let result = Frame::decode(&bytes[..shown], 1000);
            assert_eq!(result.unwrap_err(), Error::RemainingLengthTooLong);
        }
        assert_eq!(Frame::size(&bytes), Err(Error::RemainingLengthTooLong));
    }

    /// 2.1.2: type 0 is forbidden, and shows in the first byte.
    #[test]
    fn packet_type_zero_is_refused_at_once() {
        assert_eq!(Frame::decode(&[0x0F], 1000).unwrap_err(), Error::PacketTypeZero);
    }

    /// [MQTT-3.2.2-15]: decided by the header; the limit counts the header too.
    #[test]
    fn a_packet_over_the_limit_is_refused_before_its_body() {
        assert_eq!(Frame::decode(&[0x30, 9], 10).unwrap_err(), Error::PacketTooLarge);
        assert!(Frame::decode(&[0x30, 9], 11).unwrap().is_none());
        let claim = [0x10, 0xFF, 0xFF, 0xFF, 0x7F];
        assert_eq!(Frame::decode(&claim, 65_536).unwrap_err(), Error::PacketTooLarge);
        assert_eq!(Frame::size(&claim), Ok(Some(268_435_460)));
    }

    /// [MQTT-1.5.5-1] is a rule of MQTT 5.0, so the frame only remembers.
    #[test]
    fn a_long_form_of_a_short_length_is_noted() {
        let (frame, consumed) = Frame::decode(&[0xC0, 0x80, 0x00], 100).unwrap().unwrap();
        assert_eq!((frame.minimal_length, consumed), (false, 3));
        let (frame, _) = Frame::decode(&[0xC0, 0x00], 100).unwrap().unwrap();
        assert!(frame.minimal_length);
    }
}
