//! Where each client id lives (law 6). The shard `hash(client id) % n` keeps the answer and is
//! the only one to change it, so that two connections with one client id never make two sessions.
//!
//! Every grant has a higher epoch than all before. A release names the epoch of the session that
//! ended; if a newer grant is on its way to the home, the release is late and changes nothing.

use ahash::{AHashMap, RandomState};

use crate::session::{ShardId, has_much_spare};

#[derive(Debug)]
struct Entry {
    home: ShardId,
    epoch: u64,
}

/// The answer to a connection that asks where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Located {
    /// It stays: its shard is, or becomes, the home; this is the grant.
    Here(u64),
    /// Its session lives there.
    There(ShardId),
}

/// The client ids whose registrar is this shard.
#[derive(Debug)]
pub(super) struct Registrar {
    homes: AHashMap<Box<str>, Entry>,
    epochs: u64,
}

impl Registrar {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { homes: AHashMap::with_hasher(hasher), epochs: 0 }
    }

    /// Where a connection that is on `shard` belongs. Only a connection that stays is granted:
    /// one that has to move asks again by arriving here, see [`Registrar::grant`].
    pub(super) fn locate(&mut self, client_id: &str, shard: ShardId) -> Located {
        match self.homes.get(client_id) {
            Some(entry) if entry.home != shard => Located::There(entry.home),
            _ => Located::Here(self.grant(client_id, shard).1),
        }
    }

    /// Grants a connection that is here now: its home, `otherwise` if there is none, and the epoch.
    pub(super) fn grant(&mut self, client_id: &str, otherwise: ShardId) -> (ShardId, u64) {
        self.epochs += 1;
        let epoch = self.epochs;
        if let Some(entry) = self.homes.get_mut(client_id) {
            entry.epoch = epoch;
            return (entry.home, epoch);
        }
        self.homes.insert(client_id.into(), Entry { home: otherwise, epoch });
        (otherwise, epoch)
    }

    /// The session of this grant is over. False if a newer grant was given meanwhile.
    pub(super) fn release(&mut self, client_id: &str, epoch: u64) -> bool {
        let is_current = self.homes.get(client_id).is_some_and(|entry| entry.epoch == epoch);
        if is_current {
            self.homes.remove(client_id);
            let len = self.homes.len();
            if has_much_spare(len, self.homes.capacity()) {
                self.homes.shrink_to(2 * len);
            }
        }
        is_current
    }

    /// Client ids that live somewhere.
    pub(super) fn len(&self) -> usize {
        self.homes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ShardId = ShardId::new(0);
    const B: ShardId = ShardId::new(1);

    fn registrar() -> Registrar {
        Registrar::new(RandomState::with_seeds(1, 2, 3, 4))
    }

    #[test]
    fn the_first_shard_to_ask_becomes_the_home() {
        let mut registrar = registrar();
        assert_eq!(registrar.locate("c", A), Located::Here(1));
        assert_eq!(registrar.locate("c", B), Located::There(A));
        assert_eq!(registrar.locate("c", A), Located::Here(2));
    }

    #[test]
    fn a_late_release_does_not_undo_a_newer_grant() {
        let mut registrar = registrar();
        registrar.locate("c", A);
        assert_eq!(registrar.grant("c", B), (A, 2));
        assert!(!registrar.release("c", 1));
        assert_eq!(registrar.locate("c", B), Located::There(A));
        assert!(registrar.release("c", 2));
        assert_eq!(registrar.locate("c", B), Located::Here(3));
    }
}
