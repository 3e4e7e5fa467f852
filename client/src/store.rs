//! Messages that survive the process: a file that they are appended to before they are sent, and
//! struck off when the server has them.
//!
//! ```text
//!   file    = record*
//!   record  = kind (1 byte)  number (8)  length (4)  checksum (4)  body (length bytes)
//!   kind    = 1: a message, its body a PUBLISH of MQTT 5.0      2: struck off, no body
//! ```
//!
//! All numbers are big-endian; the checksum is the CRC-32 of everything else in the record. What
//! follows the last whole record was being written when the process ended, and is cut off.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use skein_protocol::{Frame, Packet, PacketId, QoS, Version};

use crate::{Error, Publish, Result};

/// Where unacknowledged messages are kept.
pub trait Store: fmt::Debug + Send {
    /// What was appended and not struck off, in order. Called once, before anything else.
    ///
    /// # Errors
    /// It cannot be read.
    fn load(&mut self) -> Result<Vec<(u64, Publish)>>;

    /// Keeps a message under a number that was never used before.
    ///
    /// # Errors
    /// It cannot be kept; it is not sent then.
    fn append(&mut self, number: u64, publish: &Publish) -> Result<()>;

    /// Strikes a message off.
    ///
    /// # Errors
    /// That cannot be noted; the message may be sent again by the next process.
    fn strike(&mut self, number: u64) -> Result<()>;
}

/// When what was written is certain to be on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// When the system sees fit: survives the end of the process, not that of the machine.
    #[default]
    System,
    /// Before a message counts as handed in: survives both, and costs a wait for the disk each.
    EveryMessage,
}

/// A [`Store`] in one file.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    file: File,
    sync: Sync,
    /// What is not struck off.
    live: BTreeMap<u64, Publish>,
    /// Bytes of records that no longer matter.
    dead_bytes: u64,
    bytes: u64,
}

const MESSAGE: u8 = 1;
const STRUCK: u8 = 2;
const HEAD_BYTES: usize = 17;
/// Where the checksum stands in the head.
const CHECKSUM_AT: usize = 13;
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
        let (sync, live) = (Sync::default(), BTreeMap::new());
        let mut store = Self { path, file, sync, live, dead_bytes: 0, bytes: 0 };
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
            self.note(record, size);
        }
        let whole = (bytes.len() - rest.len()) as u64;
        if !rest.is_empty() {
            self.file.set_len(whole)?;
        }
        self.bytes = whole;
        Ok(())
    }

    fn note(&mut self, record: Record, size: usize) {
        match record.publish {
            Some(publish) => {
                self.live.insert(record.number, publish);
            }
            None => {
                let struck = self.live.remove(&record.number);
                let freed = struck.map_or(0, |publish| encode(record.number, Some(&publish)).len());
                self.dead_bytes += (freed + size) as u64;
            }
        }
    }

    fn write(&mut self, number: u64, publish: Option<&Publish>) -> io::Result<()> {
        let record = encode(number, publish);
        self.file.write_all(&record)?;
        if self.sync == Sync::EveryMessage && publish.is_some() {
            self.file.sync_data()?;
        }
        self.bytes += record.len() as u64;
        let publish = publish.cloned();
        self.note(Record { number, publish }, record.len());
        if self.dead_bytes > DEAD_BYTES_MIN.max(self.bytes / 2) {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes what matters to a new file, which then takes the place of the old one: at every
    /// moment one of them is whole.
    fn compact(&mut self) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
        let mut bytes = Vec::new();
        for (number, publish) in &self.live {
            bytes.extend(encode(*number, Some(publish)));
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(&new, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        (self.bytes, self.dead_bytes) = (bytes.len() as u64, 0);
        Ok(())
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Vec<(u64, Publish)>> {
        Ok(self.live.iter().map(|(number, publish)| (*number, publish.clone())).collect())
    }

    fn append(&mut self, number: u64, publish: &Publish) -> Result<()> {
        self.write(number, Some(publish)).map_err(|error| failure(&self.path, &error))
    }

    fn strike(&mut self, number: u64) -> Result<()> {
        self.write(number, None).map_err(|error| failure(&self.path, &error))
    }
}

/// One entry of the file.
struct Record {
    number: u64,
    /// `None`: struck off.
    publish: Option<Publish>,
}

impl Record {
    /// The record at the front and its size; `None` if there is no whole one.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.get(..HEAD_BYTES)?;
        let number = u64::from_be_bytes(head[1..9].try_into().ok()?);
        let length = u32::from_be_bytes(head[9..CHECKSUM_AT].try_into().ok()?);
        let checksum = u32::from_be_bytes(head[CHECKSUM_AT..].try_into().ok()?);
        let size = HEAD_BYTES.checked_add(usize::try_from(length).ok()?)?;
        let body = bytes.get(HEAD_BYTES..size)?;
        if checksum != sum(&head[..CHECKSUM_AT], body) {
            return None;
        }
        let publish = match head[0] {
            MESSAGE => Some(decode_publish(body)?),
            STRUCK => None,
            _ => return None,
        };
        Some((Self { number, publish }, size))
    }
}

fn encode(number: u64, publish: Option<&Publish>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(publish) = publish {
        encode_publish(publish, &mut body);
    }
    let mut record = vec![if publish.is_some() { MESSAGE } else { STRUCK }];
    record.extend(number.to_be_bytes());
    // A packet of MQTT holds at most 256 MiB.
    record.extend((body.len() as u32).to_be_bytes());
    let checksum = sum(&record, &body);
    record.extend(checksum.to_be_bytes());
    record.extend(body);
    record
}

fn sum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    hasher.finalize()
}

fn encode_publish(publish: &Publish, out: &mut Vec<u8>) {
    let pairs = publish.properties().map(|own| own.pairs()).unwrap_or_default();
    let properties = publish.properties().map(|own| own.as_packet(&pairs)).unwrap_or_default();
    let packet = skein_protocol::Publish {
        dup: false,
        qos: publish.level(),
        retain: publish.is_retained(),
        topic: Some(skein_protocol::TopicName::assume_valid(publish.topic())),
        packet_id: PacketId::new(1).filter(|_| publish.level() > QoS::AtMostOnce),
        properties,
        payload: publish.payload(),
    };
    packet.encode(Version::V5, out);
}

fn decode_publish(bytes: &[u8]) -> Option<Publish> {
    let (frame, _) = Frame::decode(bytes, usize::MAX).ok()??;
    let Packet::Publish(packet) = Packet::decode(frame, Version::V5).ok()? else { return None };
    Publish::from_packet(&packet)
}

fn failure(path: &Path, error: &io::Error) -> Error {
    Error::Store(format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        store.load().unwrap().into_iter().map(|(number, _)| number).collect()
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
        assert_eq!(store.load().unwrap()[1].1, message("3"), "with all its properties");
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
}
