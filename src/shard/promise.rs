//! What an answer promises, and how long it therefore waits. CONNACK with a session, SUBACK, UNSUBACK,
//! PUBACK, PUBREC and PUBCOMP say that something is kept; so do PUBREL, and a PUBLISH of QoS 2, to a
//! client that would find the same Packet Identifier again.

use super::{ConnectionId, ListenerId, Shard};
use crate::{config::DurabilityMode, record::Durability, session::SessionKey};

impl Shard {
    /// How safe an acknowledgement is to clients of this connection's listener; nothing without a
    /// store.
    pub(super) fn promise_to(&self, id: ConnectionId) -> Option<Durability> {
        if !self.journal.is_on() {
            return None;
        }
        self.promise_of(self.connections.find(id)?.listener)
    }

    /// How safe an acknowledgement is to clients of this listener.
    pub(super) fn promise_of(&self, listener: ListenerId) -> Option<Durability> {
        let mode = match listener {
            ListenerId::INSIDE => self.settings.store.durability,
            _ => self.settings.listeners.get(usize::from(listener.0))?.durability,
        };
        match mode {
            DurabilityMode::Disk => Some(Durability::Disk),
            DurabilityMode::Os => Some(Durability::Os),
            DurabilityMode::Memory => None,
        }
    }

    /// What is written to the connection from now on waits for what was recorded so far.
    pub(super) fn hold_for_all(&mut self, id: ConnectionId, is_answer: bool) {
        let Some(durability) = self.promise_to(id) else { return };
        let Some(ticket) = self.journal.want_all(durability) else { return };
        if let Some(connection) = self.connections.find_mut(id) {
            self.journal.hold(ticket, id, &mut connection.outbox, is_answer);
        }
    }

    /// Whether a store that does not work has kept a session for this client id, or its end waits:
    /// what CONNACK says of it could not be kept.
    pub(super) fn connack_can_not_leave(&self, id: ConnectionId, client_id: &str) -> bool {
        if !self.journal.trouble.has_failed() || self.promise_to(id).is_none() {
            return false;
        }
        let session = self.sessions.find_by_client_id(client_id);
        session.is_some_and(|key| self.is_durable(key)) || self.journal.is_ending(client_id)
    }

    /// CONNACK says whether there is a session: it waits until that will be so after a crash.
    pub(super) fn hold_connack(&mut self, id: ConnectionId, key: SessionKey) {
        let session = self.sessions.at(key);
        if session.durability.is_none() && !self.journal.is_ending(&session.client_id) {
            return;
        }
        self.hold_for_all(id, true);
        if let Some(connection) = self.connections.find_mut(id) {
            connection.is_connack_held = connection.outbox.is_holding();
        }
    }

    /// The answer to a publish waits for what will be recorded of it.
    pub(super) fn hold_for_publish(&mut self, id: ConnectionId) {
        let Some(durability) = self.promise_to(id) else { return };
        let ticket = self.journal.want(durability);
        if let Some(connection) = self.connections.find_mut(id) {
            self.journal.hold(ticket, id, &mut connection.outbox, true);
        }
    }
}
