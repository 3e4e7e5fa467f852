//! How many segments there should be. Each one says where the one before it ends, and nothing in the
//! files tells whether the newest one is missing: an empty file whose name has its number does.
//!
//! ```text
//! segment.new ──▶ segment-8 ──sync of the folder──▶ newest-7 ──▶ newest-8
//! ```
//!
//! It gets its new name only when the segment has its own for good, so whatever a power cut takes,
//! what it names is there. That name needs no sync of its own: the one of the next segment covers it,
//! and until then it may vouch for one segment less.

use super::{
    super::disk::{Disk, DiskReader},
    LogError, LogFiles,
    layout::{newest_name, newest_number, segment_name},
    segmented::SegmentedLog,
};

impl<R: DiskReader> LogFiles<R> {
    /// Looks for the newest segment that should be there.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check_newest(&mut self, files: &[(String, u64)]) -> Result<(), LogError> {
        self.newest = files.iter().filter_map(|(name, _)| newest_number(name)).max();
        let found = self.segments.last().map_or(0, |segment| segment.number);
        match self.newest {
            Some(due) if due > found => {
                let why = "it is missing, and with it the newest batches".to_owned();
                Err(self.refused(&segment_name(due), 0, why))
            }
            _ => Ok(()),
        }
    }
}

impl<D: Disk> SegmentedLog<D> {
    /// The newest segment has its name for good: vouches for it from now on. A help, not a promise:
    /// if it fails, an older one is vouched for.
    pub(super) fn note_newest(&mut self) {
        let Some(number) = self.files.segments.last().map(|segment| segment.number) else { return };
        let name = newest_name(number);
        let noted = match self.files.newest {
            Some(before) => self.disk.rename(&newest_name(before), &name),
            None => self.disk.create(&name).map(drop),
        };
        if noted.is_ok() {
            self.files.newest = Some(number);
        }
    }
}
