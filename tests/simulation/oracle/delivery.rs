//! A PUBLISH arrived at a client: was it asked for, is it right, does it come in its order?

use std::collections::BTreeSet;

use skein_protocol::PublishProperties;

use super::{
    At, Oracle,
    exchange::Numbered,
    ledger::check_properties,
    session::Session,
    subscription::{Sub, check_terms},
    violated,
};
use crate::{
    alphabet::{TOPICS, does_match, is_share},
    link::LinkId,
};

const UNASKED: &str = "nothing comes unasked for";

/// Messages that overtake each other nowhere: of one publisher, topic and QoS, delivered alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Course {
    publisher: usize,
    pub(super) topic: usize,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) delivered_qos: u8,
}

impl Session {
    /// Whether a retained message of this publisher and topic that is newer than `attempt` came
    /// live after `since`, with the same QoS.
    pub(super) fn had_newer(
        &self,
        publisher: usize,
        topic: usize,
        delivered_qos: u8,
        attempt: usize,
        since: u64,
    ) -> bool {
        self.courses.iter().any(|(course, last)| {
            let is_alike = course.publisher == publisher
                && course.topic == topic
                && course.retain
                && course.delivered_qos == delivered_qos;
            let moved = self.last_live.get(course).is_some_and(|step| *step > since);
            is_alike && moved && *last > attempt
        })
    }
}

/// One message at one session.
#[derive(Clone, Copy)]
struct Case<'a> {
    number: usize,
    message: usize,
    topic: usize,
    delivery: &'a Delivery<'a>,
}

/// A PUBLISH as a client received it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) link: LinkId,
    /// The book by which it was written.
    pub(crate) book: usize,
    pub(crate) topic: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) packet_id: Option<u16>,
    pub(crate) properties: &'a PublishProperties<'a>,
    pub(crate) payload: &'a [u8],
}

impl Oracle {
    /// A client received a PUBLISH.
    pub(crate) fn on_delivered(&mut self, number: Option<usize>, delivery: &Delivery<'_>, at: At) {
        let Some(number) = number else {
            violated!(UNASKED, "{:?} has no session", delivery.link);
        };
        let session = &self.sessions[number];
        if session.link != Some(delivery.link) {
            // It was on its way when the connection ended: it counts for nothing else.
            let message = self.find_message(delivery.payload);
            if let Some((owed, message)) = self.farewells.get_mut(&delivery.link).zip(message) {
                owed.remove(&message);
            }
            return;
        }
        self.tally.deliveries += 1;
        let message = self.find_message(delivery.payload);
        if message.is_none() && delivery.payload.starts_with(b"sim") {
            violated!("the payload is unaltered", "{} got {:?}", session.name, delivery.payload);
        }
        let is_resend = match delivery.packet_id {
            None => false,
            Some(packet_id) => {
                let Delivery { qos, dup, link, .. } = *delivery;
                self.on_numbered(number, &Numbered { packet_id, qos, dup, message, link })
            }
        };
        self.check_filters(number, delivery.topic);
        self.check_right_to_receive(&self.sessions[number], delivery);
        let Some(message) = message else { return };
        self.check_content(number, message, delivery, at);
        self.sessions[number].received.insert(message, at.step);
        if is_resend {
            self.check_order_of_resends(number, message, delivery);
        } else {
            self.explain(number, message, delivery, at);
        }
    }

    fn check_filters(&self, number: usize, topic: &str) {
        let session = &self.sessions[number];
        let matches = |sub: &Sub| does_match(crate::alphabet::FILTERS[sub.filter], topic);
        if !session.subs.iter().any(matches) {
            violated!(UNASKED, "{} never subscribed to {topic}", session.name);
        }
    }

    /// What was published is what arrives.
    fn check_content(&self, number: usize, message: usize, delivery: &Delivery<'_>, at: At) {
        let session = &self.sessions[number];
        let known = &self.messages[message];
        let topic = known.facts.topic.map(|topic| TOPICS[topic]);
        if topic != Some(delivery.topic) {
            violated!("the topic is unaltered", "{topic:?} became {}", delivery.topic);
        }
        if known.attempts.is_empty() {
            violated!(UNASKED, "{} got {message}, which was not accepted", session.name);
        }
        if session.is_v5 {
            check_properties(&known.facts, delivery.properties);
        }
        self.check_expiry(session, message, delivery, at);
    }

