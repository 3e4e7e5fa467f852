//! The log in files.
//!
//! ```text
//!           append            write                 sync
//! batches ────────▶ waiting ────────▶ in the file ────────▶ durable
//!                      ▲                   │
//!                      └── sync failed: ───┘   the same bytes go into a new segment
//! ```
//!
//! What is not durable stays in memory, so nothing is ever read back from pages that a failed
//! `fdatasync` has left in doubt.

use std::io;
use std::sync::Arc;

use super::{
    super::disk::{Disk, DiskFile, write_all},
    Batch, Cursor, CutTail, Log, LogError, LogFiles, Records, Sequence, Shelf, Source, Visit,
    files::Segment,
    frame::{
        FRAME_BYTES, FileKind, FrameKind, HEADER_BYTES, Header, frames_in_memory, put_frame, seal,
    },
    layout::{SEGMENT_DRAFT, segment_name},
    snapshot::Draft,
};

/// Memory for frames that is kept while nothing is to come.
const PENDING_BYTES_KEPT: usize = 64 << 10;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A segment of this many bytes is the last but one. A batch that begins in it may lie beyond.
    pub segment_bytes_max: usize,
    /// Bytes that may wait to be synced; [`LogError::Full`] beyond it.
    pub unsynced_bytes_max: usize,
    /// From which the salts of the files are drawn; nobody outside should know it.
    pub seed: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes_max: 8 << 20, unsynced_bytes_max: 64 << 20, seed: 0 }
    }
}

/// A log in the files of one folder.
#[derive(Debug)]
pub struct SegmentedLog<D: Disk> {
    pub(super) disk: D,
    pub(super) options: LogOptions,
    pub(super) files: LogFiles<D::Reader>,
    /// The last segment while it may be written to.
    active: Option<Active<D::File>>,
    pub(super) draft: Option<Draft<D::File>>,
    /// Frames that are not durable, in order.
    pending: Vec<u8>,
    /// How many bytes of them are in the active segment.
    written_bytes: usize,
    pub(super) durable: Sequence,
    /// The last batch of all.
    appended: Sequence,
    /// Whether the newest batches have a mark behind them.
    is_marked: bool,
}

#[derive(Debug)]
struct Active<F> {
    file: F,
    name: String,
    salt: u32,
    /// Where the next frame goes.
    end: u64,
}

impl<D: Disk> SegmentedLog<D> {
    /// A log that goes on with these files.
    pub(super) fn new(disk: D, options: LogOptions, files: LogFiles<D::Reader>) -> Self {
        let last = files.written;
        Self {
            disk,
            options,
            files,
            active: None,
            draft: None,
            pending: Vec::new(),
            written_bytes: 0,
            durable: last,
            appended: last,
            is_marked: false,
        }
    }

    /// Behind the batches that are durable, frames were found of which only this is known, that they
    /// hold. A sync of their file proves nothing, for one that failed may have come before it; so they
    /// are written anew.
    pub(super) fn write_anew(&mut self, durable: Sequence, frames: Vec<u8>) {
        (self.files.written, self.durable) = (durable, durable);
        self.pending = frames;
    }

    /// What was found in a file that is in doubt, and could not be written anew so far.
    fn replay_memory(&self, from: Sequence, visit: &mut dyn Visit) -> Result<(), LogError> {
        for (sequence, body) in frames_in_memory(&self.pending[self.written_bytes..]) {
            if sequence >= from {
                let shown = visit.batch(sequence, Records::new(body));
                shown.map_err(|why| self.files.refused("what is not written", 0, why))?;
            }
        }
        Ok(())
    }

    /// What a start has left out at the end, if anything was.
    pub fn cut_tail(&self) -> Option<&CutTail> {
        self.files.cut_tail()
    }

    /// Syncs all and leaves a mark that is synced, too: whatever is damaged from now on is seen.
    ///
    /// # Errors
    /// The disk is full or does not work.
    pub fn close(mut self) -> Result<D, LogError> {
        self.sync()?;
        self.rest();
        if let Some(active) = &mut self.active {
            let synced = active.file.sync();
            synced.map_err(|error| self.failed("sync", &self.newest_name(), error))?;
        }
        let synced = self.disk.sync_folder();
        synced.map_err(|error| self.failed("sync", &self.newest_name(), error))?;
        Ok(self.disk)
    }

