//! What all clients of a run share: the history, where the broker is, and how far the run is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};

use rustix::process::{Pid, Signal, kill_process};
use skein_protocol::{PacketType, ReasonCode};

use crate::history::History;

/// A point in an exchange at which the broker can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A client has seen an acknowledgement of this type.
    Came(PacketType),
    /// A client has sent one.
    Sent(PacketType),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Clients publish, leave and come back.
    Busy,
    /// Nobody publishes; what is on its way arrives.
    Draining,
    /// All clients leave.
    Ended,
}

/// The shared things.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) history: History,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    act: Act,
    address: Option<SocketAddr>,
    /// The broker is killed when a moment has come so many times.
    trap: Option<(Moment, u32, Pid)>,
    /// Clients for which nothing is left to do.
    done: BTreeSet<usize>,
    /// Reasons of DISCONNECT, and of refusing acknowledgements.
    goodbyes: BTreeMap<ReasonCode, usize>,
    refusals: BTreeMap<ReasonCode, usize>,
    /// Connections of MQTT 5 that ended without a DISCONNECT.
    silent_ends: usize,
}

impl Scene {
    /// Nothing has happened, and there is no broker.
    pub(crate) fn new() -> Self {
        let state = State {
            act: Act::Busy,
            address: None,
            trap: None,
            done: BTreeSet::new(),
            goodbyes: BTreeMap::new(),
            refusals: BTreeMap::new(),
            silent_ends: 0,
        };
        Self { history: History::default(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Where the broker is now, if it is.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.state().address
    }

    /// Says where the broker is.
    pub(crate) fn set_address(&self, address: Option<SocketAddr>) {
        self.state().address = address;
    }

    /// Goes on to this act.
    pub(crate) fn begin(&self, act: Act) {
        let mut state = self.state();
        state.act = act;
        state.done.clear();
    }

    /// Whether clients publish.
    pub(crate) fn is_busy(&self) -> bool {
        self.state().act == Act::Busy
    }

    /// Whether clients are to leave.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().act == Act::Ended
    }

    /// Has the broker killed by the client for whom the moment comes, when it has come so often.
    pub(crate) fn set_trap(&self, moment: Moment, count: u32, broker: Pid) {
        self.state().trap = Some((moment, count, broker));
    }

    /// Nobody kills the broker any more; false if somebody has.
    pub(crate) fn take_trap(&self) -> bool {
        self.state().trap.take().is_some()
    }

    /// A moment has come for a client.
    pub(crate) fn reach(&self, moment: Moment) {
        let mut state = self.state();
        let Some((awaited, count, broker)) = &mut state.trap else { return };
        if *awaited != moment {
            return;
        }
        *count = count.saturating_sub(1);
        if *count == 0 {
            // It is a child that nobody waits for before the trap is taken back.
            let _ = kill_process(*broker, Signal::KILL);
            state.trap = None;
        }
    }

    /// A client has, or has not, something left to do.
    pub(crate) fn set_done(&self, client: usize, is_done: bool) {
        let mut state = self.state();
        if is_done {
            state.done.insert(client);
        } else {
            state.done.remove(&client);
        }
    }

    /// How many clients have nothing left to do.
    pub(crate) fn done(&self) -> usize {
        self.state().done.len()
    }

    /// DISCONNECT has come.
    pub(crate) fn hear_goodbye(&self, reason: ReasonCode) {
        *self.state().goodbyes.entry(reason).or_default() += 1;
    }

    /// A connection of MQTT 5 has ended without DISCONNECT.
    pub(crate) fn hear_silent_end(&self) {
        self.state().silent_ends += 1;
    }

    /// PUBACK or PUBREC has come that refuses a message.
    pub(crate) fn hear_refusal(&self, reason: ReasonCode) {
        *self.state().refusals.entry(reason).or_default() += 1;
    }

    /// How often DISCONNECT has come with each reason.
    pub(crate) fn goodbyes(&self) -> BTreeMap<ReasonCode, usize> {
        self.state().goodbyes.clone()
    }

    /// How often a message was refused for each reason.
    pub(crate) fn refusals(&self) -> BTreeMap<ReasonCode, usize> {
        self.state().refusals.clone()
    }

    /// How many connections of MQTT 5 have ended without DISCONNECT.
    pub(crate) fn silent_ends(&self) -> usize {
        self.state().silent_ends
    }
}
