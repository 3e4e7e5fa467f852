//! Whose a session is and what it may do, and the checks that ask: once for each PUBLISH that comes
//! in and once for each message that goes out, in the last moment before it does.
//!
//! Anonymous clients that may do everything have no entry here. While no session is restricted, a
//! delivery costs one comparison.

use std::sync::Arc;

use skein_protocol::{ReasonCode, TopicName};

use super::{
    ConnectionId, NoticeLevel, Shard, Time, Turn, connect::is_reserved_for_broker,
    place::Admission, respond::Violation, timers::Timer,
};
use crate::{
    access::{Access, Author, Identity, PermissionSource, Permissions, Voucher, scram::Exchange},
    session::{SessionKey, has_much_spare},
};

/// How far a client has come that proves again who it is (4.12.1).
#[derive(Debug)]
pub(super) enum Proof {
    /// It was asked, and AUTH is due.
    Due(Exchange),
    /// A worker looks at what it has answered.
    Checked,
}

/// Whose one session is, and what it may do.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) identity: Identity,
    permissions: Permissions,
    /// Whose its retained messages are; made with the first.
    author: Option<Arc<Author>>,
    /// The Authentication Method of its connection.
    pub(super) method: Option<Box<str>>,
    /// When its connection has to end.
    expires_at: Option<Time>,
    /// An authentication of its connection that is not finished.
    pub(super) proof: Option<Box<Proof>>,
}

impl Rights {
    /// Whether it is as if there were none.
    fn are_trivial(&self) -> bool {
        self.identity.user_name.is_none()
            && self.identity.voucher == Voucher::Nothing
            && self.permissions.is_everything()
            && self.method.is_none()
            && self.expires_at.is_none()
    }
}

/// The rights of one shard's sessions, by slot.
#[derive(Debug, Default)]
pub(super) struct SessionRights {
    slots: Vec<Option<Box<Rights>>>,
    count: usize,
    /// Sessions that may not do everything.
    restricted: usize,
}

impl SessionRights {
    pub(super) fn find(&self, key: SessionKey) -> Option<&Rights> {
        self.slots.get(key.slot())?.as_deref()
    }

    pub(super) fn find_mut(&mut self, key: SessionKey) -> Option<&mut Rights> {
        self.slots.get_mut(key.slot())?.as_deref_mut()
    }

    fn insert(&mut self, key: SessionKey, rights: Rights) {
        self.remove(key);
        if rights.are_trivial() {
            return;
        }
        if self.slots.len() <= key.slot() {
            self.slots.resize_with(key.slot() + 1, || None);
        }
        self.count += 1;
        self.restricted += usize::from(!rights.permissions.is_everything());
        self.slots[key.slot()] = Some(Box::new(rights));
    }

    pub(super) fn remove(&mut self, key: SessionKey) -> Option<Rights> {
        let rights = self.slots.get_mut(key.slot())?.take()?;
        self.count -= 1;
        self.restricted -= usize::from(!rights.permissions.is_everything());
        if has_much_spare(self.count, self.slots.capacity()) {
            let last = self.slots.iter().rposition(Option::is_some);
            self.slots.truncate(last.map_or(0, |last| last + 1));
            self.slots.shrink_to_fit();
        }
        Some(*rights)
    }

    /// Whether any session may not do everything, so that it is worth asking.
    #[inline]
    pub(super) fn restrict_anybody(&self) -> bool {
        self.restricted > 0
    }

    /// Whether this session may not be sent a message of this topic.
    #[inline]
    pub(super) fn deny(&self, key: SessionKey, topic: &str) -> bool {
        self.restrict_anybody() && self.deny_restricted(key, topic)
    }

    fn deny_restricted(&self, key: SessionKey, topic: &str) -> bool {
        let topic = TopicName::assume_valid(topic);
        self.find(key).is_some_and(|rights| !rights.permissions.may_receive(topic))
    }

    /// Whether this session may receive everything, so that none of its messages has to be asked
    /// about.
    pub(super) fn are_unrestricted(&self, key: SessionKey) -> bool {
        self.restricted == 0
            || self.find(key).is_none_or(|rights| rights.permissions.is_everything())
    }

    #[inline]
    fn let_publish(&self, key: SessionKey, topic: TopicName<'_>) -> bool {
        self.restricted == 0
            || self.find(key).is_none_or(|rights| rights.permissions.may_publish(topic))
    }
}

impl Shard {
    /// Whether any client may publish to the topic.
    #[inline]
    pub(super) fn is_publishable(&self, topic: TopicName<'_>) -> bool {
        !(topic.is_reserved() && is_reserved_for_broker(topic.as_str()))
            && self.access.may_publish(topic)
    }

    /// Whether this session may publish to the topic, now.
    #[inline]
    pub(super) fn may_publish(&self, key: SessionKey, topic: TopicName<'_>) -> bool {
        self.is_publishable(topic) && self.rights.let_publish(key, topic)
    }

