//! The variable byte integer (1.5.5): seven bits a byte, lowest first, at most four bytes.

use crate::Error;

/// The largest number four bytes can hold.
pub const VARINT_MAX: u32 = 268_435_455;

/// How many bytes the number takes, 1 to 4.
///
/// Numbers above [`VARINT_MAX`] have no encoding; they count as 4 here and
/// [`put_varint`](super::put_varint) refuses them.
#[inline]
pub fn varint_len(number: u32) -> usize {
    match number {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// The number at the front of `bytes` and how many bytes it took; `None` when it goes on past the
/// end. Four bytes that all ask for another are [`Error::VarintTooLong`].
#[inline]
pub(crate) fn peek_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, Error> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        number |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((number, index + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Error::VarintTooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds of table 1-1 of the standard, [MQTT-1.5.5-1].
    #[test]
    fn lengths_follow_table_1_1() {
        let rows: [(u32, &[u8]); 8] = [
            (0, &[0x00]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (VARINT_MAX, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ];
        for (number, bytes) in rows {
            assert_eq!(varint_len(number), bytes.len());
            assert_eq!(peek_varint(bytes), Ok(Some((number, bytes.len()))));
            assert_eq!(peek_varint(&bytes[..bytes.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn a_fourth_continuation_bit_is_an_error_before_the_fifth_byte() {
        assert_eq!(peek_varint(&[0x80, 0x80, 0x80, 0x80]), Err(Error::VarintTooLong));
        assert_eq!(peek_varint(&[0x80, 0x80, 0x80]), Ok(None));
    }
}
