//! Bytes in: sockets are read within a budget, frames are cut and given to the core.
//!
//! One large buffer serves all connections of a shard, and packets are handled where they lie in
//! it. A connection keeps bytes of its own only for a part of a packet, or when the core does not
//! want its packets now; then it is not read either, and the kernel's buffer holds the peer back.
//!
//! ```text
//!   socket ──read──▶ shared buffer ──cut──▶ shard.handle        the usual way: nothing is copied
//!                         │ a part of a packet
//!                         ▼
//!                       unread ──to the front of the buffer──▶ read behind it, cut
//!                         │ the rest of a packet larger than the buffer allows
//!                         └──read straight into it, in growing steps──▶ cut
//! ```

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use skein_protocol::Frame;

use super::connection::Connection;
use super::core::Core;
use super::event_loop::EventLoop;
use super::outbound::write_out;
use super::transport::{Introduction, Scratch};
use super::unread::Spares;
use crate::session::ConnectionId;
use crate::shard::{CloseCause, Event};

/// The shared buffer. Also the largest packet that is handled without a buffer of its own.
const BUFFER_BYTES: usize = 256 * 1024;
/// A large packet's buffer grows by at least this much, and otherwise doubles: the claimed length
/// is not believed, memory follows the bytes that have come.
const GROWTH_BYTES_MIN: usize = 64 * 1024;
/// No read is smaller than this, so that the end of a budget costs no run of tiny reads.
const READ_BYTES_MIN: usize = 4 * 1024;
/// After this time no more newcomers are looked at in one turn.
const NEWCOMERS_MAX: Duration = Duration::from_micros(300);

/// What a shard needs to read its sockets.
pub(super) struct Inbound {
    buffer: Box<[u8]>,
    pub(super) spares: Spares,
    /// Lent to connections with layers.
    pub(super) scratch: Scratch,
    /// Bytes that were read since the start.
    pub(super) received: u64,
    /// Bytes that one connection may bring into one turn.
    budget_bytes: usize,
    /// Connections to look at in this turn or the next.
    queue: Vec<ConnectionId>,
    /// Those of this turn: swapped with the queue, so that neither is allocated again.
    turn: Vec<ConnectionId>,
}

