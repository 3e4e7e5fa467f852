//! Sessions: when each began, who is connected to it, when it ends.

use std::collections::{BTreeMap, BTreeSet};

use skein::shard::Time;

use super::{
    At, Oracle, crash::Moment, delivery::Course, exchange::Exchange, order::Arrival, publish::Owed,
    replay::Right, subscription::Sub, violated,
};
use crate::{
    alphabet::is_share,
    link::{ConnectFacts, Link, LinkId},
};

/// One session of one client id, from its beginning to its end.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) name: String,
    pub(super) shard: usize,
    /// Whose it is.
    pub(super) user: Option<usize>,
    pub(super) is_v5: bool,
    pub(super) link: Option<LinkId>,
    /// How many connections it has had.
    pub(super) connections: usize,
    pub(super) connected_at: Time,
    /// Of its newest connection; none of a hostile client's.
    pub(super) newest: Option<Arrival>,
    pub(super) expiry_s: u32,
    /// Its newest connection came through a listener that keeps what it promises.
    pub(super) keeps: bool,
    /// When it ends; only while it has no connection.
    pub(super) ends_at: Option<Time>,
    pub(super) is_over: bool,
    /// The will of this connection, by its message, and its delay.
    pub(super) will: Option<(usize, u32)>,
    /// Its connections, oldest first.
    pub(super) moments: Vec<Moment>,
    /// Every shard knows that it is durable, and acknowledges nothing for it too early.
    pub(super) is_surely_durable: bool,
    /// DISCONNECT was heard: whether the will is to be published.
    pub(super) goodbye: Option<bool>,
    pub(super) packet_bytes_max: usize,
    /// A later connection allowed packets only up to a size: what was lost with an earlier one may
    /// have been given up then.
    pub(super) had_limit: bool,
    pub(super) receive_maximum: usize,
    pub(super) alias_max: u16,
    pub(super) subs: Vec<Sub>,
    /// Messages that must arrive; whether also over a lost connection.
    pub(super) owed: BTreeMap<usize, Owed>,
    /// When each message arrived last, by step.
    pub(super) received: BTreeMap<usize, u64>,
    /// How far each course of messages has come.
    pub(super) courses: BTreeMap<Course, usize>,
    /// When each course last moved, by step.
    pub(super) last_live: BTreeMap<Course, u64>,
    /// How often each message came as a live one, or as one that may be.
    pub(super) copies: BTreeMap<usize, usize>,
    /// Of these, as of the last rest: copies and attempts.
    pub(super) settled: BTreeMap<usize, (usize, usize)>,
    /// How many of these a crash may have undone since, so that they come once more.
    pub(super) undone: BTreeMap<usize, usize>,
    pub(super) exchanges: BTreeMap<u16, Exchange>,
    /// What was on its way in a crash though it may have come before, and how often.
    pub(super) comes_again: BTreeMap<usize, usize>,
    /// The last attempt that was sent again of each connection, publisher, topic, QoS and QoS of
    /// the delivery.
    pub(super) resent: BTreeMap<(LinkId, usize, usize, u8, u8), usize>,
    /// Messages that came live with QoS 2.
    pub(super) came_once: BTreeSet<usize>,
    /// QoS 2 messages it published and has not released.
    pub(super) held: BTreeSet<usize>,
    /// The last QoS 2 message it published with each packet id.
    pub(super) published: BTreeMap<u16, usize>,
    pub(super) rights: Vec<Right>,
    /// SUBSCRIBEs that were refused because nothing can be made durable, and have no SUBACK.
    pub(super) refused: Vec<(LinkId, u16)>,
    /// SUBSCRIBEs without SUBACK: the connection, the packet id, and their subscriptions.
    pub(super) unconfirmed: Vec<(LinkId, u16, Vec<usize>)>,
    /// UNSUBSCRIBEs without UNSUBACK: the subscription of each filter, if it was subscribed.
    pub(super) unsubscribing: Vec<Vec<Option<usize>>>,
}

impl Session {
    /// Whether the session may be over already: its time has come.
    pub(super) fn may_be_over(&self, now: Time) -> bool {
        self.is_over || (self.link.is_none() && self.ends_at.is_some_and(|at| at <= now))
    }

    pub(super) fn say_goodbye(&mut self, publishes_will: bool, expiry_s: Option<u32>, most: u32) {
        self.goodbye = Some(publishes_will);
        if let Some(expiry_s) = expiry_s {
            self.expiry_s = expiry_s.min(most);
        }
    }

