//! Lanes in and out: what other threads have for this shard, and what it has for its neighbours.
//!
//! A connection that moves to another shard takes a place in the lane like any message, so it is
//! overtaken by none and overtakes none. Its socket leaves this shard's poll when the lane takes
//! it and enters the other's when it is taken out.

use std::sync::Arc;
use std::time::Duration;

use mio::Events;

use super::connection::token_of;
use super::event_loop::EventLoop;
use super::mesh::{Accepted, Command, Moving, Parcel};
use super::transport::Transport;
use super::unread::Unread;
use crate::config::Settings;
use crate::session::{ConnectionId, ListenerId, ShardId};
use crate::shard::{Event, HandOver, Message};

/// Commands taken per turn: in a storm of connections those who are there wait for no more of them.
const COMMANDS_PER_TURN: usize = 32;
/// Bytes taken from one neighbour per turn, and one parcel more. What is left waits until the
/// outboxes that these filled have been flushed.
const BYTES_PER_TURN: usize = 256 * 1024;

/// How often a socket's budget is read before a session is taken over.
const CATCH_UP_ROUNDS: usize = 4;

/// Whether this parcel may let a connection take a session over.
fn brings_a_client(parcel: &Parcel) -> bool {
    matches!(parcel, Parcel::HandOver(_) | Parcel::Message(Message::Granted { .. }))
}

impl EventLoop {
    /// Takes what the acceptor has sent, up to a bound.
    pub(super) fn take_commands(&mut self) {
        self.lanes_left = false;
        for _ in 0..COMMANDS_PER_TURN {
            match self.commands.pop() {
                Some(Command::Open(accepted)) => self.open(accepted),
                Some(Command::ShutDown) => self.begin_shutdown(),
                Some(Command::ReportMetrics) => {
                    self.notices.print_metrics(self.core.shard.metrics(), self.connections.len());
                }
                Some(Command::Report(desk)) => self.reporting.begin(desk),
                Some(Command::Announce(announced)) => {
                    self.core.handle(Event::Announced { announced });
                }
                Some(Command::ChangeAccess(access)) => {
                    self.core.handle(Event::AccessChanged { access });
                }
                Some(Command::ChangeSettings(settings)) => self.change_settings(&settings),
                None => return,
            }
        }
        self.lanes_left = true;
    }

    /// Takes what the neighbours have sent, up to a bound from each.
    pub(super) fn take_parcels(&mut self) {
        for index in 0..self.neighbours.len() {
            let bytes = self.take_from(index);
            self.lanes_left |= bytes >= BYTES_PER_TURN;
            if bytes > 0 {
                self.neighbours[index].doorbell.ring_for_room();
            }
        }
    }

    /// Takes parcels of one neighbour; returns their bytes.
    fn take_from(&mut self, index: usize) -> usize {
        let from = self.neighbours[index].id;
        let mut bytes = 0;
        // Parcels that lay there when everything was read last.
        let mut before = 0_usize;
        while bytes < BYTES_PER_TURN {
            let Some(parcel) = self.neighbours[index].incoming.pop() else { break };
            bytes += parcel.bytes();
            if brings_a_client(&parcel) && before == 0 {
                before = self.neighbours[index].incoming.len() + 1;
                self.catch_up();
            }
            before = before.saturating_sub(1);
            match parcel {
                Parcel::Message(message) => self.core.handle(Event::Message { from, message }),
                Parcel::HandOver(moving) => self.arrive(from, *moving),
            }
        }
        bytes
    }

    /// Reads what clients have sent by now, before a connection takes a session over: the
    /// DISCONNECT of the client's last connection may be among it, and its will must not be
    /// published then [MQTT-3.1.2-10].
    fn catch_up(&mut self) {
        let mut events = std::mem::replace(&mut self.late_events, Events::with_capacity(0));
        if self.poll.poll(&mut events, Some(Duration::ZERO)).is_ok() {
            self.note_readiness(&events);
        }
        self.late_events = events;
        for _ in 0..CATCH_UP_ROUNDS {
            self.read_clients();
        }
    }

    /// Puts into each neighbour's lane what waits for it, as far as it fits, and wakes the
    /// neighbour if it sleeps.
    pub(super) fn send_parcels(&mut self) {
        for index in 0..self.neighbours.len() {
            if self.send_to(index) {
                let to = self.neighbours[index].id;
                self.neighbours[index].doorbell.ring();
                self.core.handle(Event::LaneMoved { to });
            }
        }
    }

    /// Puts what waits for one neighbour into its lane; true if anything went.
    fn send_to(&mut self, index: usize) -> bool {
        let to = self.neighbours[index].id;
        let mut has_sent = false;
        while self.core.shard.lanes().front(to).is_some() && self.neighbours[index].has_room() {
            let Some(message) = self.core.shard.lanes().pop(to) else { break };
            let parcel = match message {
                Message::HandOver(handed) => self.depart(handed),
                message => Parcel::Message(message),
            };
            let bytes = parcel.bytes();
            self.neighbours[index].send(parcel, bytes);
            has_sent = true;
        }
        has_sent
    }

