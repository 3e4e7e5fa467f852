//! The bytes of a connection in both directions, without blocking.

use std::io;

use mio::{Registry, Token};
use skein_protocol::Frame;

use super::Link;

/// A connection and what it has not read or written yet.
#[derive(Debug)]
pub(crate) struct Connection {
    link: Link,
    /// The beginning of a packet whose end has not come.
    incomplete: Vec<u8>,
    /// To be written; the first `written` bytes are.
    unsent: Vec<u8>,
    written: usize,
    /// Since when the other side takes nothing, nanoseconds of the run's clock.
    blocked_since: Option<u64>,
    blocked_ns: u64,
}

impl Connection {
    /// Nothing read or written yet.
    pub(crate) fn new(link: Link) -> Self {
        let (incomplete, unsent) = (Vec::new(), Vec::new());
        Self { link, incomplete, unsent, written: 0, blocked_since: None, blocked_ns: 0 }
    }

    /// Asks for events.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.link.register(registry, token)
    }

    /// The buffer that packets to be sent are appended to.
    pub(crate) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Bytes that still wait to be written.
    #[inline]
    pub(crate) fn unsent_len(&self) -> usize {
        self.unsent.len() - self.written
    }

    /// How long the other side took nothing although there was something, nanoseconds.
    pub(crate) fn blocked_ns(&self) -> u64 {
        self.blocked_ns
    }

    /// Writes what the kernel takes.
    pub(crate) fn flush(&mut self, now_ns: u64) -> io::Result<()> {
        while self.unsent_len() > 0 {
            match self.link.write(&self.unsent[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked_since.get_or_insert(now_ns);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent.clear();
        self.written = 0;
        if let Some(since) = self.blocked_since.take() {
            self.blocked_ns += now_ns.saturating_sub(since);
        }
        Ok(())
    }

    /// Reads once, behind what is left of the last time: the length of both in `buffer`, or `None`
    /// if nothing has come. Whoever reads that must [`cut`](Self::cut) it.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let held = self.incomplete.len();
        if buffer.len() < 2 * held {
            buffer.resize(2 * held, 0);
        }
        buffer[..held].copy_from_slice(&self.incomplete);
        loop {
            match self.link.read(&mut buffer[held..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(Some(held + count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Shows every whole packet of what was read, with the buffer for answers, and keeps the rest.
    ///
    /// # Errors
    /// Those of a peer that is no MQTT broker, and of `visit`.
    pub(crate) fn cut(
        &mut self,
        filled: &[u8],
        mut visit: impl FnMut(Frame<'_>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut used = 0;
        while let Some((frame, length)) =
            Frame::decode(&filled[used..], usize::MAX).map_err(io::Error::other)?
        {
            visit(frame, &mut self.unsent)?;
            used += length;
        }
        self.incomplete.clear();
        self.incomplete.extend_from_slice(&filled[used..]);
        Ok(())
    }
}
