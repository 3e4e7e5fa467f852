//! Reading the log from its files.

use super::{
    super::disk::Disk,
    LogError, Records, Sequence,
    frame::{
        FRAME_BYTES, FileKind, Frame, FrameKind, HEADER_BYTES, Header, frames_in_memory, parse,
    },
    layout::segment_name,
    segmented::SegmentedLog,
};

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

impl<D: Disk> SegmentedLog<D> {
    pub(super) fn list_sources(&self) -> Vec<Source> {
        let covers = self.snapshot.as_ref().map_or(Sequence(0), |snapshot| snapshot.covers);
        let snapshot = self.snapshot.as_ref().map(|snapshot| Source {
            name: snapshot.name.clone(),
            after: Sequence(0),
            through: covers,
            kind: FileKind::Snapshot,
        });
        let ends = self.segments.iter().skip(1).map(|next| Sequence(next.first - 1));
        let ends = ends.chain([self.written]);
        let segments = self.segments.iter().zip(ends).map(|(segment, through)| Source {
            name: segment_name(segment.number),
            after: covers.max(Sequence(segment.first - 1)),
            through,
            kind: FileKind::Segment,
        });
        snapshot.into_iter().chain(segments).collect()
    }

    pub(super) fn replay_from(
        &mut self,
        from: Sequence,
        visit: &mut dyn Visit,
    ) -> Result<(), LogError> {
        for mut source in self.list_sources() {
            source.after = source.after.max(Sequence(from.0.saturating_sub(1)));
            if source.after < source.through || source.kind == FileKind::Snapshot && from.0 <= 1 {
                self.replay_one(&source, visit)?;
            }
        }
        self.replay_memory(from, visit)
    }

    /// What was found in a file that is in doubt, and could not be written anew so far.
    fn replay_memory(&self, from: Sequence, visit: &mut dyn Visit) -> Result<(), LogError> {
        for (sequence, body) in frames_in_memory(self.unwritten()) {
            if sequence >= from {
                let shown = visit.batch(sequence, Records::new(body));
                shown.map_err(|why| self.refused("what is not written", 0, why))?;
            }
        }
        Ok(())
    }

    pub(super) fn replay_one(
        &mut self,
        source: &Source,
        visit: &mut dyn Visit,
    ) -> Result<(), LogError> {
        let mut bytes = Vec::new();
        let read = self.disk.read(&source.name, &mut bytes);
        read.map_err(|error| self.failed("read", &source.name, error))?;
        let header = self.header_of(&source.name, &bytes)?;
        let mut walk = Walk::new(&bytes, &header);
        let shown = match source.kind {
            FileKind::Segment => show_segment(&mut walk, source, visit),
            FileKind::Snapshot => show_snapshot(&mut walk, source.through, visit),
        };
        shown.map_err(|why| self.refused(&source.name, walk.offset, why))
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

    pub(super) fn refused(&self, name: &str, offset: usize, why: String) -> LogError {
        LogError::Refused { file: self.disk.path_of(name), offset: offset as u64, why }
    }
}

fn show_segment(walk: &mut Walk<'_>, source: &Source, visit: &mut dyn Visit) -> Result<(), String> {
    while walk.next <= source.through.0 {
        let at = walk.offset;
        let Some(frame) = walk.step()? else {
            return Err(format!(
                "it ends here, and batches {} to {} are missing",
                walk.next, source.through.0
            ));
        };
        if frame.kind == FrameKind::Batch && frame.sequence > source.after.0 {
            let shown = visit.batch(Sequence(frame.sequence), Records::new(frame.body));
            shown.inspect_err(|_| walk.offset = at)?;
        }
    }
    Ok(())
}

fn show_snapshot(
    walk: &mut Walk<'_>,
    covers: Sequence,
    visit: &mut dyn Visit,
) -> Result<(), String> {
    loop {
        let at = walk.offset;
        match walk.step()? {
            Some(frame) if frame.kind == FrameKind::Batch => {
                let shown = visit.batch(covers, Records::new(frame.body));
                shown.inspect_err(|_| walk.offset = at)?;
            }
            Some(frame) if frame.kind == FrameKind::End && frame.sequence + 1 == walk.next => {
                return Ok(());
            }
            _ => return Err("the snapshot has no end".to_owned()),
        }
    }
}