impl Inbound {
    pub(super) fn new(budget_bytes: usize) -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            spares: Spares::default(),
            scratch: Scratch::default(),
            received: 0,
            budget_bytes,
            queue: Vec::new(),
            turn: Vec::new(),
        }
    }

    /// Lets the connection be looked at, once, in this turn or the next.
    pub(super) fn enqueue(&mut self, connection: &mut Connection) {
        if !connection.is_queued {
            connection.is_queued = true;
            self.queue.push(connection.id);
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The shared buffer, for bytes that nobody wants, and what layers need to bring them.
    pub(super) fn waste(&mut self) -> (&mut [u8], &mut Scratch) {
        (&mut self.buffer, &mut self.scratch)
    }
}

/// How one read ended.
enum ReadEnd {
    /// Bytes came, or the kernel has no more for now.
    Going,
    /// The connection is over.
    Over(CloseCause),
    /// The peer broke the rules of a layer. It is told so before the socket is closed.
    Refused(String),
}

impl EventLoop {
    /// Looks at every connection that was queued, each within its budget: at newcomers only for a
    /// while, so that those who are there do not wait for a storm of them. The others of them are
    /// the first of their kind in the next turn.
    pub(super) fn read_ready(&mut self) {
        let spent = self.read_queued(NEWCOMERS_MAX);
        let tally = &self.tallies.newcomers_us;
        if !spent.is_zero() {
            tally.post(tally.read().wrapping_add(spent.as_micros() as usize));
        }
    }

    /// As [`EventLoop::read_ready`], without newcomers.
    pub(super) fn read_clients(&mut self) {
        self.read_queued(Duration::ZERO);
    }

    /// Returns how long it has looked at newcomers; after `newcomers_max` it looks at no other one.
    fn read_queued(&mut self, newcomers_max: Duration) -> Duration {
        let mut spent = Duration::ZERO;
        std::mem::swap(&mut self.inbound.queue, &mut self.inbound.turn);
        for index in 0..self.inbound.turn.len() {
            let id = self.inbound.turn[index];
            if !self.core.shard.is_newcomer(id) {
                let before = self.core.shard.metrics().publishes_received;
                self.contained(id, |this| this.read_one(id));
                self.count_publishes(id, before);
            } else if spent < newcomers_max {
                let began = Instant::now();
                self.contained(id, |this| this.read_one(id));
                spent += began.elapsed();
            } else {
                self.inbound.queue.push(id);
            }
        }
        self.inbound.turn.clear();
        spent
    }

    /// Lets the acceptor know of messages from clients that have been here for a while.
    fn count_publishes(&self, id: ConnectionId, before: u64) {
        let count = self.core.shard.metrics().publishes_received - before;
        if count > 0 && self.core.shard.is_settled(id, self.core.now) {
            let tally = &self.tallies.publishes;
            tally.post(tally.read().wrapping_add(count as usize));
        }
    }

    /// Handles what was read before, then reads and handles on, until the core wants no more,
    /// the kernel has no more or the budget is used up.
    fn read_one(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        connection.is_queued = false;
        if connection.is_closing {
            return;
        }
        let mut budget = self.inbound.budget_bytes;
        cut_unread(&mut self.core, connection, &mut self.inbound.spares);
        while connection.readable && self.core.shard.wants_packets(id) {
            if budget == 0 {
                self.inbound.enqueue(connection);
                break;
            }
            match receive(&mut self.core, connection, &mut self.inbound, &mut budget) {
                ReadEnd::Going => {}
                ReadEnd::Over(cause) => return self.on_peer_gone(id, cause),
                ReadEnd::Refused(why) => {
                    let cause = CloseCause::Refused(why);
                    return self.core.handle(Event::Closed { connection: id, cause });
                }
            }
            if let Some(source) = connection.transport.take_source() {
                match self.addresses.admit(source, self.core.now) {
                    Ok(seat) => connection.transport.sit(seat),
                    Err(crowd) => {
                        let cause = CloseCause::Crowded(crowd.to_string());
                        return self.core.handle(Event::Closed { connection: id, cause });
                    }
                }
            }
        }
        if !connection.unread.is_empty() {
            self.patience.await_packet(connection, self.core.now);
        }
        if connection.hung_up
            && self.core.shard.is_being_placed(id)
            && let Some(cause) = seek_failure(connection, &mut self.inbound)
        {
            self.on_peer_gone(id, cause);
        }
    }

    /// The peer closed or the socket failed. What waits for a peer that only closed its sending
    /// half is written, as far as the kernel takes it.
    fn on_peer_gone(&mut self, id: ConnectionId, cause: CloseCause) {
        if let Some(connection) = self.connections.find_mut(id)
            && let Some(outbox) = self.core.shard.outbox(id)
        {
            write_out(connection, outbox, &mut self.inbound.scratch);
        }
        self.core.handle(Event::Closed { connection: id, cause });
        self.forget(id);
    }
}

/// One read, and the handling of what it brought.
fn receive(
    core: &mut Core,
    connection: &mut Connection,
    inbound: &mut Inbound,
    budget: &mut usize,
) -> ReadEnd {
    let space = (*budget).max(READ_BYTES_MIN);
    let result = match large_step(connection.unread.as_slice()) {
        Some(step) => receive_large(core, connection, inbound, step.min(space)),
        None => receive_small(core, connection, inbound, space),
    };
    if connection.transport.holds_output() {
        // What the layers answered was not taken whole: the kernel will report when it is.
        connection.writable = false;
    }
    match result {
        Ok(0) => ReadEnd::Over(CloseCause::EndOfStream),
        Ok(count) => {
            inbound.received += count as u64;
            *budget = budget.saturating_sub(count);
            ReadEnd::Going
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock && !connection.write_failed => {
            // Layers may have worked through a whole budget of bytes of which none is MQTT's.
            connection.readable = !connection.transport.is_drained();
            *budget = 0;
            ReadEnd::Going
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => ReadEnd::Refused(error.to_string()),
        Err(error) => ReadEnd::Over(CloseCause::Failed(error.to_string())),
    }
}

/// Looks how a peer hung up whose packets are not wanted now. One that closed its sending half, or
/// said more before, waits for its answers; whose socket has failed waits for nothing.
fn seek_failure(connection: &mut Connection, inbound: &mut Inbound) -> Option<CloseCause> {
    if !connection.unread.is_empty() {
        return None;
    }
    match connection.transport.read(&mut inbound.buffer[..READ_BYTES_MIN], &mut inbound.scratch) {
        Ok(count) => {
            connection.unread.append(&inbound.buffer[..count], &mut inbound.spares);
            None
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => Some(CloseCause::Failed(error.to_string())),
    }
}

/// If these bytes begin a packet too large to be handled in the shared buffer: how many bytes to
/// read next.
fn large_step(unread: &[u8]) -> Option<usize> {
    let size = Frame::size(unread).ok().flatten()?;
    let missing = size.saturating_sub(unread.len());
    (size > BUFFER_BYTES / 2).then(|| missing.min(unread.len().max(GROWTH_BYTES_MIN)))
}

/// Reads the next step of a large packet straight into the connection's own buffer.
fn receive_large(
    core: &mut Core,
    connection: &mut Connection,
    inbound: &mut Inbound,
    step: usize,
) -> io::Result<usize> {
    let Connection { unread, transport, .. } = connection;
    let count = unread.append_with(step, |into| transport.read(into, &mut inbound.scratch))?;
    note_short_read(connection, count, step);
    cut_unread(core, connection, &mut inbound.spares);
    Ok(count)
}

/// Reads into the shared buffer, behind the part of a packet that came before, and handles the
/// packets where they lie.
fn receive_small(
    core: &mut Core,
    connection: &mut Connection,
    inbound: &mut Inbound,
    space: usize,
) -> io::Result<usize> {
    let held = connection.unread.as_slice().len();
    let end = (held + space).min(inbound.buffer.len());
    let count = connection.transport.read(&mut inbound.buffer[held..end], &mut inbound.scratch)?;
    if let Some(Introduction { source, certificates }) = connection.transport.take_introduction() {
        core.handle(Event::Introduced { connection: connection.id, source, certificates });
    }
    note_short_read(connection, count, end - held);
    if held > 0 {
        inbound.buffer[..held].copy_from_slice(connection.unread.as_slice());
        connection.unread.advance(held, &mut inbound.spares);
    }
    let bytes = &inbound.buffer[..held + count];
    let cut = cut_frames(core, connection.id, bytes);
    connection.unread.has_finished_packet |= cut > 0;
    connection.unread.append(&bytes[cut..], &mut inbound.spares);
    Ok(count)
}

/// A stream that gave less than was asked for has no more now, unless its end is near.
fn note_short_read(connection: &mut Connection, count: usize, asked: usize) {
    if count < asked && !connection.hung_up && connection.transport.is_drained() {
        connection.readable = false;
    }
}

/// Handles the packets that were read earlier.
fn cut_unread(core: &mut Core, connection: &mut Connection, spares: &mut Spares) {
    if connection.unread.is_empty() {
        return;
    }
    let cut = cut_frames(core, connection.id, connection.unread.as_slice());
    if cut > 0 {
        connection.unread.has_finished_packet = true;
        connection.unread.advance(cut, spares);
    }
}

/// Cuts frames and gives them to the core as long as it wants them; returns how many bytes they
/// took.
fn cut_frames(core: &mut Core, connection: ConnectionId, bytes: &[u8]) -> usize {
    let mut start = 0;
    while start < bytes.len()
        && let Some(bytes_max) = core.shard.next_packet_bytes_max(connection)
    {
        match Frame::decode(&bytes[start..], bytes_max) {
            Ok(Some((frame, size))) => {
                core.handle(Event::Packet { connection, frame });
                start += size;
            }
            Ok(None) => break,
            Err(error) => {
                core.handle(Event::Malformed { connection, error });
                return bytes.len();
            }
        }
    }
    start
}
