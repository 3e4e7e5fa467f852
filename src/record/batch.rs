//! Records that belong together: after a crash all of them are there, or none.

use super::Spot;

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
        Records::new(&self.bytes)
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
    /// Where the rest lies.
    spot: Option<Spot>,
}

impl<'a> Records<'a> {
    /// The records in the bytes of a batch.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body, spot: None }
    }

    /// The records in the bytes of a batch that lies in a file.
    pub fn in_file(body: &'a [u8], spot: Spot) -> Self {
        Self { rest: body, spot: Some(spot) }
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.rest.len()
    }

    /// The next one, and where it lies, if it does in a file.
    pub fn next_with_spot(&mut self) -> Option<(&'a [u8], Option<Spot>)> {
        let before = self.rest.len();
        let record = self.split()?;
        let moved = (before - self.rest.len()) as u64;
        let end = self.spot.map(|spot| Spot { offset: spot.offset + moved, ..spot });
        self.spot = end;
        let length = record.len() as u64;
        Some((record, end.map(|end| Spot { offset: end.offset - length, ..end })))
    }

    /// A checksum vouches for the lengths; were one wrong all the same, the rest would be one last
    /// record, which no reader of records takes.
    fn split(&mut self) -> Option<&'a [u8]> {
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

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.next_with_spot().map(|(record, _)| record)
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
    fn each_record_knows_where_it_lies() {
        let mut batch = Batch::default();
        batch.push(b"one");
        batch.push(b"");
        batch.push(b"three");
        let mut records = Records::in_file(batch.as_bytes(), Spot { file: 7, offset: 100 });
        for (record, offset) in [(&b"one"[..], 104), (b"", 111), (b"three", 115)] {
            assert_eq!(records.next_with_spot(), Some((record, Some(Spot { file: 7, offset }))));
        }
        assert_eq!(records.next_with_spot(), None);
        assert_eq!(batch.records().next_with_spot(), Some((&b"one"[..], None)));
    }

    #[test]
    fn lengths_that_are_wrong_end_the_batch() {
        assert_eq!(Records::new(&[9, 0, 0, 0, 1]).collect::<Vec<_>>(), [&[1]]);
        assert_eq!(Records::new(&[9, 0]).collect::<Vec<_>>(), [&[9, 0]]);
    }
}
