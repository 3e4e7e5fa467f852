//! What carries a connection's bytes. The rest of the shell reads and writes through
//! [`Transport`] and does not know which kind it has.

#[cfg(test)]
mod fixtures;
mod layered;
#[cfg(fuzzing)]
mod pieces;
mod plain;
mod proxy;
mod stack;
mod tls;
mod websocket;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use self::layered::Layered;
use self::plain::Plain;
use super::Seat;

pub(super) use layered::Scratch;
#[cfg(fuzzing)]
pub use pieces::{Received, receive_in_pieces};
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
    /// A socket and nothing over it.
    Plain(Plain),
    /// A socket with layers over it.
    Layered(Box<Layered>),
}

// What a plain connection is counted by finds room beside its descriptor. Where debug assertions
// are on, mio notes with each socket who watches it.
const _: () = assert!(size_of::<Transport>() <= if cfg!(debug_assertions) { 24 } else { 16 });

impl Transport {
    /// An accepted stream, under these layers if there are any.
    ///
    /// # Errors
    /// When TLS cannot be begun with this configuration.
    pub(super) fn new(
        stream: TcpStream,
        layers: Option<&Layers>,
        seat: Option<Seat>,
    ) -> io::Result<Self> {
        let socket = Plain::new(stream, seat);
        match layers {
            None => Ok(Self::Plain(socket)),
            Some(layers) => Ok(Self::Layered(Box::new(Layered::new(socket, layers)?))),
        }
    }

    /// Reads what has arrived; 0 is the end of the stream. `InvalidData` is a peer that broke the
    /// rules of a layer; what is to be said of that has been said.
    #[inline]
    pub(super) fn read(&mut self, into: &mut [u8], scratch: &mut Scratch) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.read(into),
            Self::Layered(layered) => layered.read(into, scratch),
        }
    }

    /// Writes as much as is taken at once, in order; returns how many bytes that was.
    #[inline]
    pub(super) fn write_vectored(
        &mut self,
        slices: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.write_vectored(slices),
            Self::Layered(layered) => layered.write_vectored(slices, scratch),
        }
    }

    /// Says that no more bytes will come from here; the peer's may still be read. `WouldBlock`
    /// until what was written before has gone.
    pub(super) fn shut_down_write(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.shut_down_write(),
            Self::Layered(layered) => layered.shut_down_write(scratch),
        }
    }

    /// Whether a read that brought less than was asked for, or nothing, found all there was.
    #[inline]
    pub(super) fn is_drained(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Layered(layered) => layered.is_drained(),
        }
    }

    /// Whether a read finds something that the kernel does not report.
    pub(super) fn holds_input(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Layered(layered) => layered.holds_input(),
        }
    }

    /// Whether bytes wait here for the socket to take them.
    #[inline]
    pub(super) fn holds_output(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Layered(layered) => layered.holds_output(),
        }
    }

    /// What the layers have learned of the peer, once, when MQTT begins.
    #[inline]
    pub(super) fn take_introduction(&mut self) -> Option<Introduction> {
        match self {
            Self::Plain(_) => None,
            Self::Layered(layered) => layered.take_introduction(),
        }
    }

    /// Where a proxy says that the connection comes from, once, as soon as it has said so. It is to
    /// be counted there, with [`sit`](Self::sit).
    #[inline]
    pub(super) fn take_source(&mut self) -> Option<IpAddr> {
        match self {
            Self::Plain(_) => None,
            Self::Layered(layered) => layered.take_source(),
        }
    }

    /// Gives the connection its place in the count of its address.
    pub(super) fn sit(&mut self, seat: Option<Seat>) {
        self.socket().sit(seat);
    }

    /// Whether MQTT may be spoken: the handshakes of all layers are over.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Layered(layered) => layered.is_open(),
        }
    }

    /// Lets `registry` report every change of readiness once, in both directions. One
    /// registration serves the connection's whole life in a shard.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE.add(Interest::WRITABLE);
        registry.register(self.socket().source(), token, both)
    }

    /// Takes the registration back, before another shard registers the socket.
    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.socket().source())
    }

    fn socket(&mut self) -> &mut Plain {
        match self {
            Self::Plain(plain) => plain,
            Self::Layered(layered) => layered.socket(),
        }
    }
}
