//! What all actors of a world share: time, dice, links, the oracle and the log.

use std::collections::VecDeque;

use skein::{
    config::DurabilityMode,
    shard::{AcceptOrder, Time},
};

use crate::{
    draw::Draw,
    link::{Link, LinkId, Owner, Said},
    oracle::{At, Oracle},
    plan::Plan,
    rules::{Rules, listener_of},
    stop::Stops,
    store::Store,
};

/// Lines that are kept for a failing seed.
const LINES_MAX: usize = 400;

/// The last things that happened, for a seed that is replayed.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) is_on: bool,
    pub(crate) is_loud: bool,
    pub(crate) lines: VecDeque<String>,
}

impl Log {
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if !self.is_on {
            return;
        }
        let mut line = line();
        if line.len() > 2_000 {
            line = format!("{}…", line.chars().take(2_000).collect::<String>());
        }
        if self.is_loud {
            println!("{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// The shared part of a world.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) now: Time,
    /// Numbers everything that happens.
    pub(crate) step: u64,
    pub(crate) plan: Plan,
    /// None where everybody may do everything.
    pub(crate) rules: Option<Rules>,
    /// None where everything is in memory.
    pub(crate) store: Option<Store>,
    /// None where the broker never stops before the end.
    pub(crate) stops: Option<Stops>,
    /// How long the world is older than the clock of its broker, milliseconds.
    pub(crate) boot_ms: u64,
    pub(crate) draw: Draw,
    pub(crate) links: Vec<Link>,
    pub(crate) oracle: Oracle,
    pub(crate) log: Log,
    /// Links to be dealt to shards.
    pub(crate) dialled: Vec<LinkId>,
    /// The place of the link that was accepted last.
    pub(crate) order: AcceptOrder,
}

impl Scene {
    pub(crate) fn at(&self) -> At {
        At { now: self.now, step: self.step }
    }

    /// A moment of the world on the clock of the broker.
    pub(crate) fn clock(&self, at: Time) -> Time {
        Time::from_millis(at.as_millis() - self.boot_ms)
    }

    /// Whether the disk may have been the reason for something since this step.
    pub(crate) fn was_troubled_since(&self, step: Option<u64>) -> bool {
        self.store.as_ref().zip(step).is_some_and(|(store, step)| store.was_troubled_since(step))
    }

    pub(crate) fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0]
    }

    pub(crate) fn link_mut(&mut self, id: LinkId) -> &mut Link {
        &mut self.links[id.0]
    }

    /// Somebody connects; the acceptor deals the socket later.
    pub(crate) fn dial(&mut self, owner: Owner) -> LinkId {
        let id = LinkId(self.links.len());
        self.links.push(Link::new(owner));
        self.dialled.push(id);
        id
    }

    /// The same, through the listener of this user; where there are no rules, through any.
    pub(crate) fn dial_as(&mut self, owner: Owner, user: Option<usize>) -> LinkId {
        let id = self.dial(owner);
        if self.rules.is_some() {
            self.links[id.0].listener = listener_of(user);
        } else if let Some(store) = &mut self.store {
            let listener = store.draw_listener();
            self.links[id.0].listener = listener;
            self.links[id.0].keeps = store.modes()[usize::from(listener)] != DurabilityMode::Memory;
        }
        id
    }

    /// Whether the rules may have kept this client out, with this reason.
    pub(crate) fn may_be_refused(&self, id: LinkId, reason: u8) -> bool {
        let (Some(rules), Some(facts)) = (&self.rules, &self.links[id.0].facts) else {
            return false;
        };
        let is_known = rules.law.always_knows(facts.user);
        let is_late = id.0 >= rules.last_links;
        match reason {
            0x86 => !is_known,
            0x87 => {
                let topic = facts.will.and_then(|will| self.oracle.facts(will.message).topic);
                let is_stolen = rules.thefts.contains(&facts.name);
                let may_expire = rules.has_expiry && !is_late;
                let may_leave_will =
                    topic.is_none_or(|topic| rules.law.always_writes(facts.user, topic));
                !is_known || is_stolen || may_expire || !may_leave_will
            }
            // Too many logins; before 5.0 there is one code for all such cases.
            0x89 => facts.is_v5 && !is_late,
            0x88 => !facts.is_v5 && !is_late,
            _ => false,
        }
    }

    /// The acceptor takes one of the links that wait for it, mostly the first.
    pub(crate) fn accept(&mut self) -> Option<LinkId> {
        if self.dialled.is_empty() {
            return None;
        }
        let is_in_turn = self.draw.chance(3, 4);
        let which = if is_in_turn { 0 } else { self.draw.below(self.dialled.len()) };
        Some(self.accept_one(which))
    }

    /// The acceptor takes this one of the links that wait for it.
    pub(crate) fn accept_one(&mut self, which: usize) -> LinkId {
        let id = self.dialled.remove(which);
        self.order = self.order.next(self.clock(self.now).as_millis() * 1000);
        self.links[id.0].accepted = Some((self.order, self.at()));
        id
    }

    /// The core is given a packet of this link. The message, if it publishes one.
    pub(crate) fn hears(&mut self, id: LinkId, bytes: usize, shard: usize) -> Option<usize> {
        self.step += 1;
        let link = &mut self.links[id.0];
        link.heard_at = self.now;
        let said = link.take(bytes);
        self.log.note(|| format!("{} shard {shard} hears {id:?}: {said:?}", self.now));
        let said = said?;
        let at = At { now: self.now, step: self.step };
        if matches!(said, Said::Connect) {
            self.links[id.0].connect_read = Some(at);
        }
        self.oracle.on_said(id, &self.links, said, at)
    }
}
