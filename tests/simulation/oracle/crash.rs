//! The broker was killed, and begins anew with what its log holds: what it has acknowledged is
//! there, and of what it has not, any beginning. Or it has stopped in order, and all is there.
//!
//! What is uncertain is looked up in the log: it must be one of the possibilities, and is the truth
//! from then on. What the shards then make of it is checked like everything else.

use std::collections::BTreeMap;

use skein::{
    record::state::{SessionState, State},
    shard::{Audit, Time},
};

use super::{At, Oracle, session::Session, violated};
use crate::{
    link::{ConnectFacts, LinkId},
    store::unix_ms,
};

/// How a broker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was killed: of what was not acknowledged any beginning is there.
    Killed,
    /// It has stopped in order: all that it had taken is there.
    Stopped,
    /// There is nothing to keep anything in.
    Forgotten,
}

/// One connection of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    link: LinkId,
    /// It came through a listener that keeps what it promises.
    keeps: bool,
    connected_at: Time,
    connected_step: u64,
    expiry_s: u32,
    pub(super) will: Option<(usize, u32)>,
    /// CONNACK was seen.
    is_acked: bool,
    /// When it was closed in a crash, as the broker knows it.
    lost_at: Option<Time>,
    /// When it was closed otherwise, the session's expiry then, and whether the will was to be
    /// published.
    pub(super) closed: Option<(Time, u32, bool)>,
}

impl Moment {
    pub(super) fn new(
        (link, keeps): (LinkId, bool),
        at: At,
        expiry_s: u32,
        facts: &ConnectFacts,
    ) -> Self {
        let will = facts.will.map(|will| (will.message, will.delay_s));
        Self {
            link,
            keeps,
            connected_at: at.now,
            connected_step: at.step,
            expiry_s,
            will,
            is_acked: false,
            lost_at: None,
            closed: None,
        }
    }

    /// Whether this is the connection that was recorded last of this session.
    fn is_of(&self, found: &SessionState) -> bool {
        let at_ms = |at: Time| unix_ms(at) == found.at_ms;
        match self.closed {
            Some((closed, ..)) if !found.is_connected => at_ms(closed),
            _ if found.is_connected => at_ms(self.connected_at),
            _ => self.lost_at.is_some_and(at_ms),
        }
    }

    /// When the session ends that has no other connection, and when its connection ended.
    fn end(&self, found: &SessionState, lost_at: Time) -> (Option<Time>, Time) {
        let (ended_at, expiry_s) = match self.closed {
            Some((at, expiry_s, _)) if !found.is_connected => (at, expiry_s),
            _ if found.is_connected => (lost_at, self.expiry_s),
            _ => (self.lost_at.unwrap_or(lost_at), self.expiry_s),
        };
        let ends = (expiry_s < u32::MAX).then(|| ended_at.plus(u64::from(expiry_s) * 1000));
        (ends, ended_at)
    }
}

impl Session {
    /// The session's connection has ended in whatever way but a crash.
    pub(super) fn close_moment(&mut self, now: Time) {
        let (expiry_s, publishes) = (self.expiry_s, self.goodbye.unwrap_or(true));
        if let Some(moment) = self.moments.last_mut() {
            moment.closed = Some((now, expiry_s, publishes));
        }
    }

    /// Whether it is to outlive the broker.
    pub(super) fn is_durable(&self) -> bool {
        self.expiry_s > 0 && self.keeps
    }

    /// Whether this connection came through a listener that keeps what it promises.
    pub(super) fn kept(&self, link: LinkId) -> bool {
        self.moments.iter().any(|moment| moment.link == link && moment.keeps)
    }

    /// CONNACK was seen: what the session had at its CONNECT is kept, also what was not before.
    /// Whether what is published from now on is kept as well, which it was not for sure before.
    fn on_connack(&mut self, link: LinkId) -> bool {
        let Some(moment) = self.moments.iter_mut().find(|moment| moment.link == link) else {
            return false;
        };
        moment.is_acked = true;
        if !moment.keeps || moment.expiry_s == 0 {
            return false;
        }
        let step = moment.connected_step;
        for sub in &mut self.subs {
            sub.is_acked |= sub.added <= step;
            sub.is_removal_acked |= sub.removed.is_some_and(|removed| removed <= step);
        }
        for owed in self.owed.values_mut().filter(|owed| owed.is_settled) {
            owed.is_durable |= owed.survives;
        }
        let was_durable = self.is_surely_durable;
        self.is_surely_durable |= self.link == Some(link) && self.is_durable();
        self.is_surely_durable && !was_durable
    }
}

impl Oracle {
    /// Where the session of this client id is, if it is in memory only and wants anything.
    pub(crate) fn home_of_unkept(&self, name: &str) -> Option<usize> {
        let session = &self.sessions[*self.by_name.get(name)?];
        let is_unkept = !session.is_over && !session.keeps && session.expiry_s > 0;
        (is_unkept && session.held().next().is_some()).then_some(session.shard)
    }

