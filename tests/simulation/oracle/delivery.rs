//! A PUBLISH arrived at a client: was it asked for, is it right, does it come in its order?

use skein_protocol::{PublishProperties, properties::PayloadFormat};

use super::{At, Facts, Oracle, exchange::Numbered, session::Session, subscription::Sub, violated};
use crate::{
    alphabet::{TOPICS, does_match, is_share},
    link::LinkId,
};

const UNASKED: &str = "nothing comes unasked for";

/// Messages that overtake each other nowhere: of one publisher, topic and QoS, delivered alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Course {
    publisher: usize,
    topic: usize,
    qos: u8,
    retain: bool,
    delivered_qos: u8,
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

/// A PUBLISH as a client received it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) link: LinkId,
    pub(crate) topic: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) packet_id: Option<u16>,
    pub(crate) properties: &'a PublishProperties<'a>,
    pub(crate) payload: &'a [u8],
    /// Of the whole packet.
    pub(crate) bytes: usize,
}

impl Oracle {
    /// A client received a PUBLISH.
    pub(crate) fn on_delivered(&mut self, number: Option<usize>, delivery: &Delivery<'_>, at: At) {
        let Some(number) = number else {
            violated!(UNASKED, "{:?} has no session", delivery.link);
        };
        let session = &self.sessions[number];
        if delivery.bytes > session.packet_bytes_max {
            violated!(
                "the maximum packet size is kept",
                "{} got {} bytes of {}",
                session.name,
                delivery.bytes,
                session.packet_bytes_max
            );
        }
        if session.link != Some(delivery.link) {
            // It was on its way when the connection ended: it counts for nothing.
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
        let Some(message) = message else { return };
        self.check_content(number, message, delivery, at);
        self.sessions[number].received.insert(message, at.step);
        if !is_resend {
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
        if known.attempts.is_empty() || known.is_refused {
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
        if self.may_be_both(number, message, topic, delivery) {
            self.count_copy(number, message, topic);
            return;
        }
        let live = self.take_live(number, message, topic, delivery, at);
        let Err(live) = live else { return };
        let Err(shared) = self.take_shared(number, message, topic, delivery) else { return };
        let replay = if delivery.retain {
            self.take_replay(number, message, topic, delivery.qos)
        } else {
            Err("RETAIN is not set".to_owned())
        };
        let Err(replay) = replay else { return };
        let session = &self.sessions[number];
        violated!(
            "each message comes as it was asked for",
            "{} got {message} ({:?}) qos {} retain {} ids {:?}: not live, as {live}; not shared, \
             as {shared}; not retained, as {replay}; holds {:?}",
            session.name,
            self.messages[message].facts.topic.map(|topic| TOPICS[topic]),
            delivery.qos,
            delivery.retain,
            delivery.properties.subscription_identifiers.iter().collect::<Vec<_>>(),
            session.subs
        );
    }

    /// With Retain As Published a live message looks like a retained one. While both may come,
    /// they are only counted.
    fn may_be_both(
        &self,
        number: usize,
        message: usize,
        topic: usize,
        delivery: &Delivery<'_>,
    ) -> bool {
        let session = &self.sessions[number];
        let matches = |filter: usize| self.alphabet.matches(filter, topic);
        delivery.retain
            && self.messages[message].facts.retain
            && session.subs.iter().any(|sub| sub.retain_as_published && matches(sub.filter))
            && session.rights.iter().any(|right| matches(right.filter))
    }

    fn count_copy(&mut self, number: usize, message: usize, topic: usize) {
        let session = &mut self.sessions[number];
        let alphabet = &self.alphabet;
        let rights = session.rights.iter().filter(|r| alphabet.matches(r.filter, topic)).count();
        let shares = session
            .subs
            .iter()
            .filter(|sub| is_share(sub.filter))
            .filter(|sub| alphabet.matches(sub.filter, topic));
        let most = self.messages[message].attempts.len() * (1 + shares.count()) + rights;
        let copies = session.copies.entry(message).or_default();
        *copies += 1;
        if *copies > most {
            violated!(
                "each message comes once",
                "{} got {message} {copies} times, for {most} reasons",
                session.name
            );
        }
        session.owed.remove(&message);
        for (filter, group) in &mut self.groups {
            if session.subs.iter().any(|sub| sub.filter == *filter) {
                group.owed.remove(&message);
            }
        }
    }

    /// As a live message of its own subscriptions.
    fn take_live(
        &mut self,
        number: usize,
        message: usize,
        topic: usize,
        delivery: &Delivery<'_>,
        at: At,
    ) -> Result<(), String> {
        let attempts: Vec<_> =
            self.messages[message].attempts.iter().map(|a| (*a, self.attempts[*a])).collect();
        let Some((_, first)) = attempts.first().copied() else {
            return Err("it was not published".to_owned());
        };
        let session = &self.sessions[number];
        let facts = &self.messages[message].facts;
        let mut held = session.held_since(first.step, topic, &self.alphabet);
        if first.session == number {
            held.retain(|sub| !sub.no_local);
        }
        check_terms(&held, facts, delivery, first.step, session.is_v5)?;
        let course = Course {
            publisher: first.session,
            topic,
            qos: facts.qos,
            retain: facts.retain,
            delivered_qos: delivery.qos,
        };
        let last = session.courses.get(&course).copied();
        let next = attempts.iter().find(|(attempt, _)| last.is_none_or(|last| *attempt > last));
        let Some((next, _)) = next else {
            let last = last.map(|last| self.attempts[last].message);
            return Err(format!("message {last:?} of the same course has come already"));
        };
        let session = &mut self.sessions[number];
        session.courses.insert(course, *next);
        session.last_live.insert(course, at.step);
        session.owed.remove(&message);
        *session.copies.entry(message).or_default() += 1;
        Ok(())
    }

    /// As a member of a group.
    fn take_shared(
        &mut self,
        number: usize,
        message: usize,
        topic: usize,
        delivery: &Delivery<'_>,
    ) -> Result<(), String> {
        let session = &self.sessions[number];
        let facts = &self.messages[message].facts;
        let first = self.messages[message].attempts.first();
        let first = first.map_or(u64::MAX, |attempt| self.attempts[*attempt].step);
        let identifiers: Vec<u32> = delivery.properties.subscription_identifiers.iter().collect();
        let mut reason = "it holds no share".to_owned();
        let mut filters = Vec::new();
        for sub in session.subs.iter().filter(|sub| is_share(sub.filter)) {
            let is_past = sub.removed.is_some_and(|removed| removed <= first);
            if is_past || !self.alphabet.matches(sub.filter, topic) {
                continue;
            }
            let own = sub.identifier.into_iter().collect::<Vec<u32>>();
            let retain = facts.retain && sub.retain_as_published;
            let is_alike = sub.qos.min(facts.qos) == delivery.qos
                && retain == delivery.retain
                && (!session.is_v5 || own == identifiers);
            match is_alike {
                true => filters.push(sub.filter),
                false => reason = format!("its share is {sub:?}"),
            }
        }
        for filter in filters {
            match self.take_for_group(filter, message) {
                Ok(()) => return Ok(()),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }
}

/// QoS, RETAIN and identifiers follow from the subscriptions; exactly, unless these have changed
/// since the message was published.
fn check_terms(
    held: &[&Sub],
    facts: &Facts,
    delivery: &Delivery<'_>,
    published: u64,
    is_v5: bool,
) -> Result<(), String> {
    if held.is_empty() {
        return Err("no subscription wants it".to_owned());
    }
    let is_stable = held.iter().all(|sub| sub.added < published && sub.removed.is_none());
    let qos: Vec<u8> = held.iter().map(|sub| sub.qos.min(facts.qos)).collect();
    let is_qos_right = match is_stable {
        true => qos.iter().max() == Some(&delivery.qos),
        false => qos.contains(&delivery.qos),
    };
    if !is_qos_right {
        return Err(format!("its QoS is not the highest of {qos:?}"));
    }
    let any = held.iter().any(|sub| sub.retain_as_published) && facts.retain;
    let all = held.iter().all(|sub| sub.retain_as_published) && facts.retain;
    let is_retain_right = match is_stable {
        true => delivery.retain == any,
        false => delivery.retain == any || delivery.retain == all,
    };
    if !is_retain_right {
        return Err("its RETAIN flag is wrong".to_owned());
    }
    if !is_v5 {
        return Ok(());
    }
    let mut expected: Vec<u32> = held.iter().filter_map(|sub| sub.identifier).collect();
    let mut found: Vec<u32> = delivery.properties.subscription_identifiers.iter().collect();
    expected.sort_unstable();
    found.sort_unstable();
    let are_ids_right = match is_stable {
        true => expected == found,
        false => found.iter().all(|id| expected.contains(id)),
    };
    if !are_ids_right {
        return Err(format!("its identifiers are not {expected:?}"));
    }
    Ok(())
}

fn check_properties(facts: &Facts, found: &PublishProperties<'_>) {
    let user: Vec<(&str, &str)> = found.user_properties.iter().collect();
    let is_right = match &facts.properties {
        None => {
            found.payload_format.is_none()
                && found.content_type.is_none()
                && found.response_topic.is_none()
                && found.correlation_data.is_none()
                && user.is_empty()
        }
        Some(known) => {
            let is_text = found.payload_format.map(|format| format == PayloadFormat::Utf8);
            is_text == Some(known.is_text)
                && found.content_type == Some(&known.content_type)
                && found.response_topic.map(|topic| topic.as_str()) == Some(&known.response_topic)
                && found.correlation_data == Some(&known.correlation_data)
                && user == known.pairs()
        }
    };
    if !is_right {
        violated!("properties are unaltered and in order", "{:?}: {found:?}", facts.properties);
    }
}
