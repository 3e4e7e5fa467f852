//! What the user's threads and the client's own share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use mio::Waker as PollWaker;
use skein_protocol::{Packet, ReasonCode};

use super::ticket::check_may_wait;
use super::{Dispatcher, Job, Replies, Routes, Slot};
use crate::session::{Direction, Event, Outcome, Session, Statistics, Token};
use crate::store::Kept;
use crate::transport::Dialer;
use crate::{Delivery, Error, Hooks, Login, Publish, Result, WhenFull};

/// Sees every packet.
pub(crate) trait Tap: Fn(Direction, &Packet<'_>) + Send + Sync {}

impl<F: Fn(Direction, &Packet<'_>) + Send + Sync> Tap for F {}

/// Hears of every event.
pub(crate) trait Hear: Fn(&Event) + Send + Sync {}

impl<F: Fn(&Event) + Send + Sync> Hear for F {}

/// The user's code, all of it.
pub(crate) struct Hooked {
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) on_event: Option<Arc<dyn Hear>>,
    pub(crate) tap: Option<Box<dyn Tap>>,
    pub(crate) dialer: Arc<dyn Dialer>,
    /// The login that was given, before any hook or address had its say.
    pub(crate) login: Login,
    /// How payloads are written and read.
    #[cfg(feature = "serde")]
    pub(crate) formats: crate::format::Formats,
}

/// One client, seen from all threads.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// There may be room in the queue again, or never.
    room: Condvar,
    pub(super) routes: Mutex<Routes>,
    pub(crate) replies: Arc<Replies>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) hooked: Hooked,
    when_full: WhenFull,
    waker: PollWaker,
    /// The client's thread knows that there is something to do.
    is_woken: AtomicBool,
    started: Instant,
    pub(super) counters: Counters,
    /// Filled when the thread has ended: how many messages were not delivered.
    pub(crate) ended: Arc<Slot<usize>>,
}

/// What is counted outside the session.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) dropped: AtomicU64,
    pub(super) unrouted: AtomicU64,
}

/// The session, and who waits for it. Locked for moments only, never while user code runs.
pub(super) struct Core {
    pub(super) session: Session,
    pub(super) slots: HashMap<Token, Arc<Slot<Result<Outcome>>>>,
    /// The messages that are to survive the process.
    pub(super) kept: Kept,
    /// Tasks that wait for room in the queue.
    pub(super) room_wakers: Vec<Waker>,
    /// Those who wait for the connection.
    pub(super) connecting: Vec<Arc<Slot<Result<()>>>>,
}

/// What a client has done, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStatistics {
    /// What the session counts.
    pub session: Statistics,
    /// Arrived messages that full queues of subscriptions or callbacks dropped.
    pub messages_dropped: u64,
    /// Arrived messages that no route took.
    pub messages_unrouted: u64,
    /// How often the store could not keep what had become of messages, so that they may be sent, or
    /// handed out, again by the next process.
    pub store_failures: u64,
    /// Callbacks that panicked.
    pub callback_panics: u64,
}

impl Shared {
    pub(crate) fn new(
        session: Session,
        kept: Kept,
        routes: Routes,
        hooked: Hooked,
        when_full: WhenFull,
        waker: PollWaker,
    ) -> Self {
        let dispatcher = Dispatcher::new(session.client_id());
        let core = Core {
            session,
            slots: HashMap::new(),
            kept,
            room_wakers: Vec::new(),
            connecting: Vec::new(),
        };
        Self {
            core: Mutex::new(core),
            room: Condvar::new(),
            routes: Mutex::new(routes),
            replies: Arc::default(),
            dispatcher,
            hooked,
            when_full,
            waker,
            is_woken: AtomicBool::new(false),
            started: Instant::now(),
            counters: Counters::default(),
            ended: Slot::new(),
        }
    }

    /// The time of the session.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Locks the session. Before the lock on the routes, if both are needed; never behind it.
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the session, and has the client's thread do what follows.
    pub(crate) fn with_session<R>(&self, act: impl FnOnce(&mut Session, Duration) -> R) -> R {
        let result = act(&mut self.core().session, self.now());
        self.wake();
        result
    }

    /// Begins an operation, and gives the place where its outcome will be.
    pub(crate) fn begin(
        &self,
        act: impl FnOnce(&mut Session, Duration) -> Result<Token>,
    ) -> Result<Arc<Slot<Result<Outcome>>>> {
        let slot = Slot::new();
        let mut core = self.core();
        let token = act(&mut core.session, self.now())?;
        core.slots.insert(token, Arc::clone(&slot));
        drop(core);
        self.wake();
        Ok(slot)
    }

