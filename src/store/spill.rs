//! Parts of long queues, as files in a folder of their own: memory that lies elsewhere. Nothing is
//! synced, and what is found at the start is removed, since the log has it.
//!
//! ```text
//!   chunk file = records  crc(4)
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};

use crate::session::ShardId;
use crate::shard::{Spill, Spilled};

/// The folder, in the one of the store.
const FOLDER: &str = "spill";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Bytes of the checksum.
const CRC_BYTES: usize = 4;

/// The folder of the chunks.
#[derive(Debug)]
pub struct ChunkFiles {
    folder: PathBuf,
}

impl ChunkFiles {
    /// An empty folder for chunks in the folder of a store, which this process has for itself.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(store: &Path) -> io::Result<Self> {
        let folder = store.join(FOLDER);
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder)?;
        // Messages are nobody else's business, whoever made the folder.
        fs::set_permissions(&folder, fs::Permissions::from_mode(FOLDER_MODE))?;
        let files = Self { folder };
        files.remove_all()?;
        Ok(files)
    }

    /// Does what a shard asks; chunks are numbered by each shard for itself. What is to be answered
    /// comes with the number.
    pub fn obey(&self, shard: ShardId, spill: Spill) -> Option<(u64, Spilled)> {
        match spill {
            Spill::Write { chunk, bytes } => {
                let written = self.write(&self.path(shard, chunk), bytes.as_bytes());
                let outcome = match written {
                    Ok(()) => Spilled::Written,
                    Err(error) => {
                        self.complain("written", shard, chunk, &error);
                        Spilled::NotWritten(bytes)
                    }
                };
                Some((chunk, outcome))
            }
            Spill::Read { chunk } => {
                let outcome = match read(&self.path(shard, chunk)) {
                    Ok(bytes) => Spilled::Read(bytes),
                    Err(error) => {
                        self.complain("read", shard, chunk, &error);
                        Spilled::NotRead
                    }
                };
                Some((chunk, outcome))
            }
            Spill::Forget { chunk } => {
                // It may not have been written. What is left is removed at the next start.
                let _ = fs::remove_file(self.path(shard, chunk));
                None
            }
        }
    }

    fn path(&self, shard: ShardId, chunk: u64) -> PathBuf {
        self.folder.join(format!("{}-{chunk}", shard.index()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let options =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).clone();
        let written = options.open(path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.write_all(&crc32fast::hash(bytes).to_le_bytes())
        });
        if written.is_err() {
            // On a full disk each byte counts.
            let _ = fs::remove_file(path);
        }
        written
    }

    fn complain(&self, what: &str, shard: ShardId, chunk: u64, error: &io::Error) {
        let path = self.path(shard, chunk);
        tracing::error!("{}: a part of a queue can not be {what}: {error}", path.display());
    }

    fn remove_all(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Reads a chunk, which then is on disk no more.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    let damaged = || io::Error::new(ErrorKind::InvalidData, "the checksum is wrong");
    let end = bytes.len().checked_sub(CRC_BYTES).ok_or_else(damaged)?;
    if bytes[end..] != crc32fast::hash(&bytes[..end]).to_le_bytes() {
        return Err(damaged());
    }
    bytes.truncate(end);
    // What stays is removed at the next start.
    let _ = fs::remove_file(path);
    Ok(bytes)
}

