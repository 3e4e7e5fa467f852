//! Whoever is owed each message of a group once: a subscriber, or the members of a share together.

use super::seen::{Arrival, Seen};
use super::{Payloads, Stamp, Wrong};
use crate::report::Verification;

/// What came, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Deliveries.
    pub(crate) delivered: u64,
    /// Messages that never came.
    pub(crate) missing: u64,
    /// Came again, with DUP.
    pub(crate) duplicate_with_dup: u64,
    /// Came again, without DUP.
    pub(crate) duplicate_without_dup: u64,
    /// Came for the first time after a later one of the same stream.
    pub(crate) reordered: u64,
    /// Changed on their way.
    pub(crate) corrupt: u64,
    /// Of another topic, publisher or run.
    pub(crate) unexpected: u64,
}

impl Tally {
    /// Adds what another has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.missing += other.missing;
        self.duplicate_with_dup += other.duplicate_with_dup;
        self.duplicate_without_dup += other.duplicate_without_dup;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.unexpected += other.unexpected;
    }

    /// The verdict by the rule of a QoS.
    pub(crate) fn judge(&self, qos: u8, shared: bool) -> Verification {
        let verification = Verification {
            qos,
            shared,
            checked: self.delivered,
            missing: self.missing,
            duplicate_with_dup: self.duplicate_with_dup,
            duplicate_without_dup: self.duplicate_without_dup,
            reordered: self.reordered,
            corrupt: self.corrupt,
            unexpected: self.unexpected,
            violations: 0,
        };
        verification.judge()
    }
}

/// A delivery that is one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// What its header says.
    pub(crate) stamp: Stamp,
    /// Whether the message came for the first time.
    pub(crate) is_first: bool,
}

/// Whoever is owed each message of a group once.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// Its group, as a number of the topology's.
    group: usize,
    /// The first stream of its group; the others follow.
    first_stream: u32,
    streams: Vec<Seen>,
    /// Messages that came or are known to be lost, over all streams.
    progress: u64,
    tally: Tally,
}

impl Unit {
    /// One that is owed these streams, which are all of a group.
    pub(crate) fn new(group: usize, streams: std::ops::Range<u32>) -> Self {
        let first_stream = streams.start;
        let streams = vec![Seen::default(); streams.len()];
        Self { group, first_stream, streams, progress: 0, tally: Tally::default() }
    }

    /// Its group, as a number of the topology's.
    #[inline]
    pub(crate) fn group(&self) -> usize {
        self.group
    }

    /// Messages that came or that a later one has overtaken.
    #[inline]
    pub(crate) fn progress(&self) -> u64 {
        self.progress
    }

    /// Checks a delivery; what it is, if it is one of ours.
    #[inline]
    pub(crate) fn check(
        &mut self,
        payloads: &Payloads,
        payload: &[u8],
        dup: bool,
    ) -> Option<Checked> {
        self.tally.delivered += 1;
        match payloads.read(payload) {
            Ok(stamp) => self.note(stamp, dup),
            Err(Wrong::Corrupt) => {
                self.tally.corrupt += 1;
                None
            }
            Err(Wrong::Unexpected) => {
                self.tally.unexpected += 1;
                None
            }
        }
    }

    /// Notes that the topic of the last delivery was not the one it was published to.
    #[cold]
    pub(crate) fn note_wrong_topic(&mut self) {
        self.tally.unexpected += 1;
    }

    /// All that was counted, once all is over; `published` for each stream of the group.
    pub(crate) fn finish(&self, published: &[u64]) -> Tally {
        let missing = self.streams.iter().zip(published).map(|(seen, count)| seen.missing(*count));
        Tally { missing: missing.sum(), ..self.tally }
    }

    #[inline]
    fn note(&mut self, stamp: Stamp, dup: bool) -> Option<Checked> {
        let number = stamp.stream.wrapping_sub(self.first_stream) as usize;
        let Some(seen) = self.streams.get_mut(number) else {
            self.tally.unexpected += 1;
            return None;
        };
        let before = seen.next();
        let arrival = seen.note(stamp.sequence);
        self.progress += seen.next() - before;
        match (arrival, dup) {
            (Arrival::New, _) => {}
            (Arrival::Reordered, _) => self.tally.reordered += 1,
            (Arrival::Duplicate, true) => self.tally.duplicate_with_dup += 1,
            (Arrival::Duplicate, false) => self.tally.duplicate_without_dup += 1,
        }
        Some(Checked { stamp, is_first: arrival != Arrival::Duplicate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(unit: &mut Unit, stream: u32, sequence: u64, dup: bool) -> Option<Checked> {
        let payloads = Payloads::new(1, 32);
        let mut payload = Vec::new();
        payloads.write(&Stamp { stream, sequence, ..Stamp::default() }, &mut payload);
        unit.check(&payloads, &payload, dup)
    }

    #[test]
    fn each_kind_of_fault_has_its_count() {
        let mut unit = Unit::new(0, 4..6);
        for (stream, sequence, dup) in
            [(4, 0, false), (5, 0, false), (4, 2, false), (4, 1, false), (4, 1, false)]
        {
            assert!(deliver(&mut unit, stream, sequence, dup).is_some());
        }
        deliver(&mut unit, 5, 0, true);
        assert_eq!(deliver(&mut unit, 3, 0, false), None);
        assert_eq!(deliver(&mut unit, 6, 0, false), None);
        let expected = Tally {
            delivered: 8,
            missing: 3,
            duplicate_with_dup: 1,
            duplicate_without_dup: 1,
            reordered: 1,
            corrupt: 0,
            unexpected: 2,
        };
        assert_eq!(unit.finish(&[4, 3]), expected);
        assert_eq!(unit.progress(), 4);
    }

    /// What a broker lost must not count as on its way for ever.
    #[test]
    fn progress_passes_what_was_lost() {
        let mut unit = Unit::new(0, 0..1);
        deliver(&mut unit, 0, 0, false);
        deliver(&mut unit, 0, 100, false);
        assert_eq!((unit.progress(), unit.finish(&[101]).missing), (101, 99));
    }
}
