//! What carries the bytes of a connection. Everything above sees only reads and writes that never
//! block, so another transport is another kind of link.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
};

use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

/// A TCP connection that is being made or is made.
#[derive(Debug)]
pub(crate) struct Link {
    stream: mio::net::TcpStream,
}

impl Link {
    /// Begins to connect, from `source` if the system is not to choose. Until the connection is
    /// made, reads and writes would block.
    pub(crate) fn open(address: SocketAddr, source: Option<SocketAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        if let Some(source) = source {
            socket.bind(&source.into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if !is_in_progress(&error) => return Err(error),
            _ => {}
        }
        Ok(Self { stream: mio::net::TcpStream::from_std(socket.into()) })
    }

    /// Asks for events of both kinds, at every change.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reads what has come; `WouldBlock` if nothing has.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// Writes what is taken; `WouldBlock` if nothing is.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
