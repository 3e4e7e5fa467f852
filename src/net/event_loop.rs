//! The shell of one shard: it polls, feeds the pure core, and does what the core asks.
//!
//! One turn:
//!
//! ```text
//!   wait      until something happens or is due     now = clock, the only reading of it
//!   lanes     commands, answers about logins, those of the store, then each neighbour
//!                                                                    → shard.handle
//!   sockets   each ready one, a byte budget: bytes → frames          → shard.handle
//!   timers    one tick if it is due                                  → shard.handle
//!   seal      logins to the workers; what was recorded to the store
//!   flush     each dirty connection once; then closes, resumes, what these recorded, notices
//!   lanes out push what fits; wake each neighbour once that was sent something and sleeps
//! ```
//!
//! A panic of the core in the middle of a change leaves a shard that nobody may trust any more,
//! while the others wait for its lanes; whoever runs the loop must end the process. What else panics
//! costs one connection; see `contain`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::addresses::Addresses;
use super::close::Lingering;
use super::connection::Connections;
use super::core::Core;
use super::inbound::Inbound;
use super::keeper::Keeping;
use super::lane::{Consumer, Doorbell};
use super::logins::Logins;
use super::mesh::{Command, Place, Tallies};
use super::neighbour::Neighbour;
use super::notice::Notices;
use super::patience::Patience;
use super::reporting::Reporting;
use super::spilling::Spilling;
use crate::access::Access;
use crate::config::Settings;
use crate::session::{ConnectionId, ShardId, Time};
use crate::shard::{Event, Shard};

/// Readiness reports taken from the kernel per turn.
const READINESS_PER_TURN: usize = 1_024;

/// How often buffers are looked at that were emptied: those not needed meanwhile are let go.
const TRIM_MS: u64 = 1_000;

/// What all shards of a broker begin with.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// The zero of the broker's clock.
    pub start: Instant,
    /// Random numbers nobody can guess. One for all: the shards must agree where a client id or a
    /// topic has its home.
    pub seed: [u64; 4],
}

/// One shard with its sockets. Built and run in the shard's own thread.
pub struct EventLoop {
    pub(super) id: ShardId,
    pub(super) poll: Poll,
    pub(super) core: Core,
    pub(super) connections: Connections,
    pub(super) inbound: Inbound,
    /// Connections being flushed: swapped with the dirty ones, so that neither list is allocated
    /// again.
    pub(super) flushing: Vec<ConnectionId>,
    pub(super) lingering: Lingering,
    pub(super) commands: Consumer<Command>,
    pub(super) logins: Logins,
    pub(super) keeping: Keeping,
    pub(super) spilling: Spilling,
    pub(super) neighbours: Vec<Neighbour>,
    pub(super) tallies: Arc<Tallies>,
    /// Of the whole broker.
    pub(super) addresses: Arc<Addresses>,
    pub(super) patience: Patience,
    pub(super) notices: Notices,
    pub(super) reporting: Reporting,
    doorbell: Arc<Doorbell>,
    /// The clock's zero, the same for all shards.
    start: Instant,
    /// When emptied buffers are looked at; `None` while there are none.
    trim_at: Option<Time>,
    /// Whether commands or parcels were left over.
    pub(super) lanes_left: bool,
    /// For a look at the sockets in the middle of a turn.
    pub(super) late_events: Events,
    /// Once told to shut down: when to stop waiting for the connections to end.
    pub(super) ends_at: Option<Time>,
    pub(super) shutdown_ms_max: u64,
}

impl EventLoop {
    /// A shard at this place, without connections. All shards share the rules.
    pub fn new(
        place: Place,
        shards: usize,
        settings: &Settings,
        access: Arc<Access>,
        beginning: Beginning,
    ) -> Self {
        Self {
            id: place.id,
            poll: place.poll,
            core: Core::new(Shard::new(place.id, shards, settings.clone(), access, beginning.seed)),
            connections: Connections::default(),
            inbound: Inbound::new(settings.limits.read_budget_bytes),
            flushing: Vec::new(),
            lingering: Lingering::default(),
            commands: place.commands,
            logins: place.logins,
            keeping: place.keeping,
            spilling: place.spilling,
            neighbours: place.neighbours,
            tallies: place.tallies,
            addresses: place.addresses,
            patience: Patience::new(
                settings.limits.tls_handshake_ms_max,
                settings.limits.packet_stalled_ms_max,
            ),
            notices: Notices::new(place.id, settings.log.lines_per_second_max),
            reporting: Reporting::default(),
            doorbell: place.doorbell,
            start: beginning.start,
            trim_at: None,
            lanes_left: false,
            late_events: Events::with_capacity(READINESS_PER_TURN),
            ends_at: None,
            shutdown_ms_max: settings.limits.shutdown_ms_max,
        }
    }

