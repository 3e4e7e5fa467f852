//! One connection of a recording: which of its ends is the broker, and what they say to one another.
//!
//! ```text
//!   Undecided ──▶ Mqtt     an end has a port of brokers, or a CONNECT goes to it
//!       │
//!       └───────▶ Other    an end begins with neither a CONNECT nor the answer to one
//! ```

use std::net::SocketAddr;

use jiff::Timestamp;

use super::conversation::Conversation;
use super::packet::Detail;
use super::recording::Recorded;
use super::seen::{Direction, Seen};
use super::stream::{Piece, Stream};

/// What may be said on a connection that nobody has decided on; with more of it, it is not MQTT.
const UNDECIDED_BYTES_MAX: usize = 64 * 1024;
const UNDECIDED_PIECES_MAX: usize = 1_024;
/// No beginning has to be longer to be known as that of a CONNECT.
const BEGINNING_BYTES_MAX: usize = 16;

/// The ends of a connection; which of them comes first says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ends {
    low: SocketAddr,
    high: SocketAddr,
}

/// One of the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Low,
    High,
}

/// Something that was seen, and when it was recorded.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) at: Timestamp,
    pub(super) seen: Seen,
}

/// A connection.
pub(super) struct Connection {
    ends: Ends,
    detail: Detail,
    /// What each end has sent.
    from_low: Stream<Timestamp>,
    from_high: Stream<Timestamp>,
    kind: Kind,
}

enum Kind {
    /// What the ends say first will tell.
    Undecided(Undecided),
    /// Not MQTT.
    Other,
    Mqtt {
        broker: End,
        conversation: Box<Conversation>,
    },
}

/// What was said before it is known what is spoken.
#[derive(Default)]
struct Undecided {
    pieces: Vec<(End, Piece<Timestamp>)>,
    bytes: usize,
}

/// What is known of a connection by what its ends say first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open,
    Other,
    /// It is MQTT, and this end is the broker.
    Broker(End),
}

/// How an end begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// Too little has come to tell.
    Open,
    Connect,
    /// A CONNECT may have come before it, and be recorded later.
    ConnAck,
    Other,
}

impl Ends {
    pub(super) fn of(one: SocketAddr, other: SocketAddr) -> Self {
        Self { low: one.min(other), high: one.max(other) }
    }

    fn end(self, address: SocketAddr) -> End {
        if address == self.low { End::Low } else { End::High }
    }

    fn address(self, end: End) -> SocketAddr {
        match end {
            End::Low => self.low,
            End::High => self.high,
        }
    }
}

impl End {
    fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

impl Connection {
    /// A connection on which the first segment goes to this end; brokers listen on these ports.
    pub(super) fn new(from: SocketAddr, to: SocketAddr, ports: &[u16], detail: Detail) -> Self {
        let ends = Ends::of(from, to);
        let broker = [to, from].into_iter().find(|end| ports.contains(&end.port()));
        let kind = match broker {
            Some(broker) => Kind::mqtt(ends.end(broker), detail),
            None => Kind::Undecided(Undecided::default()),
        };
        let (from_low, from_high) = (Stream::default(), Stream::default());
        Self { ends, detail, from_low, from_high, kind }
    }

    /// The client and the broker, if it is known that they are.
    pub(super) fn client_and_broker(&self) -> Option<(SocketAddr, SocketAddr)> {
        let Kind::Mqtt { broker, .. } = &self.kind else { return None };
        Some((self.ends.address(broker.other()), self.ends.address(*broker)))
    }

    /// Whether this segment begins another connection of the same two ends: this one began with another
    /// number, or what the other end has said belongs to one that began before the recording.
    pub(super) fn is_replaced_by(&self, recorded: &Recorded<'_>) -> bool {
        let from = self.ends.end(recorded.from);
        match self.stream(from).first() {
            _ if !recorded.is_first => false,
            Some(first) => first != number_of_byte(recorded),
            None => {
                let other = self.stream(from.other());
                other.first().is_some() && !other.has_begun()
            }
        }
    }

    /// A segment was recorded.
    pub(super) fn take(&mut self, recorded: &Recorded<'_>, heard: &mut Vec<Heard>) {
        let (from, sequence) = (self.ends.end(recorded.from), number_of_byte(recorded));
        if recorded.is_first {
            self.stream_mut(from).begin(sequence);
        }
        if matches!(self.kind, Kind::Other) {
            return;
        }
        let mut pieces = Vec::new();
        let Recorded { at, bytes, cut, .. } = *recorded;
        self.stream_mut(from).take(sequence, bytes, cut, at, &mut pieces);
        self.hear(from, pieces, heard);
    }

