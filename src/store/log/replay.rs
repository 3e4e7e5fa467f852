//! Reading the log from its files.

use super::{
    super::disk::DiskReader,
    LogError, LogFiles, Records, Sequence,
    frame::{FRAME_BYTES, FileKind, Frame, FrameKind, HEADER_BYTES, Header, frame_bytes, parse},
    layout::segment_name,
};
use crate::record::Spot;

/// Bytes of a file that are read at a time, unless a batch has more.
const PIECE_BYTES: usize = 1 << 20;
/// The number of the snapshot among the files; segments have their own, above it.
pub(super) const SNAPSHOT_FILE: u32 = 0;

/// What is shown the batches of a log.
pub trait Visit {
    /// One batch; of a snapshot, some of what it holds, with the sequence it stands for.
    ///
    /// # Errors
    /// Why the records can not be what was written; the log adds file and offset.
    fn batch(&mut self, sequence: Sequence, records: Records<'_>) -> Result<(), String>;
}

impl<F: FnMut(Sequence, Records<'_>) -> Result<(), String>> Visit for F {
    fn batch(&mut self, sequence: Sequence, records: Records<'_>) -> Result<(), String> {
        self(sequence, records)
    }
}

/// One file of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name in the folder.
    pub name: String,
    /// Only later batches are shown.
    pub after: Sequence,
    /// The last batch that is shown; what stands behind it is no part of the log.
    pub through: Sequence,
    pub(super) kind: FileKind,
    /// The number by which records in it are found again.
    pub(super) file: u32,
}

/// How far a file has been replayed.
#[derive(Debug)]
pub struct Cursor {
    source: Source,
    header: Option<Header>,
    /// Where the frame stands that comes next, and the sequence that it must have.
    offset: u64,
    next: u64,
    buffer: Vec<u8>,
    filled: usize,
}

impl Cursor {
    /// The beginning of a file.
    pub fn new(source: Source) -> Self {
        let offset = HEADER_BYTES as u64;
        Self { source, header: None, offset, next: 0, buffer: Vec::new(), filled: 0 }
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        self.buffer.capacity()
    }
}

/// Goes through the frames of a file.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    salt: u32,
    /// Where the frame stands that comes next.
    pub(super) offset: usize,
    /// The sequence that it must have.
    pub(super) next: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], header: &Header) -> Self {
        let next = if header.kind == FileKind::Segment { header.first } else { 1 };
        Self { bytes, salt: header.salt, offset: HEADER_BYTES, next }
    }

    /// Whether all of the next frame is there, as far as can be known.
    fn is_whole(&self) -> bool {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        rest.len() >= frame_bytes(rest, self.salt)
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// Why it does not hold; the offset stays there.
    pub(super) fn step(&mut self) -> Result<Option<Frame<'a>>, String> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let Some(frame) = parse(rest, self.salt)? else { return Ok(None) };
        if frame.durable > frame.sequence {
            return Err("a batch was durable before it was written".to_owned());
        }
        match frame.kind {
            FrameKind::Batch if frame.sequence != self.next => {
                let (is, due) = (frame.sequence, self.next);
                return Err(format!("batch {is} stands where batch {due} is due"));
            }
            FrameKind::Batch => self.next += 1,
            FrameKind::Mark | FrameKind::End => {}
        }
        self.offset += FRAME_BYTES + frame.body.len();
        Ok(Some(frame))
    }
}

impl<R: DiskReader> LogFiles<R> {
    pub(super) fn list_sources(&self) -> Vec<Source> {
        let covers = self.covers();
        let snapshot = self.snapshot.as_ref().map(|snapshot| Source {
            name: snapshot.name.clone(),
            after: Sequence(0),
            through: covers,
            kind: FileKind::Snapshot,
            file: SNAPSHOT_FILE,
        });
        let ends = self.segments.iter().skip(1).map(|next| Sequence(next.first - 1));
        let ends = ends.chain([self.written]);
        let segments = self.segments.iter().zip(ends).map(|(segment, through)| Source {
            name: segment_name(segment.number),
            after: covers.max(Sequence(segment.first - 1)),
            through,
            kind: FileKind::Segment,
            file: u32::try_from(segment.number).unwrap_or(u32::MAX),
        });
        snapshot.into_iter().chain(segments).collect()
    }

    pub(super) fn replay_from(
        &self,
        from: Sequence,
        visit: &mut dyn Visit,
    ) -> Result<(), LogError> {
        for mut source in self.list_sources() {
            source.after = source.after.max(Sequence(from.0.saturating_sub(1)));
            if source.after < source.through || source.kind == FileKind::Snapshot && from.0 <= 1 {
                let mut cursor = Cursor::new(source);
                while self.show_piece(&mut cursor, visit)? {}
            }
        }
        Ok(())
    }

