//! The connections of a recording: which segments belong together, which of them speak MQTT, and who is
//! the broker.

use std::collections::HashMap;
use std::net::SocketAddr;

use jiff::Timestamp;

use super::conversation::{Conversation, Direction, Seen};
use super::packet::Detail;
use super::recording::Recorded;
use super::stream::{Piece, Stream};

/// Something that was seen in a recording.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) at: Timestamp,
    /// Counts the connections that speak MQTT.
    pub(super) number: u64,
    pub(super) client: SocketAddr,
    pub(super) broker: SocketAddr,
    /// Whether it is the first on its connection.
    pub(super) is_first: bool,
    pub(super) seen: Seen,
}

/// All connections.
pub(super) struct Tracker {
    /// Brokers listen on these.
    ports: Vec<u16>,
    detail: Detail,
    /// By both ends, the lower one first.
    connections: HashMap<(SocketAddr, SocketAddr), Connection>,
    numbers: u64,
}

/// A connection.
#[derive(Default)]
struct Connection {
    /// What the lower and the higher end have sent.
    from_low: Stream<Timestamp>,
    from_high: Stream<Timestamp>,
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    /// The first bytes of each end will tell.
    #[default]
    Unknown,
    /// Not MQTT.
    Other,
    Mqtt(Box<Mqtt>),
}

struct Mqtt {
    number: u64,
    client: SocketAddr,
    broker: SocketAddr,
    /// Whether anything was seen on it.
    was_seen: bool,
    conversation: Conversation,
}

impl Tracker {
    pub(super) fn new(ports: Vec<u16>, detail: Detail) -> Self {
        Self { ports, detail, connections: HashMap::new(), numbers: 0 }
    }

    /// How many connections that speak MQTT were found.
    pub(super) fn count(&self) -> u64 {
        self.numbers
    }

    /// A segment was recorded.
    pub(super) fn take(&mut self, recorded: &Recorded<'_>, found: &mut Vec<Found>) {
        let Recorded { at, from, to, sequence, is_first, bytes, cut } = *recorded;
        let is_low = from < to;
        let ends = if is_low { (from, to) } else { (to, from) };
        let connection = self.connections.entry(ends).or_default();
        // The beginning itself has a number, before that of the first byte; and bytes may come with it.
        let sequence = sequence.wrapping_add(u32::from(is_first));
        if is_first {
            connection.begin(is_low, sequence, found);
        }
        if matches!(connection.kind, Kind::Other) {
            return;
        }
        let mut pieces = Vec::new();
        connection.stream(is_low).take(sequence, bytes, cut, at, &mut pieces);
        if matches!(connection.kind, Kind::Unknown) {
            let first = pieces.iter().find_map(|piece| match piece {
                Piece::Bytes(bytes, _) => Some(bytes.as_slice()),
                Piece::Missing(..) => None,
            });
            let Some(first) = first else { return };
            connection.kind = match broker_of(from, to, first, &self.ports) {
                None => Kind::Other,
                Some(broker) => {
                    self.numbers += 1;
                    let client = if broker == from { to } else { from };
                    let (number, conversation) = (self.numbers, Conversation::new(self.detail));
                    Kind::Mqtt(Box::new(Mqtt {
                        number,
                        client,
                        broker,
                        was_seen: false,
                        conversation,
                    }))
                }
            };
        }
        connection.give(from, pieces, found);
    }

    /// The recording is over.
    pub(super) fn finish(&mut self, found: &mut Vec<Found>) {
        let mut ends: Vec<_> = self.connections.keys().copied().collect();
        ends.sort_unstable();
        for ends in ends {
            if let Some(mut connection) = self.connections.remove(&ends) {
                connection.finish(ends, found);
            }
        }
    }
}

impl Connection {
    fn stream(&mut self, is_low: bool) -> &mut Stream<Timestamp> {
        if is_low { &mut self.from_low } else { &mut self.from_high }
    }

    /// An end begins, or says so once more.
    fn begin(&mut self, is_low: bool, sequence: u32, found: &mut Vec<Found>) {
        if self.is_another(is_low, sequence) {
            self.give_the_rest(found);
            *self = Self::default();
        }
        self.stream(is_low).begin(sequence);
    }

    /// Whether the same two ends have another connection now: this one began with another number, or
    /// what the other end has said belongs to one that began before the recording.
    fn is_another(&mut self, is_low: bool, sequence: u32) -> bool {
        match self.stream(is_low).first() {
            Some(first) => first != sequence,
            None => {
                let other = self.stream(!is_low);
                other.first().is_some() && !other.has_begun()
            }
        }
    }

    /// What waits behind gaps.
    fn give_the_rest(&mut self, found: &mut Vec<Found>) {
        let Kind::Mqtt(mqtt) = &self.kind else { return };
        let (low, high) = (mqtt.client.min(mqtt.broker), mqtt.client.max(mqtt.broker));
        self.finish((low, high), found);
    }

    fn finish(&mut self, (low, high): (SocketAddr, SocketAddr), found: &mut Vec<Found>) {
        for (from, is_low) in [(low, true), (high, false)] {
            let mut pieces = Vec::new();
            self.stream(is_low).finish(&mut pieces);
            self.give(from, pieces, found);
        }
    }

