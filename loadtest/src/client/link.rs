//! What carries the bytes of a connection. Everything above sees only reads and writes that never
//! block. TLS and WebSocket are those of the client library.

use std::{
    fmt,
    io::{self, Read, Write},
    net::SocketAddr,
    os::fd::OwnedFd,
    path::Path,
    time::Duration,
};

use mio::{Interest, Registry, Token};
use skein_client::{
    Login,
    transport::{Dial, Scheme, Transport},
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::plan::{Address, Target};

/// How long a broker may leave a connection to its Unix socket unaccepted.
const ACCEPT_WITHIN: Duration = Duration::from_secs(10);

/// Opens connections to a broker.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    target: Target,
    dial: Dial,
    /// What the layers over the socket need to know.
    server: skein_client::transport::Address,
}

/// A connection that is being made or is made.
pub(crate) struct Link {
    transport: Box<dyn Transport>,
    /// Whether nothing lies between the socket and whoever reads.
    is_bare: bool,
}

impl Dialer {
    /// One for this broker.
    ///
    /// # Errors
    /// The transport contradicts itself, or a file of TLS has nothing of use in it.
    pub(crate) fn new(target: &Target) -> io::Result<Self> {
        let (host, port) = match &target.address {
            Address::Network { host, number } => (host.clone(), number.port()),
            Address::Unix(path) => (path.display().to_string(), 0),
        };
        let server = skein_client::transport::Address {
            scheme: target.transport.scheme(&target.address)?,
            host,
            port,
            path: target.transport.path().to_owned(),
            login: Login::default(),
        };
        let dial = match target.transport.tls() {
            Some(tls) => Dial::default().tls(&tls).map_err(io::Error::other)?,
            None => Dial::default(),
        };
        Ok(Self { target: target.clone(), dial, server })
    }

    /// Begins to make connection number `connection`. Until it is made, reads and writes would
    /// block.
    pub(crate) fn open(&self, connection: usize) -> io::Result<Link> {
        let socket = match &self.target.address {
            Address::Network { number, .. } => connect(*number, self.target.source(connection))?,
            Address::Unix(path) => connect_unix(path)?,
        };
        let transport = self.dial.over(&self.server, socket).map_err(io::Error::other)?;
        Ok(Link { transport, is_bare: matches!(self.server.scheme, Scheme::Tcp | Scheme::Unix) })
    }
}

impl Link {
    /// One that something lies upon.
    #[cfg(test)]
    pub(super) fn layered(transport: Box<dyn Transport>) -> Self {
        Self { transport, is_bare: false }
    }

    /// Asks for events of both kinds, at every change.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(self.transport.source(), token, both)
    }

    /// Whether a read that brought less than was asked for found all that there was.
    #[inline]
    pub(crate) fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// Reads what has come; `WouldBlock` if nothing has.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.transport.read(buffer)
    }

    /// Takes what there is room for; `WouldBlock` if there is none. The socket may not have taken it
    /// before the next [`flush`](Self::flush).
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.transport.write(bytes)
    }

    /// Gives the socket what was taken; `WouldBlock` if it does not take all.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.transport.flush()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("is_bare", &self.is_bare).finish_non_exhaustive()
    }
}

/// Begins to connect, from `source` if the system is not to choose.
fn connect(address: SocketAddr, source: Option<SocketAddr>) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        socket.bind(&source.into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Connects, and waits while as many connections as the broker lets wait are not accepted: there is
/// no event that would say when there is room.
fn connect_unix(path: &Path) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(ACCEPT_WITHIN))?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