    fn check_expiry(&self, session: &Session, message: usize, delivery: &Delivery<'_>, at: At) {
        let known = &self.messages[message];
        if known.facts.expiry_s.is_none() {
            return;
        }
        let ends = known.attempts.iter().filter_map(|attempt| {
            let attempt = self.attempts[*attempt];
            Some((attempt.expires_at?, attempt.at))
        });
        let seconds = |ms: u64| ms.div_ceil(1000);
        let is_dup = delivery.dup;
        // It was written between its publish, or the connect, and now.
        let is_right = ends.clone().any(|(end, published_at)| {
            let most = seconds(end.since(session.connected_at.max(published_at)));
            let least = seconds(end.since(at.now));
            let is_fresh = is_dup || end > session.connected_at;
            let shown = delivery.properties.message_expiry_s.map(u64::from);
            let least = if is_dup { least } else { least.max(1) };
            is_fresh && (!session.is_v5 || shown.is_some_and(|s| (least..=most).contains(&s)))
        });
        if !is_right {
            let ends: Vec<_> = ends.collect();
            violated!(
                "message expiry is counted down and kept",
                "{} got {message} with {:?} at {}, connected at {}, ends {ends:?}",
                session.name,
                delivery.properties.message_expiry_s,
                at.now,
                session.connected_at
            );
        }
    }

    /// Why the session gets this message.
    fn explain(&mut self, number: usize, message: usize, delivery: &Delivery<'_>, at: At) {
        let Some(topic) = self.messages[message].facts.topic else { return };
        let case = Case { number, message, topic, delivery };
        let live = self.is_live(case);
        let shared = self.alike_shares(case);
        let looks_alike = live.is_ok() && !shared.is_empty();
        if looks_alike || self.may_be_both(case) {
            self.count_copy(case, live == Ok(true));
            return;
        }
        let live = match live {
            Ok(_) => self.take_live(case, at),
            Err(why) => Err(why),
        };
        let Err(live) = live else { return };
        let Err(shared) = self.take_shared(&shared, message) else { return };
        let replay = if delivery.retain {
            self.take_replay(number, message, topic, delivery.qos)
        } else {
            Err("RETAIN is not set".to_owned())
        };
        let Err(replay) = replay else { return };
        let session = &mut self.sessions[number];
        if let Some(left) = session.comes_again.get_mut(&message).filter(|left| **left > 0) {
            *left -= 1;
            return;
        }
        let session = &self.sessions[number];
        violated!(
            "each message comes as it was asked for",
            "{} got {message} ({}) qos {} retain {} ids {:?}: not live, as {live}; not shared, as \
             {shared}; not retained, as {replay}; holds {:?}; retained {:?}",
            session.name,
            TOPICS[topic],
            delivery.qos,
            delivery.retain,
            delivery.properties.subscription_identifiers.iter().collect::<Vec<_>>(),
            session
                .subs
                .iter()
                .filter(|sub| self.alphabet.matches(sub.filter, topic))
                .collect::<Vec<_>>(),
            self.writes[topic]
        );
    }

    /// With Retain As Published a live message looks like a retained one.
    fn may_be_both(&self, case: Case<'_>) -> bool {
        let session = &self.sessions[case.number];
        let matches = |filter: usize| self.alphabet.matches(filter, case.topic);
        case.delivery.retain
            && self.messages[case.message].facts.retain
            && session.subs.iter().any(|sub| sub.retain_as_published && matches(sub.filter))
            && session.rights.iter().any(|right| matches(right.filter))
    }

    /// A message that may have come for several reasons is only counted: at most once for each.
    fn count_copy(&mut self, case: Case<'_>, is_surely_live: bool) {
        let (message, topic) = (case.message, case.topic);
        let alphabet = &self.alphabet;
        let session = &mut self.sessions[case.number];
        let matches = |filter: &usize| alphabet.matches(*filter, topic);
        let rights = session.rights.iter().filter(|right| matches(&right.filter)).count();
        let shares: BTreeSet<usize> = session
            .subs
            .iter()
            .map(|sub| sub.filter)
            .filter(|filter| is_share(*filter) && matches(filter))
            .collect();
        let (before, attempts) = session.settled.get(&message).copied().unwrap_or_default();
        let attempts = self.messages[message].attempts.len() - attempts;
        // What ended members of its groups held may have come to it.
        let ends: usize = shares.iter().map(|filter| self.groups[filter].ends()).sum();
        // Or what they may not have any more.
        let passes = if self.law.is_there() { shares.len() } else { 0 };
        let ends = (ends + passes) * self.messages[message].attempts.len();
        let undone = session.undone.get(&message).copied().unwrap_or_default();
        let most = before + attempts * (1 + shares.len()) + rights + ends + undone;
        let copies = session.copies.entry(message).or_default();
        *copies += 1;
        if *copies > most {
            violated!(
                "each message comes once",
                "{} got {message} {copies} times, for {most} reasons",
                session.name
            );
        }
        let is_first = *copies == 1;
        session.owed.remove(&message);
        if is_first && is_surely_live && rights == 0 {
            return;
        }
        for filter in shares {
            self.groups.entry(filter).or_default().owed.remove(&message);
        }
    }

