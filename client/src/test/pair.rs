//! Links whose other end is in the test.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use mio::net::UnixStream;

use crate::transport::{Dialed, Dialer};
use crate::{Error, Login, Result};

/// For what runs on a [reactor](crate::reactor), which needs real sockets: each link is a pair of
/// them, one for the client and one for the test, which plays the server on it. Whatever the
/// address, no other process is asked.
///
/// ```
/// use std::time::Duration;
///
/// use skein_client::Options;
/// use skein_client::reactor::Reactor;
/// use skein_client::test::PairDialer;
///
/// let (dialer, links) = PairDialer::new();
/// let mut reactor = Reactor::with_dialer(dialer, 1)?;
/// reactor.add(Options::new(["mqtt://there"]))?;
/// reactor.turn(Some(Duration::ZERO), &mut |_, _| {})?;
/// let link = links.recv_timeout(Duration::from_secs(5)).expect("the server is dialed");
/// # drop(link);
/// # Ok::<(), skein_client::Error>(())
/// ```
#[derive(Debug)]
pub struct PairDialer {
    links: Sender<UnixStream>,
}

impl PairDialer {
    /// The dialer, and where the test finds its ends: one for each time that the client dials, none
    /// of which blocks.
    pub fn new() -> (Self, Receiver<UnixStream>) {
        let (links, ends) = channel();
        (Self { links }, ends)
    }
}

impl Dialer for PairDialer {
    fn dial(&self, _: &str, _: Duration) -> Result<Dialed> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| Error::lost(&error.to_string()))?;
        let is_over = |_| Error::lost("the test takes no links any more");
        self.links.send(theirs).map_err(is_over)?;
        Ok(Dialed { transport: Box::new(ours), login: Login::default() })
    }
}
