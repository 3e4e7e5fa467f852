//! The files of a log, for records that are read again.

use std::{io, sync::Arc};

use super::{
    super::disk::{Disk, DiskReader},
    layout::segment_name,
    replay::SNAPSHOT_FILE,
    segmented::SegmentedLog,
};
use crate::record::{Pages, Shelf};

/// Reads what lies in a log: in segments by their numbers, and in the snapshot that was in force when
/// this was made.
#[derive(Debug)]
struct LogShelf<R> {
    reader: R,
    snapshot: String,
    /// As long as it is there, no file goes.
    _readers: Arc<()>,
}

impl<D: Disk> SegmentedLog<D> {
    pub(super) fn new_shelf(&self) -> Box<dyn Shelf> {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.name.clone());
        Box::new(LogShelf {
            reader: self.disk.reader(),
            snapshot: snapshot.unwrap_or_default(),
            _readers: Arc::clone(&self.readers),
        })
    }
}

impl<R> LogShelf<R> {
    fn file(&self, file: u32) -> String {
        if file == SNAPSHOT_FILE { self.snapshot.clone() } else { segment_name(file.into()) }
    }
}

impl<R: DiskReader> Shelf for LogShelf<R> {
    fn open(&self, file: u32) -> io::Result<Box<dyn Pages>> {
        self.reader.open(&self.file(file))
    }

    fn name_of(&self, file: u32) -> String {
        self.reader.path_of(&self.file(file))
    }
}