    /// Nothing more was recorded: what waits behind gaps.
    pub(super) fn finish(&mut self, heard: &mut Vec<Heard>) {
        for from in [End::Low, End::High] {
            let mut pieces = Vec::new();
            self.stream_mut(from).finish(&mut pieces);
            self.hear(from, pieces, heard);
        }
    }

    fn stream(&self, from: End) -> &Stream<Timestamp> {
        match from {
            End::Low => &self.from_low,
            End::High => &self.from_high,
        }
    }

    fn stream_mut(&mut self, from: End) -> &mut Stream<Timestamp> {
        match from {
            End::Low => &mut self.from_low,
            End::High => &mut self.from_high,
        }
    }

    fn hear(&mut self, from: End, pieces: Vec<Piece<Timestamp>>, heard: &mut Vec<Heard>) {
        match &mut self.kind {
            Kind::Other => {}
            Kind::Mqtt { broker, conversation } => {
                pieces.into_iter().for_each(|piece| {
                    converse(conversation, *broker, from, piece, heard);
                });
            }
            Kind::Undecided(undecided) => {
                undecided.add(from, pieces);
                match undecided.verdict() {
                    Verdict::Open => {}
                    Verdict::Other => {
                        self.kind = Kind::Other;
                        self.from_low.forget();
                        self.from_high.forget();
                    }
                    Verdict::Broker(broker) => {
                        let undecided = std::mem::take(undecided);
                        self.kind = Kind::mqtt(broker, self.detail);
                        for (from, piece) in undecided.pieces {
                            self.hear(from, vec![piece], heard);
                        }
                    }
                }
            }
        }
    }
}

impl Kind {
    fn mqtt(broker: End, detail: Detail) -> Self {
        Self::Mqtt { broker, conversation: Box::new(Conversation::new(detail)) }
    }
}

impl Undecided {
    fn add(&mut self, from: End, pieces: Vec<Piece<Timestamp>>) {
        for piece in pieces {
            if let Piece::Bytes(bytes, _) = &piece {
                self.bytes += bytes.len();
            }
            self.pieces.push((from, piece));
        }
    }

    fn verdict(&self) -> Verdict {
        let [low, high] = [End::Low, End::High].map(|from| beginning(&self.first_bytes(from)));
        match (low, high) {
            (Beginning::Connect, _) => Verdict::Broker(End::High),
            (_, Beginning::Connect) => Verdict::Broker(End::Low),
            (Beginning::Other, _) | (_, Beginning::Other) => Verdict::Other,
            (Beginning::ConnAck, Beginning::ConnAck) => Verdict::Other,
            _ if self.bytes > UNDECIDED_BYTES_MAX => Verdict::Other,
            _ if self.pieces.len() > UNDECIDED_PIECES_MAX => Verdict::Other,
            _ => Verdict::Open,
        }
    }

    fn first_bytes(&self, from: End) -> Vec<u8> {
        let bytes = self.pieces.iter().flat_map(|piece| match piece {
            (end, Piece::Bytes(bytes, _)) if *end == from => bytes.as_slice(),
            _ => &[],
        });
        bytes.copied().take(BEGINNING_BYTES_MAX).collect()
    }
}

/// The number of the first byte in a segment. The beginning of a connection has one itself.
fn number_of_byte(recorded: &Recorded<'_>) -> u32 {
    recorded.sequence.wrapping_add(u32::from(recorded.is_first))
}

fn converse(
    conversation: &mut Conversation,
    broker: End,
    from: End,
    piece: Piece<Timestamp>,
    heard: &mut Vec<Heard>,
) {
    let direction = if from == broker { Direction::FromBroker } else { Direction::ToBroker };
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
    heard.extend(all.into_iter().map(|seen| Heard { at, seen }));
}

/// As what an end begins with these bytes.
fn beginning(bytes: &[u8]) -> Beginning {
    match bytes.split_first() {
        None => Beginning::Open,
        Some((0x10, rest)) => beginning_of_connect(rest),
        Some((0x20, _)) => Beginning::ConnAck,
        Some(_) => Beginning::Other,
    }
}

/// Behind the first byte of a CONNECT of any version: its length, and the name of the protocol.
fn beginning_of_connect(rest: &[u8]) -> Beginning {
    const NAMES: [&[u8]; 2] = [b"\0\x04MQTT", b"\0\x06MQIsdp"];
    let Some(length_end) = rest.iter().take(4).position(|byte| byte & 0x80 == 0) else {
        return if rest.len() < 4 { Beginning::Open } else { Beginning::Other };
    };
    let name = &rest[length_end + 1..];
    if NAMES.iter().any(|known| name.starts_with(known)) {
        Beginning::Connect
    } else if NAMES.iter().any(|known| known.starts_with(name)) {
        Beginning::Open
    } else {
        Beginning::Other
    }
}
