//! Which messages of one stream have come.
//!
//! ```text
//!   lost or seen, forgotten │ a bit for each, seen or not │ never seen
//!   ────────────────────────┼─────────────────────────────┼───────────▶ sequence
//!                          base                          next
//! ```
//!
//! As long as everything comes in order there are no bits: a message costs a comparison.

use std::collections::VecDeque;

/// Words of bits kept at most: a message that is 65,536 behind the newest is taken for lost.
const WORDS_MAX: usize = 1024;
const WORD_BITS: u64 = 64;

/// The place of a delivery in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one, or one after a gap.
    New,
    /// For the first time, but after a later one.
    Reordered,
    /// It had come before.
    Duplicate,
}

/// Which messages of one stream have come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// One more than the highest sequence that came.
    next: u64,
    /// The sequence of the first bit; a multiple of 64. Means nothing without bits.
    base: u64,
    bits: VecDeque<u64>,
    /// Sequences that did not come until their bits were forgotten.
    forgotten: u64,
}

impl Seen {
    /// One more than the highest sequence that came.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Notes a delivery.
    #[inline]
    pub(crate) fn note(&mut self, sequence: u64) -> Arrival {
        if sequence == self.next && self.bits.is_empty() {
            self.next += 1;
            return Arrival::New;
        }
        self.note_out_of_order(sequence)
    }

    /// How many of the first `published` messages have not come.
    pub(crate) fn missing(&self, published: u64) -> u64 {
        self.gaps() + published.saturating_sub(self.next)
    }

    /// How many messages before the newest have not come.
    pub(crate) fn gaps(&self) -> u64 {
        let set: u64 = self.bits.iter().map(|word| u64::from(word.count_ones())).sum();
        let spanned = if self.bits.is_empty() { 0 } else { self.next - self.base };
        self.forgotten + spanned - set
    }

    #[cold]
    fn note_out_of_order(&mut self, sequence: u64) -> Arrival {
        if sequence >= self.next {
            self.open(sequence);
            return Arrival::New;
        }
        if self.bits.is_empty() || sequence < self.base {
            // Of what is forgotten it is not known which were lost; while any were, this is one.
            let was_lost = self.forgotten > 0;
            self.forgotten -= u64::from(was_lost);
            return if was_lost { Arrival::Reordered } else { Arrival::Duplicate };
        }
        if self.set(sequence) { Arrival::Reordered } else { Arrival::Duplicate }
    }

    /// Takes in a sequence at or behind `next`.
    fn open(&mut self, sequence: u64) {
        if self.bits.is_empty() {
            self.base = self.next / WORD_BITS * WORD_BITS;
            self.bits.push_back(below(self.next - self.base));
        }
        if sequence - self.next > WORDS_MAX as u64 * WORD_BITS {
            self.skip_to(sequence / WORD_BITS * WORD_BITS);
        }
        while self.base + self.bits.len() as u64 * WORD_BITS <= sequence {
            self.bits.push_back(0);
        }
        self.next = sequence + 1;
        self.set(sequence);
        while self.bits.len() > WORDS_MAX {
            self.forget();
        }
    }

    /// Forgets all bits: what is not seen before `base` is lost.
    fn skip_to(&mut self, base: u64) {
        let set: u64 = self.bits.iter().map(|word| u64::from(word.count_ones())).sum();
        self.forgotten += base - self.base - set;
        self.bits.clear();
        self.bits.push_back(0);
        self.base = base;
    }

    fn forget(&mut self) {
        if let Some(word) = self.bits.pop_front() {
            self.forgotten += u64::from(word.count_zeros());
            self.base += WORD_BITS;
        }
    }

    /// Sets a bit, and forgets the words that are full; false if it was set.
    fn set(&mut self, sequence: u64) -> bool {
        let place = (sequence - self.base) / WORD_BITS;
        let bit = 1 << (sequence % WORD_BITS);
        let Some(word) = self.bits.get_mut(place as usize) else { return false };
        let was_set = *word & bit != 0;
        *word |= bit;
        while self.bits.front() == Some(&u64::MAX) {
            self.bits.pop_front();
            self.base += WORD_BITS;
        }
        let is_last = self.bits.len() == 1;
        if is_last && self.bits.front() == Some(&below(self.next - self.base)) {
            self.bits.clear();
        }
        !was_set
    }
}

/// A word with the lowest `count` bits set, of 64.
fn below(count: u64) -> u64 {
    if count >= WORD_BITS { u64::MAX } else { (1 << count) - 1 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn note_all(sequences: &[u64]) -> (Seen, Vec<Arrival>) {
        let mut seen = Seen::default();
        let arrivals = sequences.iter().map(|sequence| seen.note(*sequence)).collect();
        (seen, arrivals)
    }

    #[test]
    fn in_order_nothing_is_kept() {
        let (seen, arrivals) = note_all(&(0..1000).collect::<Vec<_>>());
        assert!(arrivals.iter().all(|arrival| *arrival == Arrival::New));
        assert!(seen.bits.is_empty());
        assert_eq!((seen.missing(1000), seen.missing(1005)), (0, 5));
    }

    #[test]
    fn a_gap_is_missing_until_it_is_filled_and_then_reordered() {
        let (mut seen, arrivals) = note_all(&[0, 2, 2, 1, 1]);
        use Arrival::{Duplicate, New, Reordered};
        assert_eq!(arrivals, [New, New, Duplicate, Reordered, Duplicate]);
        assert_eq!((seen.missing(3), seen.bits.len()), (0, 0));
        seen.note(9);
        assert_eq!((seen.gaps(), seen.missing(12)), (6, 8));
    }

    #[test]
    fn what_is_too_far_behind_is_lost() {
        let far = WORDS_MAX as u64 * WORD_BITS;
        let (mut seen, _) = note_all(&[0, 1, 3 * far]);
        assert_eq!(seen.missing(3 * far + 1), 3 * far - 2);
        assert_eq!(seen.note(5), Arrival::Reordered);
        assert_eq!(seen.missing(3 * far + 1), 3 * far - 3);
    }

    /// Against a set of all that came, with sequences that are near each other in a random order.
    #[test]
    fn it_agrees_with_a_set() {
        let mut state: u64 = 4711;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for round in 0..200 {
            let (mut seen, mut oracle) = (Seen::default(), BTreeSet::new());
            let mut head = 0;
            for _ in 0..500 {
                head += random(3);
                let sequence = (head + random(300)).saturating_sub(random(300));
                let is_highest = oracle.last().is_none_or(|last| *last < sequence);
                let expected = match (oracle.insert(sequence), is_highest) {
                    (false, _) => Arrival::Duplicate,
                    (true, true) => Arrival::New,
                    (true, false) => Arrival::Reordered,
                };
                assert_eq!(seen.note(sequence), expected, "round {round}, sequence {sequence}");
            }
            assert_eq!(seen.missing(2000), 2000 - oracle.len() as u64, "round {round}");
        }
    }
}
