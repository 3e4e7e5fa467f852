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

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skein_client::reactor::{Happening, MemberId, Reactor, Seat};
use skein_client::session::{Event, Outcome, Step, Token};
use skein_client::{Delivery, Error, Message, Publish, QoS, ReasonCode, Result};
use skein_protocol::PacketId;

use super::carry::{Left, Side, carry, within_limits};
use super::plan::{Planned, Remote};
use super::trace::{self, Names};
use crate::config::BridgeStatus;

/// What the states of other brokers' bridges begin with.
pub(super) const STATES: &str = "$SYS/broker/connection/";

/// How long a broker may take to release what the other one has received, before that is done without
/// it, if everything waits for it.
const STALL: Duration = Duration::from_secs(2);

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
    /// Messages that were not carried, since the last line about it.
    dropped: u64,
    pub(super) leaving: Option<Leaving>,
}

/// One of its clients, and what is to be published there.
struct End {
    id: MemberId,
    /// Published, not acknowledged.
    passing: BTreeMap<Token, Passing>,
    /// Not published: the queue is full, or the broker does not take more for now.
    waiting: VecDeque<Passing>,
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

/// A bridge that comes to its end: it takes nothing more, brings over what is on its way, says so, and
/// goes.
pub(super) struct Leaving {
    pub(super) until: Instant,
    /// Whether its sessions end, too: it has been removed.
    pub(super) ends_sessions: bool,
    has_said: bool,
    has_gone: bool,
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

    /// Begins to end.
    pub(super) fn leave(&mut self, until: Instant, ends_sessions: bool) {
        let (has_said, has_gone) = (false, false);
        self.leaving.get_or_insert(Leaving { until, ends_sessions, has_said, has_gone });
    }

    /// Whether there is something to do that nothing will tell of.
    pub(super) fn is_waiting(&self) -> bool {
        let waits = |end: &End| !end.waiting.is_empty() || end.stalled_at.is_some();
        waits(&self.local) || waits(&self.remote)
    }

    /// Does what nothing tells of; true when it has ended.
    pub(super) fn step(&mut self, now: Instant, reactor: &mut Reactor) -> bool {
        for side in [Side::Local, Side::Remote] {
            self.retry(side, reactor);
            self.look_for_stall(side, now, reactor);
        }
        if self.dropped > 0 {
            let name = &self.plan.bridge.name;
            tracing::warn!("bridge {name}: {} messages were not brought over", self.dropped);
            self.dropped = 0;
        }
        let Some(leaving) = &self.leaving else { return false };
        let (is_late, has_said, has_gone) =
            (now >= leaving.until, leaving.has_said, leaving.has_gone);
        if !has_said && (is_late || self.is_idle(reactor)) {
            self.is_connected = false;
            self.say_state(reactor);
        }
        let may_go = has_said && (is_late || self.has_written(reactor));
        if may_go && !has_gone {
            self.go(reactor);
        }
        if let Some(leaving) = &mut self.leaving {
            leaving.has_said |= is_late || !has_said;
            leaving.has_gone |= may_go;
        }
        let is_gone = |reactor: &mut Reactor, id| reactor.seat(id).is_none();
        is_gone(reactor, self.local.id)
            && is_gone(reactor, self.remote.id)
            && !reactor.is_lingering()
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
            Err(Left::Unmapped | Left::Circling) => {
                self.acknowledge(side, message.delivery(), reactor);
            }
        }
    }

    /// Publishes a message on this side, after those that wait.
    fn pass(&mut self, to: Side, passing: Passing, reactor: &mut Reactor) {
        let end = self.end(to);
        if passing.delivery.is_some() && !end.waiting.is_empty() {
            end.waiting.push_back(passing);
        } else if let Some(back) = self.publish(to, passing, reactor) {
            self.end(to).waiting.push_back(back);
        }
    }

    /// Publishes a message on this side; gives it back if there is no room for it now.
    fn publish(&mut self, to: Side, passing: Passing, reactor: &mut Reactor) -> Option<Passing> {
        let mut seat = reactor.seat(self.end(to).id)?;
        let server = seat.session().server().map(Arc::as_ref);
        let publish = within_limits(passing.publish.clone(), server);
        match seat.relay_publish(publish, passing.id, passing.is_again) {
            Ok(token) if passing.delivery.is_some() => {
                self.end(to).passing.insert(token, passing);
            }
            Ok(_) => {}
            Err(_) if passing.delivery.is_none() => self.dropped += 1,
            Err(Error::QueueFull(_)) => return Some(passing),
            // The end of this client; the message stays where it came from.
            Err(Error::Closed) => {}
            Err(error) => self.refuse(to, &passing, &error, reactor),
        }
        None
    }

