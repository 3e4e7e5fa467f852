//! The records of a store's file.
//!
//! ```text
//!   file    = record*
//!   record  = kind (1 byte)  number (8)  length (4)  checksum (4)  body (length bytes)
//!   kind    = 1  a message, its body a PUBLISH of MQTT 5.0
//!             2  the message was struck off
//!             3  the message was sent, its body the packet identifier
//!             4  the server owns the message
//!             5  a message with the packet identifier `number` was taken
//!             6  that identifier is free again
//!             7  the server began a new session
//! ```
//!
//! All numbers are big-endian; the checksum is the CRC-32 of everything else in the record. What
//! follows the last whole record was being written when the process ended, and is cut off.

use skein_protocol::{Frame, Packet, PacketId, QoS, Version};

use crate::Publish;
use crate::session::Mark;

const MESSAGE: u8 = 1;
const STRUCK: u8 = 2;
const SENT: u8 = 3;
const RELEASED: u8 = 4;
const TAKEN: u8 = 5;
const FINISHED: u8 = 6;
const BEGAN: u8 = 7;

pub(super) const HEAD_BYTES: usize = 17;
/// Where the checksum stands in the head.
const CHECKSUM_AT: usize = 13;

/// One entry of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Message(u64, Publish),
    Struck(u64),
    Mark(Mark<u64>),
}

impl Record {
    /// The record at the front and its size; `None` if there is no whole one.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.get(..HEAD_BYTES)?;
        let number = u64::from_be_bytes(head[1..9].try_into().ok()?);
        let length = u32::from_be_bytes(head[9..CHECKSUM_AT].try_into().ok()?);
        let checksum = u32::from_be_bytes(head[CHECKSUM_AT..].try_into().ok()?);
        let size = HEAD_BYTES.checked_add(usize::try_from(length).ok()?)?;
        let body = bytes.get(HEAD_BYTES..size)?;
        if checksum != sum(&head[..CHECKSUM_AT], body) {
            return None;
        }
        let id = || u16::try_from(number).ok().and_then(PacketId::new);
        let record = match head[0] {
            MESSAGE => Self::Message(number, decode_publish(body)?),
            STRUCK => Self::Struck(number),
            SENT => Self::Mark(Mark::Sent(
                number,
                PacketId::new(u16::from_be_bytes(body.try_into().ok()?))?,
            )),
            RELEASED => Self::Mark(Mark::Released(number)),
            TAKEN => Self::Mark(Mark::Taken(id()?)),
            FINISHED => Self::Mark(Mark::Finished(id()?)),
            BEGAN => Self::Mark(Mark::Began),
            _ => return None,
        };
        Some((record, size))
    }

    /// Appends the record.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, number, body) = self.parts();
        let start = out.len();
        out.push(kind);
        out.extend(number.to_be_bytes());
        // A packet of MQTT holds at most 256 MiB.
        out.extend((body.len() as u32).to_be_bytes());
        let checksum = sum(&out[start..], &body);
        out.extend(checksum.to_be_bytes());
        out.extend(body);
    }

    fn parts(&self) -> (u8, u64, Vec<u8>) {
        let id = |id: &PacketId| u64::from(id.get());
        match self {
            Self::Message(number, publish) => (MESSAGE, *number, encode_publish(publish)),
            Self::Struck(number) => (STRUCK, *number, Vec::new()),
            Self::Mark(Mark::Sent(number, id)) => (SENT, *number, id.get().to_be_bytes().into()),
            Self::Mark(Mark::Released(number)) => (RELEASED, *number, Vec::new()),
            Self::Mark(Mark::Taken(taken)) => (TAKEN, id(taken), Vec::new()),
            Self::Mark(Mark::Finished(finished)) => (FINISHED, id(finished), Vec::new()),
            Self::Mark(Mark::Began) => (BEGAN, 0, Vec::new()),
        }
    }
}

fn sum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    hasher.finalize()
}

fn encode_publish(publish: &Publish) -> Vec<u8> {
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
    let mut out = Vec::new();
    packet.encode(Version::V5, &mut out);
    out
}

fn decode_publish(bytes: &[u8]) -> Option<Publish> {
    let (frame, _) = Frame::decode(bytes, usize::MAX).ok()??;
    let Packet::Publish(packet) = Packet::decode(frame, Version::V5).ok()? else { return None };
    Publish::from_packet(&packet)
}
