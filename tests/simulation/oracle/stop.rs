//! The broker has stopped in order: its log holds all that it had taken, whether or not that was
//! acknowledged, and each connection has ended in it. Before that everybody who was connected has
//! received what the broker had read.

use skein::record::state::{SessionState, State};

use super::{Oracle, Scarcity, session::Session, violated};
use crate::link::LinkId;

impl Oracle {
    /// Of what a crash may take nothing is missing.
    pub(crate) fn check_stopped(&self, state: &State) {
        for (name, found) in state.sessions() {
            let number = self.by_name.get(name).copied();
            // Of a session that is in memory only a part may be kept.
            let Some(number) = number.filter(|number| self.sessions[*number].is_durable()) else {
                continue;
            };
            if found.is_connected {
                violated!("a broker that stops ends every connection", "{name}: {found:?}");
            }
            self.check_will_kept(number, found);
            self.check_held_kept(&self.sessions[number], found);
            check_flights_kept(&self.sessions[number], found);
        }
    }

    /// A connection ends that was there when the broker began to stop. What its session is owed is in
    /// what was written to it, if nothing but the end can keep it from there: no window, no queue, no
    /// expiry. Wills may be published after it.
    pub(super) fn note_farewell(&mut self, id: LinkId, number: usize) {
        let session = &self.sessions[number];
        let has_no_queue = session.subs.iter().all(|sub| sub.qos == 0);
        if self.scarcity != Scarcity::Ample || self.law.is_there() || !has_no_queue {
            return;
        }
        let is_certain = |message: &&usize| {
            let facts = &self.messages[**message].facts;
            !facts.is_will && facts.expiry_s.is_none()
        };
        let owed = session.owed.keys().filter(is_certain).copied().collect();
        self.farewells.insert(id, owed);
    }

    /// A client has read all that was written to it before the broker stopped, and was told that it
    /// does.
    pub(crate) fn check_farewell(&self, id: LinkId) {
        if let Some(message) = self.farewells.get(&id).and_then(|owed| owed.first()) {
            violated!("what was read comes before the goodbye", "{message} on {id:?} did not");
        }
    }

    /// A will is kept if its delay goes on, and only then: it comes once.
    fn check_will_kept(&self, number: usize, found: &SessionState) {
        let name = &self.sessions[number].name;
        let due = self.due_wills.iter().find(|will| will.session == number);
        if due.is_some() != found.will.is_some() {
            let kept = &found.will;
            violated!("a will is published once over a stop", "{name}: {due:?}, kept {kept:?}");
        }
    }

    fn check_held_kept(&self, session: &Session, found: &SessionState) {
        let held: Vec<u16> =
            session.held.iter().map(|message| self.messages[*message].packet_id).collect();
        // What goes nowhere may be held, too.
        let goes_nowhere = |packet_id: &u16| {
            let message = session.published.get(packet_id);
            message.is_some_and(|message| self.messages[*message].facts.topic.is_none())
        };
        let is_known = |packet_id: &u16| held.contains(packet_id) || goes_nowhere(packet_id);
        let is_alike = held.iter().all(|packet_id| found.held.contains(packet_id))
            && found.held.iter().all(is_known);
        if !is_alike {
            let (name, kept) = (&session.name, &found.held);
            violated!("a packet id is held over a stop", "{name}: {held:?}, kept {kept:?}");
        }
    }
}

/// What the client has seen and not finished is finished after the start.
fn check_flights_kept(session: &Session, found: &SessionState) {
    for (packet_id, exchange) in session.exchanges.iter().filter(|(_, it)| it.is_owed()) {
        if !found.flights.contains_key(packet_id) {
            let name = &session.name;
            violated!("an exchange goes on over a stop", "{name}, id {packet_id}: {exchange:?}");
        }
    }
}
