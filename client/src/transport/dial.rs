//! Opening links to the usual addresses.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::environment::proxy_for;
use super::socket::Socket;
use super::tls::Loaded;
use super::websocket::{Stream, WebSocketStream};
use super::{Address, Dialed, Dialer, Layered, Proxy, Scheme, Tls, Transport};
use crate::{Error, Result};

/// The dialer of a client that was given no other: TCP, TLS, WebSocket over both, and sockets of
/// this machine; directly or through a proxy.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    tls: Option<Loaded>,
    way: Way,
    bind: Option<IpAddr>,
}

/// Through which proxy links are opened.
#[derive(Clone, Debug, Default)]
pub(crate) enum Way {
    #[default]
    Direct,
    Proxy(Proxy),
    Environment,
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
        self.way = Way::Proxy(proxy);
        self
    }

    /// Goes through the proxy that the environment asks for, if it asks for one, as curl reads it:
    /// for TLS in `https_proxy`, `HTTPS_PROXY`, otherwise in `all_proxy`, `ALL_PROXY`; not for the
    /// hosts, domains and networks of `no_proxy`, `NO_PROXY`. A variable of the scheme
    /// (`mqtt_proxy`, `mqtts_proxy`, `ws_proxy`, `wss_proxy`) comes before these. They are read
    /// again for each link.
    pub fn proxy_from_environment(mut self) -> Self {
        self.way = Way::Environment;
        self
    }

    pub(crate) fn way(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// Goes out from this address of the machine.
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.bind = Some(address);
        self
    }

    /// Puts on a socket of yours what an address asks for, and waits for nothing. The socket must
    /// not block, and need not be connected yet: whoever reads, writes or flushes the link shakes
    /// hands by it as far as they are held out, and meets [`WouldBlock`](io::ErrorKind::WouldBlock)
    /// until that is done. Of the address the scheme, the host (which TLS and WebSocket ask for by
    /// its name) and the path count.
    ///
    /// # Errors
    /// [`Error::Tls`]: as [`Tls`] without [`Dial::tls`]; [`Error::Dial`]: the host cannot be asked
    /// for.
    pub fn over(&self, address: &Address, socket: OwnedFd) -> Result<Box<dyn Transport>> {
        Ok(self.put_on(address, Socket::new(address.scheme, socket))?)
    }

    fn open(&self, address: &Address, deadline: Instant) -> Result<Box<dyn Transport>> {
        let proxy = self.proxy_for(address)?;
        let socket = self.connect(address, proxy.as_ref(), deadline);
        let socket = socket.map_err(|error| failure(address, error))?;
        let mut link = self.put_on(address, socket)?;
        shake_hands(&mut *link).map_err(|error| failure(address, error))?;
        Ok(link)
    }

    /// Puts on a socket what the scheme asks for; no hands are shaken yet.
    fn put_on(&self, address: &Address, socket: Socket) -> Result<Box<dyn Layered>> {
        let failure = |error| failure(address, error);
        let stream = match address.scheme {
            Scheme::Tcp | Scheme::WebSocket | Scheme::Unix => Stream::Plain(socket),
            Scheme::Tls | Scheme::WebSocketTls => {
                Stream::Tls(self.load_tls()?.begin(&address.host, socket).map_err(failure)?)
            }
        };
        Ok(match address.scheme {
            Scheme::Tcp | Scheme::Tls | Scheme::Unix => Box::new(stream),
            Scheme::WebSocket | Scheme::WebSocketTls => {
                Box::new(WebSocketStream::begin(&url(address), stream).map_err(failure)?)
            }
        })
    }

    fn proxy_for(&self, address: &Address) -> Result<Option<Proxy>> {
        match &self.way {
            Way::Direct => Ok(None),
            Way::Proxy(proxy) => Ok(Some(proxy.clone())),
            Way::Environment => proxy_for(address, |name| std::env::var(name).ok()),
        }
    }

    fn connect(
        &self,
        address: &Address,
        proxy: Option<&Proxy>,
        deadline: Instant,
    ) -> io::Result<Socket> {
        match (proxy, address.scheme) {
            (_, Scheme::Unix) => Socket::connect_unix(&address.host),
            (None, _) => Socket::connect(&address.host, address.port, self.bind, deadline),
            (Some(proxy), _) => {
                let mut socket = Socket::connect(&proxy.host, proxy.port, self.bind, deadline)?;
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

/// Shakes hands over a socket that still blocks; after that nothing does.
fn shake_hands(link: &mut dyn Layered) -> io::Result<()> {
    link.flush().map_err(|error| match error.kind() {
        // How a socket with a timeout says that the time is over.
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })?;
    link.set_nonblocking()
}

fn failure(address: &Address, error: io::Error) -> Error {
    Error::Dial { server: display(address), source: Arc::new(error) }
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
