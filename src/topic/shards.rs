//! A set of shards in one word.

use crate::session::ShardId;

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

impl ShardSet {
    /// Nobody.
    pub const EMPTY: Self = Self(0);

    /// Adds a shard; false if it was in.
    pub fn insert(&mut self, shard: ShardId) -> bool {
        let before = self.0;
        self.0 |= 1 << shard.index();
        self.0 != before
    }

    /// Takes a shard out; false if it was not in.
    pub fn remove(&mut self, shard: ShardId) -> bool {
        let before = self.0;
        self.0 &= !(1 << shard.index());
        self.0 != before
    }

    /// Whether the shard is in.
    pub fn contains(self, shard: ShardId) -> bool {
        self.0 & (1 << shard.index()) != 0
    }

    /// Whether nobody is in.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of these are in `other`.
    pub fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The shards, by rising number.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = rest.trailing_zeros() as usize;
            (rest != 0).then(|| {
                rest &= rest - 1;
                ShardId::new(index)
            })
        })
    }
}

impl FromIterator<ShardId> for ShardSet {
    fn from_iter<T: IntoIterator<Item = ShardId>>(shards: T) -> Self {
        Self(shards.into_iter().fold(0, |all, shard| all | 1 << shard.index()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_the_first_and_the_last_shard() {
        let mut set = ShardSet::EMPTY;
        assert!(set.insert(ShardId::new(63)) && set.insert(ShardId::new(0)));
        assert!(!set.insert(ShardId::new(0)));
        assert_eq!(set.iter().map(ShardId::index).collect::<Vec<_>>(), [0, 63]);
        assert!(set.remove(ShardId::new(0)) && !set.remove(ShardId::new(0)));
        assert!(set.contains(ShardId::new(63)) && !set.contains(ShardId::new(1)));
    }
}
