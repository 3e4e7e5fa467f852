//! A message was taken by the core: who must get it.

use super::{At, Attempt, Oracle, replay::Write, violated};
use crate::{
    alphabet::is_share,
    link::{Link, LinkId},
};

/// What a session is owed of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// Also over a lost connection.
    pub(super) survives: bool,
    /// Also over a crash, once it is acknowledged.
    pub(super) is_durable: bool,
    /// It has surely reached the session.
    pub(super) is_settled: bool,
}

impl Oracle {
    /// The core takes a PUBLISH, or publishes a will. False if it goes nowhere.
    pub(super) fn on_publish(&mut self, number: usize, publisher: usize, at: At) -> bool {
        let message = &self.messages[number];
        let facts = &message.facts;
        if facts.qos == 2 && !facts.is_will {
            self.sessions[publisher].published.insert(message.packet_id, number);
        }
        let Some(topic) = facts.topic else { return false };
        if facts.qos == 2 && !facts.is_will && !self.sessions[publisher].held.insert(number) {
            // Its packet id is held: acknowledged again, delivered never again.
            return false;
        }
        let retain = facts.retain;
        if retain && (facts.payload.is_empty() || facts.expiry_s.is_some()) {
            self.kept.remove(&topic);
        }
        let expires_at = facts.expiry_s.map(|s| at.now.plus(u64::from(s) * 1000));
        let is_wanted = self.owe(number, topic, publisher, at);
        let attempt = self.attempts.len();
        self.attempts.push(Attempt {
            message: number,
            session: publisher,
            step: at.step,
            at: at.now,
            expires_at,
            is_wanted,
        });
        self.messages[number].attempts.push(attempt);
        if retain {
            let write = Write::new(number, publisher, self.epoch, expires_at);
            self.note_write(topic, write, at.step);
        }
        true
    }

    /// Every session with a confirmed subscription is owed the message, every group as a whole.
    /// True if there is any of them.
    fn owe(&mut self, number: usize, topic: usize, publisher: usize, at: At) -> bool {
        let (alphabet, facts) = (&self.alphabet, &self.messages[number].facts);
        let mut is_wanted = false;
        let mut groups = Vec::new();
        for (of, session) in self.sessions.iter_mut().enumerate() {
            if session.may_be_over(at.now) {
                continue;
            }
            let (mut granted, mut lasts) = (None, false);
            let held =
                session.subs.iter().filter(|sub| sub.removed.is_none() && sub.is_confirmed());
            for sub in held.filter(|sub| alphabet.matches(sub.filter, topic)) {
                is_wanted = true;
                if is_share(sub.filter) {
                    groups.push(sub.filter);
                } else if !(sub.no_local && of == publisher) {
                    granted = granted.max(Some(sub.qos));
                    lasts |= sub.lasts;
                }
            }
            let Some(granted) = granted else { continue };
            let survives = granted.min(facts.qos) > 0;
            let is_empty = facts.payload.is_empty();
            let fits = facts.packet_bytes() <= session.packet_bytes_max;
            let is_reachable = survives || session.link.is_some();
            // The will of a session that is ending reaches that session or not.
            let is_own_will = facts.is_will && of == publisher;
            let is_allowed = self.law.always_reads(session.user, topic);
            if fits && is_reachable && !is_empty && !is_own_will && is_allowed {
                let is_kept = session.is_surely_durable && session.is_durable();
                let is_durable = survives && lasts && is_kept;
                session.owed.insert(number, Owed { survives, is_durable, is_settled: false });
            }
        }
        groups.sort_unstable();
        groups.dedup();
        for filter in groups {
            // The will of a member that is leaving may go to itself, and be lost with it.
            let is_leaving = self.sessions[publisher].has_just_left(filter, at.step);
            if !is_leaving {
                self.owe_group(filter, number, at);
            }
        }
        is_wanted
    }

    /// The core has refused what it was just given: nobody is owed it, and it goes nowhere.
    pub(crate) fn on_refused(&mut self, number: usize) {
        self.messages[number].refusals += 1;
        self.messages[number].is_refused_by_store |= self.failing.contains(&true);
        let facts = &self.messages[number].facts;
        let is_kept = facts.topic.is_some_and(|topic| self.kept.contains(&topic));
        if is_kept && facts.retain && self.refuses_for_room && !self.has_failed {
            violated!("what is retained may be replaced", "message {number} was refused");
        }
        self.on_put_off(number);
    }

    /// The core deals with what it was just given later, or never.
    pub(crate) fn on_put_off(&mut self, number: usize) {
        if !self.was_new {
            return;
        }
        let message = &mut self.messages[number];
        if let Some(attempt) = message.attempts.pop() {
            self.forget_write(number, self.attempts[attempt].step);
        }
        for session in &mut self.sessions {
            session.owed.remove(&number);
            session.held.remove(&number);
        }
        for group in self.groups.values_mut() {
            group.owed.remove(&number);
        }
    }

    /// The core goes on with a message that it had put off.
    pub(crate) fn on_said_again(&mut self, id: LinkId, links: &[Link], number: usize, at: At) {
        if let Some(session) = links[id.0].session {
            self.was_new = self.on_publish(number, session, at);
        }
    }

    /// A publisher received PUBACK or PUBREC, through a listener that keeps what it promises, or that
    /// promises nothing.
    pub(crate) fn on_accepted(&mut self, number: usize, reason: u8, keeps: bool) {
        let message = &self.messages[number];
        let attempts = &message.attempts;
        if message.facts.topic.is_none() {
            if reason != 0 && reason != 0x87 {
                violated!("a denied topic is refused", "with {reason:#04x}");
            }
            return;
        }
        if message.denials > 0 && matches!(reason, 0 | 0x87) {
            // Before 5.0 it is acknowledged all the same.
            return;
        }
        let is_known = match reason {
            0x80.. => message.refusals > 0,
            _ => !attempts.is_empty(),
        };
        if !is_known {
            violated!("an acknowledgement tells", "message {number} got {reason:#04x}");
        }
        let may_be_full =
            self.messages[number].is_refused_by_store && matches!(reason, 0x83 | 0x97);
        if reason >= 0x80 && !may_be_full && self.scarcity != super::Scarcity::TightQueues {
            violated!("nothing is refused without need", "{number} with {reason:#04x}");
        }
        if reason < 0x80 && keeps {
            self.on_acknowledged(number);
        }
        let attempts = &self.messages[number].attempts;
        if reason == 0x10 && attempts.iter().all(|attempt| self.attempts[*attempt].is_wanted) {
            violated!("0x10 means that nobody subscribed", "but somebody wanted message {number}");
        }
    }
}
