//! One address to listen on.

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::backoff::Backoff;
use super::error::StartError;
use crate::config;
use crate::session::ListenerId;

/// Connections the kernel completes before they are accepted; it lowers this to its own bound
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// A bound listener and how it fares.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) id: ListenerId,
    pub(super) name: String,
    /// 0 for no limit of its own.
    pub(super) connections_max: usize,
    /// Connections that came through it and were dealt to a shard.
    pub(super) dealt: usize,
    /// Whether the kernel may have connections to accept. It says so once.
    pub(super) is_ready: bool,
    pub(super) backoff: Backoff,
    address: SocketAddr,
    socket: TcpListener,
}

impl Listener {
    /// Binds the listener with this index in the settings.
    pub(super) fn bind(
        index: usize,
        settings: &config::Listener,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address: settings.address, source };
        let mut socket = listen(settings.address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        registry.register(&mut socket, Token(index), Interest::READABLE).map_err(failed)?;
        let number = u16::try_from(index).expect("nobody configures 65,536 listeners");
        Ok(Self {
            id: ListenerId(number),
            name: settings.name.clone(),
            connections_max: settings.connections_max,
            dealt: 0,
            is_ready: false,
            backoff: Backoff::default(),
            address,
            socket,
        })
    }

    /// The address it has, with the port the kernel chose if none was.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.socket.accept()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait until the connections of the process before have timed out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
