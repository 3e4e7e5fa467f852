//! The thread on which callbacks and event handlers run, one after the other.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use skein_protocol::QoS;

use super::Received;

/// So many jobs may wait besides messages of QoS 1 and 2, whose number the Receive Maximum bounds.
const JOBS_MAX: usize = 10_000;

/// A user's callback. Only the dispatch thread calls it, so its lock is never waited for.
#[derive(Clone)]
pub(crate) struct Handler(Arc<Mutex<dyn FnMut(Received) + Send>>);

/// Something for the user's code to do.
pub(crate) enum Job {
    Message(Handler, Received),
    Run(Box<dyn FnOnce() + Send>),
}

/// The queue in front of the dispatch thread, which exists from the first job on.
#[derive(Clone)]
pub(crate) struct Dispatcher(Arc<Inner>);

struct Inner {
    /// The name of the thread.
    name: String,
    state: Mutex<State>,
    ready: Condvar,
    panics: AtomicU64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    has_thread: bool,
    is_closed: bool,
}

impl Handler {
    pub(crate) fn new(callback: impl FnMut(Received) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(callback)))
    }
}

impl Dispatcher {
    /// No job yet, and no thread; it will be named after the client.
    pub(super) fn new(client_id: &str) -> Self {
        let (state, ready) = (Mutex::default(), Condvar::new());
        let name = format!("call:{client_id}");
        Self(Arc::new(Inner { name, state, ready, panics: AtomicU64::new(0) }))
    }

    /// Hands a message to a callback; false if it was dropped because too much waits.
    pub(super) fn push_message(&self, handler: Handler, received: Received) -> bool {
        let is_bounded_elsewhere = received.qos() > QoS::AtMostOnce;
        self.push(Job::Message(handler, received), is_bounded_elsewhere)
    }

    /// Adds a job; false if too much waits.
    pub(crate) fn push(&self, job: Job, is_bounded_elsewhere: bool) -> bool {
        let mut state = self.0.lock();
        let is_full = state.jobs.len() >= JOBS_MAX && !is_bounded_elsewhere;
        if state.is_closed || is_full {
            return false;
        }
        state.jobs.push_back(job);
        if !state.has_thread {
            state.has_thread = self.spawn();
        }
        drop(state);
        self.0.ready.notify_one();
        true
    }

    /// The thread ends when it has done what there is.
    pub(super) fn close(&self) {
        self.0.lock().is_closed = true;
        self.0.ready.notify_one();
    }

    /// How many callbacks have panicked.
    pub(super) fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }

    fn spawn(&self) -> bool {
        let inner = Arc::clone(&self.0);
        let thread = thread::Builder::new().name(self.0.name.clone());
        thread.spawn(move || inner.run()).is_ok()
    }
}

impl Inner {
    fn run(&self) {
        while let Some(job) = self.next() {
            // A panic of a callback is the callback's: the next message finds it as it was left.
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn run(self) {
        match self {
            Self::Message(handler, received) => {
                let mut callback = handler.0.lock().unwrap_or_else(PoisonError::into_inner);
                callback(received);
            }
            Self::Run(run) => run(),
        }
    }
}
