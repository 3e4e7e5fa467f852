//! What decides when a worker's publishers send: the two modes, which never mix.

use super::{
    desk::Desk,
    fleet::Fleet,
    flood::Flood,
    plan::Pace,
    rate::Rate,
    shared::{Phase, Shared},
    window::Window,
};

/// What decides when a worker's publishers send.
#[derive(Debug)]
pub(crate) enum Pacer {
    /// Flow control.
    Flood(Flood),
    /// A schedule.
    Rate(Rate),
}

/// How a turn of publishing ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Whether there is more to send at once.
    pub(crate) has_more: bool,
    /// Whether everybody has sent all.
    pub(crate) is_done: bool,
    /// When the next message is to be sent, if a schedule says so.
    pub(crate) next_ns: Option<u64>,
}

impl Pacer {
    /// That of one worker.
    pub(crate) fn new(desk: &Desk, fleet: &Fleet, worker: usize) -> Self {
        match desk.plan.pace {
            Pace::Flood { window, stagger } => {
                Self::Flood(Flood::new(Window::new(desk, worker, window), stagger))
            }
            Pace::Rate { per_s, arrivals, .. } => {
                Self::Rate(Rate::new(desk, fleet, worker, per_s, arrivals))
            }
        }
    }

    /// Sends what may be sent in this phase.
    pub(crate) fn publish(
        &mut self,
        fleet: &mut Fleet,
        desk: &mut Desk,
        shared: &Shared,
        phase: Phase,
    ) -> Turn {
        match self {
            Self::Flood(flood) if phase < Phase::Draining => flood.publish(fleet, desk, shared),
            Self::Flood(_) => Turn { is_done: true, ..Turn::default() },
            // What was due before the end is sent after it, or the latest would not be counted.
            Self::Rate(rate) => rate.publish(fleet, desk, shared.window_until_ns()),
        }
    }

    /// Tells the other workers how far this one is.
    pub(crate) fn tell(&self, desk: &Desk, shared: &Shared) {
        if let Self::Flood(flood) = self {
            flood.tell(desk, shared);
        }
    }

    /// Messages that waited for acknowledgements or for the socket although they were due, and
    /// those that still do.
    pub(crate) fn held_back(&self) -> (u64, u64) {
        match self {
            Self::Flood(_) => (0, 0),
            Self::Rate(rate) => rate.held_back(),
        }
    }
}