    /// Shows the batches of a piece; false at the end of the file.
    pub(super) fn show_piece(
        &self,
        cursor: &mut Cursor,
        visit: &mut dyn Visit,
    ) -> Result<bool, LogError> {
        let header = match cursor.header {
            Some(header) => header,
            None => self.begin(cursor)?,
        };
        let is_end = self.read_piece(cursor, header.salt)?;
        let Cursor { source, offset, next, buffer, filled, .. } = cursor;
        let bytes = buffer.get(..*filled).unwrap_or_default();
        let walk = Walk { bytes, salt: header.salt, offset: 0, next: *next };
        let mut piece = Piece { walk, source, begins: *offset, is_end };
        let shown = match source.kind {
            FileKind::Segment => piece.show_segment(visit),
            FileKind::Snapshot => piece.show_snapshot(visit),
        };
        (*offset, *next) = (*offset + piece.walk.offset as u64, piece.walk.next);
        shown.map_err(|why| self.refused(&cursor.source.name, cursor.offset as usize, why))
    }

    fn begin(&self, cursor: &mut Cursor) -> Result<Header, LogError> {
        let mut bytes = [0; HEADER_BYTES];
        let count = self.reader.read_at(&cursor.source.name, 0, &mut bytes);
        let count = count.map_err(|error| self.failed("read", &cursor.source.name, error))?;
        let header = self.header_of(&cursor.source.name, &bytes[..count])?;
        cursor.next = Walk::new(&[], &header).next;
        cursor.header = Some(header);
        Ok(header)
    }

    /// Reads a piece with a whole frame at least, if there is one; true if the file ends with it.
    fn read_piece(&self, cursor: &mut Cursor, salt: u32) -> Result<bool, LogError> {
        let mut bytes = PIECE_BYTES;
        loop {
            if cursor.buffer.len() < bytes {
                cursor.buffer.resize(bytes, 0);
            }
            let buffer = &mut cursor.buffer[..bytes];
            let read = self.reader.read_at(&cursor.source.name, cursor.offset, buffer);
            let filled = read.map_err(|error| self.failed("read", &cursor.source.name, error))?;
            cursor.filled = filled;
            let wanted = frame_bytes(&cursor.buffer[..filled], salt);
            if filled < bytes || wanted <= filled {
                return Ok(filled < bytes);
            }
            bytes = wanted;
        }
    }

    pub(super) fn header_of(&self, name: &str, bytes: &[u8]) -> Result<Header, LogError> {
        let header = Header::decode(bytes).map_err(|why| self.refused(name, 0, why))?;
        let expected = match header.kind {
            FileKind::Segment => segment_name(header.number),
            FileKind::Snapshot => super::layout::snapshot_name(header.first),
        };
        if expected != name {
            return Err(self.refused(name, 0, format!("it was written as {expected}")));
        }
        Ok(header)
    }
}

/// A piece of a file.
struct Piece<'a> {
    walk: Walk<'a>,
    source: &'a Source,
    /// Where in the file it begins.
    begins: u64,
    /// Whether the file ends with it.
    is_end: bool,
}

impl Piece<'_> {
    /// Shows its batches; false if no other piece is needed.
    ///
    /// # Errors
    /// Why it does not hold; the walk stays there.
    fn show_segment(&mut self, visit: &mut dyn Visit) -> Result<bool, String> {
        let (after, through) = (self.source.after.0, self.source.through.0);
        while self.walk.next <= through {
            if !self.is_end && !self.walk.is_whole() {
                return Ok(true);
            }
            let at = self.walk.offset;
            let Some(frame) = self.walk.step()? else {
                let from = self.walk.next;
                return Err(format!("it ends here, and batches {from} to {through} are missing"));
            };
            if frame.kind == FrameKind::Batch && frame.sequence > after {
                self.show(Sequence(frame.sequence), frame, at, visit)?;
            }
        }
        Ok(false)
    }

    fn show_snapshot(&mut self, visit: &mut dyn Visit) -> Result<bool, String> {
        loop {
            if !self.is_end && !self.walk.is_whole() {
                return Ok(true);
            }
            let at = self.walk.offset;
            match self.walk.step()? {
                Some(frame) if frame.kind == FrameKind::Batch => {
                    self.show(self.source.through, frame, at, visit)?;
                }
                Some(frame)
                    if frame.kind == FrameKind::End && frame.sequence + 1 == self.walk.next =>
                {
                    return Ok(false);
                }
                _ => return Err("the snapshot has no end".to_owned()),
            }
        }
    }

    fn show(
        &mut self,
        sequence: Sequence,
        frame: Frame<'_>,
        at: usize,
        visit: &mut dyn Visit,
    ) -> Result<(), String> {
        let offset = self.begins + (at + FRAME_BYTES) as u64;
        let records = Records::in_file(frame.body, Spot { file: self.source.file, offset });
        visit.batch(sequence, records).inspect_err(|_| self.walk.offset = at)
    }
}
