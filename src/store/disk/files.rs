//! The real disk: one folder that one process has for itself.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use super::{Disk, DiskFile, DiskPages, DiskReader};

/// The file that is locked; it is never removed, or two could each lock one of that name.
const LOCK: &str = "lock";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A folder on the real disk, locked as long as this lives.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    folder: File,
    /// Holds the lock.
    _lock: File,
}

/// Reads the files of a folder, and changes nothing in it.
#[derive(Clone, Debug)]
pub struct FilesReader {
    path: PathBuf,
    /// Keeps brokers away, of a folder that was opened to be read only.
    _lock: Option<Arc<File>>,
}

/// Why a folder can not be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{}: another process has this store open; each broker needs a folder of its own", .0.display())]
    InUse(PathBuf),
    /// There is a folder, but no broker has kept anything in it.
    #[error("{}: this is no store, and nothing of one is in it", .0.display())]
    NoStore(PathBuf),
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// What was to be opened.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl Files {
    /// Opens the folder and locks it; makes it if it is not there (0700).
    ///
    /// # Errors
    /// Another process has it, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, LockError> {
        let because = |error| LockError::Io { path: path.to_owned(), error };
        if !path.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(FOLDER_MODE)
                .create(path)
                .map_err(because)?;
            // Its own name must be durable, too, before anything in it can be.
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent).and_then(|parent| parent.sync_all()).map_err(because)?;
            }
        }
        if fs::read_dir(path).map_err(because)?.next().is_none() {
            // Messages are nobody else's business. Where others have files, ours alone are closed.
            fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE)).map_err(because)?;
        }
        let folder = File::open(path).map_err(because)?;
        let opened = options().create(true).truncate(false).open(path.join(LOCK));
        let file = opened.map_err(because)?;
        lock(path, &file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path: path.to_owned(), folder, _lock: file })
    }

    /// When a file of the folder was last changed; `None` if there is none, or the system does not
    /// know.
    ///
    /// # Errors
    /// As the system says.
    pub fn last_change(&self) -> io::Result<Option<SystemTime>> {
        let mut last = None;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() != LOCK {
                last = last.max(entry.metadata()?.modified().ok());
            }
        }
        Ok(last)
    }
}

impl FilesReader {
    /// Opens a folder in which a store is, or files whose names are those of one. Nothing in it is
    /// changed; no broker can have it as long as this lives, while others may read it, too.
    ///
    /// # Errors
    /// It is not there, or no store is; another process has it, or the system refuses.
    pub fn open(path: &Path, is_of_store: fn(&str) -> bool) -> Result<Self, LockError> {
        let because = |error| LockError::Io { path: path.to_owned(), error };
        let (mut has_lock, mut is_store) = (false, false);
        for entry in fs::read_dir(path).map_err(because)? {
            let name = entry.map_err(because)?.file_name();
            has_lock |= name == LOCK;
            is_store |= name.to_str().is_some_and(is_of_store);
        }
        if !has_lock {
            // A broker makes the file before anything else, so none has this folder: it is a copy.
            let is_copy = is_store.then(|| Self { path: path.to_owned(), _lock: None });
            return is_copy.ok_or_else(|| LockError::NoStore(path.to_owned()));
        }
        let file = File::open(path.join(LOCK)).map_err(because)?;
        lock(path, &file, FlockOperation::NonBlockingLockShared)?;
        Ok(Self { path: path.to_owned(), _lock: Some(Arc::new(file)) })
    }
}

