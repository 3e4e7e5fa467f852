//! One direction of a recorded TCP connection: segments that come in any order, twice or not at all
//! become bytes in order, and gaps.

use std::collections::BTreeMap;

/// What waits for a gap to be filled, at most. Beyond it, what is missing is given up.
const EARLY_BYTES_MAX: usize = 4 * 1024 * 1024;
const EARLY_SEGMENTS_MAX: usize = 4_096;

/// What has come, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<T> {
    /// Bytes, and when they came.
    Bytes(Vec<u8>, T),
    /// So many bytes were not recorded; what follows them came at this time.
    Missing(u64, T),
}

/// A direction; `T` is a time.
#[derive(Debug)]
pub(super) struct Stream<T> {
    /// The sequence number of the first byte.
    first: Option<u32>,
    /// Whether its beginning was recorded; otherwise it was the first segment that came.
    has_begun: bool,
    /// The sequence number of the next byte, and how far it is from the first.
    next: Option<Position>,
    /// Segments behind a gap, by how far they are from the first byte.
    early: BTreeMap<u64, Segment<T>>,
    early_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    sequence: u32,
    distance: u64,
}

#[derive(Debug)]
struct Segment<T> {
    bytes: Vec<u8>,
    /// Bytes behind them that the recording has cut off.
    cut: u64,
    at: T,
}

impl<T> Default for Stream<T> {
    fn default() -> Self {
        let early = BTreeMap::new();
        Self { first: None, has_begun: false, next: None, early, early_bytes: 0 }
    }
}

impl<T: Copy> Stream<T> {
    /// The connection begins, or says so once more: the first byte has this number.
    pub(super) fn begin(&mut self, sequence: u32) {
        self.first.get_or_insert(sequence);
        self.next.get_or_insert(Position { sequence, distance: 0 });
        self.has_begun = true;
    }

    /// Whether its beginning was recorded.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The number of its first byte, as far as anything has come.
    pub(super) fn first(&self) -> Option<u32> {
        self.first
    }

    /// A segment: its first byte's number, its bytes, and how many behind them were cut off by whoever
    /// recorded it. The first one of all begins the stream, if nothing has before.
    pub(super) fn take(
        &mut self,
        sequence: u32,
        bytes: &[u8],
        cut: u64,
        at: T,
        pieces: &mut Vec<Piece<T>>,
    ) {
        if bytes.is_empty() && cut == 0 {
            // It says nothing. A probe whether the other end is alive has a number before its turn: the
            // first byte is none of its.
            return;
        }
        self.first.get_or_insert(sequence);
        let next = *self.next.get_or_insert(Position { sequence, distance: 0 });
        // How far ahead it is: numbers go round, so less than half of the circle is ahead.
        let ahead = sequence.wrapping_sub(next.sequence).cast_signed();
        let known = usize::try_from(-i64::from(ahead)).unwrap_or(0).min(bytes.len());
        let end =
            i64::from(ahead) + bytes.len() as i64 + i64::try_from(cut).unwrap_or(i64::MAX / 2);
        if end <= 0 {
            // All of it has come before.
            return;
        }
        let cut = cut.min(end.unsigned_abs());
        let from = next.distance + u64::try_from(ahead).unwrap_or(0);
        let segment = Segment { bytes: bytes[known..].to_vec(), cut, at };
        self.keep(from, segment);
        self.release(pieces);
        while self.early_bytes > EARLY_BYTES_MAX || self.early.len() > EARLY_SEGMENTS_MAX {
            self.give_up(pieces);
        }
    }

    /// Nobody asks for what waits behind gaps; where the stream began is still known.
    pub(super) fn forget(&mut self) {
        self.early.clear();
        self.early_bytes = 0;
    }

    /// Nothing more comes: what waits behind gaps comes with them.
    pub(super) fn finish(&mut self, pieces: &mut Vec<Piece<T>>) {
        while !self.early.is_empty() {
            self.give_up(pieces);
        }
    }

    /// Of two segments from the same place the one that has more stays.
    fn keep(&mut self, from: u64, segment: Segment<T>) {
        let length = |it: &Segment<T>| it.bytes.len() as u64 + it.cut;
        let old = self.early.get(&from);
        if old.is_some_and(|old| length(old) >= length(&segment) && old.cut <= segment.cut) {
            return;
        }
        self.early_bytes += segment.bytes.len();
        if let Some(old) = self.early.insert(from, segment) {
            self.early_bytes -= old.bytes.len();
        }
    }

