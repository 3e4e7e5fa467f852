//! What a subscriber checks of every delivery: who published it, and that its sequence goes on.

/// Bytes of a payload that carry publisher and sequence.
pub(crate) const HEADER_BYTES: usize = 8;

/// Writes the header of message `sequence` of a publisher.
pub(crate) fn header(publisher: u32, sequence: u32) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&publisher.to_be_bytes());
    bytes[4..].copy_from_slice(&sequence.to_be_bytes());
    bytes
}

/// One subscriber's view of all publishers.
#[derive(Clone, Debug)]
pub(crate) struct Sequences {
    next: Vec<u32>,
    /// Deliveries seen.
    pub(crate) delivered: u64,
    /// Sequences that were skipped.
    pub(crate) missing: u64,
    /// Sequences that had been passed before: doubled or out of order.
    pub(crate) stale: u64,
    /// Payloads that are none of ours.
    pub(crate) corrupt: u64,
}

impl Sequences {
    pub(crate) fn new(publishers: usize) -> Self {
        Self { next: vec![0; publishers], delivered: 0, missing: 0, stale: 0, corrupt: 0 }
    }

    pub(crate) fn see(&mut self, payload: &[u8]) {
        self.delivered += 1;
        let Some((publisher, sequence)) = parse(payload) else {
            self.corrupt += 1;
            return;
        };
        let Some(next) = self.next.get_mut(publisher as usize) else {
            self.corrupt += 1;
            return;
        };
        if sequence < *next {
            self.stale += 1;
            return;
        }
        self.missing += u64::from(sequence - *next);
        *next = sequence + 1;
    }

    /// Adds what never came, once all is over.
    pub(crate) fn finish(&mut self, messages: u32) {
        self.missing += self.next.iter().map(|next| u64::from(messages - next)).sum::<u64>();
    }
}

fn parse(payload: &[u8]) -> Option<(u32, u32)> {
    let (publisher, rest) = payload.split_first_chunk::<4>()?;
    let (sequence, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*publisher), u32::from_be_bytes(*sequence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_a_repeat_and_a_missing_end_are_counted() {
        let mut sequences = Sequences::new(1);
        for sequence in [0, 1, 3, 1] {
            sequences.see(&header(0, sequence));
        }
        sequences.see(b"short");
        sequences.finish(5);
        assert_eq!((sequences.missing, sequences.stale, sequences.corrupt), (2, 1, 1));
    }
}