    /// Whether it may be a live message of the session's own subscriptions; if so, whether it is
    /// nothing else for certain.
    fn is_live(&self, case: Case<'_>) -> Result<bool, String> {
        let attempts = &self.messages[case.message].attempts;
        let Some(first) = attempts.first().map(|attempt| self.attempts[*attempt]) else {
            return Err("it was not published".to_owned());
        };
        let session = &self.sessions[case.number];
        let facts = &self.messages[case.message].facts;
        let held = session.held_since(first.step, case.topic, &self.alphabet);
        let is_live = |held: &[&Sub]| {
            let is_due = held.iter().any(|sub| sub.confirmed.is_some_and(|step| step < first.step));
            check_terms(held, facts, case.delivery, first.step, session.is_v5)
                .map(|it| it && is_due)
        };
        let own = attempts.iter().filter(|it| self.attempts[**it].session == case.number).count();
        let not_local: Vec<&Sub> = held.iter().copied().filter(|sub| !sub.no_local).collect();
        if own == 0 {
            is_live(&held)
        } else if own == attempts.len() || not_local.len() == held.len() {
            is_live(&not_local)
        } else {
            // The client may have sent it in another session first, which a crash has undone.
            is_live(&held).or_else(|_| is_live(&not_local)).map(|_| false)
        }
    }

    /// Takes it as a live message, in its order.
    fn take_live(&mut self, case: Case<'_>, at: At) -> Result<(), String> {
        let known = &self.messages[case.message];
        let attempts = &known.attempts;
        let course = Course {
            publisher: self.attempts[attempts[0]].session,
            topic: case.topic,
            qos: known.facts.qos,
            retain: known.facts.retain,
            delivered_qos: case.delivery.qos,
        };
        let session = &mut self.sessions[case.number];
        if case.delivery.qos == 2 && session.came_once.contains(&case.message) {
            return Err("it has come with QoS 2 already".to_owned());
        }
        let last = session.courses.get(&course).copied();
        let next = attempts.iter().find(|attempt| last.is_none_or(|last| **attempt > last));
        let Some(next) = next else {
            let last = last.map(|last| self.attempts[last].message);
            return Err(format!("message {last:?} of the same course has come already"));
        };
        if case.delivery.qos == 2 {
            session.came_once.insert(case.message);
        }
        session.courses.insert(course, *next);
        session.last_live.insert(course, at.step);
        session.owed.remove(&case.message);
        *session.copies.entry(case.message).or_default() += 1;
        Ok(())
    }

    /// The shares of the session through which the message may have come.
    fn alike_shares(&self, case: Case<'_>) -> Vec<usize> {
        let session = &self.sessions[case.number];
        let known = &self.messages[case.message];
        let first = known.attempts.first();
        let first = first.map_or(u64::MAX, |attempt| self.attempts[*attempt].step);
        let found = &case.delivery.properties.subscription_identifiers;
        let identifiers: Vec<u32> = found.iter().collect();
        let is_alike = |sub: &&Sub| {
            is_share(sub.filter)
                && sub.removed.is_none_or(|removed| removed > first)
                && self.alphabet.matches(sub.filter, case.topic)
                && sub.qos.min(known.facts.qos) == case.delivery.qos
                && (known.facts.retain && sub.retain_as_published) == case.delivery.retain
                && (!session.is_v5 || Vec::from_iter(sub.identifier) == identifiers)
        };
        let alike: BTreeSet<usize> =
            session.subs.iter().filter(is_alike).map(|sub| sub.filter).collect();
        alike.into_iter().collect()
    }

    /// Takes it for the group; of several nobody knows which.
    fn take_shared(&mut self, shares: &[usize], message: usize) -> Result<(), String> {
        match shares {
            [] => Err("it holds no such share".to_owned()),
            [filter] => self.take_for_group(*filter, message),
            several => {
                for filter in several {
                    self.groups.entry(*filter).or_default().owed.remove(&message);
                }
                Ok(())
            }
        }
    }
}
