//! Opening links to the usual addresses.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Address, Dialed, Dialer, Scheme, Transport};
use crate::{Error, Result};

/// The dialer of a client that was given no other.
#[derive(Clone, Debug, Default)]
pub struct Dial {}

impl Dialer for Dial {
    fn dial(&self, server: &str, timeout: Duration) -> Result<Dialed> {
        let address = Address::parse(server)?;
        let transport = self.open(&address, timeout).map_err(|source| Error::Dial {
            server: display(&address),
            source: Arc::new(source),
        })?;
        Ok(Dialed { transport, login: address.login })
    }
}

impl Dial {
    fn open(&self, address: &Address, timeout: Duration) -> io::Result<Box<dyn Transport>> {
        match address.scheme {
            Scheme::Tcp => {
                let stream = connect(address, timeout)?;
                stream.set_nonblocking(true)?;
                Ok(Box::new(mio::net::TcpStream::from_std(stream)))
            }
            #[cfg(unix)]
            Scheme::Unix => {
                let stream = std::os::unix::net::UnixStream::connect(&address.host)?;
                stream.set_nonblocking(true)?;
                Ok(Box::new(mio::net::UnixStream::from_std(stream)))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this build of the client does not have the scheme of the address",
            )),
        }
    }
}

/// Connects to the first of the host's numbers that answers, within the time for all of them.
fn connect(address: &Address, timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for socket in (address.host.as_str(), address.port).to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&socket, left) {
            Ok(stream) => {
                // Small packets are not to wait for company.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The address without what is nobody's business.
fn display(address: &Address) -> Arc<str> {
    match address.scheme {
        Scheme::Unix => address.host.as_str().into(),
        _ => format!("{}:{}", address.host, address.port).into(),
    }
}
