//! A sequence that is appended to at one end and taken from at the other, in segments: however
//! long it gets, nothing in it is moved to make room, and what is emptied is given back, all but one
//! segment for what comes next.

use std::collections::VecDeque;

/// Items of a full segment: some 3 KiB of deliveries.
const SEGMENT_LEN: usize = 64;

/// First in, first out. Holds no memory while it is empty.
#[derive(Debug)]
pub(super) struct Segments<T> {
    /// Between the first and the last that is not empty all are full; one behind that may be empty.
    /// Every queue has this, so what can be found out is not kept.
    segments: VecDeque<VecDeque<T>>,
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self { segments: VecDeque::new() }
    }
}

impl<T> Segments<T> {
    pub(super) fn len(&self) -> usize {
        let last_used = self.last_used();
        let between = last_used.saturating_sub(1) * SEGMENT_LEN;
        let last = if last_used > 0 { self.segments[last_used].len() } else { 0 };
        self.segments.front().map_or(0, VecDeque::len) + between + last
    }

    /// Whether there are fewer than this. Mostly the number of segments tells, and none of them is
    /// looked at.
    #[inline]
    pub(super) fn are_below(&self, count: usize) -> bool {
        self.segments.len() * SEGMENT_LEN < count || self.len() < count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The place of the last segment that is not empty; the first if there is none.
    fn last_used(&self) -> usize {
        let has_spare = self.segments.back().is_some_and(VecDeque::is_empty);
        self.segments.len().saturating_sub(if has_spare { 2 } else { 1 })
    }

    pub(super) fn push_back(&mut self, item: T) {
        // A segment that was taken from goes round in its own memory.
        let mut open = self.segments.range_mut(self.last_used()..);
        match open.find(|segment| segment.len() < SEGMENT_LEN) {
            Some(segment) => segment.push_back(item),
            None => {
                // The first grows as it is needed; behind it there will be more.
                let is_first = self.segments.is_empty();
                let mut next = VecDeque::with_capacity(if is_first { 0 } else { SEGMENT_LEN });
                next.push_back(item);
                self.segments.push_back(next);
            }
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.segments.front_mut()?;
        let item = first.pop_front()?;
        if first.is_empty() {
            self.reuse_first();
        }
        Some(item)
    }

    /// The emptied first segment becomes the one behind the last, unless there is one already; with
    /// the last item all go.
    fn reuse_first(&mut self) {
        let emptied = self.segments.pop_front();
        if self.segments.front().is_none_or(VecDeque::is_empty) {
            self.segments = VecDeque::new();
        } else if self.segments.back().is_some_and(|last| !last.is_empty()) {
            self.segments.extend(emptied);
        }
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
                assert_eq!(segments.pop_front(), Some(next));
                next += 1;
            }
            assert_eq!(segments.len(), segments.iter().count());
            assert!(segments.are_below(segments.len() + 1) && !segments.are_below(segments.len()));
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
    fn an_emptied_segment_is_the_next_one_and_no_more_than_one_waits() {
        let mut segments = Segments::default();
        segments.extend(0..4 * SEGMENT_LEN);
        let (mut next, mut first) = (4 * SEGMENT_LEN, 0);
        for _ in 0..3 * SEGMENT_LEN {
            assert_eq!(segments.pop_front(), Some(first));
            first += 1;
        }
        assert_eq!(segments.segments.len(), 2);
        for _ in 0..1_000 {
            segments.push_back(next);
            assert_eq!(segments.pop_front(), Some(first));
            (next, first) = (next + 1, first + 1);
            assert!(segments.segments.len() <= 2);
        }
        assert!(segments.into_iter().eq(first..next));
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
