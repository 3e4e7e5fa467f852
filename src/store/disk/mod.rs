//! The files of one folder, as a trait: the log is tested on a disk that loses what was not synced,
//! tears, fills up and fails, and that disk has to lie underneath it
//! (docs/decisions/0009-a-log-of-our-own.md).

mod files;

use std::{fmt, io};

pub use files::{Files, FilesReader, LockError};

/// One folder of files. A name is a file name, without slashes.
pub trait Disk: Send {
    /// A file that is written.
    type File: DiskFile;
    /// What reads its files.
    type Reader: DiskReader;

    /// Makes an empty file, or empties the one that has this name.
    ///
    /// # Errors
    /// As the system says; then the file may be there or not.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that is there, to write to it.
    ///
    /// # Errors
    /// As the system says.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// What reads the files, in whatever thread.
    fn reader(&self) -> Self::Reader;

    /// Gives a file another name, in place of the one that had it.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes names durable: files that were made, renamed and removed. What stands in them is made
    /// durable by [`DiskFile::sync`].
    ///
    /// # Errors
    /// As the system says.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// Reads the files of a folder, and can change nothing in it.
pub trait DiskReader: Clone + fmt::Debug + Send + Sync + 'static {
    /// The files and how many bytes each has, in the order of their names.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Opens a file.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskPages>>;

    /// Reads as many bytes as `buffer` has room for, or as the file has from there on; returns how
    /// many.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.open(name)?.read_at(offset, buffer)
    }

    /// What a file is called in messages to people.
    fn path_of(&self, name: &str) -> String;
}

/// One file that is read in pieces.
pub trait DiskPages: fmt::Debug + Send {
    /// Reads as many bytes as `buffer` has room for, or as the file has from there on; returns how
    /// many.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// One file that is written.
pub trait DiskFile: Send {
    /// Writes at a place, and says how many bytes were taken, which may be fewer.
    ///
    /// # Errors
    /// As the system says; a full disk is [`io::ErrorKind::StorageFull`].
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes the bytes and the length durable (`fdatasync`). After an error nothing is known of
    /// what was written since the last success, and asking again tells lies: the kernel forgets
    /// that the pages were never written.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to this many bytes.
    ///
    /// # Errors
    /// As the system says.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
}

/// Writes all bytes at a place.
///
/// # Errors
/// The first error of [`DiskFile::write_at`]; then any part may have been written.
pub fn write_all(file: &mut impl DiskFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(offset + done as u64, &bytes[done..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
