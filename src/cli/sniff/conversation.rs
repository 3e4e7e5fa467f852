//! One connection, read along: its bytes in both directions become packets.
//!
//! ```text
//!   bytes ──▶ whole frame ──▶ packet: seen           malformed: seen, with the clause; the next frame
//!               │                                    follows all the same
//!               ├─ longer than is looked at: seen, and skipped
//!               ├─ some of its bytes are missing: said, and the rest of it skipped
//!               └─ no frame at all: said; nothing more of this direction is looked at
//! ```

use skein_protocol::{Connect, Error, Frame, Packet, PacketType, Version};

use super::field::{Fields, Value};
use super::packet::{Detail, fields};
use super::remembered::Remembered;
use super::seen::{Bytes, Direction, Seen, What, holds_secrets};

/// Longer packets are only named.
const PACKET_BYTES_MAX: usize = 1024 * 1024;
/// The first byte of a packet, and the four that may tell its length.
const HEADER_BYTES_MAX: usize = 5;

/// A connection that is read along.
#[derive(Debug)]
pub(super) struct Conversation {
    detail: Detail,
    /// As CONNECT has it; `None` as long as none was seen.
    version: Option<Version>,
    client_id: String,
    to_broker: Half,
    from_broker: Half,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// What has come of a packet that is not whole.
    buffer: Vec<u8>,
    /// How many bytes came before those.
    offset: u64,
    /// How many bytes of a packet follow that are not looked at.
    skip: u64,
    /// Bytes are missing, and where the next packet begins is not known.
    is_adrift: bool,
    is_over: bool,
    aliases: Remembered,
    /// What each packet identifier of this side is about, until it is answered to the end.
    topics: Remembered,
}

/// What the first bytes of a direction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// Too few have come to tell.
    Open,
    Mqtt,
    /// Something else: what it seems to be.
    Other(&'static str),
}

impl Conversation {
    pub(super) fn new(detail: Detail) -> Self {
        let (to_broker, from_broker) = (Half::default(), Half::default());
        Self { detail, version: None, client_id: String::new(), to_broker, from_broker }
    }

    /// Bytes went by.
    pub(super) fn take(&mut self, direction: Direction, bytes: &[u8], seen: &mut Vec<Seen>) {
        let half = self.half(direction);
        if half.is_over {
            return;
        }
        let skipped = usize::try_from(half.skip).unwrap_or(usize::MAX).min(bytes.len());
        half.skip -= skipped as u64;
        half.buffer.extend_from_slice(&bytes[skipped..]);
        half.offset += skipped as u64;
        if half.offset == 0 {
            match Beginning::of(&half.buffer) {
                Beginning::Open => return,
                Beginning::Mqtt => {}
                Beginning::Other(guess) => {
                    let begin = std::mem::take(&mut half.buffer);
                    return self.end(direction, What::NotMqtt { guess }, &begin, seen);
                }
            }
        }
        if half.is_adrift && !self.finds_its_feet(direction) {
            return;
        }
        self.cut(direction, seen);
    }

    /// Bytes went by that were not recorded.
    pub(super) fn miss(&mut self, direction: Direction, count: u64, seen: &mut Vec<Seen>) {
        let half = self.half(direction);
        if half.is_over {
            return;
        }
        let offset = half.offset + half.buffer.len() as u64;
        // What is left of the packet in which they are missing.
        let left = match (half.skip, Frame::size(&half.buffer)) {
            (0, Ok(Some(size))) => Some((size - half.buffer.len()) as u64),
            (0, _) => None,
            (skip, _) => Some(skip),
        };
        half.buffer.clear();
        half.offset = offset + count;
        half.skip = 0;
        match left.and_then(|left| left.checked_sub(count)) {
            Some(skip) => half.skip = skip,
            None => half.is_adrift = true,
        }
        seen.push(self.seen(direction, offset, What::Missing { count }, &[], 0));
    }

    /// What bytes have come last without being a whole packet.
    pub(super) fn unfinished(&self, direction: Direction) -> usize {
        match direction {
            Direction::ToBroker => self.to_broker.buffer.len(),
            Direction::FromBroker => self.from_broker.buffer.len(),
        }
    }

    fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::ToBroker => &mut self.to_broker,
            Direction::FromBroker => &mut self.from_broker,
        }
    }

    /// Whether a packet begins where the buffer does; otherwise what is there is forgotten.
    fn finds_its_feet(&mut self, direction: Direction) -> bool {
        let version = self.version;
        let half = self.half(direction);
        let is_packet = match Frame::decode(&half.buffer, PACKET_BYTES_MAX) {
            Ok(Some((frame, _))) => decode(frame, version).is_ok(),
            _ => false,
        };
        if is_packet {
            half.is_adrift = false;
        } else {
            half.offset += half.buffer.len() as u64;
            half.buffer.clear();
        }
        is_packet
    }

    fn cut(&mut self, direction: Direction, seen: &mut Vec<Seen>) {
        let mut buffer = std::mem::take(&mut self.half(direction).buffer);
        let mut read = 0;
        loop {
            let rest = &buffer[read..];
            match Frame::decode(rest, PACKET_BYTES_MAX) {
                Ok(Some((frame, size))) => {
                    self.look(direction, frame, &rest[..size], seen);
                    read += size;
                    self.half(direction).offset += size as u64;
                }
                Ok(None) => break,
                Err(Error::PacketTooLarge) => {
                    self.pass_over(direction, rest, seen);
                    read = buffer.len();
                }
                Err(error) => {
                    let packet_type = rest.first().copied().and_then(PacketType::from_header);
                    let header = &rest[..rest.len().min(HEADER_BYTES_MAX)];
                    let what = What::Malformed { packet_type, error };
                    return self.end(direction, what, header, seen);
                }
            }
        }
        // A long packet comes in many pieces: what is there of it stays where it is.
        if read > 0 {
            buffer = buffer.split_off(read);
        }
        self.half(direction).buffer = buffer;
    }

    /// A packet begins that is too long to be looked at.
    fn pass_over(&mut self, direction: Direction, begun: &[u8], seen: &mut Vec<Seen>) {
        let Ok(Some(size)) = Frame::size(begun) else { return };
        let packet_type = begun.first().copied().and_then(PacketType::from_header);
        let offset = self.half(direction).offset;
        seen.push(self.seen(direction, offset, What::TooLong { packet_type, size }, begun, size));
        let half = self.half(direction);
        half.offset += begun.len() as u64;
        half.skip = (size - begun.len().min(size)) as u64;
    }

    fn look(&mut self, direction: Direction, frame: Frame<'_>, bytes: &[u8], seen: &mut Vec<Seen>) {
        if frame.packet_type() == PacketType::Connect
            && let Ok(version) = Connect::peek_version(frame)
        {
            self.version = Some(version);
        }
        let offset = self.half(direction).offset;
        let (packet, version) = match decode(frame, self.version) {
            Ok(read) => read,
            Err(error) => {
                let packet_type = Some(frame.packet_type());
                let what = What::Malformed { packet_type, error };
                seen.push(self.seen(direction, offset, what, bytes, bytes.len()));
                return;
            }
        };
        if let Packet::Connect(connect) = &packet {
            connect.client_id.clone_into(&mut self.client_id);
        }
        if let Packet::ConnAck(connack) = &packet
            && let Some(assigned) = connack.properties.assigned_client_id
        {
            assigned.clone_into(&mut self.client_id);
        }
        let topics = self.topics_of(direction, &packet);
        let mut fields = fields(&packet, version, self.detail);
        append_topic(&packet, &topics, &mut fields);
        let what = What::Packet { packet_type: packet.packet_type(), fields };
        let mut it = Seen { topics, ..self.seen(direction, offset, what, bytes, bytes.len()) };
        if !self.detail.has_secrets && holds_secrets(&packet) {
            it.bytes = Bytes::Hidden;
        }
        seen.push(it);
    }

    /// What a packet is about: what it says itself, what its alias stands for, or what the packet that it
    /// answers said.
    fn topics_of(&mut self, direction: Direction, packet: &Packet<'_>) -> Vec<String> {
        let own = |text: &str| text.to_owned();
        let (id, topics): (_, Vec<String>) = match packet {
            Packet::Publish(publish) => {
                let aliases = &mut self.half(direction).aliases;
                let alias = publish.properties.topic_alias.map(|alias| alias.get());
                let topics = match (publish.topic, alias) {
                    (Some(topic), _) => vec![own(topic.as_str())],
                    (None, Some(alias)) => aliases.of(alias),
                    (None, None) => Vec::new(),
                };
                if let (Some(_), Some(alias)) = (publish.topic, alias) {
                    aliases.put(alias, &topics);
                }
                (publish.packet_id, topics)
            }
            Packet::Subscribe(subscribe) => {
                let filters = subscribe.filters.iter().map(|(filter, _)| own(filter.as_str()));
                (Some(subscribe.packet_id), filters.collect())
            }
            Packet::Unsubscribe(unsubscribe) => {
                let filters = unsubscribe.filters.iter().map(|filter| own(filter.as_str()));
                (Some(unsubscribe.packet_id), filters.collect())
            }
            Packet::Connect(connect) => {
                let will = connect.will.as_ref().map(|will| own(will.topic.as_str()));
                (None, will.into_iter().collect())
            }
            other => return self.topics_of_answer(direction, other),
        };
        if let Some(id) = id {
            self.half(direction).topics.put(id.get(), &topics);
        }
        topics
    }

    fn topics_of_answer(&mut self, direction: Direction, packet: &Packet<'_>) -> Vec<String> {
        let other = direction.other();
        let (of, id, is_last) = match packet {
            Packet::PubAck(ack) | Packet::PubComp(ack) => (other, ack.packet_id, true),
            Packet::PubRec(ack) => (other, ack.packet_id, ack.reason.is_error()),
            Packet::PubRel(ack) => (direction, ack.packet_id, false),
            Packet::SubAck(suback) => (other, suback.packet_id, true),
            Packet::UnsubAck(unsuback) => (other, unsuback.packet_id, true),
            _ => return Vec::new(),
        };
        let topics = &mut self.half(of).topics;
        if is_last { topics.take(id.get()) } else { topics.of(id.get()) }
    }

    /// Something seen; these are the bytes of it that have come, of so many.
    fn seen(
        &self,
        direction: Direction,
        offset: u64,
        what: What,
        bytes: &[u8],
        size: usize,
    ) -> Seen {
        let is_hidden = !self.detail.has_secrets && what.may_hold_secrets();
        let bytes = if is_hidden { Bytes::Hidden } else { Bytes::of(bytes, size) };
        let client_id = self.client_id.clone();
        Seen { direction, offset, client_id, what, topics: Vec::new(), bytes }
    }

    /// Nothing more of this direction can be understood, from these bytes on.
    fn end(&mut self, direction: Direction, what: What, bytes: &[u8], seen: &mut Vec<Seen>) {
        let offset = self.half(direction).offset;
        self.half(direction).is_over = true;
        // What is no MQTT in one direction is none in the other.
        self.half(direction.other()).is_over |= matches!(what, What::NotMqtt { .. });
        seen.push(self.seen(direction, offset, what, bytes, bytes.len()));
    }
}

