//! What carries a connection's bytes. The rest of the shell reads and writes through
//! [`Transport`] and does not know which kind it has.

mod plain;

use std::io::{self, IoSlice};

use mio::{Interest, Registry, Token};

pub(super) use plain::Plain;

/// One connection's way to its peer. Nothing here blocks: what cannot be done now is
/// `ErrorKind::WouldBlock`.
#[derive(Debug)]
pub(super) enum Transport {
    /// TCP and nothing over it.
    Plain(Plain),
}

impl Transport {
    /// Reads what has arrived; 0 is the end of the stream.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.read(into),
        }
    }

    /// Writes as much as is taken at once, in order; returns how many bytes that was.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.write_vectored(slices),
        }
    }

    /// Says that no more bytes will come from here; the peer's may still be read.
    pub(super) fn shut_down_write(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.shut_down_write(),
        }
    }

    /// Lets `registry` report every change of readiness once, in both directions. One
    /// registration serves the connection's whole life in a shard.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE.add(Interest::WRITABLE);
        match self {
            Self::Plain(plain) => registry.register(plain.source(), token, both),
        }
    }

    /// Takes the registration back, before another shard registers the socket.
    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Plain(plain) => registry.deregister(plain.source()),
        }
    }
}
