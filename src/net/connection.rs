//! One network connection as the shell sees it: a socket, bytes, and what the kernel said last.

use mio::Token;
use mio::event::Event as Readiness;
use slab::Slab;

use super::transport::Transport;
use super::unread::Unread;
use crate::session::{ConnectionId, ListenerId, has_much_spare};

/// One connection. An idle one is this struct and a socket, and nothing on the heap.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) transport: Transport,
    pub(super) unread: Unread,
    pub(super) listener: ListenerId,
    /// Whether a read may find something. The kernel says so once; cleared by the read that finds
    /// no more.
    pub(super) readable: bool,
    /// Whether the kernel takes bytes. Cleared by the write that it did not take whole.
    pub(super) writable: bool,
    /// The peer's end, or an error, waits behind the bytes that have not been read yet: a read
    /// that comes back short is no sign that there is no more to learn.
    pub(super) hung_up: bool,
    /// A write failed; the read side has not yet said how it ended.
    pub(super) write_failed: bool,
    /// Whether it stands in the list of connections to look at.
    pub(super) is_queued: bool,
    /// Set once the core has forgotten the connection: what is left is to say goodbye.
    pub(super) is_closing: bool,
}

impl Connection {
    fn new(id: ConnectionId, transport: Transport, listener: ListenerId) -> Self {
        Self {
            id,
            unread: Unread::default(),
            listener,
            readable: transport.holds_input(),
            writable: !transport.holds_output(),
            hung_up: false,
            write_failed: false,
            is_queued: false,
            is_closing: false,
            transport,
        }
    }

    /// Takes note of what the kernel reports. True if the connection can write again and could not
    /// before.
    pub(super) fn note(&mut self, readiness: &Readiness) -> bool {
        self.hung_up |= readiness.is_read_closed() || readiness.is_error();
        self.readable |= readiness.is_readable() || self.hung_up;
        let writes_again = !self.writable && !self.write_failed && readiness.is_writable();
        self.writable |= writes_again;
        writes_again
    }

    /// A write failed: nothing more is written, and the read side will say how it ended, after
    /// what the peer had sent before.
    pub(super) fn note_write_failure(&mut self) {
        self.write_failed = true;
        self.writable = false;
        self.hung_up = true;
        self.readable = true;
    }
}

/// The number under which the kernel reports on a connection.
pub(super) fn token_of(id: ConnectionId) -> Token {
    const { assert!(size_of::<usize>() == size_of::<u64>(), "a token holds a connection id") };
    Token(id.as_u64() as usize)
}

/// The connections of one shard.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Slab<Connection>,
    /// Of the next connection. A number is never used twice, so that what is said of a closed
    /// connection is never taken for its successor in the same slot.
    serial: u64,
}

impl Connections {
    /// Adds a connection under a new id. Gives the transport back when all slots are taken.
    pub(super) fn insert(
        &mut self,
        transport: Transport,
        listener: ListenerId,
    ) -> Result<&mut Connection, Transport> {
        let entry = self.slots.vacant_entry();
        if entry.key() >= ConnectionId::SLOTS_MAX {
            return Err(transport);
        }
        let id = ConnectionId::new(entry.key(), self.serial);
        self.serial += 1;
        Ok(entry.insert(Connection::new(id, transport, listener)))
    }

    #[inline]
    pub(super) fn find_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slots.get_mut(id.slot()).filter(|connection| connection.id == id)
    }

    /// The connection that a token of the kernel names; `None` also for other tokens.
    pub(super) fn find_token(&mut self, token: Token) -> Option<&mut Connection> {
        self.find_mut(ConnectionId::from_u64(token.0 as u64))
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.find_mut(id)?;
        let connection = self.slots.try_remove(id.slot());
        if has_much_spare(self.slots.len(), self.slots.capacity()) {
            self.slots.shrink_to_fit();
        }
        connection
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

// An idle connection costs the shell at most this much, beside what the kernel holds for it. Where
// debug assertions are on, its transport is larger.
const _: () = assert!(size_of::<Connection>() <= if cfg!(debug_assertions) { 72 } else { 64 });

#[cfg(test)]
mod tests {
    use super::*;

    /// A transport; the peer's end is dropped.
    fn transport() -> Transport {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let stream = std::net::TcpStream::connect(address).expect("it listens");
        let stream = mio::net::TcpStream::from_std(stream);
        Transport::new(stream, None, None).expect("there is nothing that could fail")
    }

    #[test]
    fn what_is_said_of_a_closed_connection_is_not_taken_for_its_successor() {
        let mut connections = Connections::default();
        let first = connections.insert(transport(), ListenerId(0)).expect("a free slot").id;
        assert!(connections.remove(first).is_some());
        let second = connections.insert(transport(), ListenerId(0)).expect("a free slot").id;
        assert_eq!(first.slot(), second.slot());
        assert!(connections.find_mut(first).is_none());
        assert!(connections.find_token(token_of(first)).is_none());
        assert!(connections.remove(first).is_none());
        assert!(connections.find_token(token_of(second)).is_some());
        assert_eq!(connections.len(), 1);
    }
}
