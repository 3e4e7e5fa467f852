//! The log: batches of records in the order in which they happened, durable on demand.
//!
//! [`Log`] is all that the rest of the broker knows of it; [`SegmentedLog`] keeps it in files, and
//! [`LogFiles`] reads them:
//!
//! ```text
//! segment-0000000007   sealed: all of it was synced before the next one was begun
//! segment-0000000008   the one that is written
//! snapshot-…0041       what sequences 1 to 41 add up to; older segments are gone
//! newest-0000000008    empty; its name says which segment is there at least
//! *.new                being written; worth nothing before it has its name
//! lock                 locked by the process that has the folder
//! ```
//!
//! Recovery trusts what holds, and knows three endings: where a segment ends, the tail of the last
//! one that a crash has torn before it was synced, and everything else, which is refused by file
//! and offset. A torn tail is told ([`CutTail`]), since damage to what was written last looks the
//! same. Recovery changes no file: what comes next goes into a new segment, whose first sequence
//! says where the one before it ends. Batches that hold, but that nothing calls durable, are
//! written anew into it: that the system's memory has them proves nothing about the disk.

mod error;
mod files;
mod frame;
mod layout;
mod newest;
mod open;
mod replay;
mod segmented;
mod shelf;
mod snapshot;

pub use crate::record::{Batch, Records, Shelf};
pub use error::LogError;
pub use files::{CutTail, LogFiles};
pub use layout::is_of_log;
pub use replay::{Cursor, Source, Visit};
pub use segmented::{LogOptions, SegmentedLog};

/// The place of a batch in the log; the first one has 1, and 0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A log of batches. One thread owns it.
pub trait Log: Send {
    /// Takes a batch in, and says where it stands. Nothing of it is durable yet, and an error of
    /// [`Log::sync`] does not lose it: it is tried again.
    ///
    /// # Errors
    /// [`LogError::Full`]: more waits than may, until a [`Log::sync`] has succeeded.
    fn append(&mut self, batch: &Batch) -> Result<Sequence, LogError>;

    /// Hands what was appended to the system, which writes it when it likes: it survives the end
    /// of this process, but not of the machine.
    ///
    /// # Errors
    /// The disk is full or does not work. What was appended waits for the next call.
    fn write(&mut self) -> Result<Sequence, LogError>;

    /// Makes all that was appended durable, by one `fdatasync`; returns the last sequence.
    ///
    /// # Errors
    /// The disk is full or does not work. Nothing that was durable is lost, and what was appended
    /// waits for the next call.
    fn sync(&mut self) -> Result<Sequence, LogError>;

    /// The last sequence that is durable.
    fn durable(&self) -> Sequence;

    /// Nothing is to come for a while: leaves a mark by which damage to the newest batches can be
    /// told from a torn tail.
    fn rest(&mut self);

    /// Shows everything written since a sequence, in order: first what the snapshot holds if the
    /// sequence is older, then the batches.
    ///
    /// # Errors
    /// A file is broken: it is named, with the offset.
    fn replay(&mut self, from: Sequence, visit: &mut dyn Visit) -> Result<(), LogError>;

    /// Begins a snapshot of what sequences up to `covers` add up to, beside the running log. One
    /// that was begun before is given up.
    ///
    /// # Errors
    /// The disk is full or does not work.
    fn begin_snapshot(&mut self, covers: Sequence) -> Result<(), LogError>;

    /// Adds records to the snapshot that was begun. How much it does is up to the caller.
    ///
    /// # Errors
    /// The disk is full or does not work; the snapshot is given up.
    fn add_to_snapshot(&mut self, batch: &Batch) -> Result<(), LogError>;

    /// Puts the snapshot in the place of what it stands for, and removes that.
    ///
    /// # Errors
    /// The disk is full or does not work; the snapshot is given up.
    fn finish_snapshot(&mut self) -> Result<(), LogError>;

    /// The files of which a replay consists, in order.
    fn sources(&self) -> Vec<Source>;

    /// Shows some batches of one of the [`Log::sources`], a bounded piece of it; false when it has
    /// come to its end.
    ///
    /// # Errors
    /// As [`Log::replay`].
    fn replay_piece(&mut self, at: &mut Cursor, visit: &mut dyn Visit) -> Result<bool, LogError>;

    /// The files of the log, in which the records lie that a replay has shown.
    fn shelf(&self) -> Box<dyn Shelf>;

    /// Whether somebody has a [`Log::shelf`], so that no file may go.
    fn has_readers(&self) -> bool;

    /// Bytes that it takes on disk.
    fn bytes(&self) -> u64;
}
