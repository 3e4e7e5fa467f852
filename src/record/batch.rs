//! Records that belong together: after a crash all of them are there, or none.

/// Records in the order in which they happened, as bytes. What they mean is not the log's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    /// No more bytes fit into one batch.
    pub const BYTES_MAX: usize = u32::MAX as usize;

    /// Appends a record that `encode` writes.
    pub fn push_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        encode(&mut self.bytes);
        let length = self.bytes.len() - at - 4;
        let length = u32::try_from(length).expect("a record is smaller than the largest packet");
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Appends a record.
    pub fn push(&mut self, record: &[u8]) {
        self.push_with(|out| out.extend_from_slice(record));
    }

    /// Appends the records of another batch: they become one.
    pub fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// Takes all records out, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no records.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its records.
    pub fn records(&self) -> Records<'_> {
        Records { rest: &self.bytes }
    }

    /// The bytes of its records, as they stand in the log.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The records of a batch, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records in the bytes of a batch.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    /// A checksum vouches for the lengths; were one wrong all the same, the rest would be one last
    /// record, which no reader of records takes.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>().map_or_else(
            || (self.rest.len(), self.rest),
            |(length, rest)| (u32::from_le_bytes(*length) as usize, rest),
        );
        if self.rest.is_empty() {
            return None;
        }
        let (record, rest) = rest.split_at(length.min(rest.len()));
        self.rest = rest;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.push(b"one");
        batch.push(b"");
        let mut other = Batch::default();
        other.push_with(|out| out.push(3));
        batch.append(&other);
        let records: Vec<&[u8]> = batch.records().collect();
        assert_eq!((records, batch.bytes()), (vec![&b"one"[..], b"", &[3]], 16));
        batch.clear();
        assert_eq!(batch.records().next(), None);
    }

    #[test]
    fn lengths_that_are_wrong_end_the_batch() {
        assert_eq!(Records::new(&[9, 0, 0, 0, 1]).collect::<Vec<_>>(), [&[1]]);
        assert_eq!(Records::new(&[9, 0]).collect::<Vec<_>>(), [&[9, 0]]);
    }
}