    fn connect(&mut self, link: (LinkId, bool), facts: &ConnectFacts, expiry_s: u32, at: At) {
        let ((id, keeps), now) = (link, at.now);
        self.keeps = keeps;
        self.link = Some(id);
        self.is_v5 = facts.is_v5;
        self.connections += 1;
        self.connected_at = now;
        self.expiry_s = expiry_s;
        self.moments.push(Moment::new(link, at, expiry_s, facts));
        self.is_surely_durable &= self.is_durable();
        self.ends_at = None;
        self.goodbye = None;
        self.will = facts.will.map(|will| (will.message, will.delay_s));
        self.packet_bytes_max = facts.packet_bytes_max;
        self.had_limit |= self.connections > 1 && facts.packet_bytes_max < usize::MAX;
        self.receive_maximum = facts.receive_maximum;
        self.alias_max = facts.alias_max;
        for right in &mut self.rights {
            right.packet_bytes_max = right.packet_bytes_max.min(facts.packet_bytes_max);
        }
        self.refused.clear();
        self.unconfirmed.clear();
        self.unsubscribing.clear();
    }

    fn new(name: &str, shard: usize, user: Option<usize>) -> Self {
        Self {
            name: name.to_owned(),
            shard,
            user,
            is_v5: false,
            link: None,
            connections: 0,
            connected_at: Time::from_millis(0),
            newest: None,
            expiry_s: 0,
            keeps: true,
            ends_at: None,
            is_over: false,
            will: None,
            moments: Vec::new(),
            is_surely_durable: true,
            goodbye: None,
            packet_bytes_max: 0,
            had_limit: false,
            receive_maximum: 0,
            alias_max: 0,
            subs: Vec::new(),
            owed: BTreeMap::new(),
            received: BTreeMap::new(),
            courses: BTreeMap::new(),
            last_live: BTreeMap::new(),
            copies: BTreeMap::new(),
            settled: BTreeMap::new(),
            undone: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            comes_again: BTreeMap::new(),
            resent: BTreeMap::new(),
            came_once: BTreeSet::new(),
            held: BTreeSet::new(),
            published: BTreeMap::new(),
            rights: Vec::new(),
            refused: Vec::new(),
            unconfirmed: Vec::new(),
            unsubscribing: Vec::new(),
        }
    }
}

impl Oracle {
    /// The core says that a connection is the one of its client id now.
    pub(crate) fn on_established(
        &mut self,
        id: LinkId,
        links: &mut [Link],
        name: &str,
        shard: usize,
        is_resumed: bool,
        at: At,
    ) {
        let Some(facts) = links[id.0].facts.clone() else { return };
        if self.early_will.as_deref() == Some(name) && !is_resumed {
            self.early_will = None;
        }
        let before = self.by_name.get(name).copied().filter(|s| !self.sessions[*s].is_over);
        if let Some(before) = before {
            self.check_resumption(before, &facts, is_resumed, shard, at);
            self.check_owner(&self.sessions[before], facts.user, at);
            self.check_order(&self.sessions[before], &links[id.0], at);
        } else if is_resumed {
            violated!("a session begins once", "{name} resumed a session that never was");
        }
        let expiry_s = self.granted_expiry_s(&facts);
        let session = match before {
            Some(before) if is_resumed => before,
            before => {
                if let Some(before) = before {
                    self.end_session(before, at);
                }
                self.sessions.push(Session::new(name, shard, facts.user));
                self.by_name.insert(name.to_owned(), self.sessions.len() - 1);
                self.sessions.len() - 1
            }
        };
        self.forget_due_will(session, at);
        let keeps = links[id.0].keeps;
        self.sessions[session].connect((id, keeps), &facts, expiry_s, at);
        self.forget_too_large(session);
        self.note_newest(session, &links[id.0]);
        links[id.0].session = Some(session);
    }

    /// What is larger than the new connection takes, or may not be received any more, is dropped.
    fn forget_too_large(&mut self, number: usize) {
        let (messages, law) = (&self.messages, &self.law);
        let session = &mut self.sessions[number];
        session.had_limit |= law.is_there();
        let (most, user) = (session.packet_bytes_max, session.user);
        let is_allowed = |topic: Option<usize>| topic.is_none_or(|it| law.always_reads(user, it));
        let fits = |message: &usize| {
            let facts = &messages[*message].facts;
            facts.packet_bytes() <= most && is_allowed(facts.topic)
        };
        session.owed.retain(|message, _| fits(message));
        session.exchanges.values_mut().for_each(|exchange| {
            exchange.reconsider(law.is_there(), fits);
        });
        // Also what it holds of groups that it has left.
        let filters = session.subs.iter().map(|sub| sub.filter).filter(|filter| is_share(*filter));
        for filter in filters {
            self.groups.entry(filter).or_default().owed.retain(|message, _| fits(message));
        }
    }

