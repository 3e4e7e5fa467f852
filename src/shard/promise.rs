//! What an answer promises, and how long it therefore waits. CONNACK with a session, SUBACK, UNSUBACK,
//! PUBACK, PUBREC and PUBCOMP say that something is kept; so do PUBREL, and a PUBLISH of QoS 2, to a
//! client that would find the same Packet Identifier again.

use super::{ConnectionId, ListenerId, Shard, Stage};
use crate::{config::DurabilityMode, record::Durability, session::SessionKey};

impl Shard {
    /// How safe an acknowledgement is to this connection: as its listener has it, or at least as its
    /// session is kept; nothing without a store.
    pub(super) fn promise_to(&self, id: ConnectionId) -> Option<Durability> {
        if !self.journal.is_on() {
            return None;
        }
        let connection = self.connections.find(id)?;
        let kept = || match connection.stage {
            Stage::Live(session) => self.sessions.at(session).durability,
            _ => None,
        };
        self.promise_of(connection.listener).or_else(kept)
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
        if let Some(durability) = self.promise_to(id) {
            self.hold_for_all_as(durability, id, is_answer);
        }
    }

    fn hold_for_all_as(&mut self, durability: Durability, id: ConnectionId, is_answer: bool) {
        let Some(ticket) = self.journal.want_all(durability) else { return };
        if let Some(connection) = self.connections.find_mut(id) {
            self.journal.hold(ticket, id, &mut connection.outbox, is_answer);
        }
    }

    /// Whether a store that does not work has kept a session for this client id, or its end waits:
    /// what CONNACK says of it could not be kept.
    pub(super) fn connack_can_not_leave(&self, client_id: &str) -> bool {
        if !self.journal.trouble.has_failed() {
            return false;
        }
        let session = self.sessions.find_by_client_id(client_id);
        session.is_some_and(|key| self.is_durable(key)) || self.journal.is_ending(client_id)
    }

    /// CONNACK says whether there is a session: it waits until that will be so after a crash. That
    /// the log has none any more is waited for through any listener: what the client does from then
    /// on must not meet an older session after a crash, of which it would be a part.
    pub(super) fn hold_connack(&mut self, id: ConnectionId, key: SessionKey) {
        let session = self.sessions.at(key);
        let is_ending = self.journal.is_ending(&session.client_id);
        if session.durability.is_none() && !is_ending {
            return;
        }
        // The batch of the end has been told already how safe it has to be.
        self.hold_for_all_as(self.promise_to(id).unwrap_or(Durability::Os), id, true);
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
