//! What the log holds after a crash of each session and topic: is it possible, and what may come of
//! it?

use std::collections::BTreeMap;

use skein::{
    record::state::{Entry, MessageState, SessionState, State, SubscriptionState},
    shard::Time,
};

use super::{
    At, Oracle,
    crash::{Ending, Moment},
    delivery::Course,
    exchange::Exchange,
    replay::Write,
    session::Session,
    subscription::Sub,
    violated,
    will::DueWill,
};
use crate::{
    alphabet::{FILTERS, TOPICS},
    crash::NO_LINK,
    store::unix_ms,
};

fn is_alike(sub: &Sub, kept: &SubscriptionState) -> bool {
    sub.qos == kept.qos as u8
        && sub.no_local == kept.no_local
        && sub.retain_as_published == kept.retain_as_published
        && sub.identifier == kept.identifier
}

impl Session {
    /// What became of the subscription to a filter, from the beginning on: the subscription or
    /// none, and whether that was acknowledged.
    fn past_of(&self, filter: usize) -> Vec<(Option<usize>, bool)> {
        let mut past = vec![(None, true)];
        let subs = self.subs.iter().enumerate();
        for (place, sub) in subs.filter(|(_, sub)| sub.filter == filter && !sub.is_undone) {
            past.push((Some(place), sub.is_acked));
            let is_replaced =
                |other: &Sub| other.filter == filter && Some(other.added) == sub.removed;
            if sub.removed.is_some() && !self.subs.iter().any(is_replaced) {
                past.push((None, sub.is_removal_acked));
            }
        }
        past
    }
}

impl Oracle {
    /// A will lasts until it is published or deleted.
    pub(super) fn recall_will(
        &mut self,
        number: usize,
        last: &Moment,
        found: &SessionState,
        ended_at: Time,
    ) {
        let name = &self.sessions[number].name;
        let Some((message, delay_s)) = last.will else {
            if found.will.is_some() {
                violated!("a will is that of the last CONNECT", "{name} left none");
            }
            return;
        };
        let Some(will) = &found.will else {
            let known = &mut self.messages[message];
            let was_published = !known.attempts.is_empty();
            known.is_accepted |= was_published;
            let was_deleted = last.closed.is_some_and(|(_, _, publishes)| !publishes);
            if !was_published && !was_deleted && known.denials == 0 && !self.law.is_there() {
                violated!("a will survives a crash", "{message}, that of {name}, is gone");
            }
            return;
        };
        if self.find_message(&will.payload) != Some(message) {
            violated!("a will is that of the last CONNECT", "{name}: {will:?} is not {message}");
        }
        let delay_ms = u64::from(delay_s.min(found.expiry_s)) * 1000;
        let due = ended_at.plus(delay_ms);
        self.due_wills.push(DueWill { session: number, message, due, is_immediate: false });
    }

    /// Each subscription is as it was acknowledged last, or as it became after that.
    pub(super) fn recall_subscriptions(&mut self, number: usize, found: &SessionState, at: At) {
        let session = &mut self.sessions[number];
        for (filter, text) in FILTERS.iter().enumerate() {
            let kept = found.subscriptions.get(*text);
            let past = session.past_of(filter);
            let certain = past.iter().rposition(|(_, is_acked)| *is_acked).unwrap_or(0);
            let is_kept = |(place, _): &(Option<usize>, bool)| match (place, kept) {
                (Some(place), Some(kept)) => is_alike(&session.subs[*place], kept),
                (place, kept) => place.is_none() && kept.is_none(),
            };
            let Some(place) = past[certain..].iter().rposition(is_kept) else {
                let name = &session.name;
                violated!(
                    "a subscription that was acknowledged survives a crash",
                    "{name}: {text} is {kept:?}, of {:?}",
                    session.subs.iter().filter(|sub| sub.filter == filter).collect::<Vec<_>>()
                );
            };
            for sub in past[certain + place + 1..].iter().filter_map(|(place, _)| *place) {
                session.subs[sub].removed.get_or_insert(at.step);
                session.subs[sub].is_undone = true;
            }
            if let (Some(sub), _) = past[certain + place] {
                session.subs[sub].removed = None;
                session.subs[sub].is_removal_acked = false;
                session.subs[sub].lasts = session.subs[sub].qos > 0;
            }
        }
    }

