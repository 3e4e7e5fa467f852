//! The sessions that live on one shard, by slot and by client id.

use ahash::RandomState;
use hashbrown::HashTable;
use slab::Slab;

use crate::session::{Session, SessionKey, has_much_spare};

#[derive(Debug)]
pub(super) struct Sessions {
    sessions: Slab<Box<Session>>,
    /// Finds the session of a client id. It holds numbers only: the client ids stand in the
    /// sessions.
    by_client_id: HashTable<SessionKey>,
    hasher: RandomState,
}

impl Sessions {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { sessions: Slab::new(), by_client_id: HashTable::new(), hasher }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Adds a session whose client id has none yet.
    pub(super) fn insert(&mut self, session: Session) -> SessionKey {
        let hash = self.hasher.hash_one(&*session.client_id);
        let key = SessionKey::new(self.sessions.insert(Box::new(session)));
        let Self { sessions, by_client_id, hasher } = self;
        let hash_of = |key: &SessionKey| hasher.hash_one(&*sessions[key.slot()].client_id);
        by_client_id.insert_unique(hash, key, hash_of);
        key
    }

    pub(super) fn remove(&mut self, key: SessionKey) -> Session {
        let session = self.sessions.remove(key.slot());
        let hash = self.hasher.hash_one(&*session.client_id);
        if let Ok(found) = self.by_client_id.find_entry(hash, |other| *other == key) {
            found.remove();
        }
        self.give_back();
        *session
    }

    /// Memory that a peak has left behind.
    fn give_back(&mut self) {
        let Self { sessions, by_client_id, hasher } = self;
        if has_much_spare(sessions.len(), sessions.capacity()) {
            sessions.shrink_to_fit();
        }
        if has_much_spare(by_client_id.len(), by_client_id.capacity()) {
            let hash_of = |key: &SessionKey| hasher.hash_one(&*sessions[key.slot()].client_id);
            by_client_id.shrink_to(2 * by_client_id.len(), hash_of);
        }
    }

    pub(super) fn find_by_client_id(&self, client_id: &str) -> Option<SessionKey> {
        let is_it = |key: &SessionKey| *self.at(*key).client_id == *client_id;
        self.by_client_id.find(self.hasher.hash_one(client_id), is_it).copied()
    }

    /// The session; a key is held only while its session exists.
    #[inline]
    pub(super) fn at(&self, key: SessionKey) -> &Session {
        &self.sessions[key.slot()]
    }

    /// The session, to change it.
    #[inline]
    pub(super) fn at_mut(&mut self, key: SessionKey) -> &mut Session {
        &mut self.sessions[key.slot()]
    }

    /// One more than the highest slot that may have a session.
    pub(super) fn slots(&self) -> usize {
        self.sessions.capacity()
    }

    /// The session in this slot, if there is one.
    pub(super) fn in_slot(&self, slot: usize) -> Option<&Session> {
        self.sessions.get(slot).map(|session| &**session)
    }

    /// Every session, by slot.
    pub(super) fn keys(&self) -> Vec<SessionKey> {
        self.sessions.iter().map(|(slot, _)| SessionKey::new(slot)).collect()
    }
}
