//! Saying goodbye: a connection that the core has forgotten is written out, half-closed and read
//! empty for a short while before its socket is closed.
//!
//! ```text
//!   WritingRest ──all written──▶ AwaitingEnd ──peer's end, error, or time over──▶ closed
//!        └──────error, or time over───────────────────────────────────────────────▲
//! ```
//!
//! Without the second step the last packet could be lost: a socket that is closed while bytes of
//! the peer lie unread in it sends a reset, and the reset overtakes and destroys the DISCONNECT
//! that says why.

use std::collections::HashMap;
use std::io::ErrorKind;

use super::connection::Connection;
use super::event_loop::EventLoop;
use super::inbound::Inbound;
use super::outbound::write_out;
use crate::session::{ConnectionId, ListenerId, Outbox, Time};

/// How long the rest may take to be written.
const WRITE_MS_MAX: u64 = 1_000;
/// How long the peer may take to close its side after that.
const END_MS_MAX: u64 = 250;
/// How many bytes of the peer are thrown away meanwhile.
const DISCARDED_BYTES_MAX: usize = 64 * 1024;
/// Connections that say goodbye at one time in one shard; a further one is closed as soon as the
/// kernel has taken what it takes at once.
const LINGERING_MAX: usize = 4_096;

/// What a connection still has to do before it is closed.
#[derive(Debug)]
struct Closing {
    rest: Outbox,
    /// When it is closed in any case.
    deadline: Time,
    /// Whether the rest is written and the peer knows that no more comes.
    is_half_closed: bool,
    /// How many bytes of the peer may still be thrown away.
    discards_left: usize,
}

/// The connections of one shard that say goodbye.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    closings: HashMap<ConnectionId, Closing>,
    /// No later than the first deadline among them.
    deadline: Option<Time>,
}

impl Lingering {
    /// When to look at them at the latest.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.deadline
    }

    fn note_deadline(&mut self, deadline: Time) {
        self.deadline = Some(self.deadline.map_or(deadline, |first| first.min(deadline)));
    }
}

impl EventLoop {
    /// Begins to close what the core has asked to close.
    pub(super) fn obey_closes(&mut self) {
        for close in std::mem::take(&mut self.core.effects.closes) {
            let Some(connection) = self.connections.find_mut(close.connection) else { continue };
            let unread = connection.unread.as_slice().len();
            connection.unread.advance(unread, &mut self.inbound.spares);
            connection.is_closing = true;
            let closing = Closing {
                rest: close.rest,
                deadline: self.core.now.plus(WRITE_MS_MAX),
                is_half_closed: false,
                discards_left: DISCARDED_BYTES_MAX,
            };
            self.lingering.closings.insert(close.connection, closing);
            self.contained(close.connection, |this| this.say_goodbye(close.connection));
            if self.lingering.closings.len() > LINGERING_MAX {
                self.forget(close.connection);
            }
        }
    }

    /// Goes on with a goodbye as far as the socket allows now.
    pub(super) fn say_goodbye(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        let Some(closing) = self.lingering.closings.get_mut(&id) else { return };
        let is_over = advance(connection, closing, &mut self.inbound, self.core.now);
        let deadline = closing.deadline;
        self.lingering.note_deadline(deadline);
        if is_over {
            self.forget(id);
        }
    }

    /// Closes those whose time is over, if it is time to look.
    pub(super) fn linger(&mut self) {
        let now = self.core.now;
        if self.lingering.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        let closings = self.lingering.closings.iter();
        let over = closings.filter(|(_, closing)| closing.deadline <= now).map(|(&id, _)| id);
        for id in over.collect::<Vec<_>>() {
            self.forget(id);
        }
        let deadlines = self.lingering.closings.values().map(|closing| closing.deadline);
        self.lingering.deadline = deadlines.min();
    }

    /// Closes the socket and frees its slot.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        let Some(mut connection) = self.connections.remove(id) else { return };
        if connection.is_closing {
            self.lingering.closings.remove(&id);
        }
        let unread = connection.unread.as_slice().len();
        connection.unread.advance(unread, &mut self.inbound.spares);
        self.count_closed(connection.listener);
    }

    /// Lets the acceptor know that one connection less came through this listener.
    pub(super) fn count_closed(&self, listener: ListenerId) {
        let closed = &self.tallies.closed;
        if let Some(tally) = closed.get(usize::from(listener.0)).or(closed.last()) {
            tally.post(tally.read().wrapping_add(1));
        }
    }
}

/// Writes, half-closes and discards as far as the socket allows; true when nothing is left to do.
fn advance(
    connection: &mut Connection,
    closing: &mut Closing,
    inbound: &mut Inbound,
    now: Time,
) -> bool {
    if !closing.is_half_closed {
        write_out(connection, &mut closing.rest, &mut inbound.scratch);
        if connection.write_failed {
            return true;
        }
        if closing.rest.is_empty() {
            match connection.transport.shut_down_write(&mut inbound.scratch) {
                Ok(()) => {
                    closing.is_half_closed = true;
                    closing.deadline = now.plus(END_MS_MAX);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.writable = false,
                Err(_) => return true,
            }
        }
    }
    let has_ended = discard(connection, &mut closing.discards_left, inbound);
    // A peer that has closed its sending half may still read the rest.
    has_ended && closing.is_half_closed
}

/// Reads and throws away; true when the peer's end was found, or an error, or it sent too much.
fn discard(connection: &mut Connection, left: &mut usize, inbound: &mut Inbound) -> bool {
    let (waste, scratch) = inbound.waste();
    while connection.readable && *left > 0 {
        let space = waste.len().min(*left);
        match connection.transport.read(&mut waste[..space], scratch) {
            Ok(0) => return true,
            Ok(count) => *left -= count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Bytes of which none is MQTT's count as if they all were.
                connection.readable = !connection.transport.is_drained();
                *left -= if connection.readable { space } else { 0 };
            }
            Err(_) => return true,
        }
    }
    *left == 0
}
