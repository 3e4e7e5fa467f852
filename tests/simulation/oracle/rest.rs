//! What is checked when nothing is on its way anywhere.

use std::collections::{BTreeMap, BTreeSet};

use skein::shard::{Audit, Time};

use super::{At, Oracle, Scarcity, violated};
use crate::alphabet::TOPICS;

impl Oracle {
    /// Everything is at rest: every promise is kept by now.
    pub(crate) fn on_rest(&mut self, audits: &[Audit], books: &[usize], at: At, is_last: bool) {
        self.expire_sessions(at);
        self.check_wills();
        self.check_sessions(audits);
        self.check_owed(at);
        self.check_groups(at, is_last);
        self.check_authors(audits, books);
        if self.scarcity != Scarcity::TightQueues {
            self.check_rights(at);
            self.check_retained(audits, at.now);
        } else {
            for session in self.sessions.iter_mut().filter(|session| session.link.is_some()) {
                session.rights.clear();
            }
        }
        for session in &mut self.sessions {
            session.is_surely_durable = session.is_durable();
            session.owed.values_mut().for_each(|owed| owed.is_settled = true);
            for sub in session.subs.iter_mut().filter(|sub| sub.removed.is_none()) {
                sub.confirm(at.step);
            }
        }
        self.note_kept(audits);
        let messages = &self.messages;
        for session in self.sessions.iter_mut().filter(|session| session.link.is_some()) {
            let copies = session.copies.iter();
            let settled = copies.map(|(m, copies)| (*m, (*copies, messages[*m].attempts.len())));
            session.settled = settled.collect();
            session.undone.clear();
        }
        self.epoch += 1;
        self.rested_step = at.step;
    }

    fn note_kept(&mut self, audits: &[Audit]) {
        let stays = |payload: &Vec<u8>| {
            let number = self.find_message(payload);
            number.is_some_and(|number| self.messages[number].facts.expiry_s.is_none())
        };
        let is_kept = |topic: usize| {
            let mut retained = audits.iter().filter_map(|audit| audit.retained.get(TOPICS[topic]));
            // Whoever published it may lose the right to, and it goes.
            self.law.is_open_to_write(topic) && retained.any(stays)
        };
        self.kept = (0..TOPICS.len()).filter(|topic| is_kept(*topic)).collect();
    }

    /// The broker has the sessions that are not over, and no others.
    fn check_sessions(&self, audits: &[Audit]) {
        let mut found = BTreeMap::new();
        for (shard, audit) in audits.iter().enumerate() {
            for name in audit.sessions.keys() {
                if let Some(other) = found.insert(name.as_str(), shard) {
                    violated!("a session has one home", "{name} is on {other} and {shard}");
                }
            }
        }
        let sessions = self.by_name.values().map(|number| &self.sessions[*number]);
        let expected: BTreeSet<&str> =
            sessions.filter(|session| !session.is_over).map(|s| s.name.as_str()).collect();
        for name in &expected {
            if !found.contains_key(name) {
                violated!("a session lasts until its expiry", "{name} is gone");
            }
        }
        for name in found.keys() {
            if self.by_name.contains_key(*name) && !expected.contains(name) {
                violated!("a session ends at its expiry", "{name} is still there");
            }
        }
    }

    /// Whoever is connected has received everything, and no exchange is unfinished.
    fn check_owed(&mut self, at: At) {
        for number in 0..self.sessions.len() {
            let session = &mut self.sessions[number];
            if session.is_over || session.link.is_none() {
                continue;
            }
            let mut open = session.exchanges.iter().filter(|(_, exchange)| exchange.is_owed());
            if let Some((packet_id, exchange)) = open.next() {
                let name = &session.name;
                violated!("every exchange is finished", "{name}, id {packet_id}: {exchange:?}");
            }
            let name = session.name.clone();
            for (message, owed) in std::mem::take(&mut session.owed) {
                if !self.has_expired(message, at.now) {
                    self.miss(message, owed.survives, || name.clone());
                }
            }
        }
    }

    pub(super) fn has_expired(&self, message: usize, now: Time) -> bool {
        let attempts = &self.messages[message].attempts;
        attempts.iter().any(|a| self.attempts[*a].expires_at.is_some_and(|end| end <= now))
    }

    /// Whoever published what is retained may still publish it, as its home knows.
    fn check_authors(&self, audits: &[Audit], books: &[usize]) {
        for (audit, book) in audits.iter().zip(books) {
            let kept = audit.retained.values().filter_map(|payload| self.find_message(payload));
            kept.for_each(|message| self.check_author(message, *book));
        }
    }

    /// Each topic has one home, and what is retained there is a last write.
    fn check_retained(&self, audits: &[Audit], now: Time) {
        for (topic, text) in TOPICS.iter().enumerate() {
            let mut homes = audits.iter().filter_map(|audit| audit.retained.get(*text));
            let found = homes.next();
            if homes.next().is_some() {
                violated!("a retained topic has one home", "{text} has two");
            }
            if found.is_some_and(|payload| payload.is_empty()) {
                violated!("an empty retained message deletes", "{text} has an empty one");
            }
            let mut writes = self.retained(topic).peekable();
            let is_unknown = writes.peek().is_none();
            let is_right = match found {
                Some(payload) => {
                    writes.any(|write| self.messages[write.message].facts.payload == *payload)
                }
                None => {
                    is_unknown
                        || writes.any(|write| {
                            let is_over = write.expires_at.is_some_and(|end| end <= now);
                            is_over
                                || write.is_uncertain
                                || self.messages[write.message].facts.payload.is_empty()
                        })
                }
            };
            if !is_right && self.law.is_open_to_write(topic) {
                let number = found.and_then(|payload| self.find_message(payload));
                violated!("what is retained is the last write", "{text} has {number:?}");
            }
        }
    }
}
