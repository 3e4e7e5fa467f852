//! Links of clients that have ended, open for their last word.

use std::io;
use std::time::Duration;

use super::Reactor;
use crate::transport::Transport;

/// How long a link that was closed stays open for the server to read the last word.
pub(super) const LINGER: Duration = Duration::from_millis(500);

impl Reactor {
    /// Whether a link is still open for a server to read the last word of a client that has ended.
    /// Who drops the reactor earlier may take that word back.
    pub fn is_lingering(&self) -> bool {
        !self.lingering.is_empty()
    }

    /// Waits until the servers of the clients that have ended have hung up, for half a second at
    /// most. Who leaves the process without it may take the last word along: what a server has
    /// sent and nobody has read resets the connection.
    pub fn linger(&mut self) {
        while let Some((end, mut link)) = self.lingering.pop_front() {
            while self.now() < end {
                match link.read(&mut self.buffer) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let left = end.saturating_sub(self.now());
                        if self.poll.poll(&mut self.events, Some(left)).is_err() {
                            return;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
    }
}

/// Whether the server has closed the link as well. What it still says is read for that: a link that is
/// closed with bytes unread takes the last word with it.
pub(super) fn has_hung_up(link: &mut dyn Transport, buffer: &mut [u8]) -> bool {
    loop {
        match link.read(buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}