/// Reads a packet. Where CONNECT was not seen, as MQTT 5.0, or as 3.1.1 if it can only be that.
fn decode(frame: Frame<'_>, version: Option<Version>) -> Result<(Packet<'_>, Version), Error> {
    let read = |version| Packet::decode(frame, version).map(|packet| (packet, version));
    match version {
        Some(version) => read(version),
        None => read(Version::V5).or_else(|error| read(Version::V3_1_1).map_err(|_| error)),
    }
}

/// What an answer answers, and what an alias stands for: the packet itself does not say so.
fn append_topic(packet: &Packet<'_>, topics: &[String], fields: &mut Fields) {
    let says_itself = match packet {
        Packet::Publish(publish) => publish.topic.is_some(),
        other => {
            matches!(other, Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_))
        }
    };
    if says_itself || topics.is_empty() {
        return;
    }
    match (packet, topics) {
        (Packet::Publish(_), [topic, ..]) => fields.add("alias_of", Value::text(topic.as_str())),
        _ => {
            let topics = topics.iter().map(|topic| Value::text(topic.as_str()));
            fields.add("of", Value::List(topics.collect()));
        }
    }
}

impl Beginning {
    /// As what a direction begins with these bytes.
    fn of(begin: &[u8]) -> Self {
        let tls = "TLS: sniff between the client and TLS (--to mqtts://…)";
        let http =
            "HTTP, perhaps MQTT over WebSocket: sniff between the client and that (--to ws://…)";
        let others: [(&[u8], &'static str); 5] = [
            (&[0x16, 0x03], tls),
            (b"GET ", http),
            (b"HTTP", http),
            (b"PROXY ", "the PROXY protocol"),
            (b"\r\n\r\n\0", "the PROXY protocol"),
        ];
        if let Some((_, guess)) = others.iter().find(|(other, _)| begin.starts_with(other)) {
            return Self::Other(guess);
        }
        match others.iter().any(|(other, _)| other.starts_with(begin)) {
            true => Self::Open,
            false => Self::Mqtt,
        }
    }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