    /// Publishes what waits, as far as there is room.
    fn retry(&mut self, to: Side, reactor: &mut Reactor) {
        while let Some(passing) = self.end(to).waiting.pop_front() {
            if let Some(back) = self.publish(to, passing, reactor) {
                return self.end(to).waiting.push_front(back);
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
            return self.finish(side.other(), Some(id), reactor);
        }
        let Some(passing) = self.end(side).passing.remove(&token) else {
            return self.on_subscribed(result);
        };
        match result {
            Ok(_) => {
                self.acknowledge(side.other(), passing.delivery, reactor);
                self.finish(side.other(), passing.id, reactor);
            }
            Err(Error::Rejected { reason: ReasonCode::QuotaExceeded, .. }) => {
                self.end(side).waiting.push_back(passing);
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

    /// The broker of this side owns a message of QoS 2, which it is asked to keep until it is released.
    fn on_received(&mut self, side: Side, token: Token, reactor: &mut Reactor) {
        let Some(passing) = self.end(side).passing.get(&token) else { return };
        let (delivery, id, is_forgotten) = (passing.delivery, passing.id, passing.is_forgotten);
        self.acknowledge(side.other(), delivery, reactor);
        // Nobody is left who would release it.
        if let (true, Some(id), Some(mut seat)) =
            (is_forgotten, id, reactor.seat(self.end(side).id))
        {
            seat.relay_pubrel(id);
        }
    }

    /// The broker of this side has released a message of QoS 2, of this process or of an earlier one.
    fn on_released(&mut self, side: Side, id: PacketId, reactor: &mut Reactor) {
        let is_asked = |seat: Seat<'_>| seat.session().is_released(id);
        if !reactor.seat(self.end(side).id).is_some_and(is_asked) {
            return;
        }
        if !self.takes_exactly_once(side.other(), reactor) {
            return self.finish(side, Some(id), reactor);
        }
        let to = self.end(side.other());
        if let Some(token) = reactor.seat(to.id).and_then(|mut seat| seat.relay_pubrel(id))
            && !to.passing.contains_key(&token)
        {
            to.strays.insert(token, id);
        }
    }

    /// An identifier that is used for a new message is free on this side, too: if the other broker has
    /// forgotten its session, this one may still hold a message with it [MQTT-4.3.3-10].
    fn settle(&mut self, to: Side, message: &Message, reactor: &mut Reactor) {
        // Of QoS 2, one that is sent again may be the one that is held.
        let is_new = !message.is_duplicate() || message.qos() == QoS::AtLeastOnce;
        let is_held = self.plan.has_exactly_once(to) && self.takes_exactly_once(to, reactor);
        let end = self.end(to);
        if let Some(id) = message.packet_id().filter(|_| is_new && is_held)
            && end.settled.insert(id)
            && let Some(mut seat) = reactor.seat(end.id)
        {
            seat.relay_settle(id);
        }
    }

    /// Whether the broker of this side can hold messages of QoS 2; some hang up on who asks.
    fn takes_exactly_once(&mut self, side: Side, reactor: &mut Reactor) -> bool {
        let seat = reactor.seat(self.end(side).id);
        let highest = seat.and_then(|seat| Some(seat.session().server()?.limits.maximum_qos));
        highest.is_none_or(|highest| highest == QoS::ExactlyOnce)
    }

    /// A broker that sends in another order on a new connection, as Mosquitto 2.0 does, may wait for
    /// what waits behind what it has not released.
    fn look_for_stall(&mut self, side: Side, now: Instant, reactor: &mut Reactor) {
        let end = self.end(side);
        let Some(mut seat) = reactor.seat(end.id).filter(|seat| seat.session().is_stalled()) else {
            end.stalled_at = None;
            return;
        };
        if *end.stalled_at.get_or_insert(now) + STALL <= now {
            end.stalled_at = None;
            seat.end_stall();
        }
    }

    /// The broker of this side has begun a new session.
    fn on_forgotten(&mut self, side: Side, reactor: &mut Reactor) {
        let to = self.end(side.other());
        to.settled.clear();
        to.waiting.iter_mut().for_each(|passing| passing.is_forgotten = true);
        for passing in to.passing.values_mut() {
            passing.is_forgotten = true;
            if let (Some(id), Some(mut seat)) = (passing.id, reactor.seat(to.id)) {
                // What is not received yet is released when it is.
                seat.relay_pubrel(id);
            }
        }
    }

    /// A message that the broker of this side will never take.
    fn refuse(&mut self, to: Side, passing: &Passing, error: &Error, reactor: &mut Reactor) {
        let (name, topic) = (&self.plan.bridge.name, passing.publish.topic());
        tracing::warn!("bridge {name}: a message to {topic:?} was left behind: {error}");
        self.acknowledge(to.other(), passing.delivery, reactor);
    }

    fn acknowledge(&mut self, side: Side, delivery: Option<Delivery>, reactor: &mut Reactor) {
        if let (Some(delivery), Some(mut seat)) = (delivery, reactor.seat(self.end(side).id)) {
            seat.acknowledge(delivery, ReasonCode::Success);
        }
    }

    fn finish(&mut self, side: Side, id: Option<PacketId>, reactor: &mut Reactor) {
        if let (Some(id), Some(mut seat)) = (id, reactor.seat(self.end(side).id)) {
            seat.relay_pubcomp(id);
        }
    }

    fn on_subscribed(&self, result: Result<Outcome>) {
        let name = &self.plan.bridge.name;
        let errors = match result {
            Ok(Outcome::Subscribed(results)) => {
                results.into_iter().filter_map(Result::err).collect()
            }
            Err(error @ (Error::Rejected { .. } | Error::Unsupported(_))) => vec![error],
            _ => Vec::new(),
        };
        for error in errors {
            tracing::warn!("bridge {name}: a subscription was refused: {error}");
        }
    }

    fn on_event(&mut self, side: Side, event: &Event, reactor: &mut Reactor) {
        if let Event::Connected { session_present: false, .. } = event {
            self.on_forgotten(side, reactor);
        }
        let name = &self.plan.bridge.name;
        match (side, event) {
            (Side::Remote, Event::Connected { session_present, server }) => {
                let kept = if *session_present { "an old session" } else { "a new session" };
                let version = server.version;
                tracing::info!("bridge {name}: connected, MQTT {version}, {kept}");
                self.is_connected = true;
                self.say_state(reactor);
            }
            (Side::Local, Event::Connected { .. }) => self.say_state(reactor),
            (Side::Remote, Event::Lost { why, .. } | Event::Failed { why, .. })
                if self.leaving.is_none() =>
            {
                tracing::warn!("bridge {name}: not connected: {why}");
                if std::mem::take(&mut self.is_connected) {
                    self.say_state(reactor);
                }
            }
            (_, Event::GaveUp { why }) => {
                tracing::error!("bridge {name}: given up until the next reload: {why}");
            }
            (_, Event::Resubscribed { filter, result: Err(error) }) => {
                tracing::warn!(
                    "bridge {name}: the subscription to {filter:?} was refused: {error}"
                );
            }
            (Side::Remote, Event::SessionLost { resent }) => {
                tracing::warn!(
                    "bridge {name}: the other broker has forgotten the session and what it held; \
                     {resent} messages are sent again"
                );
            }
            _ => {}
        }
    }

    /// Publishes whether it is connected, where that is wanted.
    fn say_state(&mut self, reactor: &mut Reactor) {
        let bridge = &self.plan.bridge;
        if bridge.status == BridgeStatus::None {
            return;
        }
        let state = if self.is_connected { "1" } else { "0" };
        // Of QoS 0, as the packet identifiers are those of the other side.
        let publish = Publish::new(bridge.state_topic(), state).retain();
        if bridge.status == BridgeStatus::Both
            && let Some(mut seat) = reactor.seat(self.remote.id).filter(|it| it.session().is_up())
        {
            // A broker that does not take it is a broker that nobody asks about it.
            let _ = seat
                .publish(within_limits(publish.clone(), seat.session().server().map(Arc::as_ref)));
        }
        let mut named = publish;
        trace::note(named.properties_mut(), &self.own, None);
        if let Some(mut seat) = reactor.seat(self.local.id) {
            // It comes again with the next state.
            let _ = seat.publish(named);
        }
    }

    /// Nothing is on its way that could still arrive.
    fn is_idle(&self, reactor: &mut Reactor) -> bool {
        [&self.local, &self.remote].into_iter().all(|end| {
            let is_up = reactor.seat(end.id).is_some_and(|seat| seat.session().is_up());
            !is_up || (end.passing.is_empty() && end.waiting.is_empty())
        })
    }

    /// Everything has been said, as far as somebody listens.
    fn has_written(&self, reactor: &mut Reactor) -> bool {
        let is_done = |seat: Seat<'_>| {
            let statistics = seat.session().statistics(Duration::ZERO);
            !seat.session().is_up() || statistics.queued + statistics.in_flight == 0
        };
        [self.local.id, self.remote.id].into_iter().all(|id| reactor.seat(id).is_none_or(is_done))
    }

    fn go(&self, reactor: &mut Reactor) {
        let ends = self.leaving.as_ref().is_some_and(|leaving| leaving.ends_sessions);
        for id in [self.local.id, self.remote.id] {
            if let Some(mut seat) = reactor.seat(id) {
                seat.disconnect_with(ReasonCode::Success, ends.then_some(0));
            }
        }
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
        let (waiting, settled) = (VecDeque::new(), BTreeSet::new());
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
