//! The files of a log, for records that are read again.

use std::sync::Arc;

use super::{
    super::disk::{DiskPages, DiskReader},
    LogFiles,
    layout::segment_name,
    replay::SNAPSHOT_FILE,
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

/// One file of a log.
#[derive(Debug)]
struct LogPages(Box<dyn DiskPages>);

impl Pages for LogPages {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, String> {
        self.0.read_at(offset, buffer).map_err(|error| error.to_string())
    }
}

impl<R: DiskReader> LogFiles<R> {
    pub(super) fn new_shelf(&self) -> Box<dyn Shelf> {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.name.clone());
        Box::new(LogShelf {
            reader: self.reader.clone(),
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
    fn open(&self, file: u32) -> Result<Box<dyn Pages>, String> {
        let opened = self.reader.open(&self.file(file)).map_err(|error| error.to_string())?;
        Ok(Box::new(LogPages(opened)))
    }

    fn name_of(&self, file: u32) -> String {
        self.reader.path_of(&self.file(file))
    }
}