    /// A client saw CONNACK 0. Whether its session is kept again from now on.
    pub(crate) fn on_connack(&mut self, link: LinkId, session: Option<usize>, step: u64) -> bool {
        let Some(session) = session.map(|number| &mut self.sessions[number]) else { return false };
        let is_kept_again = session.on_connack(link);
        if is_kept_again {
            let shares = session.shares().collect::<Vec<_>>();
            for filter in shares {
                self.disturb_group(filter, step);
            }
        }
        is_kept_again
    }

    /// A publisher saw PUBACK, or PUBREC.
    pub(super) fn on_acknowledged(&mut self, number: usize) {
        self.messages[number].is_accepted = true;
        let facts = &self.messages[number].facts;
        let Some(topic) = facts.topic.filter(|_| facts.retain) else { return };
        let writes = &mut self.writes[topic];
        let Some(place) = writes.iter().rposition(|write| write.message == number) else { return };
        let (publisher, epoch) = (writes[place].publisher, writes[place].epoch);
        for other in &mut writes[..place] {
            other.is_buried |= other.publisher == publisher || other.epoch < epoch;
        }
        self.was_retained[topic] = true;
    }

    /// A publisher saw PUBCOMP.
    pub(crate) fn on_completed(&mut self, message: usize) {
        self.messages[message].is_completed = true;
    }

    /// A shard knows that nothing can be made durable, or that it can again.
    pub(crate) fn on_store(&mut self, shard: usize, is_failing: bool) {
        self.failing[shard] = is_failing;
        self.has_failed |= is_failing;
        if is_failing {
            self.doubt_writes();
        }
    }

    /// Client ids of sessions that must outlive the broker.
    pub(crate) fn durable_names(&self, now: Time) -> Vec<String> {
        let must_be = |number: &usize| {
            let session = &self.sessions[*number];
            session.is_durable() && !session.may_be_over(now)
        };
        self.by_name.iter().filter(|(_, it)| must_be(it)).map(|(name, _)| name.clone()).collect()
    }

