//! Opening links to the usual addresses.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::socket::Socket;
use super::tls::Loaded;
use super::websocket::{Stream, WebSocketStream};
use super::{Address, Dialed, Dialer, Proxy, Scheme, Tls, Transport};
use crate::{Error, Result};

/// The dialer of a client that was given no other: TCP, TLS, WebSocket over both, and sockets of
/// this machine; directly or through a proxy.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    tls: Option<Loaded>,
    proxy: Option<Proxy>,
}

impl Dial {
    /// Speaks TLS like this. Without it, whom the system trusts is trusted.
    ///
    /// # Errors
    /// [`Error::Tls`]: a file cannot be read, or has nothing of use in it.
    pub fn tls(mut self, tls: &Tls) -> Result<Self> {
        self.tls = Some(tls.load()?);
        Ok(self)
    }

    /// Goes through this proxy.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    fn open(&self, address: &Address, deadline: Instant) -> Result<Box<dyn Transport>> {
        let failure = |source| Error::Dial { server: display(address), source: Arc::new(source) };
        let socket = self.connect(address, deadline).map_err(failure)?;
        let tls = match address.scheme {
            Scheme::Tls | Scheme::WebSocketTls => Some(self.load_tls()?),
            Scheme::Tcp | Scheme::WebSocket | Scheme::Unix => None,
        };
        shake_hands(address, socket, tls.as_ref()).map_err(failure)
    }

    fn connect(&self, address: &Address, deadline: Instant) -> io::Result<Socket> {
        match (&self.proxy, address.scheme) {
            (_, Scheme::Unix) => Socket::connect_unix(&address.host),
            (None, _) => Socket::connect(&address.host, address.port, deadline),
            (Some(proxy), _) => {
                let mut socket = Socket::connect(&proxy.host, proxy.port, deadline)?;
                proxy.open(&mut socket, &address.host, address.port)?;
                Ok(socket)
            }
        }
    }

    fn load_tls(&self) -> Result<Loaded> {
        self.tls.clone().map_or_else(|| Tls::platform_roots().load(), Ok)
    }
}

impl Dialer for Dial {
    fn dial(&self, server: &str, timeout: Duration) -> Result<Dialed> {
        let address = Address::parse(server)?;
        let transport = self.open(&address, Instant::now() + timeout)?;
        Ok(Dialed { transport, login: address.login })
    }
}

/// Puts on a socket what the scheme asks for; after that nothing blocks.
fn shake_hands(
    address: &Address,
    socket: Socket,
    tls: Option<&Loaded>,
) -> io::Result<Box<dyn Transport>> {
    let is_websocket = matches!(address.scheme, Scheme::WebSocket | Scheme::WebSocketTls);
    Ok(match (tls, is_websocket) {
        (None, false) => {
            socket.set_nonblocking()?;
            Box::new(socket)
        }
        (Some(tls), false) => {
            let mut stream = tls.connect(&address.host, socket)?;
            stream.socket().set_nonblocking()?;
            Box::new(stream)
        }
        (tls, true) => {
            let stream = match tls {
                None => Stream::Plain(socket),
                Some(tls) => Stream::Tls(tls.connect(&address.host, socket)?),
            };
            let mut stream = WebSocketStream::connect(&url(address), stream)?;
            stream.socket().set_nonblocking()?;
            Box::new(stream)
        }
    })
}

/// The address as WebSocket wants it: without a login.
fn url(address: &Address) -> String {
    let scheme = if address.scheme == Scheme::WebSocketTls { "wss" } else { "ws" };
    let path = if address.path.is_empty() { "/mqtt" } else { &address.path };
    format!("{scheme}://{}{path}", display(address))
}

/// The address without what is nobody's business.
fn display(address: &Address) -> Arc<str> {
    match address.scheme {
        Scheme::Unix => address.host.as_str().into(),
        _ if address.host.contains(':') => format!("[{}]:{}", address.host, address.port).into(),
        _ => format!("{}:{}", address.host, address.port).into(),
    }
}