    fn failed(&self, doing: &'static str, name: &str, error: io::Error) -> LogError {
        self.files.failed(doing, name, error)
    }

    /// A number that others can not guess, different for each file.
    pub(super) fn salt(&self, of: u64) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.options.seed.to_le_bytes());
        hasher.update(&of.to_le_bytes());
        hasher.finalize() ^ (self.options.seed >> 32) as u32
    }

    fn newest_name(&self) -> String {
        self.files.segments.last().map_or_else(String::new, |segment| segment_name(segment.number))
    }

    /// Writes what is in memory only. What a failed write has left in the file is cut off, or the
    /// file is left.
    fn write_pending(&mut self) -> Result<(), LogError> {
        if self.written_bytes == self.pending.len() {
            return Ok(());
        }
        let segment_bytes_max = self.options.segment_bytes_max as u64;
        if self.active.as_ref().is_none_or(|active| active.end >= segment_bytes_max) {
            // A new segment says that everything before it is durable.
            self.sync_written()?;
            return self.begin_segment();
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        let frames = &mut self.pending[self.written_bytes..];
        seal(frames, active.salt, self.durable.0);
        if let Err(error) = write_all(&mut active.file, active.end, frames) {
            let is_cut = active.file.truncate(active.end).is_ok();
            let name = active.name.clone();
            if !is_cut {
                self.leave_segment();
            }
            return Err(self.failed("write", &name, error));
        }
        active.end += frames.len() as u64;
        self.written_bytes = self.pending.len();
        self.files.written = self.appended;
        self.is_marked = false;
        Ok(())
    }

    /// Makes what is written durable.
    fn sync_written(&mut self) -> Result<(), LogError> {
        if self.written_bytes == 0 {
            return Ok(());
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        if let Err(error) = active.file.sync() {
            let name = active.name.clone();
            self.leave_segment();
            return Err(self.failed("sync", &name, error));
        }
        self.durable = self.files.written;
        self.pending.drain(..self.written_bytes);
        self.written_bytes = 0;
        Ok(())
    }

    /// Nothing is known of this segment beyond what was durable: the rest is written anew into
    /// another one.
    fn leave_segment(&mut self) {
        self.active = None;
        self.written_bytes = 0;
        self.files.written = self.durable;
    }

    /// Makes a segment of what is not durable, and makes it durable before it has its name: from then
    /// on what is found of this behind the end of the segment before it counts no more.
    pub(super) fn begin_segment(&mut self) -> Result<(), LogError> {
        debug_assert_eq!(
            self.written_bytes, 0,
            "what is written is durable, or its segment is left"
        );
        let number = self.files.segments.last().map_or(1, |last| last.number + 1);
        let first = self.durable.next().0;
        let name = segment_name(number);
        let salt = self.salt(number);
        let header = Header { kind: FileKind::Segment, salt, number, first };
        seal(&mut self.pending, salt, self.durable.0);
        match self.make_file(&name, &header) {
            Ok(file) => {
                self.close_active();
                let end = (HEADER_BYTES + self.pending.len()) as u64;
                self.files.segments.push(Segment { number, first, bytes: 0 });
                self.active = Some(Active { file, name, salt, end });
                self.is_marked &= self.pending.is_empty();
                self.pending.clear();
                (self.files.written, self.durable) = (self.appended, self.appended);
                self.note_newest();
                self.remove_empty();
                Ok(())
            }
            Err(error) => {
                // What stays of it says the same as the next one, which replaces it.
                let _ = self.disk.remove(&name).or_else(|_| self.disk.remove(SEGMENT_DRAFT));
                Err(self.failed("make", &name, error))
            }
        }
    }

    /// Removes segments that end where they begin: starts leave them behind.
    fn remove_empty(&mut self) {
        while let [.., empty, last] = self.files.segments.as_slice()
            && empty.first == last.first
        {
            let _ = self.disk.remove(&segment_name(empty.number));
            self.files.closed_bytes = self.files.closed_bytes.saturating_sub(empty.bytes);
            self.files.segments.remove(self.files.segments.len() - 2);
        }
    }

    fn make_file(&mut self, name: &str, header: &Header) -> io::Result<D::File> {
        let mut file = self.disk.create(SEGMENT_DRAFT)?;
        write_all(&mut file, 0, &header.encode())?;
        write_all(&mut file, HEADER_BYTES as u64, &self.pending)?;
        file.sync()?;
        // What has the name of a segment has a header that holds: a crash tears none.
        self.disk.rename(SEGMENT_DRAFT, name)?;
        self.disk.sync_folder()?;
        Ok(file)
    }

    fn close_active(&mut self) {
        if let (Some(active), Some(segment)) = (self.active.take(), self.files.segments.last_mut())
        {
            segment.bytes = active.end;
            self.files.closed_bytes += active.end;
        }
    }
}

impl<D: Disk> Log for SegmentedLog<D> {
    fn append(&mut self, batch: &Batch) -> Result<Sequence, LogError> {
        let bytes = self.pending.len() + FRAME_BYTES + batch.bytes();
        let bytes_max = self.options.unsynced_bytes_max;
        // One batch is taken in whatever its size, or it never would be.
        if batch.bytes() > Batch::BYTES_MAX || (bytes > bytes_max && !self.pending.is_empty()) {
            return Err(LogError::Full { bytes, bytes_max });
        }
        self.appended = self.appended.next();
        put_frame(&mut self.pending, FrameKind::Batch, self.appended.0, batch.as_bytes());
        Ok(self.appended)
    }

    fn write(&mut self) -> Result<Sequence, LogError> {
        self.write_pending()?;
        Ok(self.files.written)
    }

    fn sync(&mut self) -> Result<Sequence, LogError> {
        self.write_pending()?;
        self.sync_written()?;
        Ok(self.durable)
    }

    fn durable(&self) -> Sequence {
        self.durable
    }

    fn rest(&mut self) {
        // What a burst has taken is given back.
        self.pending.shrink_to(PENDING_BYTES_KEPT);
        let is_durable = self.pending.is_empty() && self.durable == self.appended;
        if self.is_marked || !is_durable || self.durable == Sequence(0) {
            return;
        }
        let Some(active) = &mut self.active else {
            // Its header says the same of the segment before it.
            self.is_marked = self.begin_segment().is_ok();
            return;
        };
        if active.end == HEADER_BYTES as u64 {
            return;
        }
        let mut mark = Vec::with_capacity(FRAME_BYTES);
        put_frame(&mut mark, FrameKind::Mark, self.durable.0, &[]);
        seal(&mut mark, active.salt, self.durable.0);
        // A mark is a help, not a promise: what is left of a failed one is written over.
        if write_all(&mut active.file, active.end, &mark).is_ok() {
            active.end += mark.len() as u64;
            self.is_marked = true;
        }
    }

    fn replay(&mut self, from: Sequence, visit: &mut dyn Visit) -> Result<(), LogError> {
        self.files.replay_from(from, visit)?;
        self.replay_memory(from, visit)
    }

    fn begin_snapshot(&mut self, covers: Sequence) -> Result<(), LogError> {
        self.begin_draft(covers)
    }

    fn add_to_snapshot(&mut self, batch: &Batch) -> Result<(), LogError> {
        self.add_to_draft(batch)
    }

    fn finish_snapshot(&mut self) -> Result<(), LogError> {
        self.finish_draft()
    }

    fn sources(&self) -> Vec<Source> {
        self.files.sources()
    }

    fn replay_piece(&mut self, at: &mut Cursor, visit: &mut dyn Visit) -> Result<bool, LogError> {
        self.files.show_piece(at, visit)
    }

    fn shelf(&self) -> Box<dyn Shelf> {
        self.files.shelf()
    }

    fn has_readers(&self) -> bool {
        Arc::strong_count(&self.files.readers) > 1
    }

    fn bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| active.end);
        self.files.bytes() + active
    }
}