    /// Whether the session may subscribe to the pattern (a filter without `$share/name/`).
    pub(super) fn may_subscribe(&self, key: SessionKey, pattern: &str) -> bool {
        let listener = self.sessions.at(key).listener;
        let may_receive_all = |permissions: &Permissions| permissions.may_receive_all(pattern);
        self.access.may_subscribe(pattern)
            && (!self.access.of(listener).is_strict
                || self.rights.find(key).is_none_or(|rights| may_receive_all(&rights.permissions)))
    }

    /// To whom the session belongs (5.4.2): to this user, or to nobody in particular.
    pub(super) fn owner(&self, key: SessionKey) -> Option<&str> {
        self.rights.find(key)?.identity.user_name.as_deref()
    }

    /// Whose a retained message of the session is. Known only where an access list may take back
    /// what it allowed.
    pub(super) fn author(&mut self, key: SessionKey) -> Option<Arc<Author>> {
        let session = self.sessions.at(key);
        let rights = self.rights.find_mut(key)?;
        let is_given = matches!(rights.identity.source, PermissionSource::Given(_));
        if is_given || rights.permissions.is_everything() {
            return None;
        }
        let identity = &rights.identity;
        let author = rights.author.get_or_insert_with(|| {
            Arc::new(Author::new(identity.clone(), &session.client_id, session.listener))
        });
        Some(Arc::clone(author))
    }

    /// The session has a new connection, of this client.
    pub(super) fn give_rights(&mut self, id: ConnectionId, key: SessionKey, admission: Admission) {
        let Some(listener) = self.connections.find(id).map(|found| found.listener) else { return };
        let session = self.sessions.at_mut(key);
        session.listener = listener;
        let Admission { identity, expires_at, method, data: _ } = admission;
        let permissions = self.access.permissions(listener, &identity, &session.client_id);
        let (author, proof) = (None, None);
        if let Some(at) = expires_at {
            self.timers.arm(at, Timer::IdentityEnds(id));
        }
        let rights = Rights { identity, permissions, author, method, expires_at, proof };
        self.rights.insert(key, rights);
    }

    /// The session is one that the store had kept.
    pub(super) fn restore_rights(&mut self, key: SessionKey, identity: Identity) {
        let session = self.sessions.at(key);
        let permissions = self.access.permissions(session.listener, &identity, &session.client_id);
        let (author, proof, method, expires_at) = (None, None, None, None);
        let rights = Rights { identity, permissions, author, method, expires_at, proof };
        self.rights.insert(key, rights);
    }

    /// The rules have changed: what the session may do now.
    pub(super) fn renew_rights(&mut self, key: SessionKey) {
        let session = self.sessions.at(key);
        let old = self.rights.remove(key).unwrap_or_else(|| Rights {
            identity: Identity::anonymous(),
            permissions: Permissions::everything(),
            author: None,
            method: None,
            expires_at: None,
            proof: None,
        });
        let permissions =
            self.access.permissions(session.listener, &old.identity, &session.client_id);
        self.rights.insert(key, Rights { permissions, author: None, ..old });
    }

    /// The client has proved again who it is, perhaps for longer and with other permissions.
    pub(super) fn renew_identity(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        identity: Identity,
        expires_at: Option<Time>,
    ) {
        let Some(old) = self.rights.remove(key) else { return };
        if let Some(at) = old.expires_at {
            self.timers.cancel(at, Timer::IdentityEnds(id));
        }
        if let Some(at) = expires_at {
            self.timers.arm(at, Timer::IdentityEnds(id));
        }
        self.rights.insert(key, Rights { identity, expires_at, proof: None, ..old });
        self.renew_rights(key);
    }

    /// The session has lost its connection: what belonged to that is over, what it may do is not.
    pub(super) fn forget_login(&mut self, id: ConnectionId, key: SessionKey) {
        let Some(old) = self.rights.remove(key) else { return };
        if let Some(at) = old.expires_at {
            self.timers.cancel(at, Timer::IdentityEnds(id));
        }
        self.rights.insert(key, Rights { method: None, expires_at: None, proof: None, ..old });
    }

    /// A token has expired and was not renewed: the connection ends with it.
    pub(super) fn on_identity_over(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        let session = self.connections.find(id).and_then(super::Connection::session);
        if let Some(rights) = session.and_then(|key| self.rights.find_mut(key)) {
            rights.expires_at = None;
        }
        self.metrics.identities_expired += 1;
        self.notice_of(NoticeLevel::Info, "identity-expired", id, EXPIRED, turn);
        self.disconnect(id, &Violation::new(ReasonCode::NotAuthorized, EXPIRED), turn);
    }
}

/// What a client is told whose identity has ended.
pub(super) const EXPIRED: &str = "the login has expired";

/// Whether the author of a retained message may still publish it.
pub(super) fn may_still_publish(access: &Access, author: &Author, topic: &str) -> bool {
    access
        .permissions(author.listener, &author.identity, &author.client_id)
        .may_publish(TopicName::assume_valid(topic))
}
