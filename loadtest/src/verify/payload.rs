//! The payload of every message.
//!
//! ```text
//!  0       2                8       12       16                24       28          32
//!  │ magic │    sequence    │  run  │ stream │  intended, ns   │ late, µs │ checksum │ body …
//! ```
//!
//! All numbers are big endian. The body is one of a few patterns, chosen by the sequence, so that a
//! header that arrives with the body of another message is noticed. A subscriber compares the body
//! byte for byte; the checksum, which covers the header and the body, lets any other program check
//! it too. Payloads of 8 to 31 bytes have room for stream and sequence only, four bytes each: they
//! show loss, duplicates and order, but neither latency nor messages of another run.

use std::array;

use super::is_same;

/// Bytes of the whole header.
pub(crate) const HEADER_BYTES: usize = 32;
/// Bytes of the smallest payload: stream and sequence.
pub(crate) const PAYLOAD_BYTES_MIN: usize = 8;

const MAGIC: u64 = 0x534B;
const SEQUENCE_BITS: u32 = 48;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;
/// The part of the last word in front of the checksum.
const LATE_MASK: u64 = !0 << 32;
/// Few enough to stay in the cache, and coprime with usual numbers of publishers.
const BODIES: usize = 7;

/// What the header says of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The stream of messages it belongs to.
    pub(crate) stream: u32,
    /// Its number in the stream, from 0; below 2⁴⁸.
    pub(crate) sequence: u64,
    /// When it was to be sent, nanoseconds of the run's clock.
    pub(crate) intended_ns: u64,
    /// How much later it was sent.
    pub(crate) late_us: u32,
}

/// Why a payload is not one that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It was changed on its way.
    Corrupt,
    /// It is of another run or another program.
    Unexpected,
}

/// Writes and checks the payloads of one run, which all have the same length.
#[derive(Debug)]
pub(crate) struct Payloads {
    run: u32,
    length: usize,
    bodies: [Body; BODIES],
}

#[derive(Debug)]
struct Body {
    bytes: Vec<u8>,
    sum: u64,
}

impl Payloads {
    /// Payloads of `length` bytes, at least [`PAYLOAD_BYTES_MIN`].
    pub(crate) fn new(run: u32, length: usize) -> Self {
        let header = if length < HEADER_BYTES { PAYLOAD_BYTES_MIN } else { HEADER_BYTES };
        let bodies = array::from_fn(|number| Body::new(run, number, length - header));
        Self { run, length, bodies }
    }

    /// Bytes of each payload.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Whether the header is whole, and with it the times in it.
    pub(crate) fn has_times(&self) -> bool {
        self.length >= HEADER_BYTES
    }

    /// Appends the payload of one message.
    #[inline]
    pub(crate) fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) {
        let body = self.body(stamp.sequence);
        if self.length < HEADER_BYTES {
            out.extend_from_slice(&stamp.stream.to_be_bytes());
            out.extend_from_slice(&(stamp.sequence as u32).to_be_bytes());
        } else {
            let words = self.words(stamp, body);
            let mut header = [0; HEADER_BYTES];
            for (place, word) in header.chunks_exact_mut(8).zip(words) {
                place.copy_from_slice(&word.to_be_bytes());
            }
            out.extend_from_slice(&header);
        }
        out.extend_from_slice(&body.bytes);
    }

    /// What a received payload says, if it is one of this run and whole.
    #[inline(always)]
    pub(crate) fn read(&self, payload: &[u8]) -> Result<Stamp, Wrong> {
        if self.length < HEADER_BYTES {
            return self.read_short(payload);
        }
        let Some((header, rest)) = payload.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Wrong::Unexpected);
        };
        let [first, second, intended_ns, last] = words_of(header);
        if first >> SEQUENCE_BITS != MAGIC || second >> 32 != u64::from(self.run) {
            return Err(Wrong::Unexpected);
        }
        let sequence = first & SEQUENCE_MASK;
        let body = self.body(sequence);
        let late = last & LATE_MASK;
        let sum = checksum(body.sum, [first, second, intended_ns, late]);
        if last != late | sum || !is_same(rest, &body.bytes) {
            return Err(Wrong::Corrupt);
        }
        Ok(Stamp { stream: second as u32, sequence, intended_ns, late_us: (late >> 32) as u32 })
    }

    fn read_short(&self, payload: &[u8]) -> Result<Stamp, Wrong> {
        let (stream, rest) = payload.split_first_chunk().ok_or(Wrong::Unexpected)?;
        let (sequence, rest) = rest.split_first_chunk().ok_or(Wrong::Unexpected)?;
        let (stream, sequence) = (u32::from_be_bytes(*stream), u32::from_be_bytes(*sequence));
        let stamp = Stamp { stream, sequence: u64::from(sequence), ..Stamp::default() };
        if rest == self.body(stamp.sequence).bytes { Ok(stamp) } else { Err(Wrong::Corrupt) }
    }

    #[inline]
    fn body(&self, sequence: u64) -> &Body {
        &self.bodies[(sequence % BODIES as u64) as usize]
    }

    #[inline]
    fn words(&self, stamp: &Stamp, body: &Body) -> [u64; 4] {
        let first = MAGIC << SEQUENCE_BITS | stamp.sequence & SEQUENCE_MASK;
        let second = u64::from(self.run) << 32 | u64::from(stamp.stream);
        let late = u64::from(stamp.late_us) << 32;
        let sum = checksum(body.sum, [first, second, stamp.intended_ns, late]);
        [first, second, stamp.intended_ns, late | sum]
    }
}