    /// Runs until it is told to shut down and its connections have ended, or the time for that is
    /// over.
    pub fn run(&mut self) {
        self.run_until(Self::is_over);
        self.seal_the_rest();
        self.notices.end();
    }

    pub(super) fn run_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        let mut events = Events::with_capacity(READINESS_PER_TURN);
        while !is_over(self) {
            self.turn(&mut events);
        }
    }

    fn turn(&mut self, events: &mut Events) {
        self.wait(events);
        self.core.now = self.clock();
        self.note_readiness(events);
        self.take_commands();
        self.take_answers();
        self.take_kept();
        self.take_spilled();
        self.take_parcels();
        self.read_ready();
        self.lose_patience();
        if self.core.shard.next_deadline().is_some_and(|deadline| deadline <= self.core.now) {
            self.core.handle(Event::Tick);
        }
        self.obey_logins();
        self.seal();
        self.flush();
        self.obey_closes();
        self.obey_resumes();
        // A queue that was flushed from has been refilled. What the neighbours are told of a message
        // has to leave together with it.
        self.seal();
        self.obey_spills();
        self.notices.print(&mut self.core.effects.notices, self.core.now);
        self.send_parcels();
        self.linger();
        self.trim();
        self.go_on_reporting();
    }

    /// Lets go of buffers that were not needed for a while, and asks to be woken for that as long
    /// as there are any: an idle broker holds none, and sleeps.
    fn trim(&mut self) {
        let now = self.core.now;
        if self.trim_at.is_some_and(|at| at > now) {
            return;
        }
        let is_due = self.trim_at.take().is_some();
        if is_due {
            self.inbound.spares.0.trim();
            self.core.shard.trim_spares();
        }
        if !self.inbound.spares.0.is_empty() || self.core.shard.has_spares() {
            self.trim_at = Some(now.plus(TRIM_MS));
        }
    }

    /// Polls. Sleeps only if nothing is left to do and nobody has put anything into a lane since
    /// it was looked at: those who do so later will ring.
    fn wait(&mut self, events: &mut Events) {
        let mut timeout = self.timeout();
        if timeout != Some(Duration::ZERO) {
            let waits_for_room = self.waits_for_room();
            self.doorbell.prepare_to_sleep(waits_for_room);
            if self.lanes_have_changed() {
                timeout = Some(Duration::ZERO);
            }
        }
        if let Err(error) = self.poll.poll(events, timeout) {
            assert!(
                error.kind() == std::io::ErrorKind::Interrupted,
                "only a signal can disturb the poll of a shard: {error}"
            );
            events.clear();
        }
        self.doorbell.awake();
    }

    /// How long the poll may sleep; `None` is for ever.
    fn timeout(&self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.core.shard.next_deadline(),
            self.lingering.next_deadline(),
            self.patience.next_deadline(),
            self.notices.next_deadline(),
            self.keeping.next_deadline(),
            self.spilling.next_deadline(),
            self.trim_at,
            self.ends_at,
        ];
        // Deadlines and timeouts are whole milliseconds, and the clock was read before: what is
        // due is due when the poll returns.
        let deadline = deadlines.into_iter().flatten().min()?;
        Some(Duration::from_millis(deadline.since(self.core.now)))
    }

    /// Whether the turn left something over for the next one.
    fn has_work(&self) -> bool {
        self.lanes_left
            || self.inbound.has_work()
            || self.reporting.has_work()
            || self.core.has_effects()
    }

    pub(super) fn clock(&self) -> Time {
        let ms = self.start.elapsed().as_millis();
        Time::from_millis(u64::try_from(ms).expect("the process is younger than 500 million years"))
    }

    pub(super) fn note_readiness(&mut self, events: &Events) {
        for readiness in events {
            let Some(connection) = self.connections.find_token(readiness.token()) else { continue };
            let writes_again = connection.note(readiness);
            let id = connection.id;
            if connection.is_closing {
                self.contained(id, |this| this.say_goodbye(id));
            } else {
                if connection.readable {
                    self.inbound.enqueue(connection);
                }
                if writes_again {
                    self.core.effects.dirty.push(id);
                }
            }
        }
    }

    fn obey_resumes(&mut self) {
        for id in self.core.effects.resumes.drain(..) {
            if let Some(connection) = self.connections.find_mut(id) {
                self.inbound.enqueue(connection);
            }
        }
    }

    fn is_over(&self) -> bool {
        let is_done = || self.connections.is_empty() && self.core.shard.has_stopped();
        self.ends_at.is_some_and(|end| is_done() || end <= self.core.now)
    }
}
