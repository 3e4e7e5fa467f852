//! A run, as all its threads know it.

use std::time::Duration;

use crate::{
    client::Dialer,
    plan::{Arrivals, Load, Topology},
    report::latency::Clock,
    verify::Payloads,
};

/// A run, as all its threads know it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What was asked for.
    pub(crate) load: Load,
    /// Who publishes what to whom.
    pub(crate) topology: Topology,
    /// What opens connections.
    pub(crate) dialer: Dialer,
    /// What the messages hold.
    pub(crate) payloads: Payloads,
    /// What decides when a message is sent.
    pub(crate) pace: Pace,
    /// When publishers stop.
    pub(crate) stop: Stop,
}

/// What decides when a message is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Flow control alone.
    Flood {
        /// Messages that may be on their way.
        window: u64,
        /// So long after one another publishers begin.
        stagger: Duration,
    },
    /// A schedule.
    Rate {
        /// Messages of all publishers together, each second.
        per_s: f64,
        /// How their times lie.
        arrivals: Arrivals,
        /// So long before a message is due, threads do not sleep any more.
        spin: Duration,
    },
}

/// When publishers stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Each after so many messages.
    Messages(u64),
    /// Each after so many messages, and before if SurgeMQ's benchmark of 2014 would have ended: when
    /// each subscriber has got its target, or its patience is over.
    Surge {
        /// Messages of each publisher.
        messages: u64,
    },
    /// After so long, of which the first part does not count.
    After {
        /// What does not count.
        warm_up: Duration,
        /// What counts.
        measured: Duration,
    },
}

impl Plan {
    /// A delivery is timed if its number has none of these bits, which needs no division. In a flood
    /// that is one of many: the queue is long and the time to look at it short.
    pub(crate) fn untimed_bits(&self) -> u64 {
        match self.pace {
            Pace::Flood { .. } => TIMED_ONE_OF - 1,
            Pace::Rate { .. } => 0,
        }
    }

    /// What the latency of a delivery is called.
    pub(crate) fn delivery_clock(&self) -> Clock {
        match self.pace {
            Pace::Flood { .. } => Clock::Queueing,
            Pace::Rate { .. } => Clock::Delivery,
        }
    }

    /// Messages of one publisher.
    pub(crate) fn messages(&self) -> u64 {
        match self.stop {
            Stop::Messages(messages) | Stop::Surge { messages } => messages,
            Stop::After { .. } => u64::MAX,
        }
    }
}

/// In a flood one of so many deliveries is timed.
const TIMED_ONE_OF: u64 = 16;
const _: () = assert!(TIMED_ONE_OF.is_power_of_two());
