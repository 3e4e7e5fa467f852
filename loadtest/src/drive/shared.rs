//! What the threads of a run tell each other.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use crate::measure::RunClock;

/// What the workers are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Connect and subscribe.
    Opening,
    /// Publish and receive.
    Running,
    /// Publish, but those who only subscribe are gone.
    Leaving,
    /// Receive what is on its way.
    Draining,
    /// End.
    Done,
}

/// What the threads of a run tell each other. Only the coordinator changes the phase, and each
/// worker only its own progress.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The clock of the run.
    pub(crate) clock: RunClock,
    phase: AtomicU8,
    /// When the measured window begins; what was to be sent before does not count.
    window_from_ns: AtomicU64,
    /// When it ends: what would have to be sent later is not.
    window_until_ns: AtomicU64,
    /// Of each worker.
    pub(crate) progress: Vec<Progress>,
    /// By worker and group; empty if there is one worker, which needs to tell nobody.
    pub(crate) flows: Vec<Vec<Flow>>,
    failure: Mutex<Option<String>>,
}

/// How far a worker is. Alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Progress {
    /// Connections that are ready.
    pub(crate) ready: AtomicU64,
    /// Messages sent.
    pub(crate) published: AtomicU64,
    /// Messages received.
    pub(crate) delivered: AtomicU64,
    /// Messages acknowledged.
    pub(crate) acknowledged: AtomicU64,
    /// Deliveries that are owed for what was sent.
    pub(crate) owed: AtomicU64,
    /// Deliveries that were owed and came.
    pub(crate) paid: AtomicU64,
    /// Connections lost since the run began.
    pub(crate) lost: AtomicU64,
    /// When the last message was received.
    pub(crate) last_delivery_ns: AtomicU64,
    /// Whether all publishers have sent all.
    pub(crate) is_done: AtomicBool,
}

/// What one worker knows of one group.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Messages that its publishers have sent.
    pub(crate) published: AtomicU64,
    /// Messages that came to the slowest of its units.
    pub(crate) slowest: AtomicU64,
}

impl Shared {
    /// At the beginning.
    pub(crate) fn new(clock: RunClock, workers: usize, groups: usize) -> Self {
        let flow = || Flow { published: AtomicU64::new(0), slowest: AtomicU64::new(0) };
        let flows = if workers == 1 { 0 } else { workers };
        Self {
            clock,
            phase: AtomicU8::new(Phase::Opening as u8),
            window_from_ns: AtomicU64::new(0),
            window_until_ns: AtomicU64::new(u64::MAX),
            progress: (0..workers).map(|_| Progress::default()).collect(),
            flows: (0..flows).map(|_| (0..groups).map(|_| flow()).collect()).collect(),
            failure: Mutex::new(None),
        }
    }

    /// What is to be done.
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Opening,
            1 => Phase::Running,
            2 => Phase::Leaving,
            3 => Phase::Draining,
            _ => Phase::Done,
        }
    }

    /// Something else is to be done from now on.
    pub(crate) fn begin(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// When the measured window begins.
    #[inline]
    pub(crate) fn window_from_ns(&self) -> u64 {
        self.window_from_ns.load(Ordering::Relaxed)
    }

    /// When the measured window ends.
    #[inline]
    pub(crate) fn window_until_ns(&self) -> u64 {
        self.window_until_ns.load(Ordering::Relaxed)
    }

    /// Sets the measured window; before the phase that it belongs to.
    pub(crate) fn set_window(&self, from_ns: u64, until_ns: u64) {
        self.window_from_ns.store(from_ns, Ordering::Relaxed);
        self.window_until_ns.store(until_ns, Ordering::Relaxed);
    }

    /// One figure of all workers together.
    pub(crate) fn total(&self, figure: impl Fn(&Progress) -> &AtomicU64) -> u64 {
        self.progress.iter().map(|progress| figure(progress).load(Ordering::Relaxed)).sum()
    }

    /// Whether all publishers have sent all.
    pub(crate) fn is_done(&self) -> bool {
        self.progress.iter().all(|progress| progress.is_done.load(Ordering::Acquire))
    }

    /// A worker cannot go on; the first reason is kept.
    pub(crate) fn fail(&self, reason: String) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// Why a worker could not go on.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
