//! Links to servers: what carries the bytes.

mod address;
mod dial;
mod environment;
mod key_log;
mod proxy;
mod socket;
mod tls;
mod unverified;
mod websocket;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::event::Source;

use crate::{Login, Result};

pub(crate) use dial::Way;

pub use address::{Address, Scheme};
pub use dial::Dial;
pub use proxy::Proxy;
pub use tls::{Tls, TlsVersion};

/// A link that is open and does not block: reads and writes give
/// [`WouldBlock`](io::ErrorKind::WouldBlock) where they would have to wait.
pub trait Transport: Read + Write + Send {
    /// What tells when the link is ready. Registered for both ways and edge-triggered.
    fn source(&mut self) -> &mut dyn Source;

    /// Says that nothing more will be written.
    ///
    /// # Errors
    /// The link is gone already.
    fn shutdown(&mut self) -> io::Result<()>;
}

/// A link of the usual kinds, whose socket may still block.
trait Layered: Transport {
    /// From now on nothing blocks.
    fn set_nonblocking(&mut self) -> io::Result<()>;
}

/// Opens links. [`Dial`] does it for all the usual addresses; your own can do it for others.
pub trait Dialer: Send + Sync {
    /// Opens a link to this server, or gives up after this time. Runs on a thread of its own, and
    /// may block there.
    ///
    /// # Errors
    /// There is no such server, or no way to it.
    fn dial(&self, server: &str, timeout: Duration) -> Result<Dialed>;
}

/// A link that was opened.
pub struct Dialed {
    /// The link.
    pub transport: Box<dyn Transport>,
    /// User name and password, if the server's address had some. They count where no others were
    /// given.
    pub login: Login,
}

impl Transport for mio::net::TcpStream {
    fn source(&mut self) -> &mut dyn Source {
        self
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write)
    }
}

impl Transport for mio::net::UnixStream {
    fn source(&mut self) -> &mut dyn Source {
        self
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write)
    }
}

impl std::fmt::Debug for Dialed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialed").field("login", &self.login).finish_non_exhaustive()
    }
}
