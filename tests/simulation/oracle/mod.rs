//! What must be true, told by simple bookkeeping of what went in and what came out.
//!
//! The oracle hears when the core is given a packet, when it forgets a connection, when it says
//! that a connection or a will is established or published, and what arrives at the clients. It
//! knows nothing of lanes, tries, queues or outboxes.
//!
//! A *step* numbers everything that happens in a world; a *rest* is a moment when nothing is on
//! its way anywhere, and an *epoch* the time between two of them.

mod crash;
mod delivery;
mod exchange;
mod ledger;
mod order;
mod publish;
mod recall;
mod replay;
mod rest;
mod right;
mod session;
mod share;
mod stop;
mod subscription;
mod will;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use skein::{config::Overflow, shard::Time};

pub(crate) use self::{crash::Ending, delivery::Delivery, ledger::Facts};
use self::{
    ledger::{Attempt, Message},
    replay::Write,
    session::Session,
    share::Group,
    will::DueWill,
};
use crate::{
    alphabet::{Alphabet, FILTERS, TOPICS},
    link::{Link, LinkId, Said},
    plan::{Plan, Scarcity},
    rules::{Law, Rules},
};

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) promise: &'static str,
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.text)
    }
}

/// Ends the simulation: this promise was not kept.
macro_rules! violated {
    ($promise:expr, $($text:tt)+) => {
        std::panic::panic_any($crate::oracle::Violation {
            promise: $promise,
            text: format!($($text)+),
        })
    };
}
pub(crate) use violated;

/// A moment of a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) now: Time,
    pub(crate) step: u64,
}

/// What is counted rather than checked at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Messages that did not arrive though nothing but a limit can explain it.
    pub(crate) missing: u64,
    /// Sessions that became slow consumers.
    pub(crate) slow_consumers: u64,
    /// Deliveries that were checked.
    pub(crate) deliveries: u64,
    /// How often the broker began to stop before the end of its world.
    pub(crate) stops: u64,
}

/// All that is known of one world.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) alphabet: Alphabet,
    pub(crate) tally: Tally,
    scarcity: Scarcity,
    maximum_qos: u8,
    session_expiry_s_max: u32,
    session_expiry_v3_s: u32,
    /// What is missing, and who misses it.
    pub(crate) missed: Vec<(usize, String)>,
    messages: Vec<Message>,
    attempts: Vec<Attempt>,
    sessions: Vec<Session>,
    /// The newest session of each client id.
    by_name: BTreeMap<String, usize>,
    /// Whether the PUBLISH that was said last was new to the core, as far as it is known here.
    was_new: bool,
    /// Topics that are retained for certain until their message is deleted or may expire.
    kept: BTreeSet<usize>,
    /// Only for want of room a retained message is refused.
    refuses_for_room: bool,
    /// Topics of which it is known that they have retained something.
    was_retained: [bool; TOPICS.len()],
    /// Shards that know that nothing can be made durable.
    failing: Vec<bool>,
    /// There was a time when nothing could be made durable.
    has_failed: bool,
    due_wills: Vec<DueWill>,
    /// What is still to be read on connections that a stop has ended.
    farewells: BTreeMap<LinkId, BTreeSet<usize>>,
    /// A will published before its time: its session must be ending.
    early_will: Option<String>,
    /// What may be retained now or was, by topic.
    writes: Vec<Vec<Write>>,
    /// The shared subscriptions, by filter.
    groups: BTreeMap<usize, Group>,
    /// When each shard last looked at its timers.
    ticked: Vec<Time>,
    epoch: u64,
    /// When everything was at rest last.
    rested_step: u64,
    /// Who may do what.
    law: Law,
}

impl Oracle {
    pub(crate) fn new(plan: &Plan, rules: Option<&Rules>) -> Self {
        let limits = &plan.settings.limits;
        Self {
            alphabet: Alphabet::new(),
            tally: Tally::default(),
            scarcity: plan.scarcity,
            maximum_qos: plan.maximum_qos(),
            session_expiry_s_max: limits.session_expiry_s_max,
            session_expiry_v3_s: limits.session_expiry_v3_s,
            missed: Vec::new(),
            messages: Vec::new(),
            attempts: Vec::new(),
            sessions: Vec::new(),
            by_name: BTreeMap::new(),
            was_new: false,
            kept: BTreeSet::new(),
            refuses_for_room: limits.memory_bytes_max == 0
                && plan.settings.listeners[0].overflow != Overflow::Refuse,
            was_retained: [false; TOPICS.len()],
            failing: vec![false; plan.shards],
            has_failed: false,
            due_wills: Vec::new(),
            farewells: BTreeMap::new(),
            early_will: None,
            writes: TOPICS.iter().map(|_| Vec::new()).collect(),
            groups: (0..FILTERS.len())
                .filter(|filter| crate::alphabet::is_share(*filter))
                .map(|filter| (filter, Group::default()))
                .collect(),
            ticked: vec![Time::from_millis(0); plan.shards],
            epoch: 0,
            rested_step: 0,
            law: rules.map(|rules| rules.law.clone()).unwrap_or_default(),
        }
    }

    /// A shard has looked at its timers.
    pub(crate) fn on_ticked(&mut self, shard: usize, now: Time) {
        self.ticked[shard] = now;
    }

    /// The core is given a packet of a model client. The message, if it publishes one.
    pub(crate) fn on_said(
        &mut self,
        id: LinkId,
        links: &[Link],
        said: Said,
        at: At,
    ) -> Option<usize> {
        let link = &links[id.0];
        // Before it is established a connection says CONNECT and nothing else.
        let session = link.session?;
        if link.is_over {
            violated!("a connection that is closed is heard no more", "{id:?} said {said:?}");
        }
        match said {
            Said::Connect | Said::Ping => {}
            Said::PubRel(message) => {
                self.sessions[session].held.remove(&message);
            }
            Said::Publish(message) => {
                self.was_new = self.on_publish(message, session, at);
                return Some(message);
            }
            Said::Finished(packet_id) => self.sessions[session].finish_exchange(packet_id),
            Said::Received(packet_id) => self.sessions[session].release_exchange(packet_id),
            Said::Subscribe(packet_id, filters) => {
                self.on_subscribe(session, id, packet_id, &filters, at);
            }
            Said::Unsubscribe(filters) => self.on_unsubscribe(session, &filters, at),
            Said::Disconnect(publishes_will, expiry_s) => {
                let most = self.session_expiry_s_max;
                self.sessions[session].say_goodbye(publishes_will, expiry_s, most);
            }
        }
        None
    }

    /// One call of the core is over.
    pub(crate) fn on_handled(&mut self) {
        if let Some(name) = self.early_will.take() {
            violated!("a will waits for its delay", "the will of {name} came early");
        }
        self.check_immediate_wills();
    }
}
