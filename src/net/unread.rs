//! Bytes of one connection that were read and could not be handled yet: a part of a packet, or
//! packets of a connection that is not wanted now.

use crate::session::Pool;

/// How much one connection keeps for the next spare: larger buffers go back to the allocator.
const SPARE_BYTES_MAX: usize = 64 * 1024;
/// Emptied buffers that a shard keeps.
const SPARES_MAX: usize = 256;

/// Unread bytes, in order. Holds no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    /// Bytes at the front that were handled already. They leave when the rest does or when
    /// something is appended, so that a connection which pauses after each packet does not move
    /// its whole buffer each time. No packet is longer than this can count.
    handled: u32,
    /// Whether a part of a packet is looked at in a while.
    pub(super) is_watched: bool,
    /// Whether a packet became whole since that was so.
    pub(super) has_finished_packet: bool,
}

impl Unread {
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// What waits.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.handled()..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.handled() == self.bytes.len()
    }

    /// Forgets the first `count` bytes that wait; the memory goes to the spares with the last.
    pub(super) fn advance(&mut self, count: usize, spares: &mut Spares) {
        let handled = self.handled() + count;
        assert!(handled <= self.bytes.len(), "no more is handled than waits");
        self.handled = u32::try_from(handled).expect("less waits than two packets of 256 MiB");
        if self.is_empty() {
            spares.give(std::mem::take(&mut self.bytes));
            self.handled = 0;
        }
    }

    /// Appends a copy of `more`.
    pub(super) fn append(&mut self, more: &[u8], spares: &mut Spares) {
        if more.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = spares.take();
        }
        self.compact();
        self.bytes.extend_from_slice(more);
    }

    /// Appends what `read` puts into a slice of at most `space` bytes; it returns how many bytes
    /// it put there.
    pub(super) fn append_with<E>(
        &mut self,
        space: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        self.compact();
        let before = self.bytes.len();
        self.bytes.resize(before + space, 0);
        let result = read(&mut self.bytes[before..]);
        self.bytes.truncate(before + *result.as_ref().unwrap_or(&0));
        result
    }

    /// The bytes that wait, for another shard.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.compact();
        self.bytes
    }

    fn handled(&self) -> usize {
        self.handled as usize
    }

    fn compact(&mut self) {
        if self.handled > 0 {
            let handled = self.handled();
            self.bytes.drain(..handled);
            self.handled = 0;
        }
    }
}

/// Emptied buffers of one shard, kept for the next connection that needs one.
#[derive(Debug, Default)]
pub(super) struct Spares(pub(super) Pool<Vec<u8>, SPARES_MAX>);

impl Spares {
    fn take(&mut self) -> Vec<u8> {
        self.0.take().unwrap_or_default()
    }

    fn give(&mut self, mut bytes: Vec<u8>) {
        if (1..=SPARE_BYTES_MAX).contains(&bytes.capacity()) {
            bytes.clear();
            self.0.give(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let (mut unread, mut spares) = (Unread::default(), Spares::default());
        unread.append(b"abcdef", &mut spares);
        unread.advance(2, &mut spares);
        assert_eq!(unread.as_slice(), b"cdef");
        unread.append(b"gh", &mut spares);
        let read = |into: &mut [u8]| -> Result<usize, ()> {
            into[..2].copy_from_slice(b"ij");
            Ok(2)
        };
        assert_eq!(unread.append_with(100, read), Ok(2));
        assert_eq!(unread.append_with(100, |_| Err(())), Err(()));
        assert_eq!(unread.into_bytes(), b"cdefghij");
    }

    #[test]
    fn an_emptied_buffer_serves_the_next_connection() {
        let (mut unread, mut spares) = (Unread::default(), Spares::default());
        unread.append(b"abc", &mut spares);
        unread.advance(3, &mut spares);
        assert!(unread.is_empty());
        assert_eq!(unread.bytes.capacity(), 0);
        assert!(!spares.0.is_empty());
        unread.append(b"d", &mut spares);
        assert!(spares.0.is_empty());
    }

    #[test]
    fn a_large_buffer_is_not_kept() {
        let (mut unread, mut spares) = (Unread::default(), Spares::default());
        unread.append(&[0; SPARE_BYTES_MAX + 1], &mut spares);
        unread.advance(SPARE_BYTES_MAX + 1, &mut spares);
        assert!(spares.0.is_empty());
    }
}
