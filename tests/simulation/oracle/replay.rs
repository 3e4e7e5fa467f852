//! Retained messages: the last write of each topic, and who has a right to it.

use std::collections::BTreeSet;

use skein::shard::Time;

use super::{At, Oracle, Scarcity, session::Session, subscription::Sub};
use crate::link::{FilterFacts, LinkId};

/// One retained publish: perhaps what is retained now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) message: usize,
    pub(super) publisher: usize,
    pub(super) epoch: u64,
    pub(super) expires_at: Option<Time>,
    /// When a later write took its place for certain.
    pub(super) replaced_at: Option<u64>,
    /// Nothing could be made durable when it came, and nobody waits for it: perhaps it is not kept.
    pub(super) is_uncertain: bool,
    /// A later one took its place, and is acknowledged: no crash brings it back.
    pub(super) is_buried: bool,
}

/// A SUBSCRIBE gives a right to the retained messages of its filter, each once.
#[derive(Clone, Debug)]
pub(super) struct Right {
    pub(super) filter: usize,
    qos: u8,
    since: At,
    /// The SUBSCRIBE that gave it.
    asked: (LinkId, u16),
    /// SUBACK was seen.
    is_answered: bool,
    pub(super) topics_seen: BTreeSet<usize>,
    /// The least Maximum Packet Size of the connections it went over.
    pub(super) packet_bytes_max: usize,
    /// Its connection was lost: what came with QoS 0 may be lost.
    pub(super) is_broken: bool,
    /// The broker was killed: what had not come then may never come.
    pub(super) is_undone: bool,
    pub(super) is_unsubscribed: bool,
}

impl Write {
    pub(super) fn new(
        message: usize,
        publisher: usize,
        epoch: u64,
        expires_at: Option<Time>,
    ) -> Self {
        Self {
            message,
            publisher,
            epoch,
            expires_at,
            replaced_at: None,
            is_uncertain: false,
            is_buried: false,
        }
    }
}

impl Right {
    pub(super) fn answer(&mut self, asked: (LinkId, u16)) {
        self.is_answered |= self.asked == asked;
    }

    pub(super) fn new(
        facts: &FilterFacts,
        qos: u8,
        asked: (LinkId, u16),
        packet_bytes_max: usize,
        since: At,
    ) -> Self {
        Self {
            filter: facts.filter,
            qos,
            since,
            asked,
            is_answered: false,
            topics_seen: BTreeSet::new(),
            packet_bytes_max,
            is_broken: false,
            is_undone: false,
            is_unsubscribed: false,
        }
    }
}

impl Session {
    /// The QoS that were granted for the right's filter since: a later SUBSCRIBE changes what is
    /// left of the replay, too.
    fn granted(&self, right: &Right) -> impl Iterator<Item = u8> + use<'_> {
        self.subs_since(right).map(|sub| sub.qos)
    }

    /// The subscriptions of the right's filter since.
    fn subs_since(&self, right: &Right) -> impl Iterator<Item = &Sub> + use<'_> {
        let (filter, since) = (right.filter, right.since.step);
        let is_it = move |sub: &&Sub| {
            sub.filter == filter && sub.removed.is_none_or(|removed| removed > since)
        };
        self.subs.iter().filter(is_it)
    }
}

impl Oracle {
    /// The order of two writes is known if one session published both, or everything was at rest
    /// between them.
    pub(super) fn note_write(&mut self, topic: usize, write: Write, step: u64) {
        let is_uncertain = self.failing.contains(&true) && self.is_unawaited(write.message);
        let writes = &mut self.writes[topic];
        if is_uncertain {
            writes.push(Write { is_uncertain, ..write });
            return;
        }
        for other in writes.iter_mut().filter(|other| other.replaced_at.is_none()) {
            if other.publisher == write.publisher || other.epoch < write.epoch {
                other.replaced_at = Some(step);
            }
        }
        writes.push(write);
    }

    /// Nothing can be made durable: what nobody waits for may not have been kept since the last
    /// rest.
    pub(super) fn doubt_writes(&mut self) {
        for topic in 0..self.writes.len() {
            for place in 0..self.writes[topic].len() {
                let write = self.writes[topic][place];
                let is_uncertain = write.epoch == self.epoch && self.is_unawaited(write.message);
                let write = &mut self.writes[topic][place];
                write.is_uncertain |= is_uncertain;
                let was_lately = write.replaced_at.is_some_and(|step| step > self.rested_step);
                if was_lately && !write.is_buried {
                    write.replaced_at = None;
                }
            }
        }
    }

    /// Whether nobody waits until the message is durable.
    fn is_unawaited(&self, message: usize) -> bool {
        let facts = &self.messages[message].facts;
        facts.qos == 0 || facts.is_will
    }

    /// The write of this step was refused.
    pub(super) fn forget_write(&mut self, message: usize, step: u64) {
        let Some(topic) = self.messages[message].facts.topic else { return };
        let writes = &mut self.writes[topic];
        if writes.pop_if(|write| write.message == message).is_some() {
            for other in writes.iter_mut().filter(|other| other.replaced_at == Some(step)) {
                other.replaced_at = None;
            }
        }
    }

