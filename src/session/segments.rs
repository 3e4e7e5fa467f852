//! A sequence that is appended to at one end and taken from at the other, in segments: however
//! long it gets, nothing in it is moved to make room, and what is emptied is given back at once.

use std::collections::VecDeque;

/// Items of a full segment: some 3 KiB of deliveries.
const SEGMENT_LEN: usize = 64;

/// First in, first out. Holds no memory while it is empty.
#[derive(Debug)]
pub(super) struct Segments<T> {
    /// All but the last hold, or held, [`SEGMENT_LEN`] items; none is empty.
    segments: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self { segments: VecDeque::new(), len: 0 }
    }
}

impl<T> Segments<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push_back(&mut self, item: T) {
        self.len += 1;
        match self.segments.back_mut() {
            // A segment that was taken from goes round in its own memory.
            Some(last) if last.len() < SEGMENT_LEN => last.push_back(item),
            last => {
                // The first grows as it is needed; behind it there will be more.
                let mut next =
                    VecDeque::with_capacity(if last.is_some() { SEGMENT_LEN } else { 0 });
                next.push_back(item);
                self.segments.push_back(next);
            }
        }
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.segments.front()?.front()
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.segments.front_mut()?;
        let item = first.pop_front()?;
        self.len -= 1;
        if first.is_empty() {
            self.segments.pop_front();
            if self.segments.is_empty() {
                self.segments = VecDeque::new();
            }
        }
        Some(item)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flatten()
    }
}

impl<T> IntoIterator for Segments<T> {
    type Item = T;
    type IntoIter = std::iter::Flatten<std::collections::vec_deque::IntoIter<VecDeque<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.segments.into_iter().flatten()
    }
}

impl<T> Extend<T> for Segments<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push_back(item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_leave_in_the_order_they_came_and_the_memory_with_them() {
        let (mut segments, mut next) = (Segments::default(), 0);
        // Two come for each that leaves, then all leave.
        for number in 0..1_000 {
            segments.push_back(number);
            if number % 2 == 1 {
                assert_eq!(segments.front(), Some(&next));
                assert_eq!(segments.pop_front(), Some(next));
                next += 1;
            }
            assert_eq!(segments.len(), segments.iter().count());
        }
        assert!(segments.iter().copied().eq(500..1_000));
        while let Some(number) = segments.pop_front() {
            assert_eq!(number, next);
            next += 1;
        }
        assert!(next == 1_000 && segments.is_empty());
        assert_eq!(segments.segments.capacity(), 0);
    }

    #[test]
    fn full_segments_do_not_grow() {
        let mut segments = Segments::default();
        segments.extend(0..10 * SEGMENT_LEN);
        assert_eq!(segments.segments.len(), 10);
        assert!(segments.segments.iter().all(|segment| segment.capacity() == SEGMENT_LEN));
        assert!(segments.into_iter().eq(0..10 * SEGMENT_LEN));
    }
}
