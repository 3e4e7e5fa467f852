//! The bounded queue of one subscription.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use skein_protocol::QoS;

use super::Received;
use super::ticket::check_may_wait;
use crate::Result;

/// What happens when a subscription's queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Messages of QoS 1 and 2 wait unacknowledged, so that the server stops at the Receive
    /// Maximum; QoS 0, which nothing can stop, is dropped and counted. As acknowledgements keep
    /// the order of arrival, other subscriptions of QoS 1 and 2 wait too, once the window is full;
    /// QoS 0, pings and what is published go on.
    #[default]
    Pause,
    /// The oldest message makes room; it counts as acknowledged.
    DropOldest,
    /// The new message is dropped; it counts as acknowledged.
    DropNewest,
}

/// Messages that wait for one subscriber.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    capacity: usize,
    overflow: Overflow,
    /// Whether the user acknowledges.
    is_manual: bool,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Received>,
    wakers: Vec<Waker>,
    /// How many of the messages nobody was told of.
    unannounced: usize,
    is_closed: bool,
}

impl Inbox {
    pub(crate) fn new(capacity: usize, overflow: Overflow, is_manual: bool) -> Self {
        let (state, arrived) = (Mutex::new(State::default()), Condvar::new());
        Self { state, arrived, capacity: capacity.max(1), overflow, is_manual }
    }

    /// Adds a message; false if one was dropped for it. Who waits is told by
    /// [`announce`](Self::announce), once for many, or at once when much waits.
    pub(super) fn push(&self, received: Received) -> bool {
        let mut state = self.lock();
        let is_full = state.messages.len() >= self.capacity;
        let waits = self.overflow == Overflow::Pause && received.qos() > QoS::AtMostOnce;
        let mut dropped = None;
        match self.overflow {
            _ if !is_full || waits => state.messages.push_back(received),
            Overflow::DropOldest => {
                dropped = state.messages.pop_front();
                state.messages.push_back(received);
            }
            Overflow::Pause | Overflow::DropNewest => dropped = Some(received),
        }
        state.unannounced += 1;
        let is_much = state.messages.len() > self.capacity / 2;
        drop(state);
        if is_much {
            self.announce();
        }
        // Without the lock: letting go of a message asks for another one.
        dropped.is_none_or(|mut dropped| {
            dropped.let_go();
            false
        })
    }

    /// Tells those who wait of what was added.
    pub(super) fn announce(&self) {
        let mut state = self.lock();
        let count = std::mem::take(&mut state.unannounced);
        if count == 0 {
            return;
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        match count {
            1 => self.arrived.notify_one(),
            _ => self.arrived.notify_all(),
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The next message; `None` once the client is closed and all were taken.
    pub(crate) fn receive(&self) -> Result<Option<Received>> {
        let mut state = self.lock();
        loop {
            if let Some(received) = state.messages.pop_front() {
                drop(state);
                return Ok(Some(self.hand_out(received)));
            }
            if state.is_closed {
                return Ok(None);
            }
            check_may_wait()?;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next message, if it comes in time.
    pub(crate) fn receive_for(&self, duration: Duration) -> Option<Received> {
        let deadline = Instant::now() + duration;
        let mut state = self.lock();
        loop {
            if let Some(received) = state.messages.pop_front() {
                drop(state);
                return Some(self.hand_out(received));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.is_closed || left.is_zero() || check_may_wait().is_err() {
                return None;
            }
            let waited = self.arrived.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Received>> {
        let mut state = self.lock();
        if let Some(received) = state.messages.pop_front() {
            drop(state);
            return Poll::Ready(Some(self.hand_out(received)));
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        state.wakers.push(context.waker().clone());
        Poll::Pending
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// No further message comes; what is there can still be taken.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.arrived.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Taking a message out is dealing with it, unless the user says when it is dealt with.
    fn hand_out(&self, mut received: Received) -> Received {
        if !self.is_manual {
            received.let_go();
        }
        received
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
