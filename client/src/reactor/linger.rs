//! Links of clients that have ended, open for their last word.

use std::io;
use std::time::Duration;

use super::{MemberId, Reactor};
use crate::transport::Transport;

/// How long a link that was closed stays open for the server to read the last word.
const LINGER: Duration = Duration::from_millis(500);

/// A link that the client has closed.
pub(super) struct Lingering {
    id: MemberId,
    link: Box<dyn Transport>,
    end: Duration,
}

impl Reactor {
    /// Whether a link of this client, which has ended, is still open for the server to read its last
    /// word. Who drops the reactor earlier may take that word back.
    pub fn is_lingering(&self, id: MemberId) -> bool {
        self.lingering.iter().any(|lingering| lingering.id == id)
    }

    /// Waits until the servers of the clients that have ended have hung up, for half a second at
    /// most. Who leaves the process without it may take the last word along: what a server has
    /// sent and nobody has read resets the connection.
    pub fn linger(&mut self) {
        while let Some(Lingering { mut link, end, .. }) = self.lingering.pop_front() {
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

impl Lingering {
    pub(super) fn new(id: MemberId, link: Box<dyn Transport>, now: Duration) -> Self {
        Self { id, link, end: now + LINGER }
    }

    /// When the server has had time enough.
    pub(super) fn end(&self) -> Duration {
        self.end
    }

    /// Whether the server may still read.
    pub(super) fn goes_on(&mut self, now: Duration, buffer: &mut [u8]) -> bool {
        now < self.end && !has_hung_up(&mut *self.link, buffer)
    }
}

/// Whether the server has closed the link as well. What it still says is read for that: a link that is
/// closed with bytes unread takes the last word with it.
fn has_hung_up(link: &mut dyn Transport, buffer: &mut [u8]) -> bool {
    loop {
        match link.read(buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use mio::net::UnixStream;

    use super::*;
    use crate::test::PairDialer;
    use crate::{Options, ReasonCode};

    /// Who waits for the last word of one client does not wait for that of another one.
    #[test]
    fn a_last_word_is_that_of_one_client() {
        let (dialer, links) = PairDialer::new();
        let mut reactor = Reactor::with_dialer(dialer, 1).expect("a thread");
        let mut add = || {
            let id = reactor.add(Options::new(["mqtt://there"])).expect("good options");
            let mut link = None;
            for _ in 0..5_000 {
                reactor.turn(Some(Duration::from_millis(1)), &mut |_, _| {}).expect("a turn");
                link = link.or_else(|| links.try_recv().ok());
                let has_connect = |link: &mut UnixStream| link.read(&mut [0; 512]).is_ok();
                if link.as_mut().is_some_and(has_connect) {
                    break;
                }
            }
            (id, link.expect("a link"))
        };
        let [(first, link), (second, _link)] = [add(), add()];
        let mut seat = reactor.seat(first).expect("it is there");
        seat.disconnect(ReasonCode::Success);
        reactor.turn(Some(Duration::ZERO), &mut |_, _| {}).expect("a turn");
        assert!(reactor.is_lingering(first) && !reactor.is_lingering(second));
        drop(link);
        reactor.turn(Some(Duration::ZERO), &mut |_, _| {}).expect("a turn");
        assert!(!reactor.is_lingering(first), "the server has hung up");
    }
}
