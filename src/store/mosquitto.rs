//! Reading the mosquitto.db of Mosquitto 1.6 to 2.0 (format versions 5 and 6): sessions,
//! subscriptions, messages on their way and retained ones, as records of this store.
//!
//! ```text
//! file   = magic(15) crc(4) version(4) chunk*
//! chunk  = kind(4) length(4) body
//! ```
//!
//! Numbers of 16 and 32 bits are big-endian, those of 64 bits as the machine that wrote them has
//! them; here they are read as little-endian, like everywhere but on a few old servers.

use std::collections::BTreeMap;

use skein_protocol::qos::{PacketId, QoS};
use skein_protocol::{RetainHandling, Version};

use crate::record::{Record, state::StateError};

/// How the file begins.
pub const MAGIC: [u8; 15] = *b"\x00\xB5\x00mosquitto db";

/// Why a file can not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Its format is another one.
    #[error("it has format version {0}; those of Mosquitto 1.6 to 2.0 (5 and 6) can be read")]
    Version(u32),
    /// It is not as it should be.
    #[error("at byte {offset}: {why}")]
    Broken {
        /// Where.
        offset: usize,
        /// Why.
        why: &'static str,
    },
    /// What it says can not be.
    #[error("at byte {offset}: {error}")]
    Refused {
        /// Where.
        offset: usize,
        /// Why.
        error: StateError,
    },
}

/// Hands over everything in the file, and returns what there is no place for here.
///
/// # Errors
/// The file is not as it should be, or `take` refuses a record.
pub fn import(
    bytes: &[u8],
    now_ms: u64,
    take: &mut dyn FnMut(Record<'_>) -> Result<(), StateError>,
) -> Result<Vec<String>, ImportError> {
    let mut reader = Reader { bytes, offset: MAGIC.len() + 4 };
    let version = reader.u32().map_err(|error| error.at(0))?;
    if !(5..=6).contains(&version) {
        return Err(ImportError::Version(version));
    }
    let (numbers, entries) = (BTreeMap::new(), BTreeMap::new());
    let mut importer = Importer { version, now_ms, numbers, entries, left_out: Vec::new(), take };
    // A chunk may refer to one that comes later, so they are read by kinds.
    for kind in [CLIENT, MESSAGE, SUBSCRIPTION, RETAINED, CLIENT_MESSAGE] {
        let mut reader = reader;
        while reader.offset < bytes.len() {
            let offset = reader.offset;
            let (found, body) = reader.chunk().map_err(|error| error.at(0))?;
            if found == kind {
                importer.read(kind, body).map_err(|error| error.at(offset + 8))?;
            }
        }
    }
    Ok(importer.left_out)
}

const MESSAGE: u32 = 2;
const CLIENT_MESSAGE: u32 = 3;
const RETAINED: u32 = 4;
const SUBSCRIPTION: u32 = 5;
const CLIENT: u32 = 6;
/// Inside the states of an outgoing message: it waits, or PUBREL is owed or sent.
const STATE_RESEND_PUBREL: u8 = 6;
const STATE_WAIT_FOR_PUBCOMP: u8 = 9;
const STATE_QUEUED: u8 = 11;
const DIRECTION_IN: u8 = 0;
const NEVER: u32 = u32::MAX;
const LISTENER: &str = "imported";

struct Importer<'t> {
    version: u32,
    now_ms: u64,
    /// The file's numbers of messages; ours begin at 1.
    numbers: BTreeMap<u64, u64>,
    /// The last entry of each session.
    entries: BTreeMap<String, u64>,
    left_out: Vec<String>,
    take: &'t mut dyn FnMut(Record<'_>) -> Result<(), StateError>,
}

/// What is wrong with one chunk.
enum ChunkError {
    Broken(usize, &'static str),
    Refused(StateError),
}

impl ChunkError {
    fn at(self, chunk: usize) -> ImportError {
        match self {
            Self::Broken(offset, why) => ImportError::Broken { offset: chunk + offset, why },
            Self::Refused(error) => ImportError::Refused { offset: chunk, error },
        }
    }
}

impl From<StateError> for ChunkError {
    fn from(error: StateError) -> Self {
        Self::Refused(error)
    }
}

impl Importer<'_> {
    fn read(&mut self, kind: u32, body: Reader<'_>) -> Result<(), ChunkError> {
        match kind {
            CLIENT => self.client(body),
            MESSAGE => self.message(body),
            SUBSCRIPTION => self.subscription(body),
            RETAINED => self.retained(body),
            _ => self.client_message(body),
        }
    }

