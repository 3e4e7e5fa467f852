//! The files of a log, and what is known of them. Nothing here changes any.

use std::{fmt, io, sync::Arc};

use super::{
    super::disk::DiskReader,
    LogError, Sequence, Shelf, Source, Visit,
    layout::{segment_number, snapshot_covers},
};

/// A log as its files have it, to be read only. [`SegmentedLog`](super::SegmentedLog) goes on with
/// one.
#[derive(Debug)]
pub struct LogFiles<R> {
    pub(super) reader: R,
    /// The newest snapshot.
    pub(super) snapshot: Option<KeptSnapshot>,
    /// All segments, oldest first; the last one is the one that is written, or was.
    pub(super) segments: Vec<Segment>,
    /// The segment that [`newest`](super::newest) vouches for.
    pub(super) newest: Option<u64>,
    /// The last batch in them.
    pub(super) written: Sequence,
    /// What bytes of closed segments there are.
    pub(super) closed_bytes: u64,
    pub(super) cut_tail: Option<CutTail>,
    /// Shared with those who read records of the files.
    pub(super) readers: Arc<()>,
}

/// A snapshot that is in force.
#[derive(Clone, Debug)]
pub(super) struct KeptSnapshot {
    pub(super) name: String,
    pub(super) covers: Sequence,
    pub(super) bytes: u64,
}

/// One segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// The first sequence in it; the segment before it ends there, whatever else stands in it.
    pub(super) first: u64,
    pub(super) bytes: u64,
}

/// The end of the last segment where it does not hold, and nothing says that it was durable: a crash
/// in the middle of a write leaves that. It is left out, which people are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutTail {
    /// The file.
    pub file: String,
    /// Where the first batch stands that does not hold.
    pub offset: u64,
    /// How many bytes there are from there on.
    pub bytes: u64,
    /// Why it does not hold.
    pub why: String,
}

impl<R: DiskReader> LogFiles<R> {
    /// Files of which nothing is known so far.
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            snapshot: None,
            segments: Vec::new(),
            newest: None,
            written: Sequence(0),
            closed_bytes: 0,
            cut_tail: None,
            readers: Arc::default(),
        }
    }

    /// Finds the log of a folder. Older batches are looked at when they are replayed.
    ///
    /// # Errors
    /// A file is broken or missing, or the disk does not work.
    pub fn open(reader: R) -> Result<Self, LogError> {
        Self::find(reader).map(|(files, _)| files)
    }

    /// Shows every batch, in order: first what the snapshot holds.
    ///
    /// # Errors
    /// A file is broken: it is named, with the offset.
    pub fn replay(&self, visit: &mut dyn Visit) -> Result<(), LogError> {
        self.replay_from(Sequence(0), visit)
    }

    /// The files of which a replay consists, in order.
    pub fn sources(&self) -> Vec<Source> {
        self.list_sources()
    }

    /// The files, in which the records lie that a replay has shown.
    pub fn shelf(&self) -> Box<dyn Shelf> {
        self.new_shelf()
    }

    /// The last batch.
    pub fn last(&self) -> Sequence {
        self.written
    }

    /// What was left out at the end, if anything was.
    pub fn cut_tail(&self) -> Option<&CutTail> {
        self.cut_tail.as_ref()
    }

    /// Bytes that they take on disk.
    pub fn bytes(&self) -> u64 {
        self.closed_bytes + self.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes)
    }

    /// The last batch that the snapshot stands for.
    pub(super) fn covers(&self) -> Sequence {
        self.snapshot.as_ref().map_or(Sequence(0), |snapshot| snapshot.covers)
    }

    /// Forgets the segments that the snapshot stands for.
    pub(super) fn forget_covered(&mut self) {
        let Some(snapshot) = &self.snapshot else { return };
        let after = snapshot.covers.next().0;
        let covered = self.segments.windows(2).take_while(|pair| pair[1].first <= after).count();
        for segment in self.segments.drain(..covered) {
            self.closed_bytes = self.closed_bytes.saturating_sub(segment.bytes);
        }
    }

    /// Whether the snapshot stands for all that a file of this name holds.
    pub(super) fn is_covered(&self, name: &str) -> bool {
        let Some(snapshot) = &self.snapshot else { return false };
        let oldest = self.segments.first().map_or(0, |segment| segment.number);
        snapshot_covers(name).is_some_and(|other| other < snapshot.covers.0)
            || segment_number(name).is_some_and(|number| number < oldest)
    }

    pub(super) fn failed(&self, doing: &'static str, name: &str, error: io::Error) -> LogError {
        LogError::Io { doing, file: self.reader.path_of(name), error }
    }

    pub(super) fn refused(&self, name: &str, offset: usize, why: String) -> LogError {
        LogError::Refused { file: self.reader.path_of(name), offset: offset as u64, why }
    }
}

impl fmt::Display for CutTail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, why } = self;
        write!(
            formatter,
            "{file}: at byte {offset}: {why}, so what stands from there to the end, {bytes} bytes, \
             is left out. A crash in the middle of a write leaves that, and then nothing of it was \
             acknowledged as being on the disk. If the file was damaged since, the newest of what \
             was acknowledged is missing"
        )
    }
}
