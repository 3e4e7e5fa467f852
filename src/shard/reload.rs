//! The rules have changed: who may no longer be here goes, and what may no longer be received is
//! taken out of where it waits.
//!
//! What is in flight is looked at when it is resent (`refill`), a will when it is published
//! (`wills`).

use std::sync::Arc;

use skein_protocol::ReasonCode;

use super::{
    ConnectionId, Notice, NoticeLevel, Shard, Turn, metrics::DropReason, respond::Violation,
    rights::may_still_publish,
};
use crate::{
    access::{Access, Identity},
    session::{Delivery, SessionKey},
};

impl Shard {
    #[cold]
    #[inline(never)]
    pub(super) fn on_access_changed(&mut self, access: Arc<Access>, turn: &mut Turn<'_>) {
        self.access = access;
        // First the rights of all: whoever is closed below leaves a will to others.
        let keys = self.sessions.keys();
        for key in &keys {
            self.renew_rights(*key);
        }
        for key in &keys {
            self.drop_denied(*key, turn);
        }
        let denied = self.metrics.retained_denied;
        self.forget_denied_retained();
        self.tell_of_denied(self.metrics.retained_denied - denied, turn);
        for id in self.connections.ids() {
            self.check_identity(id, turn);
        }
    }

    /// Takes out of the session's queue what it may not receive any more.
    fn drop_denied(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        let Self { sessions, rights, .. } = self;
        let queue = &mut sessions.at_mut(key).queue;
        if queue.is_empty() || rights.are_unrestricted(key) {
            return;
        }
        let denied = queue.take(|delivery| rights.deny(key, delivery.message.topic()));
        for delivery in denied {
            self.memory.release(delivery.bytes());
            self.withdraw(&delivery, turn);
            self.record_dropped(key, &delivery);
        }
        self.update_fullness(key);
        self.refill(key, turn);
    }

    /// A message that waited for a session which may not have it any more. One of a shared
    /// subscription goes to another member.
    pub(super) fn withdraw(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) {
        if delivery.share().is_some() {
            self.pass_on(delivery, turn);
        } else {
            self.metrics.count_drop(DropReason::Denied, delivery.message.topic());
        }
    }

    /// Retained messages of those who may no longer publish them go (CVE-2018-12546).
    pub(super) fn forget_denied_retained(&mut self) {
        let access = Arc::clone(&self.access);
        let denied =
            self.retained.topics_of(|author, topic| !may_still_publish(&access, author, topic));
        for topic in denied {
            self.metrics.retained_denied += 1;
            self.forget_retained(&topic);
        }
        self.settle_retained();
    }

    /// Retained messages do not come back with the right to them: the operator should hear of it.
    fn tell_of_denied(&self, count: u64, turn: &mut Turn<'_>) {
        if count == 0 {
            return;
        }
        let (level, kind) = (NoticeLevel::Warning, "retained-denied");
        let text =
            format!("{count} retained messages deleted: who published them may not any more");
        turn.effects.notices.push(Notice { level, kind, connection: None, client: None, text });
    }

    /// Closes the connection if nobody vouches for its client any more.
    fn check_identity(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.find(id) else { return };
        let Some(key) = connection.session() else { return };
        let revocation = match self.rights.find(key) {
            Some(rights) => self.revocation(id, &rights.identity),
            None => self.revocation(id, &Identity::anonymous()),
        };
        if let Some(text) = revocation {
            self.metrics.connections_revoked += 1;
            self.notice_of(NoticeLevel::Info, "login-revoked", id, text, turn);
            self.disconnect(id, &Violation::new(ReasonCode::NotAuthorized, text), turn);
        }
    }

    /// Why the client of a connection may not be who it has proved to be any more, if it may not.
    pub(super) fn revocation(&self, id: ConnectionId, identity: &Identity) -> Option<&'static str> {
        let rules = self.access_of(id);
        let shown = self.connections.find(id).and_then(|found| found.peer.certificate_id());
        if shown.is_some_and(|certificate| rules.revoked.contain(certificate)) {
            return Some("the certificate has been revoked");
        }
        let text = "the login is not valid any more";
        (!rules.providers.still_vouches(identity)).then_some(text)
    }
}
