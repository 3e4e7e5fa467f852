//! What can go wrong with a log.

use std::io;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file is not as it was written. Nothing was changed.
    #[error(
        "{file}: at byte {offset}: {why}. Nothing was changed. Put the file back from a copy, or \
         move the folder away and start empty"
    )]
    Refused {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// A record is not what it was when it was read before.
    #[error("{0}")]
    Changed(String),
    /// The disk is full or does not work.
    #[error("{file}: {doing}: {error}")]
    Io {
        /// What was to be done.
        doing: &'static str,
        /// With which file.
        file: String,
        /// What the system says.
        error: io::Error,
    },
    /// As much waits to be written as may.
    #[error("{bytes} bytes wait to be written; there may be {bytes_max}")]
    Full {
        /// How much waits.
        bytes: usize,
        /// How much may.
        bytes_max: usize,
    },
}

impl LogError {
    /// Whether room on the disk is what is missing.
    pub fn is_disk_full(&self) -> bool {
        let Self::Io { error, .. } = self else { return false };
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero
        )
    }
}