    /// Packet ids of the client are held from PUBREC to PUBCOMP.
    pub(super) fn recall_held(&mut self, number: usize, found: &SessionState) {
        let session = &mut self.sessions[number];
        let name = &session.name;
        for message in std::mem::take(&mut session.held) {
            let known = &self.messages[message];
            if known.is_accepted && !found.held.contains(&known.packet_id) {
                violated!(
                    "a packet id that PUBREC has acknowledged is held over a crash",
                    "{name}: {} of {message}",
                    known.packet_id
                );
            }
        }
        for packet_id in &found.held {
            let Some(message) = session.published.get(packet_id).copied() else {
                violated!("the log holds what happened", "{name} never published {packet_id}");
            };
            if self.messages[message].is_completed {
                violated!(
                    "a packet id is free once PUBCOMP was seen",
                    "{name}: {packet_id} of {message}"
                );
            }
            session.held.insert(message);
        }
    }

    /// What is on its way to the client: from now on it may come, even if it came before.
    pub(super) fn recall_entries(
        &mut self,
        number: usize,
        found: &SessionState,
        state: &State,
        ending: Ending,
    ) {
        let messages = found.flights.iter().map(|(packet_id, flight)| {
            let message = state.message(flight.entry.message);
            (*packet_id, message.and_then(|message| self.find_message(message.payload())))
        });
        let messages: BTreeMap<u16, Option<usize>> = messages.collect();
        let comes_again = self.recall_exchanges(number, found, &messages);
        if ending == Ending::Stopped {
            // What has come was heard of, and comes no more, unless a crash has undone that before.
            return;
        }
        self.sessions[number].comes_again.clear();
        for entry in &found.queue {
            let message = state.message(entry.message);
            if let Some(message) = message.and_then(|it| self.find_message(it.payload())) {
                self.allow_again(number, message, entry);
            }
        }
        for packet_id in comes_again {
            if let (Some(Some(message)), Some(flight)) =
                (messages.get(&packet_id), found.flights.get(&packet_id))
            {
                self.allow_again(number, *message, &flight.entry);
            }
        }
    }

    /// The packet ids of flights that the client may take for new.
    fn recall_exchanges(
        &mut self,
        number: usize,
        found: &SessionState,
        messages: &BTreeMap<u16, Option<usize>>,
    ) -> Vec<u16> {
        const PROMISE: &str = "a QoS 2 delivery goes on over a crash where it was";
        let session = &mut self.sessions[number];
        let before = std::mem::take(&mut session.exchanges);
        for (packet_id, exchange) in before.iter().filter(|(_, it)| it.qos == 2) {
            let flight = found.flights.get(packet_id);
            let name = &session.name;
            let is_same = flight.is_some_and(|flight| {
                flight.is_received || messages[packet_id] == exchange.message
            });
            if !is_same && !exchange.is_given_up {
                violated!(PROMISE, "{name}, id {packet_id}: {exchange:?} became {flight:?}");
            }
            if exchange.is_pubrel_seen && flight.is_some_and(|flight| !flight.is_received) {
                violated!(PROMISE, "{name}, id {packet_id}: PUBREL was seen, and {flight:?}");
            }
        }
        let mut comes_again = Vec::new();
        for (packet_id, flight) in &found.flights {
            let seen = before.get(packet_id).copied();
            let message = messages[packet_id];
            let is_resend = seen.is_some_and(|seen| seen.message == message);
            if flight.is_received || is_resend {
                let exchange = Exchange {
                    message: message.or(seen.and_then(|seen| seen.message)),
                    qos: flight.entry.qos as u8,
                    link: seen.map_or(NO_LINK, |seen| seen.link),
                    is_released: flight.is_received,
                    is_pubrel_seen: seen.is_some_and(|seen| seen.is_pubrel_seen),
                    is_given_up: seen.is_some_and(|seen| seen.is_given_up),
                };
                session.exchanges.insert(*packet_id, exchange);
            } else {
                comes_again.push(*packet_id);
            }
        }
        comes_again
    }

