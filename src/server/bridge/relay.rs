//! One bridge that runs: messages that come on one side go out on the other, and each step of their
//! handshakes takes place on one side after it has on the other.
//!
//! ```text
//!   PUBLISH ──▶ one side │ carry │ other side ──▶ PUBLISH        with the same packet identifier
//!    PUBACK ◀────────────┴───────┴──────────── ◀── PUBACK        QoS 1
//!    PUBREC ◀────────────┴───────┴──────────── ◀── PUBREC        QoS 2
//!    PUBREL ──▶──────────┴───────┴──────────── ──▶ PUBREL
//!   PUBCOMP ◀────────────┴───────┴──────────── ◀── PUBCOMP
//! ```
//!
//! So a message is in the session of one of the two brokers at any moment, and what a break of either
//! connection, or the end of this process however sudden, leaves half done is done again by these two,
//! who know by the identifier what they have had. Nothing is remembered here.

mod handshake;
mod leaving;
mod telling;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skein_client::reactor::{Happening, MemberId, Reactor};
use skein_client::session::{Outcome, Step, Token};
use skein_client::{Delivery, Error, Message, Publish, ReasonCode, Result};
use skein_protocol::PacketId;

use self::leaving::Leaving;
use self::waiting::Waiting;
use super::carry::{Left, Side, carry};
use super::plan::{Planned, Remote};
use super::trace::Names;

/// How often a stall is looked for.
const STALL_STEP: Duration = Duration::from_millis(500);

/// What the states of other brokers' bridges begin with.
pub(super) const STATES: &str = "$SYS/broker/connection/";

/// One bridge.
pub(super) struct Relay {
    pub(super) plan: Planned,
    pub(super) dialer: Arc<Remote>,
    local: End,
    remote: End,
    /// What this broker calls itself.
    own: Arc<str>,
    /// What the other one does.
    names: Names,
    is_connected: bool,
    /// It was said that another bridge brings what this one does.
    has_twin: bool,
    /// Messages that were not carried, since the last line about it.
    dropped: u64,
    pub(super) leaving: Option<Leaving>,
}

/// One of its clients, and what is to be published there.
struct End {
    id: MemberId,
    /// Published, not acknowledged.
    passing: BTreeMap<Token, Passing>,
    /// Not published.
    waiting: Waiting,
    /// Released without having been published by this process.
    strays: BTreeMap<Token, PacketId>,
    /// What the other side has used for a new message since it began its session, or this process.
    settled: BTreeSet<PacketId>,
    /// Since when nothing moves before the other side releases something.
    stalled_at: Option<Instant>,
}

/// A message between the two sides.
struct Passing {
    publish: Publish,
    /// What it is acknowledged by where it came from; `None` for QoS 0.
    delivery: Option<Delivery>,
    /// What it is called where it came from, and where it goes; `None` for QoS 0.
    id: Option<PacketId>,
    /// Where it came from has sent it before.
    is_again: bool,
    /// Where it came from has forgotten it, and everything else that it had sent.
    is_forgotten: bool,
}

impl Relay {
    pub(super) fn new(
        plan: Planned,
        dialer: Arc<Remote>,
        members: [MemberId; 2],
        own: Arc<str>,
    ) -> Self {
        let [local, remote] = members.map(End::new);
        Self {
            plan,
            dialer,
            local,
            remote,
            own,
            names: Names::default(),
            is_connected: false,
            has_twin: false,
            dropped: 0,
            leaving: None,
        }
    }

    /// Something has happened to one of its clients.
    pub(super) fn on(&mut self, id: MemberId, happening: Happening, reactor: &mut Reactor) {
        let side = if id == self.local.id { Side::Local } else { Side::Remote };
        match happening {
            Happening::Message(message) => self.on_message(side, &message, reactor),
            Happening::Completed(token, result) => self.on_completed(side, token, result, reactor),
            Happening::Event(event) => self.on_event(side, &event, reactor),
            Happening::Step(Step::Received(token)) => self.on_received(side, token, reactor),
            Happening::Step(Step::Released(id)) => self.on_released(side, id, reactor),
            // Nobody has asked for them.
            Happening::Packet(..) => {}
        }
    }

    /// How long until there is something to do that nothing will tell of.
    pub(super) fn next_step(&self, now: Instant) -> Option<Duration> {
        let next = |end: &End| {
            let stall = end.stalled_at.map(|_| STALL_STEP);
            [end.waiting.next_step(now), stall].into_iter().flatten().min()
        };
        [next(&self.local), next(&self.remote)].into_iter().flatten().min()
    }

    /// Does what nothing tells of; true when it has ended.
    pub(super) fn step(&mut self, now: Instant, reactor: &mut Reactor) -> bool {
        for side in [Side::Local, Side::Remote] {
            self.retry(side, now, reactor);
            self.look_for_stall(side, now, reactor);
        }
        if self.dropped > 0 {
            let name = &self.plan.bridge.name;
            tracing::warn!("bridge {name}: {} messages were not brought over", self.dropped);
            self.dropped = 0;
        }
        let (is_idle, has_written) = (self.is_idle(reactor), self.has_written(reactor));
        let Some(leaving) = &mut self.leaving else { return false };
        // What it says is written between two steps.
        let (goes, says) = (leaving.goes(now, has_written), leaving.says(now, is_idle));
        if says {
            self.is_connected = false;
            self.say_state(&[Side::Remote, Side::Local], reactor);
        }
        if goes {
            self.go(reactor);
        }
        let is_gone = |id| reactor.session(id).is_none() && !reactor.is_lingering(id);
        is_gone(self.local.id) && is_gone(self.remote.id)
    }

