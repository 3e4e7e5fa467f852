//! A store in one file, to which everything is appended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::live::Live;
use super::record::Record;
use super::{Contents, Store};
use crate::session::Mark;
use crate::{Error, Publish, Result};

/// When what was written is certain to be on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// When the system sees fit: survives the end of the process, not that of the machine.
    #[default]
    System,
    /// Before a message counts as handed in, and before it is sent or answered: survives both, and
    /// costs waits for the disk.
    EveryMessage,
}

/// A [`Store`] in one file.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    file: File,
    sync: Sync,
    live: Live,
    /// Bytes that writing the file anew would take.
    live_bytes: u64,
    bytes: u64,
}

/// A file with less waste than this is not worth writing anew.
const DEAD_BYTES_MIN: u64 = 1 << 20;

impl FileStore {
    /// Opens the file, and makes it if there is none.
    ///
    /// # Errors
    /// [`Error::Store`], which says why the file cannot be used.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = opened.map_err(|error| failure(&path, &error))?;
        let (sync, live) = (Sync::default(), Live::default());
        let mut store = Self { path, file, sync, live, live_bytes: 0, bytes: 0 };
        store.replay().map_err(|error| failure(&store.path, &error))?;
        Ok(store)
    }

    /// When what was written is certain to be on the disk.
    pub fn sync(mut self, sync: Sync) -> Self {
        self.sync = sync;
        self
    }

    fn replay(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let mut rest = &bytes[..];
        while let Some((record, size)) = Record::decode(rest) {
            rest = &rest[size..];
            self.live.apply(record);
        }
        let whole = (bytes.len() - rest.len()) as u64;
        if !rest.is_empty() {
            self.file.set_len(whole)?;
        }
        self.bytes = whole;
        Ok(())
    }

    fn write(&mut self, records: Vec<Record>, must_sync: bool) -> Result<()> {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.encode(&mut bytes));
        let written = self.file.write_all(&bytes).and_then(|()| match self.sync {
            Sync::EveryMessage if must_sync => self.file.sync_data(),
            _ => Ok(()),
        });
        written.map_err(|error| failure(&self.path, &error))?;
        self.bytes += bytes.len() as u64;
        records.into_iter().for_each(|record| self.live.apply(record));
        if self.bytes > self.live_bytes * 2 + DEAD_BYTES_MIN {
            self.compact().map_err(|error| failure(&self.path, &error))?;
        }
        Ok(())
    }

    /// Writes what matters to a new file, which then takes the place of the old one: at every
    /// moment one of them is whole. Where little would be gained, it only remembers how little.
    fn compact(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.live.records().for_each(|record| record.encode(&mut bytes));
        self.live_bytes = bytes.len() as u64;
        if self.bytes <= self.live_bytes * 2 + DEAD_BYTES_MIN {
            return Ok(());
        }
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(&new, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.bytes = self.live_bytes;
        Ok(())
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Contents> {
        Ok(self.live.contents())
    }

    fn append(&mut self, number: u64, publish: &Publish) -> Result<()> {
        self.write(vec![Record::Message(number, publish.clone())], true)
    }

    fn strike(&mut self, number: u64) -> Result<()> {
        self.write(vec![Record::Struck(number)], false)
    }

    fn mark(&mut self, marks: &[Mark<u64>]) -> Result<()> {
        // What is forgotten of these costs one more packet, and no message twice.
        let is_harmless = |mark: &Mark<u64>| matches!(mark, Mark::Released(_) | Mark::Finished(_));
        let records = marks.iter().map(|mark| Record::Mark(*mark)).collect();
        self.write(records, !marks.iter().all(is_harmless))
    }
}

fn failure(path: &Path, error: &io::Error) -> Error {
    Error::Store(format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use skein_protocol::{PacketId, QoS};

    use super::super::record::HEAD_BYTES;
    use super::*;
    use crate::session::Progress;

    /// A file that is gone with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("skein-{name}-{}", std::process::id()));
            let _ = fs::remove_file(&path);
            Self(path)
        }

        fn open(&self) -> FileStore {
            FileStore::open(&self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn message(text: &str) -> Publish {
        let publish = Publish::new("t", text.to_owned()).qos(QoS::ExactlyOnce).retain();
        publish.user_property("k", "v").content_type("text/plain")
    }

    fn numbers(store: &mut FileStore) -> Vec<u64> {
        store.load().unwrap().messages.into_iter().map(|stored| stored.number).collect()
    }

    #[test]
    fn what_is_not_struck_off_is_there_again_in_order() {
        let scratch = Scratch::new("store-again");
        let mut store = scratch.open().sync(Sync::EveryMessage);
        for number in 1..=4 {
            store.append(number, &message(&number.to_string())).unwrap();
        }
        store.strike(2).unwrap();
        drop(store);
        let mut store = scratch.open();
        assert_eq!(numbers(&mut store), [1, 3, 4]);
        assert_eq!(
            store.load().unwrap().messages[1].publish,
            message("3"),
            "with all its properties"
        );
        store.strike(1).unwrap();
        assert_eq!(numbers(&mut scratch.open()), [3, 4]);
    }

    /// Whatever byte the process ended at, what was whole stays, and the rest is cut off.
    #[test]
    fn a_file_that_ends_anywhere_is_read_up_to_there() {
        let scratch = Scratch::new("store-torn");
        let mut store = scratch.open();
        store.append(1, &message("one")).unwrap();
        let first = fs::read(&scratch.0).unwrap().len();
        store.append(2, &message("two")).unwrap();
        let whole = fs::read(&scratch.0).unwrap();
        for end in 0..whole.len() {
            fs::write(&scratch.0, &whole[..end]).unwrap();
            let mut store = scratch.open();
            let expected: &[u64] = if end >= first { &[1] } else { &[] };
            assert_eq!(numbers(&mut store), expected, "{end}");
            store.append(3, &message("three")).unwrap();
            let expected: &[u64] = if end >= first { &[1, 3] } else { &[3] };
            assert_eq!(numbers(&mut scratch.open()), expected, "{end}");
        }
        let mut broken = whole;
        broken[first + HEAD_BYTES] ^= 1;
        fs::write(&scratch.0, &broken).unwrap();
        assert_eq!(numbers(&mut scratch.open()), [1], "the checksum sees a changed bit");
    }

    #[test]
    fn a_file_of_struck_messages_does_not_grow() {
        let scratch = Scratch::new("store-compact");
        let mut store = scratch.open();
        let large = "x".repeat(100_000);
        store.append(0, &message("kept")).unwrap();
        for number in 1..=200 {
            store.append(number, &message(&large)).unwrap();
            store.strike(number).unwrap();
        }
        assert!(fs::metadata(&scratch.0).unwrap().len() < 3 << 20);
        assert_eq!(numbers(&mut scratch.open()), [0]);
    }

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    /// [MQTT-4.1.0-1]: also what was written anew because the file had grown.
    #[test]
    fn how_far_messages_had_come_is_there_again() {
        let scratch = Scratch::new("store-marks");
        let mut store = scratch.open();
        assert!(!store.load().unwrap().is_whole);
        store.append(1, &message("lost session")).unwrap();
        store.mark(&[Mark::Sent(1, id(9)), Mark::Taken(id(5)), Mark::Began]).unwrap();
        for number in 2..=4 {
            store.append(number, &message("x")).unwrap();
        }
        let taken = [Mark::Taken(id(7)), Mark::Taken(id(8)), Mark::Finished(id(7))];
        store.mark(&taken).unwrap();
        store.mark(&[Mark::Sent(2, id(1)), Mark::Sent(3, id(2)), Mark::Released(2)]).unwrap();
        let expected = |mut store: FileStore| {
            let Contents { messages, taken, is_whole } = store.load().unwrap();
            let progress: Vec<_> = messages.iter().map(|stored| stored.progress).collect();
            let [released, sent] = [Progress::Released(id(1)), Progress::Sent(id(2))];
            assert_eq!(progress, [Progress::Queued, released, sent, Progress::Queued]);
            assert_eq!((taken, is_whole), (vec![id(8)], true));
        };
        expected(scratch.open());
        let large = message(&"x".repeat(1 << 20));
        for number in 5..=12 {
            store.append(number, &large).unwrap();
            store.strike(number).unwrap();
        }
        assert!(fs::metadata(&scratch.0).unwrap().len() < 4 << 20, "written anew");
        expected(store);
        expected(scratch.open());
    }

    /// A client that only receives has no messages here, and must not fill the disk either.
    #[test]
    fn a_file_of_marks_does_not_grow() {
        let scratch = Scratch::new("store-many-marks");
        let mut store = scratch.open();
        for _ in 0..100_000 {
            store.mark(&[Mark::Taken(id(1)), Mark::Finished(id(1))]).unwrap();
        }
        assert!(fs::metadata(&scratch.0).unwrap().len() < 2 << 20);
    }
}