    /// Hands a message in, if there is room; the hook has seen it.
    pub(crate) fn try_publish(&self, publish: Publish) -> Result<Arc<Slot<Result<Outcome>>>> {
        let slot = Slot::new();
        let mut core = self.core();
        let now = self.now();
        let Core { session, kept, slots, .. } = &mut *core;
        let token = kept.publish(session, publish, now)?;
        slots.insert(token, Arc::clone(&slot));
        drop(core);
        self.wake();
        Ok(slot)
    }

    /// Hands a message in; waits for room, if that is the policy.
    pub(crate) fn publish(&self, mut publish: Publish) -> Result<Arc<Slot<Result<Outcome>>>> {
        loop {
            match self.try_publish(publish) {
                Err(Error::QueueFull(back)) if self.when_full == WhenFull::Block => {
                    check_may_wait()?;
                    publish = *back;
                    self.wait_for_room(&publish);
                }
                result => return result,
            }
        }
    }

    /// As [`publish`](Self::publish) for a task: `Err` gives the message back to be tried again
    /// when the waker was called.
    pub(crate) fn poll_publish(
        &self,
        publish: Publish,
        waker: &Waker,
    ) -> Result<Result<Arc<Slot<Result<Outcome>>>>, Publish> {
        match self.try_publish(publish) {
            Err(Error::QueueFull(back)) if self.when_full == WhenFull::Block => {
                let mut core = self.core();
                let may_try = core.session.has_room(&back) || core.session.is_stopped();
                if !may_try {
                    core.room_wakers.push(waker.clone());
                }
                drop(core);
                if may_try {
                    waker.wake_by_ref();
                }
                Err(*back)
            }
            result => Ok(result),
        }
    }

    /// Where it is told that the connection is up.
    pub(crate) fn connected(&self) -> Arc<Slot<Result<()>>> {
        let slot = Slot::new();
        let mut core = self.core();
        if core.session.is_up() {
            slot.fill(Ok(()));
        } else if core.session.is_stopped() {
            slot.fill(Err(Error::Closed));
        } else {
            core.connecting.push(Arc::clone(&slot));
        }
        slot
    }

    /// Takes the session's output, once the store has what it stands for.
    pub(super) fn take_output(&self, core: &mut Core, output: &mut Vec<u8>) {
        core.kept.keep_marks(&mut core.session);
        core.session.swap_output(output, self.now());
    }

    pub(super) fn acknowledge(&self, delivery: Delivery, reason: ReasonCode) {
        let mut core = self.core();
        let Core { session, kept, .. } = &mut *core;
        session.acknowledge(delivery, reason, self.now());
        // Who has dealt with a message does not get it again, even if the process ends here.
        kept.keep_marks(session);
        drop(core);
        self.wake();
    }

    pub(super) fn release(&self, delivery: Delivery) {
        self.with_session(|session, _| session.release(delivery));
    }

    pub(crate) fn statistics(&self) -> ClientStatistics {
        let core = self.core();
        ClientStatistics {
            session: core.session.statistics(self.now()),
            store_failures: core.kept.failures(),
            messages_dropped: self.counters.dropped.load(Ordering::Relaxed),
            messages_unrouted: self.counters.unrouted.load(Ordering::Relaxed),
            callback_panics: self.dispatcher.panics(),
        }
    }

    pub(crate) fn hooks(&self) -> &dyn Hooks {
        &*self.hooked.hooks
    }

    /// Has the user's handler hear of an event, in its turn.
    pub(super) fn report(&self, event: Event) {
        if let Some(on_event) = &self.hooked.on_event {
            let on_event = Arc::clone(on_event);
            self.dispatcher.push(Job::Run(Box::new(move || on_event(&event))), false);
        }
    }

    /// Wakes those who wait for room, for there may be some.
    pub(super) fn announce_room(&self, room_wakers: Vec<Waker>) {
        self.room.notify_all();
        room_wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes the client's thread, unless it knows already.
    pub(super) fn wake(&self) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            // It cannot be woken only if its poll is gone, and then so is the thread.
            let _ = self.waker.wake();
        }
    }

    /// What is handed in from now on wakes the client's thread again.
    pub(super) fn on_awake(&self) {
        self.is_woken.store(false, Ordering::Release);
    }

    fn wait_for_room(&self, publish: &Publish) {
        let core = self.core();
        let must_wait =
            |core: &mut Core| !core.session.has_room(publish) && !core.session.is_stopped();
        drop(self.room.wait_while(core, must_wait).unwrap_or_else(PoisonError::into_inner));
    }
}
