//! The numbers by which the parts of one process name each other. None of them leaves it.

use std::fmt;
use std::num::NonZeroU64;

/// One shard: 0 up to the number of shards, which is at most [`ShardId::COUNT_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u8);

impl ShardId {
    /// As many shards as a set of them has bits.
    pub const COUNT_MAX: usize = 64;

    /// The shard with this index.
    ///
    /// # Panics
    /// When the index is not below [`ShardId::COUNT_MAX`].
    pub const fn new(index: usize) -> Self {
        assert!(index < Self::COUNT_MAX, "a shard's index is below 64");
        Self(index as u8)
    }

    /// Its index, from zero.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One network connection of one shard: a slot, and a serial number that is never used twice, so
/// that a late event or reply for a closed connection is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(
    /// Serial and slot, below a bit that is always set: so a connection that may be missing takes
    /// no more room than one that is there.
    NonZeroU64,
);

const _: () = assert!(size_of::<Option<ConnectionId>>() == 8);

impl ConnectionId {
    const SLOT_BITS: u32 = 24;
    const ALWAYS_SET: u64 = 1 << 63;
    /// Connections that one shard can hold at a time.
    pub const SLOTS_MAX: usize = 1 << Self::SLOT_BITS;

    /// The connection in `slot` with this serial number (its low 39 bits).
    ///
    /// # Panics
    /// When the slot is not below [`ConnectionId::SLOTS_MAX`].
    pub const fn new(slot: usize, serial: u64) -> Self {
        assert!(slot < Self::SLOTS_MAX, "a connection's slot has 24 bits");
        Self::from_u64((serial << Self::SLOT_BITS) | slot as u64)
    }

    /// Its slot.
    pub const fn slot(self) -> usize {
        (self.as_u64() & ((1 << Self::SLOT_BITS) - 1)) as usize
    }

    /// Its serial number.
    const fn serial(self) -> u64 {
        (self.as_u64() & !Self::ALWAYS_SET) >> Self::SLOT_BITS
    }

    /// Slot and serial as one number.
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }

    /// Back from [`ConnectionId::as_u64`].
    pub const fn from_u64(value: u64) -> Self {
        Self(NonZeroU64::new(value | Self::ALWAYS_SET).expect("one bit is always set"))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot(), self.serial())
    }
}

/// One listener: its index in the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

impl ListenerId {
    /// No listener of the settings: the connections that this process makes to itself, for bridges.
    pub const INSIDE: Self = Self(u16::MAX);
    /// What it is called where listeners are kept by name; no listener of the settings can be called so.
    pub const INSIDE_NAME: &str = "\tinside";
}

/// One session of one shard: its slot there. A slot is used again once its session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(u32);

impl SessionKey {
    /// The session in this slot.
    ///
    /// # Panics
    /// When the slot does not fit into 32 bits: far above any limit on sessions.
    pub fn new(slot: usize) -> Self {
        Self(u32::try_from(slot).expect("a shard holds fewer than 2^32 sessions"))
    }

    /// Its slot.
    pub const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// One filter of one shard's subscription trie: its node there. Stays the same as long as anybody
/// wants the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_id_keeps_slot_and_serial() {
        let id = ConnectionId::new(77, 123_456_789);
        assert_eq!(id.slot(), 77);
        assert_eq!(id.to_string(), "77#123456789");
        assert_eq!(ConnectionId::from_u64(id.as_u64()), id);
        assert_ne!(ConnectionId::new(77, 1), ConnectionId::new(77, 2));
    }
}
