//! One client and its broker, with the bytes between them: they are passed on as they come, and looked
//! at on the way.

use std::io::{self, ErrorKind};

use mio::net::TcpStream;
use skein_client::transport::Transport;

use super::conversation::Conversation;
use super::packet::Detail;
use super::seen::{Direction, Seen};

/// What may wait for a side that does not take it; then the other one is not read.
const WAITING_BYTES_MAX: usize = 256 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// Reads in a row before others have their turn.
const READS_PER_TURN: usize = 16;

/// A connection that is passed on.
pub(super) struct Link {
    pub(super) client: TcpStream,
    /// Not there yet while it is being opened.
    pub(super) broker: Option<Box<dyn Transport>>,
    to_broker: Pipe,
    from_broker: Pipe,
    conversation: Conversation,
}

/// One direction.
struct Pipe {
    waiting: Vec<u8>,
    can_read: bool,
    can_write: bool,
    /// Who sends has said its last.
    has_ended: bool,
    /// Who receives was told so.
    is_shut: bool,
}

impl Default for Pipe {
    /// A new socket may be ready without saying so.
    fn default() -> Self {
        let (can_read, can_write) = (true, true);
        Self { waiting: Vec::new(), can_read, can_write, has_ended: false, is_shut: false }
    }
}

/// How it stands with a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is nothing to do until a side is ready.
    Waits,
    /// There is more to do.
    Busy,
    /// It is over, and this is how.
    Over(String),
}

impl Link {
    pub(super) fn new(client: TcpStream, detail: Detail) -> Self {
        Self {
            client,
            broker: None,
            to_broker: Pipe::default(),
            from_broker: Pipe::default(),
            conversation: Conversation::new(detail),
        }
    }

    /// One of the sides may be ready. TLS may have to write in order to read, so all is tried.
    pub(super) fn note_ready(&mut self) {
        for pipe in [&mut self.to_broker, &mut self.from_broker] {
            (pipe.can_read, pipe.can_write) = (true, true);
        }
    }

    /// Passes on what there is.
    pub(super) fn pump(&mut self, seen: &mut Vec<Seen>) -> Standing {
        let Self { client, broker, to_broker, from_broker, conversation } = self;
        // What the client sends before that stays where it is.
        let Some(broker) = broker else { return Standing::Waits };
        for _ in 0..READS_PER_TURN {
            let (up, down) = (Direction::ToBroker, Direction::FromBroker);
            let there = to_broker.pass(client, &mut **broker, |bytes| {
                conversation.take(up, bytes, seen);
            });
            let back = from_broker.pass(&mut **broker, client, |bytes| {
                conversation.take(down, bytes, seen);
            });
            match (there, back) {
                (Err(error), _) | (_, Err(error)) => {
                    return Standing::Over(format!("after an error: {error}"));
                }
                (Ok(false), Ok(false)) => break,
                (Ok(_), Ok(_)) => {}
            }
        }
        if to_broker.is_shut && from_broker.is_shut {
            return Standing::Over("by both sides".to_owned());
        }
        let is_busy = to_broker.has_work() || from_broker.has_work();
        if is_busy { Standing::Busy } else { Standing::Waits }
    }

    /// Bytes that have come last without being a whole packet.
    pub(super) fn unfinished(&self) -> usize {
        let both = [Direction::ToBroker, Direction::FromBroker];
        both.map(|direction| self.conversation.unfinished(direction)).iter().sum()
    }
}

impl Pipe {
    fn has_work(&self) -> bool {
        let reads = self.can_read && !self.has_ended && self.waiting.len() < WAITING_BYTES_MAX;
        reads || self.can_write && !self.waiting.is_empty()
    }

    /// Writes what waits, and reads once; true if anything was read or written.
    ///
    /// # Errors
    /// One of the sides is gone; which, and why.
    fn pass(
        &mut self,
        from: &mut dyn Transport,
        to: &mut dyn Transport,
        look: impl FnOnce(&[u8]),
    ) -> Result<bool, String> {
        let mut has_moved = self.write(to).map_err(|error| error.to_string())?;
        if self.can_read && !self.has_ended && self.waiting.len() < WAITING_BYTES_MAX {
            let mut buffer = [0; READ_BYTES];
            match from.read(&mut buffer) {
                Ok(0) => self.has_ended = true,
                Ok(count) => {
                    look(&buffer[..count]);
                    self.waiting.extend_from_slice(&buffer[..count]);
                    has_moved = true;
                    self.write(to).map_err(|error| error.to_string())?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.can_read = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // TLS calls an end without a goodbye so; it is passed on as an end.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.has_ended = true,
                Err(error) => return Err(error.to_string()),
            }
        }
        if self.has_ended && self.waiting.is_empty() && !self.is_shut {
            self.is_shut = true;
            // Who is gone already needs not be told.
            let _ = to.shutdown();
        }
        Ok(has_moved)
    }

    fn write(&mut self, to: &mut dyn Transport) -> io::Result<bool> {
        let mut has_moved = false;
        while self.can_write && !self.waiting.is_empty() {
            match to.write(&self.waiting) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.waiting.drain(..count);
                    has_moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.can_write = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // What layers have taken is not on the wire yet.
        match to.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(has_moved),
        }
    }
}
