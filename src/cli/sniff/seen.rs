//! What is seen on a connection.

use skein_protocol::{Error, PacketType};

use super::field::Fields;

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
    /// The bytes themselves, or the beginning of them.
    pub(super) bytes: Vec<u8>,
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