    fn on_message(&mut self, side: Side, message: &Message, reactor: &mut Reactor) {
        // What is not acknowledged comes again, to whoever takes this session over.
        if self.leaving.is_some() {
            return;
        }
        if side == Side::Remote && message.topic().starts_with(STATES) {
            self.names.learn(message);
        }
        let topics = &self.plan.bridge.topics;
        match carry(message, side, topics, &self.own, &self.names) {
            Ok(publish) => {
                self.settle(side.other(), message, reactor);
                self.pass(side.other(), Passing::new(publish, message), reactor);
            }
            Err(left) => {
                if left == Left::Circling && side == Side::Local {
                    self.warn_of_twins(message.topic());
                }
                self.acknowledge(side, message.delivery(), reactor);
            }
        }
    }

    /// Publishes a message on this side, after those that wait.
    fn pass(&mut self, to: Side, passing: Passing, reactor: &mut Reactor) {
        let end = self.end(to);
        if passing.delivery.is_some() && !end.waiting.is_empty() {
            end.waiting.push(passing);
        } else if let Some(back) = self.publish(to, passing, reactor) {
            self.end(to).waiting.push(back);
        }
    }

    /// Publishes a message on this side; gives it back if there is no room for it now.
    fn publish(&mut self, to: Side, passing: Passing, reactor: &mut Reactor) -> Option<Passing> {
        let mut seat = reactor.seat(self.end(to).id)?;
        match seat.relay_publish(passing.publish.clone(), passing.id, passing.is_again) {
            Ok(token) if passing.delivery.is_some() => {
                self.end(to).passing.insert(token, passing);
            }
            Ok(_) => {}
            Err(_) if passing.delivery.is_none() => self.dropped += 1,
            // The bridge carries the topic with QoS 0 only.
            Err(Error::NotConnected) => {
                self.dropped += 1;
                self.acknowledge(to.other(), passing.delivery, reactor);
            }
            Err(Error::QueueFull(_)) => return Some(passing),
            // The end of this client; the message stays where it came from.
            Err(Error::Closed) => {}
            Err(error) => self.refuse(to, &passing, &error, reactor),
        }
        None
    }

    /// Publishes what waits, as far as there is room.
    fn retry(&mut self, to: Side, now: Instant, reactor: &mut Reactor) {
        while let Some(passing) = self.end(to).waiting.next(now) {
            if let Some(back) = self.publish(to, passing, reactor) {
                return self.end(to).waiting.put_back(back);
            }
        }
    }

    fn on_completed(
        &mut self,
        side: Side,
        token: Token,
        result: Result<Outcome>,
        reactor: &mut Reactor,
    ) {
        if let Some(id) = self.end(side).strays.remove(&token) {
            // Of what ends with this client the other side is asked again by the next one.
            if result.is_ok() {
                self.finish(side.other(), Some(id), reactor);
            }
            return;
        }
        let Some(passing) = self.end(side).passing.remove(&token) else {
            return self.on_subscribed(result);
        };
        match result {
            Ok(_) => {
                self.end(side).waiting.on_taken();
                self.acknowledge(side.other(), passing.delivery, reactor);
                self.finish(side.other(), passing.id, reactor);
            }
            Err(Error::Rejected { reason: ReasonCode::QuotaExceeded, .. }) => {
                self.end(side).waiting.on_refused(passing, Instant::now());
            }
            Err(
                error @ (Error::Rejected { .. }
                | Error::TooLarge { .. }
                | Error::Unsupported(_)
                | Error::Expired),
            ) => self.refuse(side, &passing, &error, reactor),
            // The connection is over and so is this client; the message stays where it came from.
            Err(_) => {}
        }
    }

    /// A message that the broker of this side will never take.
    fn refuse(&mut self, to: Side, passing: &Passing, error: &Error, reactor: &mut Reactor) {
        let (name, topic) = (&self.plan.bridge.name, passing.publish.topic());
        tracing::warn!("bridge {name}: a message to {topic:?} was left behind: {error}");
        self.acknowledge(to.other(), passing.delivery, reactor);
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Local => &mut self.local,
            Side::Remote => &mut self.remote,
        }
    }
}

impl End {
    fn new(id: MemberId) -> Self {
        let (passing, strays) = (BTreeMap::new(), BTreeMap::new());
        let (waiting, settled) = (Waiting::new(), BTreeSet::new());
        Self { id, passing, waiting, strays, settled, stalled_at: None }
    }
}

impl Passing {
    fn new(publish: Publish, message: &Message) -> Self {
        Self {
            publish,
            delivery: message.delivery(),
            id: message.packet_id(),
            is_again: message.is_duplicate(),
            is_forgotten: false,
        }
    }
}