    /// Gives out what follows without a gap.
    fn release(&mut self, pieces: &mut Vec<Piece<T>>) {
        while let Some(entry) = self.early.first_entry() {
            let Some(next) = &mut self.next else { return };
            let from = *entry.key();
            if from > next.distance {
                return;
            }
            let Segment { bytes, cut, at } = entry.remove();
            self.early_bytes -= bytes.len();
            // The beginning may have come with an earlier one.
            let known = usize::try_from(next.distance - from).unwrap_or(usize::MAX);
            if let Some(new) = bytes.get(known..).filter(|new| !new.is_empty()) {
                pieces.push(Piece::Bytes(new.to_vec(), at));
                next.advance(new.len() as u64);
            }
            let end = from + bytes.len() as u64 + cut;
            if cut > 0 && end > next.distance {
                let count = end - next.distance;
                pieces.push(Piece::Missing(count, at));
                next.advance(count);
            }
        }
    }

    /// What is missing in front of the first segment that waits does not come any more.
    fn give_up(&mut self, pieces: &mut Vec<Piece<T>>) {
        if let (Some((from, segment)), Some(next)) = (self.early.first_key_value(), &mut self.next)
            && let Some(count) = from.checked_sub(next.distance).filter(|count| *count > 0)
        {
            pieces.push(Piece::Missing(count, segment.at));
            next.advance(count);
        }
        self.release(pieces);
    }
}

impl Position {
    fn advance(&mut self, count: u64) {
        // Numbers are counted round a circle of 2^32.
        self.sequence = self.sequence.wrapping_add((count & u64::from(u32::MAX)) as u32);
        self.distance += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments by number, bytes and bytes cut off; what comes of them, with the rest at the end.
    fn pieces(first: u32, segments: &[(u32, &[u8], u64)]) -> String {
        let mut stream = Stream::default();
        stream.begin(first);
        let mut pieces = Vec::new();
        for (number, (ahead, bytes, cut)) in segments.iter().enumerate() {
            stream.take(first.wrapping_add(*ahead), bytes, *cut, number, &mut pieces);
        }
        pieces.push(Piece::Bytes(b"|".to_vec(), 0));
        stream.finish(&mut pieces);
        assert_eq!(stream.early_bytes, 0);
        let text = |piece: &Piece<usize>| match piece {
            Piece::Bytes(bytes, _) => String::from_utf8_lossy(bytes).into_owned(),
            Piece::Missing(count, _) => format!("<{count}>"),
        };
        pieces.iter().map(text).collect()
    }

    #[test]
    fn segments_come_in_order_whatever_becomes_of_them_on_their_way() {
        let check = |segments: &[(u32, &[u8], u64)], expected: &str| {
            for first in [1_000, 0, u32::MAX, u32::MAX - 2] {
                assert_eq!(pieces(first, segments), expected, "{segments:?} from {first}");
            }
        };
        check(&[(0, b"abc", 0), (3, b"def", 0)], "abcdef|");
        check(&[(3, b"def", 0), (0, b"abc", 0)], "abcdef|");
        check(&[(0, b"abc", 0), (0, b"abc", 0), (3, b"d", 0)], "abcd|");
        // Sent again together with more.
        check(&[(0, b"abc", 0), (1, b"bcde", 0)], "abcde|");
        check(&[(4, b"e", 0), (2, b"cde", 0), (0, b"abc", 0)], "abcde|");
        // Lost for ever.
        check(&[(0, b"a", 0), (3, b"d", 0), (5, b"f", 0)], "a|<2>d<1>f");
        // Cut by the recording, and sent again whole.
        check(&[(0, b"ab", 3), (5, b"f", 0)], "ab<3>f|");
        check(&[(1, b"b", 2), (1, b"bcd", 0), (0, b"a", 0)], "abcd|");
        // A probe that the connection is alive.
        check(&[(0, b"abc", 0), (2, b"", 0), (2, b"c", 0), (3, b"d", 0)], "abcd|");
    }

    #[test]
    fn what_waits_for_a_gap_is_bounded() {
        let mut stream = Stream::default();
        stream.begin(1);
        let mut pieces = Vec::new();
        let segment = vec![b'x'; 64 * 1024];
        for number in 0..200_u32 {
            stream.take(100 + number * 65_536, &segment, 0, (), &mut pieces);
            assert!(stream.early_bytes <= EARLY_BYTES_MAX);
        }
        assert_eq!(pieces.first(), Some(&Piece::Missing(99, ())));
    }

    #[test]
    fn without_a_beginning_the_first_segment_is_it() {
        let mut stream = Stream::default();
        let mut pieces = Vec::new();
        stream.take(77, b"ab", 0, (), &mut pieces);
        assert_eq!(pieces, [Piece::Bytes(b"ab".to_vec(), ())]);
    }

    #[test]
    fn a_probe_whether_the_other_end_is_alive_begins_nothing() {
        let mut stream = Stream::default();
        let mut pieces = Vec::new();
        stream.take(76, b"", 0, (), &mut pieces);
        stream.take(77, b"ab", 0, (), &mut pieces);
        assert_eq!(pieces, [Piece::Bytes(b"ab".to_vec(), ())]);
    }
}
