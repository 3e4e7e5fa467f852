//! The way from a bridge into its own broker.

use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::net::UnixStream;
use skein_client::transport::{Dialed, Dialer};
use skein_client::{Error, Login, Result};

use crate::server::Handle;
use crate::server::acceptor::Request;

/// Opens links into this broker: a pair of sockets without a name, so that nobody else can come this
/// way. The acceptor deals the other end out like any connection.
pub(super) struct Inside {
    pub(super) handle: Handle,
    /// What the log calls the other end.
    pub(super) name: Box<str>,
}

impl Dialer for Inside {
    fn dial(&self, _: &str, _: Duration) -> Result<Dialed> {
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| Error::Lost(error.to_string().into()))?;
        let (stream, name) = (OwnedFd::from(theirs), self.name.clone());
        self.handle.request(Request::OpenInside { stream, name });
        Ok(Dialed { transport: Box::new(ours), login: Login::default() })
    }
}
