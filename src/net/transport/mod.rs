//! What carries a connection's bytes. The rest of the shell reads and writes through
//! [`Transport`] and does not know which kind it has.

#[cfg(test)]
mod fixtures;
mod layered;
mod plain;
mod proxy;
mod stack;
mod tls;
mod websocket;

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use mio::{Interest, Registry, Token};

pub(super) use plain::Plain;
pub use stack::Layers;
pub use websocket::WebSocketTerms;

/// Whether a layer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// More may come.
    Going,
    /// The peer has said that no more will come.
    Ended,
}

/// What the layers have learned of a peer that the socket does not know.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    /// Where the connection comes from, as a trusted proxy has said.
    pub(super) source: Option<SocketAddr>,
    /// The client's certificate (DER), which was verified, and those above it.
    pub(super) certificates: Vec<Box<[u8]>>,
}

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
