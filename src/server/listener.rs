//! One address to listen on.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::backoff::Backoff;
use super::error::StartError;
use super::tls;
use crate::config::{self, Address, Network};
use crate::net::{Layers, WebSocketTerms};
use crate::session::{ListenerId, PeerAddress};

/// Connections the kernel completes before they are accepted; it lowers this to its own bound
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// A bound listener and how it fares.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) id: ListenerId,
    /// What it was made from, or changed to.
    pub(super) settings: config::Listener,
    pub(super) name: String,
    /// 0 for no limit of its own.
    pub(super) connections_max: usize,
    /// Connections that came through it and were dealt to a shard.
    pub(super) dealt: usize,
    /// Whether the kernel may have connections to accept. It says so once.
    pub(super) is_ready: bool,
    pub(super) backoff: Backoff,
    /// What its connections have between the socket and MQTT, if anything.
    pub(super) layers: Option<Arc<Layers>>,
    /// From where connections may come; from everywhere if there are none.
    proxies: Vec<Network>,
    address: Address,
    /// `None` once a reload has removed it: its connections stay, and are counted here.
    door: Option<Door>,
}

/// What is listened with.
#[derive(Debug)]
enum Door {
    Internet(TcpListener),
    Unix { socket: UnixListener, _path: UnixPath },
}

/// The path of a Unix socket of ours; removed with it.
#[derive(Debug)]
struct UnixPath(PathBuf);

impl Drop for UnixPath {
    fn drop(&mut self) {
        // Whoever has removed it before has done what was wanted.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Binds the listener with this index in the settings.
    pub(super) fn bind(
        index: usize,
        settings: &config::Listener,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let layers = layers(settings)?;
        let failed = |source| StartError::Listen { address: settings.address.clone(), source };
        let (door, address) = listen(settings, index, registry).map_err(failed)?;
        let number = u16::try_from(index).expect("nobody configures 65,536 listeners");
        Ok(Self {
            id: ListenerId(number),
            settings: settings.clone(),
            name: settings.name.clone(),
            connections_max: settings.connections_max,
            dealt: 0,
            is_ready: false,
            backoff: Backoff::default(),
            layers,
            proxies: settings.proxy_protocol_from.clone(),
            address,
            door: Some(door),
        })
    }

    /// The address it has, with the port the kernel chose if none was.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Accepts a connection; where it comes from, and its IP address if it has one.
    pub(super) fn accept(&self) -> io::Result<(TcpStream, PeerAddress, Option<IpAddr>)> {
        match self.door.as_ref().ok_or(ErrorKind::WouldBlock)? {
            Door::Internet(socket) => {
                let (stream, peer) = socket.accept()?;
                Ok((stream, PeerAddress::from(peer), Some(peer.ip())))
            }
            Door::Unix { socket, .. } => {
                let (stream, _) = socket.accept()?;
                // From here on the kernel alone knows the difference.
                let stream = TcpStream::from(OwnedFd::from(stream));
                Ok((stream, PeerAddress::new(self.address.to_string()), None))
            }
        }
    }

    /// Whether it listens.
    pub(super) fn is_open(&self) -> bool {
        self.door.is_some()
    }

    /// Stops listening.
    pub(super) fn close(&mut self) {
        self.door = None;
        self.is_ready = false;
    }

    /// Takes over settings for the same address; from now on connections have these layers.
    pub(super) fn change(&mut self, settings: &config::Listener, layers: Option<Arc<Layers>>) {
        if let (Address::Unix(path), true) =
            (&settings.address, settings.unix_mode != self.settings.unix_mode)
        {
            let mode = fs::Permissions::from_mode(settings.unix_mode.0);
            if let Err(error) = fs::set_permissions(path, mode) {
                tracing::error!("cannot change who may connect to {}: {error}", path.display());
            }
        }
        self.name.clone_from(&settings.name);
        self.connections_max = settings.connections_max;
        self.proxies.clone_from(&settings.proxy_protocol_from);
        self.settings = settings.clone();
        self.layers = layers;
    }

    /// Whether its connections come through proxies, which say from where.
    pub(super) fn is_behind_proxies(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Whether a connection may come from there: behind proxies, only from one of them.
    pub(super) fn trusts(&self, address: Option<IpAddr>) -> bool {
        let mut proxies = self.proxies.iter();
        self.proxies.is_empty()
            || address.is_some_and(|address| proxies.any(|proxy| proxy.contains(address)))
    }
}

/// What lies between the sockets of a listener and MQTT; the files of TLS are read.
pub(super) fn layers(settings: &config::Listener) -> Result<Option<Arc<Layers>>, StartError> {
    let config::WebSocket { path, origins, frame_bytes_max } = &settings.websocket;
    let terms = WebSocketTerms {
        path: path.as_str().into(),
        origins: origins.iter().map(|origin| origin.0.clone()).collect(),
        frame_bytes_max: *frame_bytes_max,
    };
    let layers = Layers {
        proxy: !settings.proxy_protocol_from.is_empty(),
        tls: tls::load(settings).map_err(StartError::Tls)?,
        websocket: match settings.protocol {
            config::Protocol::Mqtt => None,
            config::Protocol::WebSocket => Some(Arc::new(terms)),
        },
    };
    Ok((!layers.is_empty()).then(|| Arc::new(layers)))
}

fn listen(
    settings: &config::Listener,
    index: usize,
    registry: &Registry,
) -> io::Result<(Door, Address)> {
    match &settings.address {
        Address::Internet(address) => {
            let mut socket = listen_internet(*address)?;
            let address = socket.local_addr()?;
            registry.register(&mut socket, Token(index), Interest::READABLE)?;
            Ok((Door::Internet(socket), Address::Internet(address)))
        }
        Address::Unix(path) => {
            let (mut socket, _path) = listen_unix(path, settings.unix_mode.0)?;
            registry.register(&mut socket, Token(index), Interest::READABLE)?;
            Ok((Door::Unix { socket, _path }, settings.address.clone()))
        }
    }
}

fn listen_internet(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait until the connections of the process before have timed out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Takes the path, also from a process that has ended without removing it.
fn listen_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, UnixPath)> {
    // What is no socket stays, and binding fails on it.
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            _ => return Err(ErrorKind::AddrInUse.into()),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let ours = UnixPath(path.to_owned());
    // Before anybody can connect: nobody can while it does not listen.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok((UnixListener::from_std(socket.into()), ours))
}

/// Whether a failed accept says something of the connection that was next, not of this process:
/// accept(2) passes on network errors that were already pending on the new socket.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_is_taken_from_the_dead_and_removed_at_the_end() {
        let path = std::env::temp_dir().join(format!("skein-{}.sock", std::process::id()));
        let (first, ours) = listen_unix(&path, 0o600).expect("a path of its own");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let taken = listen_unix(&path, 0o600).map_err(|error| error.kind());
        assert!(matches!(taken, Err(ErrorKind::AddrInUse)));
        std::mem::forget(ours);
        drop(first);
        let (_second, ours) = listen_unix(&path, 0o600).expect("nobody listens there any more");
        drop(ours);
        assert!(!path.exists());
        fs::write(&path, "precious").expect("room for a word");
        assert!(listen_unix(&path, 0o600).is_err());
        assert_eq!(fs::read_to_string(&path).expect("it is still there"), "precious");
        fs::remove_file(&path).expect("it is ours");
    }
}
