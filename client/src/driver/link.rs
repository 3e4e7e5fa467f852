//! The link of a client, as its thread has it.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::session::Attempt;
use crate::transport::{Dialed, Transport};
use crate::{Error, Login, Operation, Result};

use super::Shared;

/// How long a last word may take to leave.
const LINGER: Duration = Duration::from_millis(500);

/// A link that is open.
pub(super) struct Link {
    pub(super) transport: Box<dyn Transport>,
    pub(super) may_read: bool,
    pub(super) may_write: bool,
}

impl Link {
    /// Writes some; nothing to write is a flush.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let result = match bytes {
                [] => self.transport.flush().map(|()| 0),
                bytes => self.transport.write(bytes),
            };
            match result {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) if !bytes.is_empty() => return Err(ErrorKind::WriteZero.into()),
                result => return result,
            }
        }
    }

    /// Writes the rest, says that nothing follows, and waits until the server has hung up: a link
    /// closed with bytes unread takes the last word with it. All of it within [`LINGER`].
    pub(super) fn linger(&mut self, mut rest: &[u8], poll: &mut Poll) {
        let end = Instant::now() + LINGER;
        let mut events = Events::with_capacity(1);
        let mut scratch = [0; 1024];
        let mut has_said_all = false;
        loop {
            match self.write(rest) {
                Ok(0) if !has_said_all => {
                    has_said_all = true;
                    if self.transport.shutdown().is_err() {
                        return;
                    }
                }
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // After the shutdown nothing can be flushed.
                Err(_) if has_said_all => {}
                Err(_) => return,
            }
            match self.transport.read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() || poll.poll(&mut events, Some(left)).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
            if Instant::now() >= end {
                return;
            }
        }
    }
}

/// Opens a link, unless a hook has something against it. Each attempt begins with the login that
/// was given: that of one server's address is not another's business.
pub(super) fn dial(shared: &Shared, mut attempt: Attempt, timeout: Duration) -> Result<Dialed> {
    let mut login = shared.hooked.login.clone();
    shared.hooks().before_connect(&mut attempt, &mut login)?;
    let opened = shared.hooked.dialer.dial(&attempt.server, timeout)?;
    let login = if login == Login::default() { opened.login } else { login };
    Ok(Dialed { transport: opened.transport, login })
}

/// Fresh randomness for one connection.
pub(super) fn random_bytes() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        let operation = Operation::Connect;
        Error::Lost(format!("{operation}: the system has no random bytes: {error}").into())
    })?;
    Ok(bytes)
}