    /// The broker has ended, and this is what its log holds. Sessions that were connected lost
    /// their connections then.
    pub(crate) fn on_ended(&mut self, state: &State, ending: Ending, lost_at: Time, at: At) {
        if ending == Ending::Forgotten {
            self.forget_all();
        }
        // The next one has not looked at its timers.
        self.ticked.fill(Time::default());
        self.due_wills.clear();
        self.early_will = None;
        self.was_new = false;
        self.kept.clear();
        self.failing.fill(false);
        let found: BTreeMap<&str, &SessionState> = state.sessions().collect();
        let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, session) in self.sessions.iter().enumerate() {
            numbers.entry(session.name.clone()).or_default().push(number);
        }
        let mut revived = Vec::new();
        for (name, numbers) in &numbers {
            let found = found.get(name.as_str()).copied();
            let chosen = self.choose(name, numbers, found, at);
            for number in numbers.iter().filter(|it| chosen.is_none_or(|(one, _)| one != **it)) {
                self.lose_session(*number, at);
            }
            if let (Some((number, moment)), Some(found)) = (chosen, found) {
                self.by_name.insert(name.clone(), number);
                self.revive(number, moment, found, lost_at, at);
                revived.push((number, found));
            }
        }
        for (number, found) in revived {
            self.recall_entries(number, found, state, ending);
        }
        self.forget_what_was_not_acknowledged(ending);
        self.recall_retained(state, at);
        self.epoch += 1;
        self.rested_step = at.step;
    }

    /// The shards have taken over what the log holds.
    pub(crate) fn on_recovered(&mut self, audits: &[Audit], at: At) {
        for (shard, audit) in audits.iter().enumerate() {
            for name in audit.sessions.keys() {
                if let Some(number) = self.by_name.get(name) {
                    self.sessions[*number].shard = shard;
                }
            }
        }
        let sessions = audits.iter().flat_map(|audit| audit.sessions.keys());
        let found: Vec<&String> = sessions.collect();
        for name in self.durable_names(at.now) {
            if !found.contains(&&name) {
                violated!("a session that the log holds is there again", "{name} is not");
            }
        }
    }

    /// Which session of this client id it is that the log holds, and which connection of it. What
    /// was acknowledged last is not lost.
    fn choose(
        &self,
        name: &str,
        numbers: &[usize],
        found: Option<&SessionState>,
        at: At,
    ) -> Option<(usize, usize)> {
        let moments = numbers.iter().flat_map(|number| {
            let moments = self.sessions[*number].moments.iter().enumerate();
            moments.map(|(place, moment)| ((*number, place), moment))
        });
        let acked = moments.clone().filter(|(_, it)| it.is_acked).map(|(place, _)| place).max();
        let Some(found) = found else {
            let newest = acked.filter(|(number, _)| Some(number) == numbers.last());
            let must_be = newest.is_some_and(|(number, place)| {
                let session = &self.sessions[number];
                let keep = session.moments[place..].iter().all(|moment| moment.keeps);
                keep && session.is_durable() && !session.may_be_over(at.now)
            });
            if must_be {
                violated!("a session that CONNACK has told of survives a crash", "{name} is gone");
            }
            return None;
        };
        let chosen = moments.clone().filter(|(_, it)| it.is_of(found)).map(|(place, _)| place);
        let Some(chosen) = chosen.max() else {
            let moments: Vec<_> = moments.collect();
            violated!("the log holds what happened", "{name}: {found:?}, not {moments:?}");
        };
        if acked > Some(chosen) {
            let known = acked.map(|(number, place)| self.sessions[number].moments[place]);
            violated!(
                "a session that CONNACK has told of survives a crash",
                "{name} is as it was before {known:?}"
            );
        }
        Some(chosen)
    }

    /// The session is not there after the crash.
    fn lose_session(&mut self, number: usize, at: At) {
        let session = &mut self.sessions[number];
        let was_kept = session.moments.iter().all(|it| it.keeps);
        let was_safe =
            session.is_durable() && was_kept && session.moments.iter().any(|it| it.is_acked);
        let will = session.moments.last().and_then(|moment| moment.will);
        session.link = None;
        session.will = None;
        session.held.clear();
        if !session.is_over {
            self.end_session(number, at);
        }
        // What ended the session has published its will, and is durable.
        if let Some((message, _)) = will.filter(|_| was_safe) {
            let message = &mut self.messages[message];
            message.is_accepted |= !message.attempts.is_empty();
        }
    }

    /// The session is there after the crash, as it was at the end of this connection or during it.
    fn revive(
        &mut self,
        number: usize,
        moment: usize,
        found: &SessionState,
        lost_at: Time,
        at: At,
    ) {
        let session = &mut self.sessions[number];
        session.moments.truncate(moment + 1);
        let Some(last) = session.moments.last_mut() else { return };
        let (ends_at, ended_at) = last.end(found, lost_at);
        if found.is_connected {
            // That it was closed shortly before the crash is forgotten.
            (last.lost_at, last.closed) = (Some(lost_at), None);
        }
        let last = *last;
        (session.link, session.will, session.is_over) = (None, None, false);
        (session.ends_at, session.expiry_s) = (ends_at, found.expiry_s);
        session.keeps = last.keeps;
        // Clocks begin anew, and with them the places of connections.
        session.newest = None;
        // What the log holds of it every shard knows before anybody is read.
        session.is_surely_durable = true;
        session.unconfirmed.clear();
        session.unsubscribing.clear();
        for right in &mut session.rights {
            (right.is_broken, right.is_undone) = (true, true);
        }
        let expiry_s = last.closed.map_or(last.expiry_s, |(_, expiry_s, _)| expiry_s);
        if ![expiry_s, last.expiry_s].contains(&found.expiry_s) {
            let name = &session.name;
            violated!("the session expiry survives a crash", "{name}: {found:?}, not {last:?}");
        }
        self.recall_will(number, &last, found, ended_at);
        self.recall_subscriptions(number, found, at);
        self.recall_held(number, found);
    }

    /// Nobody was promised anything beyond the broker's end.
    fn forget_all(&mut self) {
        self.was_retained.fill(false);
        for session in &mut self.sessions {
            session.moments.iter_mut().for_each(|moment| moment.keeps = false);
        }
    }

    /// Nothing is owed but what was acknowledged, or taken by a broker that has stopped in order, to
    /// sessions that outlive the broker.
    fn forget_what_was_not_acknowledged(&mut self, ending: Ending) {
        let is_held = |message: usize| {
            let attempt = self.messages[message].attempts.last();
            attempt.is_some_and(|attempt| {
                self.sessions[self.attempts[*attempt].session].held.contains(&message)
            })
        };
        let is_safe: Vec<bool> = (0..self.messages.len())
            .map(|number| {
                ending == Ending::Stopped || self.messages[number].is_accepted || is_held(number)
            })
            .collect();
        for session in &mut self.sessions {
            session.owed.retain(|message, owed| owed.is_durable && is_safe[*message]);
        }
        let sessions = &self.sessions;
        for (filter, group) in &mut self.groups {
            let has_been = |session: &&Session| session.subs.iter().any(|it| it.filter == *filter);
            let is_durable = sessions
                .iter()
                .filter(has_been)
                .all(|session| session.is_surely_durable && !session.is_over);
            let disturbed_at = group.disturbed_at;
            group.owed.retain(|message, owed| {
                owed.survives && is_durable && disturbed_at < owed.since && is_safe[*message]
            });
        }
    }
}