impl Body {
    fn new(run: u32, number: usize, length: usize) -> Self {
        let mut state = u64::from(run) << 8 | number as u64;
        let mut sum = length as u64;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state = fold(state, 0x9E37_79B9_7F4A_7C15);
            sum = fold(sum, state);
            bytes.extend_from_slice(&state.to_be_bytes());
        }
        bytes.truncate(length);
        Self { bytes, sum }
    }
}

#[inline]
fn words_of(header: &[u8; HEADER_BYTES]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(header.chunks_exact(8)) {
        *word = bytes.try_into().map_or(0, u64::from_be_bytes);
    }
    words
}

/// The checksum of a header and of the body whose sum is known, in 32 bits.
#[inline]
fn checksum(body_sum: u64, [first, second, intended_ns, late]: [u64; 4]) -> u64 {
    let sum = fold(first ^ body_sum ^ second.rotate_left(24), intended_ns ^ late);
    u64::from(sum as u32 ^ (sum >> 32) as u32)
}

/// Both halves of a product mixed: every bit of either number reaches the outcome.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0xA076_1D64_78BD_642F) * u128::from(b ^ 0xE703_7ED1_A0B4_28DB);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp { stream: 3, sequence: 1 << 40, intended_ns: 123_456_789_012, late_us: 77 }
    }

    fn written(payloads: &Payloads, stamp: &Stamp) -> Vec<u8> {
        let mut bytes = Vec::new();
        payloads.write(stamp, &mut bytes);
        bytes
    }

    #[test]
    fn a_payload_is_read_as_it_was_written() {
        for length in [32, 33, 64, 1024] {
            let payloads = Payloads::new(9, length);
            let bytes = written(&payloads, &stamp());
            assert_eq!((bytes.len(), payloads.read(&bytes)), (length, Ok(stamp())));
        }
    }

    #[test]
    fn a_small_payload_has_stream_and_sequence_only() {
        let small = Stamp { stream: 3, sequence: 70_000, ..Stamp::default() };
        for length in [8, 9, 31] {
            let payloads = Payloads::new(9, length);
            let bytes = written(&payloads, &Stamp { intended_ns: 5, late_us: 6, ..small });
            assert_eq!((bytes.len(), payloads.read(&bytes)), (length, Ok(small)));
            assert!(!payloads.has_times());
        }
        assert_eq!(Payloads::new(9, 8).read(&[0; 7]), Err(Wrong::Unexpected));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let payloads = Payloads::new(9, 48);
        let bytes = written(&payloads, &stamp());
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(payloads.read(&changed).is_err(), "bit {bit}");
        }
        assert_eq!(payloads.read(&bytes[..47]), Err(Wrong::Corrupt));
    }

    #[test]
    fn the_body_of_another_message_is_noticed() {
        let payloads = Payloads::new(9, 64);
        let other = Stamp { sequence: stamp().sequence + 1, ..stamp() };
        let mut bytes = written(&payloads, &stamp());
        bytes[HEADER_BYTES..].copy_from_slice(&written(&payloads, &other)[HEADER_BYTES..]);
        assert_eq!(payloads.read(&bytes), Err(Wrong::Corrupt));
    }

    #[test]
    fn a_message_of_another_run_is_unexpected() {
        let bytes = written(&Payloads::new(8, 64), &stamp());
        assert_eq!(Payloads::new(9, 64).read(&bytes), Err(Wrong::Unexpected));
        assert_eq!(Payloads::new(9, 64).read(b"short"), Err(Wrong::Unexpected));
    }
}