    fn give(&mut self, from: SocketAddr, pieces: Vec<Piece<Timestamp>>, found: &mut Vec<Found>) {
        let Kind::Mqtt(mqtt) = &mut self.kind else { return };
        let Mqtt { number, client, broker, was_seen, conversation } = &mut **mqtt;
        let direction = if from == *client { Direction::ToBroker } else { Direction::FromBroker };
        for piece in pieces {
            let mut all = Vec::new();
            let at = match piece {
                Piece::Bytes(bytes, at) => {
                    conversation.take(direction, &bytes, &mut all);
                    at
                }
                Piece::Missing(count, at) => {
                    conversation.miss(direction, count, &mut all);
                    at
                }
            };
            let (number, client, broker) = (*number, *client, *broker);
            found.extend(all.into_iter().map(|seen| {
                let is_first = !std::mem::replace(was_seen, true);
                Found { at, number, client, broker, is_first, seen }
            }));
        }
    }
}

/// Which end is a broker: the one with its port, or else the one that a CONNECT goes to.
fn broker_of(from: SocketAddr, to: SocketAddr, first: &[u8], ports: &[u16]) -> Option<SocketAddr> {
    if ports.contains(&to.port()) || is_connect(first) {
        return Some(to);
    }
    ports.contains(&from.port()).then_some(from)
}

/// Whether bytes begin as a CONNECT of any version does.
fn is_connect(bytes: &[u8]) -> bool {
    let Some((0x10, rest)) = bytes.split_first() else { return false };
    let length = rest.iter().take(4).position(|byte| byte & 0x80 == 0);
    let name = length.and_then(|at| rest.get(at + 1..)).unwrap_or_default();
    name.starts_with(b"\0\x04MQTT") || name.starts_with(b"\0\x06MQIsdp")
}

#[cfg(test)]
mod tests {
    use super::super::conversation::What;
    use super::*;

    const CONNECT: &[u8] = b"\x10\x0E\0\x04MQTT\x04\x02\0\x3c\0\x02me";
    const CONNACK: &[u8] = b"\x20\x02\0\0";
    const PUBLISH: &[u8] = b"\x30\x05\0\x01ahi";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// From, to, sequence number, whether it is the first, bytes.
    fn found(segments: &[(&str, &str, u32, bool, &[u8])]) -> Vec<String> {
        let mut tracker = Tracker::new(vec![1883], Detail { bytes_max: 9, has_secrets: false });
        let mut found = Vec::new();
        for (from, to, sequence, is_first, bytes) in segments {
            let recorded = Recorded {
                at: Timestamp::UNIX_EPOCH,
                from: address(from),
                to: address(to),
                sequence: *sequence,
                is_first: *is_first,
                bytes,
                cut: 0,
            };
            tracker.take(&recorded, &mut found);
        }
        tracker.finish(&mut found);
        let text = |it: &Found| {
            let arrow = if it.seen.direction == Direction::ToBroker { ">" } else { "<" };
            let what = match &it.seen.what {
                What::Packet { packet_type, .. } => packet_type.to_string(),
                other => format!("{other:?}"),
            };
            format!("#{} {} {arrow} {what}", it.number, it.client)
        };
        found.iter().map(text).collect()
    }

    const A: &str = "10.0.0.1:50000";
    const B: &str = "10.0.0.2:1883";
    const C: &str = "10.0.0.2:9999";

    #[test]
    fn the_broker_is_who_has_the_port_or_gets_a_connect() {
        for broker in [B, C] {
            let seen = found(&[
                (A, broker, 99, true, b""),
                (broker, A, 999, true, b""),
                (A, broker, 100, false, CONNECT),
                (broker, A, 1_000, false, CONNACK),
            ]);
            let expected = [format!("#1 {A} > CONNECT"), format!("#1 {A} < CONNACK")];
            assert_eq!(seen, expected);
        }
        // The recording began later: only the port tells.
        assert_eq!(found(&[(B, A, 5, false, PUBLISH)]), [format!("#1 {A} < PUBLISH")]);
        assert!(found(&[(C, A, 5, false, PUBLISH), (A, C, 5, false, CONNECT)]).is_empty());
    }

    #[test]
    fn the_same_two_ends_may_have_one_connection_after_another() {
        let seen = found(&[
            (A, B, 99, true, b""),
            (A, B, 99, true, b""),
            (A, B, 100, false, CONNECT),
            // Lost for ever, and something behind it.
            (A, B, 200, false, PUBLISH),
            (A, B, 70, true, b""),
            (A, B, 71, false, CONNECT),
        ]);
        let kinds: Vec<&str> =
            seen.iter().map(|text| text.rsplit(' ').next().unwrap_or("")).collect();
        assert_eq!(kinds[0], "CONNECT");
        assert!(seen[1].contains("Missing") && seen[2].ends_with("PUBLISH"), "{seen:?}");
        assert!(seen[3].starts_with("#2") && seen[3].ends_with("CONNECT"), "{seen:?}");
    }

    #[test]
    fn what_the_first_segment_of_a_connection_says_is_read() {
        let behind = 100 + CONNECT.len() as u32;
        let seen = found(&[(A, B, 99, true, CONNECT), (A, B, behind, false, PUBLISH)]);
        assert_eq!(seen, [format!("#1 {A} > CONNECT"), format!("#1 {A} > PUBLISH")]);
    }

    #[test]
    fn a_late_copy_of_the_first_segment_begins_no_other_connection() {
        let behind = 100 + CONNECT.len() as u32;
        let seen = found(&[
            (A, B, 99, true, b""),
            (A, B, 100, false, CONNECT),
            // The answer to the first segment comes after what follows that.
            (B, A, 199, true, b""),
            (A, B, 99, true, b""),
            (A, B, behind, false, PUBLISH),
            (B, A, 200, false, CONNACK),
        ]);
        let expected = ["> CONNECT", "> PUBLISH", "< CONNACK"];
        assert_eq!(seen, expected.map(|packet| format!("#1 {A} {packet}")));
    }
}
