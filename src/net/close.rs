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

use std::io::ErrorKind;

use super::connection::Connection;
use super::event_loop::EventLoop;
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
pub(super) struct Closing {
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
    /// Those and some that have ended since.
    connections: Vec<ConnectionId>,
    /// How many of them have not ended.
    count: usize,
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
            let deadline = self.core.now.plus(WRITE_MS_MAX);
            connection.closing = Some(Box::new(Closing {
                rest: close.rest,
                deadline,
                is_half_closed: false,
                discards_left: DISCARDED_BYTES_MAX,
            }));
            self.lingering.count += 1;
            self.say_goodbye(close.connection);
            if self.lingering.count > LINGERING_MAX {
                self.forget(close.connection);
            } else if self.connections.find_mut(close.connection).is_some() {
                self.lingering.connections.push(close.connection);
            }
        }
    }

    /// Goes on with a goodbye as far as the socket allows now.
    pub(super) fn say_goodbye(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        let Some(mut closing) = connection.closing.take() else { return };
        let is_over = advance(connection, &mut closing, self.inbound.scratch(), self.core.now);
        self.lingering.note_deadline(closing.deadline);
        connection.closing = Some(closing);
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
        let mut connections = std::mem::take(&mut self.lingering.connections);
        self.lingering.deadline = None;
        connections.retain(|&id| {
            let closing = self.connections.find_mut(id).and_then(|c| c.closing.as_deref());
            let Some(deadline) = closing.map(|closing| closing.deadline) else { return false };
            if deadline <= now {
                self.forget(id);
            } else {
                self.lingering.note_deadline(deadline);
            }
            deadline > now
        });
        self.lingering.connections = connections;
    }

    /// Closes the socket and frees its slot.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        let Some(mut connection) = self.connections.remove(id) else { return };
        self.lingering.count -= usize::from(connection.closing.is_some());
        let unread = connection.unread.as_slice().len();
        connection.unread.advance(unread, &mut self.inbound.spares);
        self.count_closed(connection.listener);
    }

    /// Lets the acceptor know that one connection less came through this listener.
    pub(super) fn count_closed(&self, listener: ListenerId) {
        if let Some(tally) = self.tallies.closed.get(usize::from(listener.0)) {
            tally.post(tally.read().wrapping_add(1));
        }
    }
}

/// Writes, half-closes and discards as far as the socket allows; true when nothing is left to do.
fn advance(
    connection: &mut Connection,
    closing: &mut Closing,
    scratch: &mut [u8],
    now: Time,
) -> bool {
    if !closing.is_half_closed {
        write_out(connection, &mut closing.rest);
        if connection.write_failed {
            return true;
        }
        if closing.rest.is_empty() {
            if connection.transport.shut_down_write().is_err() {
                return true;
            }
            closing.is_half_closed = true;
            closing.deadline = now.plus(END_MS_MAX);
        }
    }
    let has_ended = discard(connection, &mut closing.discards_left, scratch);
    // A peer that has closed its sending half may still read the rest.
    has_ended && closing.is_half_closed
}

/// Reads and throws away; true when the peer's end was found, or an error, or it sent too much.
fn discard(connection: &mut Connection, left: &mut usize, scratch: &mut [u8]) -> bool {
    while connection.readable && *left > 0 {
        let space = scratch.len().min(*left);
        match connection.transport.read(&mut scratch[..space]) {
            Ok(0) => return true,
            Ok(count) => *left -= count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => connection.readable = false,
            Err(_) => return true,
        }
    }
    *left == 0
}
