//! What is seen on a connection.

use skein_protocol::{Error, Packet, PacketType};

use super::field::Fields;

/// Of what was seen so many bytes are kept.
const BYTES_MAX: usize = 4_096;

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    ToBroker,
    FromBroker,
}

impl Direction {
    pub(super) fn other(self) -> Self {
        match self {
            Self::ToBroker => Self::FromBroker,
            Self::FromBroker => Self::ToBroker,
        }
    }
}

/// Something that was seen on a connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) direction: Direction,
    /// How many bytes came before it in this direction.
    pub(super) offset: u64,
    pub(super) client_id: String,
    pub(super) what: What,
    /// Topics and filters it is about.
    pub(super) topics: Vec<String>,
    pub(super) bytes: Bytes,
}

/// The bytes of what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// The beginning of them, and how many they are.
    Shown(Vec<u8>, usize),
    /// They may prove who somebody is, and nobody has asked for that.
    Hidden,
}

impl Bytes {
    /// As many of them as are kept. They begin a packet of this size.
    pub(super) fn of(bytes: &[u8], size: usize) -> Self {
        Self::Shown(bytes[..bytes.len().min(BYTES_MAX)].to_vec(), size)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Packet {
        packet_type: PacketType,
        fields: Fields,
    },
    /// A packet that breaks a rule.
    Malformed {
        packet_type: Option<PacketType>,
        error: Error,
    },
    /// A packet that is too long to be looked at.
    TooLong {
        packet_type: Option<PacketType>,
        size: usize,
    },
    /// Bytes that were not recorded.
    Missing {
        count: u64,
    },
    /// Something else is spoken here; nothing more of this direction is looked at.
    NotMqtt {
        guess: &'static str,
    },
}

impl What {
    /// Whether its bytes may prove who somebody is. Of a packet that was not read nobody knows, unless it
    /// is of a kind that has nothing of that sort in it.
    pub(super) fn may_hold_secrets(&self) -> bool {
        let may = |packet_type: &Option<PacketType>| {
            use PacketType::{Auth, ConnAck, Connect};
            matches!(packet_type, None | Some(Connect | ConnAck | Auth))
        };
        match self {
            Self::Malformed { packet_type, .. } | Self::TooLong { packet_type, .. } => {
                may(packet_type)
            }
            // A request of HTTP may hold a password.
            Self::NotMqtt { .. } => true,
            Self::Packet { .. } | Self::Missing { .. } => false,
        }
    }
}

/// Whether the bytes of a packet hold what its fields do not tell: a password, or what proves one.
pub(super) fn holds_secrets(packet: &Packet<'_>) -> bool {
    match packet {
        Packet::Connect(connect) => {
            connect.password.is_some() || connect.properties.authentication_data.is_some()
        }
        Packet::ConnAck(connack) => connack.properties.authentication_data.is_some(),
        Packet::Auth(auth) => auth.properties.data.is_some(),
        _ => false,
    }
}
