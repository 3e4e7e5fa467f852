//! The sessions that live on one shard, by slot and by client id.

use std::rc::Rc;

use ahash::{AHashMap, RandomState};
use slab::Slab;

use crate::session::{Session, SessionKey};

#[derive(Debug)]
pub(super) struct Sessions {
    sessions: Slab<Box<Session>>,
    by_client_id: AHashMap<Rc<str>, SessionKey>,
}

impl Sessions {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { sessions: Slab::new(), by_client_id: AHashMap::with_hasher(hasher) }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn insert(&mut self, session: Session) -> SessionKey {
        let client_id = Rc::clone(&session.client_id);
        let key = SessionKey::new(self.sessions.insert(Box::new(session)));
        self.by_client_id.insert(client_id, key);
        key
    }

    pub(super) fn remove(&mut self, key: SessionKey) -> Session {
        let session = self.sessions.remove(key.slot());
        self.by_client_id.remove(&session.client_id);
        *session
    }

    pub(super) fn find_by_client_id(&self, client_id: &str) -> Option<SessionKey> {
        self.by_client_id.get(client_id).copied()
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

    /// Every session, by slot.
    pub(super) fn keys(&self) -> Vec<SessionKey> {
        self.sessions.iter().map(|(slot, _)| SessionKey::new(slot)).collect()
    }
}
