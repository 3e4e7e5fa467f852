//! What a start finds on the disk.

use super::{
    super::disk::{Disk, DiskReader},
    Log, LogError, LogOptions, Sequence,
    frame::{FileKind, HEADER_BYTES, Header, is_called_durable},
    layout::{SEGMENT_DRAFT, SNAPSHOT_DRAFT, segment_name, segment_number, snapshot_covers},
    replay::Walk,
    segmented::{KeptSnapshot, Segment, SegmentedLog},
};

impl<D: Disk> SegmentedLog<D> {
    /// Opens the log of a folder, or begins one. Older batches are looked at when they are
    /// replayed.
    ///
    /// # Errors
    /// A file is broken or missing, or the disk does not work.
    pub fn open(disk: D, options: LogOptions) -> Result<Self, LogError> {
        let mut log = Self::new(disk, options);
        log.remove_leftovers();
        let files = log.list()?;
        log.find_snapshot(&files)?;
        log.find_segments(&files)?;
        log.check_newest(&files)?;
        log.trim();
        log.check_order()?;
        log.find_end()?;
        Ok(log)
    }

    fn list(&mut self) -> Result<Vec<(String, u64)>, LogError> {
        self.disk.list().map_err(|error| self.failed("list", "", error))
    }

    fn remove_leftovers(&mut self) {
        // If this fails, it is made anew before it is used again.
        let _ = self.disk.remove(SNAPSHOT_DRAFT);
        let _ = self.disk.remove(SEGMENT_DRAFT);
    }

    fn header(&mut self, name: &str) -> Result<Header, LogError> {
        let mut bytes = [0; HEADER_BYTES];
        let count = self.disk.reader().read_at(name, 0, &mut bytes);
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
        let covers = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.covers.0);
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

    /// Finds the last batch, and what is known to be durable.
    fn find_end(&mut self) -> Result<(), LogError> {
        let Some(last) = self.segments.last().copied() else { return Ok(()) };
        let name = segment_name(last.number);
        let mut bytes = Vec::new();
        let read = self.disk.read(&name, &mut bytes);
        read.map_err(|error| self.failed("read", &name, error))?;
        let header = self.header_of(&name, &bytes)?;
        let found = self.end_of(&name, &header, &bytes)?;
        let covers = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.covers.0);
        if found.last < covers {
            let why = format!("batches {} to {covers} are missing", found.last + 1);
            return Err(self.refused(&name, found.offset, why));
        }
        let durable = found.durable.max(covers);
        let mut walk = Walk::new(&bytes, &header);
        while walk.next <= durable && matches!(walk.step(), Ok(Some(_))) {}
        let frames = bytes.get(walk.offset..found.offset).unwrap_or_default();
        // Marks behind the last durable batch are not written anew.
        let frames = if found.last > durable { frames } else { &[] };
        self.go_on(Sequence(durable), Sequence(found.last), frames);
        // What was not found now, because it was cut off and that was not synced, must not be found
        // after the next crash either: a new segment says where this one ends. If it can not be
        // made now, it is before anything else is.
        let is_known = frames.is_empty();
        let _ = if is_known { self.begin_segment() } else { self.sync().map(drop) };
        Ok(())
    }

    /// Where the last segment ends. A tail that a crash has torn is left out; it is one if nothing
    /// behind it says that it was durable.
    fn end_of(&self, name: &str, header: &Header, bytes: &[u8]) -> Result<End, LogError> {
        debug_assert_eq!(header.kind, FileKind::Segment, "its name says so");
        let mut walk = Walk::new(bytes, header);
        let mut durable = header.first - 1;
        loop {
            match walk.step() {
                Ok(Some(frame)) => durable = durable.max(frame.durable),
                Ok(None) => break,
                Err(why) => {
                    let tail = bytes.get(walk.offset..).unwrap_or_default();
                    if is_called_durable(tail, header.salt, walk.next) {
                        let why = format!("{why}, and it was durable");
                        return Err(self.refused(name, walk.offset, why));
                    }
                    break;
                }
            }
        }
        Ok(End { last: walk.next - 1, durable, offset: walk.offset })
    }
}

/// Where a segment ends.
struct End {
    /// The last batch.
    last: u64,
    /// The last batch that something behind it calls durable.
    durable: u64,
    offset: usize,
}