    /// Whether a session goes on, and where, is as it must be.
    fn check_resumption(
        &self,
        before: usize,
        facts: &ConnectFacts,
        is_resumed: bool,
        shard: usize,
        at: At,
    ) {
        let session = &self.sessions[before];
        if let Some(old) = session.link {
            violated!(
                "one live connection for each client id",
                "{} is connected by {old:?} and again",
                session.name
            );
        }
        if !is_resumed {
            if !facts.clean_start && !session.may_be_over(at.now) {
                violated!("a session lasts until its expiry", "{} began anew", session.name);
            }
            return;
        }
        let is_surely_over = session.ends_at.is_some_and(|end| end <= self.ticked[session.shard]);
        if facts.clean_start {
            violated!("a clean start ends the session", "{} was resumed", session.name);
        }
        if is_surely_over {
            violated!("a session ends at its expiry", "{} was resumed", session.name);
        }
        if session.shard != shard {
            violated!(
                "a session has one home",
                "{} moved from {} to {shard}",
                session.name,
                session.shard
            );
        }
    }

    fn granted_expiry_s(&self, facts: &ConnectFacts) -> u32 {
        let asked = match (facts.is_v5, facts.clean_start) {
            (true, _) => facts.expiry_s,
            (false, true) => 0,
            (false, false) => self.session_expiry_v3_s,
        };
        asked.min(self.session_expiry_s_max)
    }

    /// The core has forgotten a connection.
    pub(crate) fn on_close(&mut self, id: LinkId, links: &[Link], now: Time, step: u64) {
        let Some(number) = links[id.0].session else { return };
        if links[id.0].is_stopped {
            self.note_farewell(id, number);
        }
        let session = &mut self.sessions[number];
        if session.link != Some(id) {
            violated!("a connection is closed once", "{id:?} of {}", session.name);
        }
        session.link = None;
        // What left with QoS 0 is lost with its connection.
        session.owed.retain(|_, owed| owed.survives);
        for right in &mut session.rights {
            right.is_broken = true;
        }
        session.ends_at = match session.expiry_s {
            u32::MAX => None,
            expiry_s => Some(now.plus(u64::from(expiry_s) * 1000)),
        };
        session.close_moment(now);
        let (will, publishes) = (session.will.take(), session.goodbye.unwrap_or(true));
        let is_over = session.expiry_s == 0;
        let expiry_s = session.expiry_s;
        let shares = session.shares().collect::<Vec<_>>();
        for filter in shares {
            self.disturb_group(filter, step);
        }
        if let Some((message, delay_s)) = will.filter(|_| publishes) {
            let due = now.plus(u64::from(delay_s.min(expiry_s)) * 1000);
            self.owe_will(number, message, due, now);
        }
        if is_over {
            self.end_session(number, At { now, step });
        }
    }

    /// The session is over: nothing of it remains.
    pub(super) fn end_session(&mut self, number: usize, at: At) {
        let session = &mut self.sessions[number];
        session.is_over = true;
        session.owed.clear();
        session.rights.clear();
        // Why it got what it got is forgotten with that, should a crash bring it back.
        session.copies.clear();
        session.settled.clear();
        session.undone.clear();
        let active: Vec<usize> = session.shares().collect();
        // What it got as a member goes to others, even if it is none any more.
        let mut were_member: BTreeMap<usize, bool> = BTreeMap::new();
        for sub in session.subs.iter_mut() {
            sub.removed.get_or_insert(at.step);
            if is_share(sub.filter) {
                *were_member.entry(sub.filter).or_default() |= sub.qos == 2;
            }
        }
        for (filter, had_qos_2) in were_member {
            self.end_in_group(filter, had_qos_2, at.step);
        }
        for filter in active {
            self.leave_group(filter, at.step);
        }
    }

    /// Whether the session of this client id has a connection.
    pub(crate) fn is_connected(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|number| self.sessions[*number].link.is_some())
    }

    /// Sessions whose time is over, for certain.
    pub(crate) fn expire_sessions(&mut self, at: At) {
        for number in 0..self.sessions.len() {
            let session = &self.sessions[number];
            let is_past = session.ends_at.is_some_and(|end| end <= self.ticked[session.shard]);
            if !session.is_over && session.link.is_none() && is_past {
                self.end_session(number, at);
            }
        }
    }

    /// The newest session of a client id that is not over for certain.
    pub(crate) fn names(&self) -> Vec<String> {
        let is_live = |number: &usize| !self.sessions[*number].is_over;
        self.by_name.iter().filter(|(_, number)| is_live(number)).map(|(n, _)| n.clone()).collect()
    }

    /// A connection was closed for its silence.
    pub(crate) fn on_silence(&self, link: &Link, is_refused: bool, now: Time) {
        let Some(facts) = &link.facts else { return };
        let silence_ms = self.keep_alive_ms(facts);
        if now.since(link.heard_at) < silence_ms {
            violated!(
                "silence is one and a half times the keep alive",
                "closed after {} ms of {silence_ms}",
                now.since(link.heard_at)
            );
        }
        if is_refused {
            violated!(
                "nobody is closed for a silence that is ours",
                "what the client said was not read for {} ms",
                now.since(link.heard_at)
            );
        }
    }

    fn keep_alive_ms(&self, facts: &ConnectFacts) -> u64 {
        u64::from(facts.keep_alive_s) * 1500
    }
}