    fn client(&mut self, mut body: Reader<'_>) -> Result<(), ChunkError> {
        let expires_at_s = body.u64()?;
        let expiry_s = body.u32()?;
        let _last_packet_id = body.u16()?;
        let id_length = body.u16()?;
        let mut user_length = 0;
        if self.version >= 6 {
            let _port = body.u16()?;
            user_length = body.u16()?;
            body.take(4)?;
        }
        let client_id = body.text(id_length.into())?;
        let user = body.text(user_length.into())?;
        let at_ms = expires_at_s.saturating_sub(expiry_s.into()).saturating_mul(1000);
        let at_ms = if expires_at_s == 0 { self.now_ms } else { at_ms };
        // It does not say which version of MQTT; before 5.0 no session expires.
        let version = if expiry_s == NEVER { Version::V3_1_1 } else { Version::V5 };
        let owner = (!user.is_empty()).then(|| user.into());
        let (id, listener) = (client_id.into(), LISTENER.into());
        (self.take)(Record::Connected {
            client_id: id,
            owner,
            listener,
            version,
            expiry_s,
            at_ms,
        })?;
        (self.take)(Record::Disconnected { client_id: client_id.into(), expiry_s, at_ms })?;
        self.entries.insert(client_id.to_owned(), 0);
        Ok(())
    }

    fn message(&mut self, mut body: Reader<'_>) -> Result<(), ChunkError> {
        let (number, expires_at_s) = (body.u64()?, body.u64()?);
        let payload_length = body.u32()?;
        let _packet_id = body.u16()?;
        let (id_length, user_length, topic_length) = (body.u16()?, body.u16()?, body.u16()?);
        let _port = body.u16()?;
        let (qos, retain) = (body.qos()?, body.u8()? != 0);
        let _source = (body.take(id_length.into())?, body.take(user_length.into())?);
        let topic = body.text(topic_length.into())?;
        let payload = body.take(payload_length as usize)?;
        let properties = body.properties()?;
        let message = self.numbers.len() as u64 + 1;
        self.numbers.insert(number, message);
        (self.take)(Record::Message {
            message,
            topic: topic.into(),
            properties: properties.into(),
            payload: payload.into(),
            qos,
            retain,
            expires_at_ms: (expires_at_s > 0).then(|| expires_at_s.saturating_mul(1000)),
        })?;
        Ok(())
    }

    fn subscription(&mut self, mut body: Reader<'_>) -> Result<(), ChunkError> {
        let identifier = body.u32()?;
        let (id_length, filter_length) = (body.u16()?, body.u16()?);
        let (qos, options) = (body.qos()?, body.u8()?);
        body.take(2)?;
        let client_id = body.text(id_length.into())?;
        let filter = body.text(filter_length.into())?;
        if !self.entries.contains_key(client_id) {
            self.left_out.push(format!("subscription {filter:?} of {client_id:?}, no session"));
            return Ok(());
        }
        (self.take)(Record::Subscribed {
            client_id: client_id.into(),
            filter: filter.into(),
            qos,
            no_local: options & 0x04 != 0,
            retain_as_published: options & 0x08 != 0,
            retain_handling: match options >> 4 & 0x03 {
                0 => RetainHandling::SendAtSubscribe,
                1 => RetainHandling::SendIfNew,
                _ => RetainHandling::DoNotSend,
            },
            identifier: (identifier > 0).then_some(identifier),
        })?;
        Ok(())
    }

    fn retained(&mut self, mut body: Reader<'_>) -> Result<(), ChunkError> {
        let message = self.number(body.u64()?, &body)?;
        (self.take)(Record::Retained { message, author: None, user: None, listener: None })?;
        Ok(())
    }

    fn client_message(&mut self, mut body: Reader<'_>) -> Result<(), ChunkError> {
        let number = body.u64()?;
        let (packet_id, id_length) = (PacketId::new(body.u16()?), body.u16()?);
        let (qos, state) = (body.qos()?, body.u8()?);
        let (flags, direction) = (body.u8()?, body.u8()?);
        let client_id = body.text(id_length.into())?;
        let message = self.number(number, &body)?;
        if direction == DIRECTION_IN {
            // Mosquitto delivers it when PUBREL comes, and only then finds out to whom.
            let what = format!("a QoS 2 message of {client_id:?} that waits for its PUBREL");
            self.left_out.push(what);
            return Ok(());
        }
        let Some(entry) = self.entries.get_mut(client_id) else {
            self.left_out.push(format!("a message to {client_id:?}, no session"));
            return Ok(());
        };
        *entry += 1;
        let entry = *entry;
        (self.take)(Record::Queued {
            client_id: client_id.into(),
            entry,
            message,
            qos,
            retain: flags & 0xF0 != 0,
            identifiers: Vec::new(),
            share: None,
        })?;
        let Some(packet_id) = packet_id.filter(|_| state != STATE_QUEUED) else { return Ok(()) };
        (self.take)(Record::Sent { client_id: client_id.into(), entry, packet_id })?;
        if matches!(state, STATE_RESEND_PUBREL | STATE_WAIT_FOR_PUBCOMP) {
            (self.take)(Record::Received { client_id: client_id.into(), packet_id })?;
        }
        Ok(())
    }