    /// A message is in a queue, though perhaps it came before: its course begins again there.
    fn allow_again(&mut self, number: usize, message: usize, entry: &Entry) {
        let known = &self.messages[message];
        let (Some(topic), Some(first)) = (known.facts.topic, known.attempts.first()) else {
            return;
        };
        let (facts, first) = (&known.facts, *first);
        let session = &mut self.sessions[number];
        let is_its = |course: &Course| {
            course.topic == topic
                && course.qos == facts.qos
                && course.retain == facts.retain
                && course.delivered_qos == entry.qos as u8
        };
        session.courses.retain(|course, last| {
            if is_its(course) && *last >= first {
                *last = first.saturating_sub(1);
                return first > 0;
            }
            true
        });
        if let Some(copies) = session.copies.get(&message) {
            let undone = session.undone.entry(message).or_default();
            *undone = copies.min(&(*undone + 1)).to_owned();
        }
        if entry.retain {
            *session.comes_again.entry(message).or_default() += 1;
        }
        for right in &mut session.rights {
            if entry.retain && self.alphabet.matches(right.filter, topic) {
                right.topics_seen.remove(&topic);
            }
        }
        let share = entry.share.as_deref();
        let filter = FILTERS.iter().position(|filter| Some(*filter) == share);
        if let Some(filter) = filter
            && let Some(delivered) =
                self.groups.entry(filter).or_default().delivered.get_mut(&message)
        {
            *delivered = delivered.saturating_sub(1);
        }
    }

    /// What is retained is the last write that was acknowledged, or a later one.
    pub(super) fn recall_retained(&mut self, state: &State, at: At) {
        let found: BTreeMap<&str, &MessageState> = state
            .retained()
            .filter_map(|(topic, it)| Some((topic, state.message(it.message)?)))
            .collect();
        for (topic, text) in TOPICS.iter().enumerate() {
            let found = found.get(text).copied();
            let number = found.and_then(|message| self.find_message(message.payload()));
            let is_free = self.may_be_refused(topic);
            let facts = |message: usize| &self.messages[message].facts;
            let may_be = |write: &Write| {
                let is_possible = is_free || !write.is_buried;
                let is_gone = facts(write.message).payload.is_empty()
                    || write.expires_at.is_some_and(|end| end <= at.now);
                let is_found = match number {
                    Some(number) => write.message == number,
                    None => is_gone,
                };
                is_possible && is_found
            };
            // A will that comes once more after a crash lasts longer than before it.
            let lasts = |write: &Write| {
                found.is_some_and(|it| it.expires_at_ms == write.expires_at.map(unix_ms))
            };
            let writes = &self.writes[topic];
            let place = writes.iter().rposition(|write| may_be(write) && lasts(write));
            let place = place.or_else(|| writes.iter().rposition(may_be));
            let is_never = found.is_none() && !self.was_retained[topic];
            if place.is_none() && !is_never && !(is_free && found.is_none()) {
                violated!(
                    "what is retained survives a crash",
                    "{text} has {number:?}, of {:?}",
                    self.writes[topic]
                );
            }
            self.was_retained[topic] = found.is_some();
            for (other, write) in self.writes[topic].iter_mut().enumerate() {
                if Some(other) == place {
                    (write.replaced_at, write.is_buried) = (None, false);
                } else {
                    write.replaced_at.get_or_insert(at.step);
                    write.is_buried = true;
                }
            }
        }
    }
}
