//! Bytes out: each connection that has something to say is written once per turn, with one call.

use std::io::{ErrorKind, IoSlice};

use super::connection::Connection;
use super::event_loop::EventLoop;
use super::transport::Scratch;
use crate::session::{ConnectionId, Outbox};
use crate::shard::Event;

/// Slices given to the kernel in one call.
const SLICES_PER_WRITE: usize = 64;
/// How often per turn the core may refill what was flushed; what is left waits for the next turn,
/// so that one fast reader of a long queue does not hold up the others.
const FLUSHES_PER_TURN: usize = 4;

impl EventLoop {
    /// Flushes each dirty connection, and again those that the core refills upon that.
    pub(super) fn flush(&mut self) {
        for _ in 0..FLUSHES_PER_TURN {
            if self.core.effects.dirty.is_empty() {
                return;
            }
            std::mem::swap(&mut self.core.effects.dirty, &mut self.flushing);
            for index in 0..self.flushing.len() {
                let id = self.flushing[index];
                self.contained(id, |this| this.flush_one(id));
            }
            self.flushing.clear();
        }
    }

    fn flush_one(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        let Some(outbox) = self.core.shard.outbox(id) else { return };
        let written = write_out(connection, outbox, &mut self.inbound.scratch);
        if connection.write_failed {
            self.inbound.enqueue(connection);
        }
        if written > 0 {
            self.reporting.sent += written as u64;
            self.core.handle(Event::Flushed { connection: id, written });
        }
    }
}

/// Writes as much as may leave and the kernel takes; returns how many bytes that was. What it does not take
/// waits until it reports that it takes bytes again.
pub(super) fn write_out(
    connection: &mut Connection,
    outbox: &mut Outbox,
    scratch: &mut Scratch,
) -> usize {
    let mut written = 0;
    while connection.writable && (outbox.released() > 0 || connection.transport.holds_output()) {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let filled = outbox.slices(&mut slices);
        let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        match connection.transport.write_vectored(&slices[..filled], scratch) {
            Ok(count) => {
                outbox.advance(count);
                written += count;
                // The kernel takes less than it is offered only when it is full, and then it
                // reports when it no longer is.
                connection.writable = count == offered && !connection.transport.holds_output();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => connection.writable = false,
            Err(_) => connection.note_write_failure(),
        }
    }
    written
}