    /// What may be retained for a topic now.
    pub(super) fn retained(&self, topic: usize) -> impl Iterator<Item = &Write> {
        self.writes[topic].iter().filter(|write| write.replaced_at.is_none())
    }

    /// Whether a home may have refused a retained message of this topic, and kept an older one.
    pub(super) fn may_be_refused(&self, topic: usize) -> bool {
        self.scarcity == Scarcity::TightQueues || !self.law.is_open_to_write(topic)
    }

    /// A message with RETAIN arrived that is not live: is it what the session asked for? Takes the
    /// right to it if so.
    pub(super) fn take_replay(
        &mut self,
        number: usize,
        message: usize,
        topic: usize,
        qos: u8,
    ) -> Result<(), String> {
        let facts = &self.messages[message].facts;
        if !facts.retain {
            return Err("it is not retained".to_owned());
        }
        let newest = self.messages[message].attempts.last().copied().unwrap_or_default();
        let publisher = self.attempts[newest].session;
        let writes = &self.writes[topic];
        let session = &self.sessions[number];
        let mut reason = "no SUBSCRIBE asked for it";
        // Of several rights the one that grants least: the others may be needed yet.
        let mut least: Option<(u8, usize)> = None;
        for (place, right) in session.rights.iter().enumerate() {
            if !self.alphabet.matches(right.filter, topic) {
                continue;
            }
            let was_retained = writes.iter().any(|write| {
                // A later write may have been refused there.
                let is_current = self.may_be_refused(topic)
                    || write.replaced_at.is_none_or(|at| at > right.since.step);
                let is_fresh = write.expires_at.is_none_or(|at| at > right.since.now);
                write.message == message && is_current && is_fresh
            });
            let since = right.since.step;
            let granted = session.granted(right).max().unwrap_or(right.qos);
            reason = if right.topics_seen.contains(&topic) {
                "it was sent upon that SUBSCRIBE before"
            } else if !was_retained {
                "it was not retained any more when that SUBSCRIBE came"
            } else if qos > granted.min(facts.qos) {
                "its QoS is too high"
            } else if !self.may_be_refused(topic)
                && session.had_newer(publisher, topic, qos, newest, since)
            {
                "a newer one was delivered live after that SUBSCRIBE"
            } else {
                least = Some(least.map_or((granted, place), |other| other.min((granted, place))));
                continue;
            };
        }
        let Some((_, place)) = least else { return Err(reason.to_owned()) };
        self.sessions[number].rights[place].topics_seen.insert(topic);
        Ok(())
    }

    /// At rest whoever is connected has received all that its SUBSCRIBE asked for.
    pub(super) fn check_rights(&mut self, at: At) {
        for number in 0..self.sessions.len() {
            if self.sessions[number].is_over || self.sessions[number].link.is_none() {
                continue;
            }
            let rights = std::mem::take(&mut self.sessions[number].rights);
            for right in rights.iter().filter(|it| !it.is_unsubscribed && !it.is_undone) {
                self.check_right(number, right, at);
            }
        }
    }

    fn check_right(&mut self, number: usize, right: &Right, at: At) {
        for topic in 0..self.writes.len() {
            if !self.alphabet.matches(right.filter, topic) {
                continue;
            }
            let mut writes = self.retained(topic);
            let (Some(write), None) = (writes.next().copied(), writes.next()) else { continue };
            drop(writes);
            let message = write.message;
            if self.must_be_seen(&self.sessions[number], right, &write, at) {
                let name = self.sessions[number].name.clone();
                // It would have come live, or upon another SUBSCRIBE, and is counted as missing
                // already.
                if self.missed.iter().any(|(missed, who)| *missed == message && *who == name) {
                    continue;
                }
                let granted = self.sessions[number].granted(right).min().unwrap_or(right.qos);
                let survives = granted.min(self.messages[message].facts.qos) > 0;
                self.miss(message, survives, || name);
            }
        }
    }

    fn must_be_seen(&self, session: &Session, right: &Right, write: &Write, at: At) -> bool {
        let facts = &self.messages[write.message].facts;
        let is_allowed = facts.topic.is_none_or(|topic| {
            self.law.is_open_to_write(topic) && self.law.always_reads(session.user, topic)
        });
        let is_deleted = facts.payload.is_empty();
        let has_expired = write.expires_at.is_some_and(|end| end <= at.now);
        let is_local = session.subs_since(right).any(|sub| sub.no_local);
        let is_own = is_local && self.sessions[write.publisher].name == session.name;
        let most = session.packet_bytes_max.min(right.packet_bytes_max);
        let fits = facts.packet_bytes() <= most;
        let survives = facts.qos > 0 && session.granted(right).all(|qos| qos > 0);
        let may_be_lost = right.is_broken && !(survives && right.is_answered);
        let was_seen =
            session.received.get(&write.message).is_some_and(|step| *step > right.since.step);
        is_allowed
            && !write.is_uncertain
            && !is_deleted
            && !has_expired
            && !is_own
            && fits
            && !may_be_lost
            && !was_seen
    }
}
