//! What a peer must finish in time, below and beside MQTT: the handshakes of the layers, and a
//! packet that it has begun.
//!
//! All deadlines of one kind are equally long, so they are due in the order in which they were
//! set: a queue is all that is needed.

use std::collections::VecDeque;

use super::connection::Connection;
use super::event_loop::EventLoop;
use crate::session::{ConnectionId, Time};
use crate::shard::{CloseCause, Event};

/// Of a packet that does not become whole, at least this much must come between two looks.
const PROGRESS_BYTES_MIN: usize = 4 * 1024;

/// Connections that are looked at after an equal time each.
#[derive(Debug)]
struct Watch {
    interval_ms: u64,
    deadlines: VecDeque<Deadline>,
}

#[derive(Debug)]
struct Deadline {
    at: Time,
    connection: ConnectionId,
    /// Bytes of the unfinished packet when it was set.
    unread: usize,
}

impl Watch {
    fn new(interval_ms: u64) -> Self {
        Self { interval_ms, deadlines: VecDeque::new() }
    }

    fn set(&mut self, connection: &Connection, now: Time) {
        let (at, unread) = (now.plus(self.interval_ms), connection.unread.as_slice().len());
        self.deadlines.push_back(Deadline { at, connection: connection.id, unread });
    }

    fn next(&self) -> Option<Time> {
        self.deadlines.front().map(|deadline| deadline.at)
    }

    /// Takes out one deadline that has passed.
    fn pop_due(&mut self, now: Time) -> Option<Deadline> {
        self.next().filter(|at| *at <= now)?;
        let due = self.deadlines.pop_front();
        if self.deadlines.is_empty() {
            // What a rush has taken is given back when it is over.
            self.deadlines = VecDeque::new();
        }
        due
    }
}

/// The deadlines of one shard's connections.
#[derive(Debug)]
pub(super) struct Patience {
    handshakes: Watch,
    packets: Watch,
}

impl Patience {
    /// With `tls_handshake_ms_max` and `packet_stalled_ms_max`.
    pub(super) fn new(handshake_ms_max: u64, packet_stalled_ms_max: u64) -> Self {
        Self {
            handshakes: Watch::new(handshake_ms_max),
            packets: Watch::new(packet_stalled_ms_max),
        }
    }

    /// A connection has come whose layers have handshakes to do.
    pub(super) fn await_handshake(&mut self, connection: &Connection, now: Time) {
        self.handshakes.set(connection, now);
    }

    /// A read has left a part of a packet. The connection is looked at once in each interval for
    /// as long as that is so, however often it reads.
    #[inline]
    pub(super) fn await_packet(&mut self, connection: &mut Connection, now: Time) {
        if !connection.unread.is_watched && self.packets.interval_ms > 0 {
            connection.unread.is_watched = true;
            connection.unread.has_finished_packet = false;
            self.packets.set(connection, now);
        }
    }

    /// When to look at the latest.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        [self.handshakes.next(), self.packets.next()].into_iter().flatten().min()
    }
}

impl EventLoop {
    /// Ends connections that have not finished in time what they began.
    pub(super) fn lose_patience(&mut self) {
        let now = self.core.now;
        while let Some(deadline) = self.patience.handshakes.pop_due(now) {
            let id = deadline.connection;
            let is_late = |connection: &mut Connection| {
                !connection.is_closing && !connection.transport.is_open()
            };
            if self.connections.find_mut(id).is_some_and(is_late) {
                self.end(id, CloseCause::HandshakeTooSlow);
            }
        }
        while let Some(deadline) = self.patience.packets.pop_due(now) {
            if self.has_stalled(&deadline) {
                self.end(deadline.connection, CloseCause::PacketStalled);
            }
        }
    }

    /// Whether the packet is still the same and has hardly grown. Who is not read cannot be told
    /// from one that says nothing, and is looked at again.
    fn has_stalled(&mut self, deadline: &Deadline) -> bool {
        let Some(connection) = self.connections.find_mut(deadline.connection) else { return false };
        connection.unread.is_watched = false;
        if connection.is_closing || connection.unread.is_empty() {
            return false;
        }
        let grown = connection.unread.as_slice().len().saturating_sub(deadline.unread);
        let is_read = self.core.shard.wants_packets(deadline.connection);
        if connection.unread.has_finished_packet || grown >= PROGRESS_BYTES_MIN || !is_read {
            self.patience.await_packet(connection, self.core.now);
            return false;
        }
        true
    }

    fn end(&mut self, id: ConnectionId, cause: CloseCause) {
        self.core.handle(Event::Closed { connection: id, cause });
    }
}
