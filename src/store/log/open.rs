//! What a start finds on the disk.

use super::{
    super::disk::{Disk, DiskReader},
    CutTail, Log, LogError, LogFiles, LogOptions, Sequence,
    files::{KeptSnapshot, Segment},
    frame::{FileKind, HEADER_BYTES, Header, is_called_durable},
    layout::{SEGMENT_DRAFT, SNAPSHOT_DRAFT, segment_name, segment_number, snapshot_covers},
    replay::Walk,
    segmented::SegmentedLog,
};

impl<D: Disk> SegmentedLog<D> {
    /// Opens the log of a folder, or begins one. Older batches are looked at when they are
    /// replayed.
    ///
    /// # Errors
    /// A file is broken or missing, or the disk does not work.
    pub fn open(disk: D, options: LogOptions) -> Result<Self, LogError> {
        let (files, doubt) = LogFiles::find(disk.reader())?;
        let is_new = files.segments.is_empty();
        let mut log = Self::new(disk, options, files);
        log.remove_leftovers();
        log.trim();
        if is_new {
            return Ok(log);
        }
        // What was not found now, because it was cut off and that was not synced, must not be found
        // after the next crash either: a new segment says where this one ends. If it can not be
        // made now, it is before anything else is.
        let _ = match doubt {
            None => log.begin_segment(),
            Some(Doubt { durable, frames }) => {
                log.write_anew(durable, frames);
                log.sync().map(drop)
            }
        };
        Ok(log)
    }

    fn remove_leftovers(&mut self) {
        // If this fails, it is made anew before it is used again.
        let _ = self.disk.remove(SNAPSHOT_DRAFT);
        let _ = self.disk.remove(SEGMENT_DRAFT);
    }
}

impl<R: DiskReader> LogFiles<R> {
    /// Finds the log of a folder, and the batches at its end that nothing calls durable.
    ///
    /// # Errors
    /// A file is broken or missing, or the disk does not work.
    pub(super) fn find(reader: R) -> Result<(Self, Option<Doubt>), LogError> {
        let mut files = Self::new(reader);
        let names = files.reader.list().map_err(|error| files.failed("list", "", error))?;
        files.find_snapshot(&names)?;
        files.find_segments(&names)?;
        files.check_newest(&names)?;
        files.forget_covered();
        files.check_order()?;
        let doubt = files.find_end()?;
        Ok((files, doubt))
    }

    fn header(&self, name: &str) -> Result<Header, LogError> {
        let mut bytes = [0; HEADER_BYTES];
        let count = self.reader.read_at(name, 0, &mut bytes);
        let count = count.map_err(|error| self.failed("read", name, error))?;
        self.header_of(name, &bytes[..count])
    }

    fn find_snapshot(&mut self, files: &[(String, u64)]) -> Result<(), LogError> {
        let newest = files.iter().rev().find_map(|(name, bytes)| {
            Some((name.clone(), Sequence(snapshot_covers(name)?), *bytes))
        });
        if let Some((name, covers, bytes)) = newest {
            self.header(&name)?;
            self.snapshot = Some(KeptSnapshot { name, covers, bytes });
        }
        Ok(())
    }

    fn find_segments(&mut self, files: &[(String, u64)]) -> Result<(), LogError> {
        for (name, bytes) in files.iter().filter(|(name, _)| segment_number(name).is_some()) {
            let header = self.header(name)?;
            let (number, first) = (header.number, header.first);
            self.segments.push(Segment { number, first, bytes: *bytes });
            self.closed_bytes += bytes;
        }
        Ok(())
    }

    /// Each segment goes on where the one before it ends.
    fn check_order(&self) -> Result<(), LogError> {
        let covers = self.covers().0;
        let refused = |number, why| Err(self.refused(&segment_name(number), 0, why));
        match self.segments.first() {
            None if covers > 0 => {
                let name = self.snapshot.as_ref().map_or("", |snapshot| &snapshot.name);
                return Err(self.refused(name, 0, "the segments after it are missing".to_owned()));
            }
            Some(oldest) if oldest.first > covers + 1 => {
                let (from, through) = (covers + 1, oldest.first - 1);
                let why = format!("batches {from} to {through}, before it, are missing");
                return refused(oldest.number, why);
            }
            _ => {}
        }
        for pair in self.segments.windows(2) {
            if pair[1].first < pair[0].first {
                return refused(pair[1].number, "it begins before the one before it".to_owned());
            }
        }
        Ok(())
    }

    /// Finds the last batch, and those whose durability is in doubt.
    fn find_end(&mut self) -> Result<Option<Doubt>, LogError> {
        let Some(last) = self.segments.last() else { return Ok(None) };
        let name = segment_name(last.number);
        let bytes = self.read_all(&name, last.bytes)?;
        let header = self.header_of(&name, &bytes)?;
        let end = self.end_of(&name, &header, &bytes)?;
        let covers = self.covers().0;
        if end.last < covers {
            let why = format!("batches {} to {covers} are missing", end.last + 1);
            return Err(self.refused(&name, end.offset, why));
        }
        let durable = end.durable.max(covers);
        let mut walk = Walk::new(&bytes, &header);
        while walk.next <= durable && matches!(walk.step(), Ok(Some(_))) {}
        (self.written, self.cut_tail) = (Sequence(end.last), end.tail);
        // Marks behind the last durable batch are not written anew.
        Ok((end.last > durable).then(|| {
            let frames = bytes.get(walk.offset..end.offset).unwrap_or_default();
            Doubt { durable: Sequence(durable), frames: frames.to_vec() }
        }))
    }

    fn read_all(&self, name: &str, count: u64) -> Result<Vec<u8>, LogError> {
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
        let read = self.reader.read_at(name, 0, &mut bytes);
        bytes.truncate(read.map_err(|error| self.failed("read", name, error))?);
        Ok(bytes)
    }

    /// Where the last segment ends. A tail that a crash has torn is left out; it is one if nothing
    /// behind it says that it was durable.
    fn end_of(&self, name: &str, header: &Header, bytes: &[u8]) -> Result<End, LogError> {
        debug_assert_eq!(header.kind, FileKind::Segment, "its name says so");
        let mut walk = Walk::new(bytes, header);
        let mut durable = header.first - 1;
        let why = loop {
            match walk.step() {
                Ok(Some(frame)) => durable = durable.max(frame.durable),
                Ok(None) => break None,
                Err(why) => break Some(why),
            }
        };
        let tail = bytes.get(walk.offset..).unwrap_or_default();
        if let Some(why) = &why
            && is_called_durable(tail, header.salt, walk.next)
        {
            return Err(self.refused(name, walk.offset, format!("{why}, and it was durable")));
        }
        let tail = why.map(|why| CutTail {
            file: self.reader.path_of(name),
            offset: walk.offset as u64,
            bytes: tail.len() as u64,
            why,
        });
        Ok(End { last: walk.next - 1, durable, offset: walk.offset, tail })
    }
}

/// Batches at the end that hold, but that nothing calls durable.
pub(super) struct Doubt {
    /// The last batch before them.
    durable: Sequence,
    frames: Vec<u8>,
}

/// Where a segment ends.
struct End {
    /// The last batch.
    last: u64,
    /// The last batch that something behind it calls durable.
    durable: u64,
    offset: usize,
    /// What is left out behind it.
    tail: Option<CutTail>,
}
