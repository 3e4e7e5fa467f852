//! Appending the data representations of 1.5 to a packet.

use super::varint::VARINT_MAX;

/// Appends one byte.
#[inline]
pub fn put_u8(out: &mut Vec<u8>, number: u8) {
    out.push(number);
}

/// Appends a two byte integer, high byte first (1.5.2).
#[inline]
pub fn put_u16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// Appends a four byte integer, high byte first (1.5.3).
#[inline]
pub fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// Appends a variable byte integer in its shortest form [MQTT-1.5.5-1].
///
/// # Panics
/// If `number` is above [`VARINT_MAX`]: there is no way to write it.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, number: u32) {
    assert!(number <= VARINT_MAX, "{number} does not fit four bytes of seven bits");
    let mut rest = number;
    while rest > 0x7F {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends binary data: a two byte length and the bytes (1.5.6).
///
/// # Panics
/// If there are more than 65,535 bytes.
#[inline]
pub fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("a field of MQTT holds at most 65,535 bytes");
    put_u16(out, length);
    out.extend_from_slice(bytes);
}

/// Appends a UTF-8 encoded string (1.5.4).
///
/// # Panics
/// If it is longer than 65,535 bytes.
#[inline]
pub fn put_string(out: &mut Vec<u8>, text: &str) {
    put_binary(out, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reader, varint_len};

    #[test]
    fn fields_are_written_as_the_standard_draws_them() {
        let mut out = Vec::new();
        put_u8(&mut out, 0x10);
        put_u16(&mut out, 0x0203);
        put_u32(&mut out, 0x0405_0607);
        put_varint(&mut out, 321);
        put_string(&mut out, "A𪛔");
        put_binary(&mut out, &[0xFF]);
        let expected = [
            &[0x10, 2, 3, 4, 5, 6, 7, 0xC1, 0x02][..],
            &[0x00, 0x05, 0x41, 0xF0, 0xAA, 0x9B, 0x94, 0, 1, 0xFF],
        ];
        assert_eq!(out, expected.concat());
    }

    /// [MQTT-1.5.5-1]
    #[test]
    fn every_written_varint_is_minimal_and_reads_back() {
        for number in (0..28).flat_map(|bit| [(1 << bit) - 1, 1 << bit]).chain([VARINT_MAX]) {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out.len(), varint_len(number));
            assert_eq!(Reader::new(&out).varint(), Ok(number));
        }
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_varint_past_the_limit_is_a_bug_of_the_caller() {
        put_varint(&mut Vec::new(), VARINT_MAX + 1);
    }
}
