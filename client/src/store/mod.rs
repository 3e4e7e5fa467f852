//! Messages that survive the process, and how far they had come.

mod file;
mod kept;
mod live;
mod memory;
mod record;

use std::fmt;

use skein_protocol::PacketId;

use crate::session::{Mark, Progress};
use crate::{Publish, Result};

pub(crate) use self::kept::Kept;

pub use self::file::{FileStore, Sync};
pub use self::memory::MemoryStore;

/// Where unacknowledged messages are kept, and what a session has to remember of them.
pub trait Store: fmt::Debug + Send {
    /// What an earlier process has left. Called once, before anything else.
    ///
    /// # Errors
    /// It cannot be read.
    fn load(&mut self) -> Result<Contents>;

    /// Keeps a message under a number that was never used before; numbers rise.
    ///
    /// # Errors
    /// It cannot be kept; it is not sent then.
    fn append(&mut self, number: u64, publish: &Publish) -> Result<()>;

    /// Strikes a message off.
    ///
    /// # Errors
    /// That cannot be noted; the message may be sent again by the next process.
    fn strike(&mut self, number: u64) -> Result<()>;

    /// Keeps steps of the session, in order, before the packets they stand for leave. A store that
    /// does not keep them still keeps messages; they may arrive twice then, and so may messages of
    /// QoS 2 that are sent to this client.
    ///
    /// # Errors
    /// They cannot be kept, with the same consequence.
    fn mark(&mut self, marks: &[Mark<u64>]) -> Result<()>;
}

/// What an earlier process has left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// The messages that were not struck off, by their numbers.
    pub messages: Vec<Stored>,
    /// The identifiers of [`Mark::Taken`] without [`Mark::Finished`].
    pub taken: Vec<PacketId>,
    /// Every step of the server's session is known: it began with [`Mark::Began`].
    pub is_whole: bool,
}

/// A message that an earlier process has left.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its number.
    pub number: u64,
    /// The message.
    pub publish: Publish,
    /// How far it had come.
    pub progress: Progress,
}
