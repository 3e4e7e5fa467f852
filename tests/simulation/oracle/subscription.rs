//! Subscriptions: what each session holds and held.

use super::{At, Facts, Oracle, delivery::Delivery, replay::Right, session::Session, violated};
use crate::{
    alphabet::{Alphabet, is_share},
    link::{FilterFacts, LinkId},
};

/// One subscription, from a SUBSCRIBE to what replaced or removed it.
#[derive(Clone, Debug)]
pub(super) struct Sub {
    pub(super) filter: usize,
    /// The granted QoS.
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifier: Option<u32>,
    pub(super) added: u64,
    pub(super) removed: Option<u64>,
    /// In which step SUBACK was seen for this filter, or everything was at rest.
    pub(super) confirmed: Option<u64>,
    /// Of QoS 1 or 2, and confirmed as such, also as an earlier one: every shard knows that what comes
    /// by it is kept.
    pub(super) lasts: bool,
    /// SUBACK was seen.
    pub(super) is_acked: bool,
    /// UNSUBACK was seen.
    pub(super) is_removal_acked: bool,
    /// It was made shortly before a crash, and is not there any more.
    pub(super) is_undone: bool,
}

impl Sub {
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed.is_some()
    }

    /// SUBACK was seen, or everything is at rest.
    pub(super) fn confirm(&mut self, step: u64) {
        self.confirmed.get_or_insert(step);
        self.lasts = self.qos > 0;
    }
}

impl Session {
    /// What it holds now.
    pub(super) fn held(&self) -> impl Iterator<Item = &Sub> {
        self.subs.iter().filter(|sub| sub.removed.is_none())
    }

    /// Whether it held this filter until this very step.
    pub(super) fn has_just_left(&self, filter: usize, step: u64) -> bool {
        self.subs.iter().any(|sub| sub.filter == filter && sub.removed == Some(step))
    }

    /// The shared subscriptions it holds, by filter.
    pub(super) fn shares(&self) -> impl Iterator<Item = usize> + '_ {
        self.held().map(|sub| sub.filter).filter(|filter| is_share(*filter))
    }

    /// What it holds now or has held after `step`, not shared, and the topic matches.
    pub(super) fn held_since(&self, step: u64, topic: usize, alphabet: &Alphabet) -> Vec<&Sub> {
        let matches = |sub: &&Sub| {
            sub.removed.is_none_or(|removed| removed > step)
                && !is_share(sub.filter)
                && alphabet.matches(sub.filter, topic)
        };
        self.subs.iter().filter(matches).collect()
    }
}

impl Oracle {
    pub(super) fn on_subscribe(
        &mut self,
        number: usize,
        link: LinkId,
        packet_id: u16,
        filters: &[FilterFacts],
        at: At,
    ) {
        let session = &mut self.sessions[number];
        if self.failing[session.shard] && session.is_durable() {
            session.refused.push((link, packet_id));
            return;
        }
        let mut added = Vec::new();
        for facts in filters {
            added.push(self.add_sub(number, facts, (link, packet_id), at));
        }
        self.sessions[number].unconfirmed.push((link, packet_id, added));
        self.reconsider(number);
    }

    fn add_sub(
        &mut self,
        number: usize,
        facts: &FilterFacts,
        asked: (LinkId, u16),
        at: At,
    ) -> usize {
        let qos = facts.qos.min(self.maximum_qos);
        let session = &mut self.sessions[number];
        let old =
            session.subs.iter_mut().find(|sub| sub.removed.is_none() && sub.filter == facts.filter);
        let confirmed = old.as_ref().and_then(|old| old.confirmed);
        let was_held = old.is_some();
        let lasts = qos > 0 && old.as_ref().is_some_and(|old| old.lasts);
        if let Some(old) = old {
            old.removed = Some(at.step);
        }
        session.subs.push(Sub {
            filter: facts.filter,
            qos,
            no_local: facts.no_local,
            retain_as_published: facts.retain_as_published,
            identifier: facts.identifier,
            added: at.step,
            removed: None,
            confirmed,
            lasts,
            is_acked: false,
            is_removal_acked: false,
            is_undone: false,
        });
        let sends_retained = match facts.retain_handling {
            0 => true,
            1 => !was_held,
            _ => false,
        };
        if is_share(facts.filter) {
            let most = session.packet_bytes_max;
            self.join_group(facts.filter, qos, most, at.step);
        } else if sends_retained {
            let most = session.packet_bytes_max;
            session.rights.push(Right::new(facts, qos, asked, most, at));
        }
        self.sessions[number].subs.len() - 1
    }

