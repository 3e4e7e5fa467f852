//! Parts of long queues, in files in a folder of their own: memory that lies elsewhere. Nothing is
//! synced, and what is found at the start is removed, since the log has it.
//!
//! ```text
//!   file = chunk  chunk  (hole: was read)  chunk ...      the newest file is the one that is written
//! ```
//!
//! Many chunks lie in one file, since systems make files more slowly than they fill them. What was
//! read leaves a hole, which takes no room, and a file without chunks is removed.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};

use rustix::fs::{FallocateFlags, fallocate};

use crate::session::ShardId;
use crate::shard::{Spill, Spilled};

/// The folder, in the one of the store.
const FOLDER: &str = "spill";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// A file that is longer gets no more chunks.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Where a chunk lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: u64,
    offset: u64,
    length: usize,
    checksum: u32,
}

/// A file of chunks.
#[derive(Debug)]
struct Chunks {
    path: PathBuf,
    file: File,
    length: u64,
    /// How many of its chunks were not read yet.
    count: usize,
}

/// The folder of the chunks.
#[derive(Debug)]
pub struct ChunkFiles {
    folder: PathBuf,
    files: BTreeMap<u64, Chunks>,
    /// Where each chunk of each shard is.
    places: BTreeMap<(usize, u64), Place>,
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
        let files = Self { folder, files: BTreeMap::new(), places: BTreeMap::new() };
        files.remove_all()?;
        Ok(files)
    }

    /// Does what a shard asks; chunks are numbered by each shard for itself. What is to be answered
    /// comes with the number.
    pub fn obey(&mut self, shard: ShardId, spill: Spill) -> Option<(u64, Spilled)> {
        match spill {
            Spill::Write { chunk, bytes } => {
                let outcome = match self.write((shard.index(), chunk), bytes.as_bytes()) {
                    Ok(()) => Spilled::Written,
                    Err(error) => {
                        self.complain("written", &error);
                        Spilled::NotWritten(bytes)
                    }
                };
                Some((chunk, outcome))
            }
            Spill::Read { chunk } => {
                let outcome = match self.read((shard.index(), chunk)) {
                    Ok(bytes) => Spilled::Read(bytes),
                    Err(error) => {
                        self.complain("read", &error);
                        Spilled::NotRead
                    }
                };
                Some((chunk, outcome))
            }
            Spill::Forget { chunk } => {
                // It may not have been written.
                self.forget((shard.index(), chunk));
                None
            }
        }
    }

    fn write(&mut self, chunk: (usize, u64), bytes: &[u8]) -> io::Result<()> {
        let (number, chunks) = self.newest()?;
        let offset = chunks.length;
        let at_end = chunks.file.seek(SeekFrom::Start(offset));
        if let Err(error) = at_end.and_then(|_| chunks.file.write_all(bytes)) {
            // On a full disk each byte counts.
            let _ = chunks.file.set_len(offset);
            return Err(error);
        }
        chunks.length += bytes.len() as u64;
        chunks.count += 1;
        let checksum = crc32fast::hash(bytes);
        self.places.insert(chunk, Place { file: number, offset, length: bytes.len(), checksum });
        Ok(())
    }

    /// The file that is written, with its number.
    fn newest(&mut self) -> io::Result<(u64, &mut Chunks)> {
        let newest = self.files.last_key_value();
        let number = match newest {
            Some((number, chunks)) if chunks.length < FILE_BYTES => *number,
            _ => {
                let number = newest.map_or(0, |(number, _)| number + 1);
                let path = self.folder.join(number.to_string());
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
                let file = options.open(&path)?;
                self.files.insert(number, Chunks { path, file, length: 0, count: 0 });
                number
            }
        };
        let chunks = self.files.get_mut(&number);
        chunks.map(|chunks| (number, chunks)).ok_or_else(|| io::Error::from(ErrorKind::NotFound))
    }

    /// Reads a chunk, which then is on disk no more.
    fn read(&mut self, chunk: (usize, u64)) -> io::Result<Vec<u8>> {
        let missing = || io::Error::from(ErrorKind::NotFound);
        let place = self.places.get(&chunk).ok_or_else(missing)?;
        let mut bytes = vec![0; place.length];
        let chunks = self.files.get(&place.file).ok_or_else(missing)?;
        chunks.file.read_exact_at(&mut bytes, place.offset)?;
        if crc32fast::hash(&bytes) != place.checksum {
            return Err(io::Error::new(ErrorKind::InvalidData, "the checksum is wrong"));
        }
        self.forget(chunk);
        Ok(bytes)
    }

    fn forget(&mut self, chunk: (usize, u64)) {
        let Some(place) = self.places.remove(&chunk) else { return };
        let Some(chunks) = self.files.get_mut(&place.file) else { return };
        chunks.count -= 1;
        // Not all file systems have holes, and what can not be removed is so at the next start.
        if chunks.count > 0 {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(&chunks.file, hole, place.offset, place.length as u64);
        } else if chunks.length < FILE_BYTES {
            chunks.length = 0;
            let _ = chunks.file.set_len(0);
        } else {
            let _ = fs::remove_file(&chunks.path);
            self.files.remove(&place.file);
        }
    }

    fn complain(&self, what: &str, error: &io::Error) {
        let folder = self.folder.display();
        tracing::error!("{folder}: a part of a queue can not be {what}: {error}");
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

/// Starts the thread that obeys, in order; it ends, and removes what is left, when nobody can ask any
/// more.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    mut files: ChunkFiles,
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

    fn write(
        files: &mut ChunkFiles,
        shard: usize,
        chunk: u64,
        text: &str,
    ) -> Option<(u64, Spilled)> {
        let spill = Spill::Write { chunk, bytes: batch(text) };
        files.obey(ShardId::new(shard), spill)
    }

    fn read(files: &mut ChunkFiles, shard: usize, chunk: u64) -> Option<(u64, Spilled)> {
        files.obey(ShardId::new(shard), Spill::Read { chunk })
    }

    fn paths(files: &ChunkFiles) -> Vec<PathBuf> {
        let entries = fs::read_dir(&files.folder).expect("the folder is there");
        entries.map(|entry| entry.expect("it is there").path()).collect()
    }

    #[test]
    fn what_was_written_is_read_once_and_belongs_to_its_shard() {
        let store = tempfile::tempdir().expect("there is room");
        let mut files = ChunkFiles::open(store.path()).expect("the folder is ours");
        for (shard, text) in [(0, "zero"), (1, "one")] {
            assert!(matches!(write(&mut files, shard, 7, text), Some((7, Spilled::Written))));
        }
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode();
        let [path] = &paths(&files)[..] else { panic!("one file for both") };
        assert_eq!([mode(&files.folder) & 0o777, mode(path) & 0o777], [0o700, 0o600]);
        let Some((7, Spilled::Read(bytes))) = read(&mut files, 1, 7) else { panic!("it is read") };
        assert_eq!(bytes, batch("one").as_bytes());
        assert!(matches!(read(&mut files, 1, 7), Some((7, Spilled::NotRead))));
        assert!(files.obey(ShardId::new(0), Spill::Forget { chunk: 7 }).is_none());
        assert_eq!(fs::metadata(path).expect("it is there").len(), 0, "and is written anew");
    }

    /// A queue that moves on takes no more room than what waits in it, and none at its end.
    #[test]
    fn what_was_read_takes_no_room() {
        use std::os::unix::fs::MetadataExt;
        let store = tempfile::tempdir().expect("there is room");
        let mut files = ChunkFiles::open(store.path()).expect("the folder is ours");
        let text = "x".repeat(1024 * 1024);
        let room = |files: &ChunkFiles| {
            let blocks = |path: &PathBuf| fs::metadata(path).expect("it is there").blocks();
            paths(files).iter().map(blocks).sum::<u64>() * 512 / 1024 / 1024
        };
        for chunk in 0..200 {
            write(&mut files, 0, chunk, &text);
            if chunk >= 10 {
                let is_read =
                    matches!(read(&mut files, 0, chunk - 10), Some((_, Spilled::Read(_))));
                assert!(is_read);
                assert!(room(&files) <= 12, "{} MiB for 10", room(&files));
            }
        }
        assert!(paths(&files).len() <= 2, "emptied files are gone");
        (190..200).for_each(|chunk| drop(read(&mut files, 0, chunk)));
        assert_eq!(room(&files), 0);
    }

    #[test]
    fn a_damaged_chunk_is_not_read_and_stays() {
        let store = tempfile::tempdir().expect("there is room");
        let mut files = ChunkFiles::open(store.path()).expect("the folder is ours");
        write(&mut files, 0, 1, "text");
        let [path] = &paths(&files)[..] else { panic!("there is one") };
        let bytes = fs::read(path).expect("it is there");
        let mut flipped = bytes.clone();
        flipped[5] ^= 1;
        for damaged in [&flipped[..], &bytes[..2]] {
            fs::write(path, damaged).expect("there is room");
            assert!(matches!(read(&mut files, 0, 1), Some((1, Spilled::NotRead))));
        }
        fs::write(path, bytes).expect("there is room");
        assert!(matches!(read(&mut files, 0, 1), Some((1, Spilled::Read(_)))));
    }

    #[test]
    fn what_can_not_be_written_comes_back() {
        let store = tempfile::tempdir().expect("there is room");
        let mut files = ChunkFiles::open(store.path()).expect("the folder is ours");
        fs::create_dir(files.folder.join("0")).expect("there is room");
        let Some((1, Spilled::NotWritten(back))) = write(&mut files, 0, 1, "text") else {
            panic!("a folder has its name")
        };
        assert_eq!(back, batch("text"));
    }

    #[test]
    fn what_is_found_at_the_start_or_left_at_the_end_is_removed() {
        let store = tempfile::tempdir().expect("there is room");
        let mut files = ChunkFiles::open(store.path()).expect("the folder is ours");
        write(&mut files, 0, 1, "left by a crash");
        let files = ChunkFiles::open(store.path()).expect("the folder is ours");
        assert!(paths(&files).is_empty());
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