/// Starts the thread that obeys, in order; it ends, and removes what is left, when nobody can ask any
/// more.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    files: ChunkFiles,
    requests: Receiver<(ShardId, Spill)>,
    mut answer: impl FnMut(ShardId, u64, Spilled) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("spill".to_owned()).spawn(move || {
        for (shard, spill) in requests {
            if let Some((chunk, outcome)) = files.obey(shard, spill) {
                answer(shard, chunk, outcome);
            }
        }
        let _ = files.remove_all();
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::record::Batch;

    fn batch(text: &str) -> Batch {
        let mut batch = Batch::default();
        batch.push(text.as_bytes());
        batch
    }

    fn write(files: &ChunkFiles, shard: usize, chunk: u64, text: &str) -> Option<(u64, Spilled)> {
        let spill = Spill::Write { chunk, bytes: batch(text) };
        files.obey(ShardId::new(shard), spill)
    }

    fn read(files: &ChunkFiles, shard: usize, chunk: u64) -> Option<(u64, Spilled)> {
        files.obey(ShardId::new(shard), Spill::Read { chunk })
    }

    fn count(files: &ChunkFiles) -> usize {
        fs::read_dir(&files.folder).expect("the folder is there").count()
    }

    #[test]
    fn what_was_written_is_read_once_and_belongs_to_its_shard() {
        let store = tempfile::tempdir().expect("there is room");
        let files = ChunkFiles::open(store.path()).expect("the folder is ours");
        for (shard, text) in [(0, "zero"), (1, "one")] {
            assert!(matches!(write(&files, shard, 7, text), Some((7, Spilled::Written))));
        }
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode();
        let path = files.path(ShardId::new(0), 7);
        assert_eq!([mode(&files.folder) & 0o777, mode(&path) & 0o777], [0o700, 0o600]);
        let Some((7, Spilled::Read(bytes))) = read(&files, 1, 7) else { panic!("it is read") };
        assert_eq!(bytes, batch("one").as_bytes());
        assert!(matches!(read(&files, 1, 7), Some((7, Spilled::NotRead))));
        assert!(files.obey(ShardId::new(0), Spill::Forget { chunk: 7 }).is_none());
        assert_eq!(count(&files), 0);
    }

    #[test]
    fn a_damaged_chunk_is_not_read_and_stays() {
        let store = tempfile::tempdir().expect("there is room");
        let files = ChunkFiles::open(store.path()).expect("the folder is ours");
        write(&files, 0, 1, "text");
        let path = files.path(ShardId::new(0), 1);
        let mut bytes = fs::read(&path).expect("it is there");
        bytes[5] ^= 1;
        for damaged in [&bytes[..], &bytes[..2]] {
            fs::write(&path, damaged).expect("there is room");
            assert!(matches!(read(&files, 0, 1), Some((1, Spilled::NotRead))));
            assert!(path.exists());
        }
    }

    #[test]
    fn what_can_not_be_written_comes_back() {
        let store = tempfile::tempdir().expect("there is room");
        let files = ChunkFiles::open(store.path()).expect("the folder is ours");
        fs::create_dir(files.path(ShardId::new(0), 1)).expect("there is room");
        let Some((1, Spilled::NotWritten(back))) = write(&files, 0, 1, "text") else {
            panic!("a folder has its name")
        };
        assert_eq!(back, batch("text"));
    }

    #[test]
    fn what_is_found_at_the_start_or_left_at_the_end_is_removed() {
        let store = tempfile::tempdir().expect("there is room");
        let files = ChunkFiles::open(store.path()).expect("the folder is ours");
        write(&files, 0, 1, "left by a crash");
        let files = ChunkFiles::open(store.path()).expect("the folder is ours");
        assert_eq!(count(&files), 0);
        let (sender, requests) = mpsc::sync_channel(8);
        let (heard, answers) = mpsc::channel();
        let folder = files.folder.clone();
        let answer = move |shard, chunk, outcome: Spilled| {
            let is_written = matches!(outcome, Spilled::Written);
            heard.send((shard, chunk, is_written)).expect("the test listens");
        };
        let worker = start(files, requests, answer).expect("there is a thread");
        let (shard, spill) = (ShardId::new(3), Spill::Write { chunk: 9, bytes: batch("x") });
        sender.send((shard, spill)).expect("it listens");
        assert_eq!(answers.recv(), Ok((shard, 9, true)));
        drop(sender);
        worker.join().expect("it does not panic");
        assert_eq!(fs::read_dir(folder).expect("it is there").count(), 0);
    }
}
