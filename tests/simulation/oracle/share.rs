//! Shared subscriptions: each message goes to one member.

use std::collections::BTreeMap;

use super::{At, Oracle, subscription::Sub, violated};

/// What a group is owed of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupOwed {
    pub(super) since: u64,
    /// With QoS 1 or 2 to whichever member, so that it outlives their connections.
    pub(super) survives: bool,
}

/// The members of one shared subscription together.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) owed: BTreeMap<usize, GroupOwed>,
    pub(super) delivered: BTreeMap<usize, usize>,
    /// When a member's session ended: what it held may have gone to another.
    ends: Vec<u64>,
    /// When members or their connections last changed.
    pub(super) disturbed_at: u64,
}

impl Group {
    /// How many members' sessions have ended.
    pub(super) fn ends(&self) -> usize {
        self.ends.len()
    }
}

impl Oracle {
    fn members(&self, filter: usize) -> impl Iterator<Item = (usize, &Sub)> {
        let sessions = self.sessions.iter().enumerate().filter(|(_, session)| !session.is_over);
        sessions.flat_map(move |(number, session)| {
            session.held().filter(move |sub| sub.filter == filter).map(move |sub| (number, sub))
        })
    }

    pub(super) fn owe_group(&mut self, filter: usize, number: usize, at: At) {
        let facts = &self.messages[number].facts;
        let fits = self
            .members(filter)
            .all(|(of, _)| facts.packet_bytes() <= self.sessions[of].packet_bytes_max);
        let survives = facts.qos > 0 && self.members(filter).all(|(_, sub)| sub.qos > 0);
        let all_connected = self.members(filter).all(|(of, _)| self.sessions[of].link.is_some());
        let is_open = facts.topic.is_none_or(|topic| self.law.is_open_to_read(topic));
        if !is_open || !fits || facts.payload.is_empty() || !(survives || all_connected) {
            return;
        }
        let owed = GroupOwed { since: at.step, survives };
        self.groups.entry(filter).or_default().owed.insert(number, owed);
    }

    /// A member's connection was lost.
    pub(super) fn disturb_group(&mut self, filter: usize, step: u64) {
        self.groups.entry(filter).or_default().disturbed_at = step;
    }

    pub(super) fn join_group(
        &mut self,
        filter: usize,
        qos: u8,
        packet_bytes_max: usize,
        step: u64,
    ) {
        self.disturb_group(filter, step);
        let messages = &self.messages;
        let fits = |number: &usize| messages[*number].facts.packet_bytes() <= packet_bytes_max;
        self.groups.entry(filter).or_default().owed.retain(|number, _| fits(number));
        if qos == 0 {
            for owed in self.groups.entry(filter).or_default().owed.values_mut() {
                owed.survives = false;
            }
        }
    }

    /// The session of one who is or was a member has ended; of QoS 2, what was in flight belonged
    /// to it alone [MQTT-4.8.2-5].
    pub(super) fn end_in_group(&mut self, filter: usize, had_qos_2: bool, step: u64) {
        let messages = &self.messages;
        let group = self.groups.entry(filter).or_default();
        group.ends.push(step);
        group.owed.retain(|number, _| !had_qos_2 || messages[*number].facts.qos < 2);
    }

    /// A member unsubscribed, or its session ended.
    pub(super) fn leave_group(&mut self, filter: usize, step: u64) {
        self.disturb_group(filter, step);
        let has_members = self.members(filter).any(|(_, sub)| sub.is_confirmed());
        if !has_members {
            self.groups.entry(filter).or_default().owed.clear();
        }
    }

    /// A member received a message: is it another one's, or received before? Takes it if not.
    pub(super) fn take_for_group(&mut self, filter: usize, number: usize) -> Result<(), String> {
        let attempts = &self.messages[number].attempts;
        let Some(first) = attempts.first().map(|attempt| self.attempts[*attempt].step) else {
            return Err("it was never published".to_owned());
        };
        let group = self.groups.entry(filter).or_default();
        let ends = group.ends.iter().filter(|end| **end > first).count();
        let delivered = group.delivered.entry(number).or_default();
        // Each copy may have been with each of those who left.
        if *delivered >= attempts.len() * (1 + ends) {
            return Err(format!("the group had it {delivered} times"));
        }
        *delivered += 1;
        group.owed.remove(&number);
        Ok(())
    }

    /// At rest each message is with a member, or waits for one that is not connected.
    pub(super) fn check_groups(&mut self, at: At, is_last: bool) {
        let filters: Vec<usize> = self.groups.keys().copied().collect();
        for filter in filters {
            let everybody_is_here = self
                .sessions
                .iter()
                .filter(|session| session.subs.iter().any(|sub| sub.filter == filter))
                .all(|session| session.is_over || session.link.is_some());
            let Some(group) = self.groups.get_mut(&filter) else { continue };
            let disturbed_at = group.disturbed_at;
            let mut missing = Vec::new();
            group.owed.retain(|number, owed| {
                let is_due = match owed.survives {
                    true => everybody_is_here || is_last,
                    false => disturbed_at < owed.since,
                };
                if is_due {
                    missing.push((*number, owed.survives));
                }
                owed.survives && !is_due
            });
            for (number, survives) in missing {
                if !self.has_expired(number, at.now) {
                    let filter = crate::alphabet::FILTERS[filter];
                    self.miss(number, survives, || format!("the group of {filter}"));
                }
            }
        }
    }

    /// A message did not arrive, and no promise is broken only if a limit explains it.
    pub(super) fn miss(&mut self, number: usize, survives: bool, who: impl FnOnce() -> String) {
        use super::Scarcity;
        let facts = &self.messages[number].facts;
        let may_be_dropped = match self.scarcity {
            Scarcity::Ample => false,
            // With a full outbox or a slow consumer, QoS 0 is dropped and counted.
            Scarcity::TightOutboxes => !survives,
            Scarcity::TightQueues => true,
        };
        if !may_be_dropped {
            let who = who();
            violated!("what is acknowledged is delivered", "{who} did not get {number}: {facts:?}");
        }
        self.tally.missing += 1;
        self.missed.push((number, who()));
    }
}