    fn number(&self, number: u64, body: &Reader<'_>) -> Result<u64, ChunkError> {
        let unknown = ChunkError::Broken(body.offset, "it refers to a message that is not there");
        self.numbers.get(&number).copied().ok_or(unknown)
    }
}

/// What is left of the file, or of a chunk.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn chunk(&mut self) -> Result<(u32, Self), ChunkError> {
        let (kind, length) = (self.u32()?, self.u32()?);
        Ok((kind, Self { bytes: self.take(length as usize)?, offset: 0 }))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ChunkError> {
        let end = self.offset.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.offset..end));
        let taken = taken.ok_or(ChunkError::Broken(self.offset, "it ends too early"))?;
        self.offset += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ChunkError> {
        let bytes = self.take(N)?;
        Ok(std::array::from_fn(|index| bytes[index]))
    }

    fn u8(&mut self) -> Result<u8, ChunkError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, ChunkError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, ChunkError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, ChunkError> {
        self.array().map(u64::from_le_bytes)
    }

    fn qos(&mut self) -> Result<QoS, ChunkError> {
        let offset = self.offset;
        QoS::try_from(self.u8()?).map_err(|_| ChunkError::Broken(offset, "there is no such QoS"))
    }

    fn text(&mut self, length: usize) -> Result<&'a str, ChunkError> {
        let offset = self.offset;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| ChunkError::Broken(offset, "it is not UTF-8"))
    }

    /// The rest, without the length in front of it.
    fn properties(&mut self) -> Result<&'a [u8], ChunkError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(rest);
        }
        let mut properties = skein_protocol::wire::Reader::new(rest);
        let length = properties.varint();
        let broken = ChunkError::Broken(self.offset, "its properties have no length");
        length.map_err(|_| broken)?;
        Ok(properties.rest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::state::State;

    /// Written by Mosquitto 2.0.11: two sessions of 3.1.1 and one of 5.0, two messages for each,
    /// one retained.
    const FILE: &[u8] = include_bytes!("../../tests/golden/mosquitto.db");

    fn take_in(bytes: &[u8]) -> Result<(State, Vec<String>), ImportError> {
        let mut state = State::default();
        let left_out = import(bytes, 7, &mut |record| state.apply(record))?;
        Ok((state, left_out))
    }

    #[test]
    fn sessions_messages_and_what_is_retained_come_over() {
        let (state, left_out) = take_in(FILE).expect("it is whole");
        assert_eq!(left_out, [""; 0]);
        let counts = state.counts();
        assert_eq!((counts.sessions, counts.subscriptions, counts.entries), (3, 2, 6));
        let payload = |message| state.message(message).map(|it| it.payload().to_vec());
        for (_, session) in state.sessions() {
            let queue = session.queue.iter().map(|entry| payload(entry.message));
            assert!(queue.eq([Some(b"one".to_vec()), Some(b"two".to_vec())]));
        }
        let (client_id, five) = state.sessions().next().expect("there is one");
        assert_eq!((client_id, five.expiry_s, five.version), ("five", 3600, Version::V5));
        let two = state.message(five.queue[1].message).expect("it is there");
        assert_eq!(two.properties(), b"\x26\x00\x01k\x00\x01v\x03\x00\x04text");
        assert!(two.expires_at_ms.is_some_and(|at| at % 1000 == 0));
        let (topic, kept) = state.retained().next().expect("there is one");
        assert_eq!((topic, payload(kept.message)), ("r/1", Some(b"kept".to_vec())));
    }

    #[test]
    fn a_file_that_is_cut_or_of_another_version_is_refused() {
        let cut = take_in(&FILE[..FILE.len() - 1]).expect_err("it is cut");
        assert!(cut.to_string().contains("it ends too early"), "{cut}");
        let mut old = FILE.to_vec();
        old[22] = 3;
        assert!(matches!(take_in(&old), Err(ImportError::Version(3))));
    }

    #[test]
    fn damage_never_panics() {
        for at in 0..FILE.len() {
            for bits in [0x01, 0x80, 0xFF] {
                let mut bytes = FILE.to_vec();
                bytes[at] ^= bits;
                let _ = take_in(&bytes);
            }
        }
    }
}