fn lock(path: &Path, file: &File, how: FlockOperation) -> Result<(), LockError> {
    flock(file, how).map_err(|errno| match errno {
        rustix::io::Errno::WOULDBLOCK => LockError::InUse(path.to_owned()),
        errno => LockError::Io { path: path.to_owned(), error: errno.into() },
    })
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

impl Disk for Files {
    type File = File;
    type Reader = FilesReader;

    fn create(&mut self, name: &str) -> io::Result<File> {
        options().create(true).truncate(true).open(self.path.join(name))
    }

    fn open(&mut self, name: &str) -> io::Result<File> {
        options().open(self.path.join(name))
    }

    fn reader(&self) -> FilesReader {
        FilesReader { path: self.path.clone(), _lock: None }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

impl DiskReader for FilesReader {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                found.push((name, metadata.len()));
            }
        }
        found.sort();
        Ok(found)
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskPages>> {
        Ok(Box::new(File::open(self.path.join(name))?))
    }

    fn path_of(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

impl DiskPages for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl DiskFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn a_second_broker_on_one_folder_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let first = Files::open(&path).expect("the first has it");
        let refused = Files::open(&path).expect_err("the second has not");
        assert!(matches!(refused, LockError::InUse(_)));
        assert!(refused.to_string().contains("another process has this store open"), "{refused}");
        drop(first);
        Files::open(&path).expect("it is free again");
    }

    #[test]
    fn who_only_reads_keeps_brokers_away_and_makes_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, is_of_store) = (folder.path(), |name: &str| name == "a");
        let mut files = Files::open(path).expect("it opens");
        files.create("a").expect("a file");
        let refused = FilesReader::open(path, is_of_store).expect_err("a broker has it");
        assert!(matches!(refused, LockError::InUse(_)));
        drop(files);
        let first = FilesReader::open(path, is_of_store).expect("it is free");
        let second = FilesReader::open(path, is_of_store).expect("another one may read it, too");
        assert!(matches!(Files::open(path), Err(LockError::InUse(_))));
        drop((first, second));
        fs::remove_file(path.join(LOCK)).expect("removed");
        let copy = FilesReader::open(path, is_of_store).expect("a copy needs no lock");
        assert_eq!(copy.list().expect("listed"), [("a".into(), 0)]);
    }

    #[test]
    fn nobody_else_reads_what_is_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/data");
        let mut files = Files::open(&path).expect("it is made");
        files.create("a").expect("a file");
        assert_eq!((mode(&path), mode(&path.join("a"))), (0o700, 0o600));
        assert_eq!(mode(&path.join(LOCK)), 0o600);
    }

    #[test]
    fn a_folder_that_others_use_keeps_its_mode_and_an_empty_one_is_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let open_to_all = || fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755));
        fs::write(folder.path().join("theirs"), "").expect("written");
        open_to_all().expect("it is ours");
        assert!(matches!(FilesReader::open(folder.path(), |_| false), Err(LockError::NoStore(_))));
        drop(Files::open(folder.path()).expect("it opens"));
        assert_eq!((mode(folder.path()), mode(&folder.path().join(LOCK))), (0o755, 0o600));
        let empty = tempfile::tempdir().expect("a folder");
        fs::set_permissions(empty.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Files::open(empty.path()).expect("it opens");
        assert_eq!(mode(empty.path()), 0o700);
    }

    #[test]
    fn what_is_written_is_read_and_listed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = Files::open(folder.path()).expect("it opens");
        let mut file = files.create("b").expect("a file");
        super::super::write_all(&mut file, 0, b"hello").expect("written");
        file.truncate(4).and_then(|()| file.sync()).expect("cut and synced");
        files.rename("b", "a").and_then(|()| files.sync_folder()).expect("renamed");
        let (reader, mut middle) = (files.reader(), [0; 2]);
        assert_eq!(reader.read_at("a", 1, &mut middle).expect("read"), 2);
        assert_eq!(middle, *b"el");
        assert_eq!(reader.read_at("a", 3, &mut middle).expect("read"), 1, "it ends there");
        assert_eq!(reader.list().expect("listed"), [("a".into(), 4), (LOCK.into(), 0)]);
        assert!(files.last_change().expect("listed").is_some());
        files.remove("a").expect("removed");
        assert_eq!(reader.list().expect("listed").len(), 1);
        assert_eq!(files.last_change().expect("listed"), None, "the lock does not count");
    }
}
