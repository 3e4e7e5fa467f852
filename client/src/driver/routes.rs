//! From an arrived message to those it is for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::received::Guard;
use super::{Dispatcher, Handler, Inbox, Received, Shared, Slot};
use crate::router::{Captures, Pattern, RouteId, Router};
use crate::{Error, Message, Operation, QoS, Result};

/// So many messages may wait for a route.
const HELD_MAX: usize = 1024;

/// What deals with the messages of a route.
#[derive(Clone)]
pub(crate) enum Target {
    Inbox(Arc<Inbox>),
    Callback(Handler),
    Replies(Arc<Replies>),
}

/// The routes of one client, and the messages that came before theirs.
pub(crate) struct Routes {
    router: Router<Target>,
    /// Early messages of a resumed session, not acknowledged.
    held: VecDeque<(Message, Option<Arc<Guard>>)>,
    /// Until when messages without a route are held.
    hold_until: Duration,
    hold: Duration,
}

impl Routes {
    /// No routes; messages without one are held for so long after each CONNACK.
    pub(crate) fn new(hold: Duration) -> Self {
        Self { router: Router::new(), held: VecDeque::new(), hold_until: Duration::ZERO, hold }
    }

    /// Adds a route, and gives what was held for it.
    pub(crate) fn add(
        &mut self,
        pattern: &str,
        identifier: Option<u32>,
        target: Target,
        owner: &Weak<Shared>,
    ) -> Result<(RouteId, Early)> {
        let parsed = Pattern::new(pattern)?;
        let id = self.router.add(pattern, identifier, target.clone())?;
        let held = std::mem::take(&mut self.held);
        let mut messages = Vec::new();
        for (message, guard) in held {
            let is_for_it = self.router.find(message.topic()).any(|route| route.id() == id);
            if is_for_it {
                let captures = parsed.capture(message.topic());
                messages.push(Received::new(message, captures, guard, Weak::clone(owner)));
            } else {
                self.held.push_back((message, guard));
            }
        }
        Ok((id, Early { target, messages }))
    }

    /// Takes a route out; what it leads to must not be dropped while the lock on this is held.
    /// Also says whether no other route has its filter.
    pub(crate) fn remove(&mut self, id: RouteId, filter: &str) -> (Option<Target>, bool) {
        let target = self.router.remove(id);
        (target, !self.router.has_filter(filter))
    }

    pub(super) fn on_connected(&mut self, now: Duration) {
        self.hold_until = now + self.hold;
    }

    /// When held messages are given up.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        (!self.held.is_empty()).then_some(self.hold_until)
    }

    /// Gives up what was held for too long.
    pub(super) fn on_tick(&mut self, now: Duration) -> VecDeque<(Message, Option<Arc<Guard>>)> {
        if now < self.hold_until { VecDeque::new() } else { std::mem::take(&mut self.held) }
    }

    pub(super) fn close(&mut self) {
        for route in self.router.iter() {
            match route.target() {
                Target::Inbox(inbox) => inbox.close(),
                Target::Replies(_) | Target::Callback(_) => {}
            }
        }
    }

    /// Whom a message is for. Without anybody it is held, if its time has not come yet.
    pub(super) fn route(
        &mut self,
        message: &Message,
        guard: Option<&Arc<Guard>>,
        now: Duration,
    ) -> Option<Vec<(Target, Captures)>> {
        let routes = self.router.route(message);
        if !routes.is_empty() {
            let capture = |pattern: &Pattern| pattern.capture(message.topic());
            let targets = routes.iter().map(|it| (it.target().clone(), capture(it.pattern())));
            return Some(targets.collect());
        }
        let may_wait = message.qos() > QoS::AtMostOnce && now < self.hold_until;
        if may_wait && self.held.len() < HELD_MAX {
            self.held.push_back((message.clone(), guard.cloned()));
            return Some(Vec::new());
        }
        None
    }
}

/// Messages that came before their route.
pub(crate) struct Early {
    target: Target,
    messages: Vec<Received>,
}

impl Early {
    /// Hands them over; not while any lock is held.
    pub(crate) fn hand_over(self, dispatcher: &Dispatcher) {
        for received in self.messages {
            self.target.take(received, dispatcher);
        }
        if let Target::Inbox(inbox) = &self.target {
            inbox.announce();
        }
    }
}

impl Target {
    /// Hands a message over; false if one was dropped for it. An inbox is to be announced after it.
    pub(super) fn take(&self, received: Received, dispatcher: &Dispatcher) -> bool {
        match self {
            Self::Inbox(inbox) => inbox.push(received),
            Self::Callback(handler) => dispatcher.push_message(handler.clone(), received),
            Self::Replies(replies) => replies.take(received),
        }
    }
}

/// Those who wait for responses, by what the response carries along.
#[derive(Default)]
pub(crate) struct Replies {
    waiting: Mutex<BTreeMap<Bytes, Waiting>>,
}

/// Who waits for a response.
pub(crate) struct Waiting {
    /// Where it will be.
    pub(crate) slot: Arc<Slot<Result<Received>>>,
    /// The topic it comes to.
    pub(crate) topic: Arc<str>,
    /// When it is too late, and after how long that is.
    pub(crate) deadline: Duration,
    pub(crate) timeout: Duration,
}

impl Replies {
    pub(crate) fn add(&self, correlation: Bytes, waiting: Waiting) {
        self.lock().insert(correlation, waiting);
    }

    pub(crate) fn remove(&self, correlation: &Bytes) {
        self.lock().remove(correlation);
    }

    /// When somebody has waited for too long.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.lock().values().map(|waiting| waiting.deadline).min()
    }

    /// Tells those who have waited for too long.
    pub(super) fn on_tick(&self, now: Duration) {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let late = {
            let mut waiting = self.lock();
            let all = std::mem::take(&mut *waiting).into_iter();
            let (late, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
                all.partition(|(_, waiting)| now >= waiting.deadline);
            *waiting = rest;
            late.into_values()
        };
        for Waiting { slot, timeout: after, .. } in late {
            slot.fill(Err(Error::Timeout { operation: Operation::Request, after }));
        }
    }

    /// A response goes to who waits for it; without correlation data, which MQTT before 5.0 does
    /// not have, to who has waited longest for one of its topic. Else it has come too late.
    fn take(&self, mut received: Received) -> bool {
        received.let_go();
        let found = {
            let mut waiting = self.lock();
            let key = match received.correlation_data() {
                Some(correlation) => Some(correlation.clone()),
                None => {
                    let mut all = waiting.iter();
                    let same = all.find(|(_, waiting)| *waiting.topic == *received.topic());
                    same.map(|(key, _)| key.clone())
                }
            };
            key.and_then(|key| waiting.remove(&key))
        };
        found.map(|waiting| waiting.slot.fill(Ok(received))).is_some()
    }

    pub(super) fn close(&self) {
        for waiting in std::mem::take(&mut *self.lock()).into_values() {
            waiting.slot.fill(Err(Error::Closed));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Bytes, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