    /// Whether something waits for room in a lane.
    pub(super) fn waits_for_room(&mut self) -> bool {
        let lanes = self.core.shard.lanes();
        self.neighbours.iter().any(|neighbour| lanes.front(neighbour.id).is_some())
    }

    /// Whether a lane has something to take, or room for what waits for it.
    pub(super) fn lanes_have_changed(&mut self) -> bool {
        let lanes = self.core.shard.lanes();
        !self.commands.is_empty()
            || !self.logins.answers.is_empty()
            || !self.keeping.answers.is_empty()
            || !self.spilling.answers.is_empty()
            || self.neighbours.iter_mut().any(|neighbour| {
                !neighbour.incoming.is_empty()
                    || (lanes.front(neighbour.id).is_some() && neighbour.has_room())
            })
    }

    /// Serves a connection that the acceptor has accepted.
    fn open(&mut self, accepted: Accepted) {
        let Accepted { stream, layers, peer, listener, order, seat } = accepted;
        let admitted = match Transport::new(stream, layers.as_deref(), seat) {
            Ok(transport) => self.admit(transport, Unread::default(), listener),
            Err(error) => {
                tracing::error!(shard = %self.id, "a connection is closed: {error}");
                None
            }
        };
        match admitted {
            Some(connection) => {
                self.await_handshake(connection);
                self.core.handle(Event::Opened { connection, peer, listener, order });
            }
            None => self.count_closed(listener),
        }
    }

    fn await_handshake(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.find_mut(id)
            && !connection.transport.is_open()
        {
            self.patience.await_handshake(connection, self.core.now);
        }
    }

    /// Takes a connection's socket out of this shard, for another. Without a socket there is
    /// nothing to move; the other shard's core learns that from the bare message.
    fn depart(&mut self, handed: Box<HandOver>) -> Parcel {
        let Some(mut connection) = self.connections.remove(handed.connection) else {
            return Parcel::Message(Message::HandOver(handed));
        };
        self.count_moved(1_usize.wrapping_neg());
        if let Err(error) = connection.transport.deregister(self.poll.registry()) {
            tracing::warn!(shard = %self.id, connection = %handed.connection, "hand-over: {error}");
        }
        Parcel::HandOver(Box::new(Moving {
            handed,
            transport: connection.transport,
            unread: connection.unread.into_bytes(),
            listener: connection.listener,
        }))
    }

    /// Serves a connection that another shard has handed over.
    fn arrive(&mut self, from: ShardId, moving: Moving) {
        let Moving { handed, transport, unread, listener } = moving;
        self.count_moved(1);
        match self.admit(transport, Unread::from_bytes(unread), listener) {
            Some(connection) => {
                self.core.handle(Event::Arrived { connection, from, handed });
            }
            None => {
                self.count_closed(listener);
                self.core.handle(Event::Message { from, message: Message::HandOver(handed) });
            }
        }
    }

    /// Gives a socket a slot and a registration; what was read of it is looked at in this turn.
    /// `None`, and the socket is closed, if the kernel or the slots have no room.
    fn admit(
        &mut self,
        transport: Transport,
        unread: Unread,
        listener: ListenerId,
    ) -> Option<ConnectionId> {
        let Ok(connection) = self.connections.insert(transport, listener) else {
            tracing::error!(shard = %self.id, "a connection is closed: all slots are taken");
            return None;
        };
        let id = connection.id;
        connection.unread = unread;
        if let Err(error) = connection.transport.register(self.poll.registry(), token_of(id)) {
            tracing::error!(shard = %self.id, "a connection is closed: cannot watch it: {error}");
            self.connections.remove(id);
            return None;
        }
        if !connection.unread.is_empty() || connection.readable {
            self.inbound.enqueue(connection);
        }
        Some(id)
    }

    /// Takes over what a running shell can change.
    fn change_settings(&mut self, settings: &Arc<Settings>) {
        self.shutdown_ms_max = settings.limits.shutdown_ms_max;
        self.notices.change_limit(settings.log.lines_per_second_max);
        self.core.handle(Event::SettingsChanged { settings: Arc::clone(settings) });
    }

    fn begin_shutdown(&mut self) {
        self.ends_at.get_or_insert(self.core.now.plus(self.shutdown_ms_max));
        self.core.handle(Event::ShutDown);
    }

    /// Adds to the connections that came from other shards; `usize::MAX` takes one away.
    fn count_moved(&self, difference: usize) {
        let tally = &self.tallies.moved;
        tally.post(tally.read().wrapping_add(difference));
    }
}