    pub(super) fn on_unsubscribe(&mut self, number: usize, filters: &[usize], at: At) {
        let mut were_held = Vec::new();
        for filter in filters {
            let session = &mut self.sessions[number];
            let held =
                session.subs.iter().position(|sub| sub.removed.is_none() && sub.filter == *filter);
            were_held.push(held);
            let Some(held) = held else { continue };
            session.subs[held].removed = Some(at.step);
            for right in session.rights.iter_mut().filter(|right| right.filter == *filter) {
                right.is_unsubscribed = true;
            }
            if is_share(*filter) {
                self.leave_group(*filter, at.step);
            }
        }
        self.sessions[number].unsubscribing.push(were_held);
        self.reconsider(number);
    }

    /// Subscriptions changed: what is on its way may not reach the session any more, or in another
    /// way.
    fn reconsider(&mut self, number: usize) {
        let (alphabet, messages) = (&self.alphabet, &self.messages);
        let session = &mut self.sessions[number];
        let held: Vec<Sub> = session.held().filter(|sub| !is_share(sub.filter)).cloned().collect();
        session.owed.retain(|message, owed| {
            let Some(topic) = messages[*message].facts.topic else { return false };
            let matching = held.iter().filter(|sub| {
                sub.is_confirmed() && !sub.no_local && alphabet.matches(sub.filter, topic)
            });
            let granted = matching.map(|sub| sub.qos).max();
            owed.survives &= granted.is_some_and(|qos| qos > 0);
            granted.is_some()
        });
    }

    /// A client received SUBACK.
    pub(crate) fn on_suback(
        &mut self,
        link: LinkId,
        session: Option<usize>,
        packet_id: u16,
        reasons: &[u8],
        step: u64,
    ) {
        let Some(number) = session else {
            violated!("SUBACK answers a SUBSCRIBE", "{link:?} has no session");
        };
        let session = &mut self.sessions[number];
        let refused = session.refused.iter().position(|asked| *asked == (link, packet_id));
        if let Some(place) = refused {
            session.refused.remove(place);
            if reasons.iter().any(|reason| !matches!(reason, 0x80 | 0x83 | 0x97)) {
                violated!("SUBACK grants what can be kept", "{}: {reasons:02x?}", session.name);
            }
            return;
        }
        let place =
            session.unconfirmed.iter().position(|(on, id, _)| *on == link && *id == packet_id);
        let Some(place) = place else {
            if session.link == Some(link) {
                violated!("SUBACK answers a SUBSCRIBE", "{} got {packet_id}", session.name);
            }
            return;
        };
        let (_, _, subs) = session.unconfirmed.remove(place);
        let granted: Vec<u8> = subs.iter().map(|sub| session.subs[*sub].qos).collect();
        if granted != reasons {
            violated!("SUBACK grants", "{}: {reasons:?} for {granted:?}", session.name);
        }
        for right in &mut session.rights {
            right.answer((link, packet_id));
        }
        let keeps = session.kept(link);
        for sub in subs {
            let sub = &mut session.subs[sub];
            sub.is_acked = keeps;
            if sub.removed.is_none() {
                sub.confirm(step);
            }
        }
    }

    /// A client received UNSUBACK; before 5.0 it says nothing.
    pub(crate) fn on_unsuback(&mut self, link: LinkId, session: Option<usize>, reasons: &[u8]) {
        let session = session.map(|number| &mut self.sessions[number]);
        let Some(session) = session.filter(|session| session.link == Some(link)) else { return };
        if session.unsubscribing.is_empty() {
            violated!("UNSUBACK answers an UNSUBSCRIBE", "{}", session.name);
        }
        let were_held = session.unsubscribing.remove(0);
        let expected: Vec<u8> =
            were_held.iter().map(|held| if held.is_some() { 0x00 } else { 0x11 }).collect();
        for held in were_held.iter().flatten() {
            session.subs[*held].is_removal_acked = session.keeps;
        }
        if session.is_v5 && expected != reasons {
            violated!("UNSUBACK tells", "{}: {reasons:02x?}, not {expected:02x?}", session.name);
        }
    }
}

/// QoS, RETAIN and identifiers follow from the subscriptions; exactly, unless these have changed
/// since the message was published.
pub(super) fn check_terms(
    held: &[&Sub],
    facts: &Facts,
    delivery: &Delivery<'_>,
    published: u64,
    is_v5: bool,
) -> Result<bool, String> {
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
        return Ok(is_stable);
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
    Ok(is_stable)
}
