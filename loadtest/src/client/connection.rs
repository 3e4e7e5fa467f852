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
    /// Whether a layer of the link may hold what the socket did not take.
    is_held: bool,
    /// Since when the other side takes nothing, nanoseconds of the run's clock.
    blocked_since: Option<u64>,
    blocked_ns: u64,
}

impl Connection {
    /// Nothing read or written yet.
    pub(crate) fn new(link: Link) -> Self {
        let (incomplete, unsent) = (Vec::new(), Vec::new());
        let (written, is_held) = (0, false);
        Self { link, incomplete, unsent, written, is_held, blocked_since: None, blocked_ns: 0 }
    }

    /// Asks for events.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.link.register(registry, token)
    }

    /// The buffer that packets to be sent are appended to.
    pub(crate) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Whether something still waits to be written.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent_len() > 0 || self.is_held
    }

    /// Bytes that no layer has taken yet.
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
        match self.push() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked_since.get_or_insert(now_ns);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.unsent.clear();
        self.written = 0;
        if let Some(since) = self.blocked_since.take() {
            self.blocked_ns += now_ns.saturating_sub(since);
        }
        Ok(())
    }

    /// Whether a read that left room in its buffer found all that there was.
    #[inline]
    pub(crate) fn is_bare(&self) -> bool {
        self.link.is_bare()
    }

    /// Reads once, behind what is left of the last time: the length of both in `buffer`, or `None`
    /// if nothing has come. Whoever reads that must [`cut`](Self::cut) it.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let held = self.incomplete.len();
        if buffer.len() < 2 * held {
            buffer.resize(2 * held, 0);
        }
        buffer[..held].copy_from_slice(&self.incomplete);
        match uninterrupted(|| self.link.read(&mut buffer[held..])) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(Some(held + count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes everything. What a layer holds goes first, so that none holds more than one write.
    fn push(&mut self) -> io::Result<()> {
        loop {
            if self.is_held {
                uninterrupted(|| self.link.flush())?;
                self.is_held = false;
            }
            if self.unsent_len() == 0 {
                return Ok(());
            }
            self.written += uninterrupted(|| self.link.write(&self.unsent[self.written..]))?;
            self.is_held = !self.link.is_bare();
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

/// Repeats a call that a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        sync::{Arc, Mutex},
    };

    use mio::event::Source;
    use skein_client::transport::Transport;

    use super::*;

    /// Takes what it is given, up to a limit, and keeps it until it is allowed to let it go.
    #[derive(Clone, Default)]
    struct Layer(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        held: Vec<u8>,
        gone: Vec<u8>,
        is_blocked: bool,
    }

    const HELD_MAX: usize = 4;

    impl Read for Layer {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    impl Write for Layer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let held = &mut self.0.lock().unwrap().held;
            assert!(held.is_empty(), "no layer holds more than one write");
            held.extend_from_slice(&bytes[..bytes.len().min(HELD_MAX)]);
            Ok(held.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            if state.is_blocked {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let held = std::mem::take(&mut state.held);
            state.gone.extend(held);
            Ok(())
        }
    }

    impl Transport for Layer {
        fn source(&mut self) -> &mut dyn Source {
            unreachable!("nobody waits for it")
        }

        fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_layer_holds_counts_as_unsent_and_goes_first() {
        let layer = Layer::default();
        let mut connection = Connection::new(Link::layered(Box::new(layer.clone())));
        layer.0.lock().unwrap().is_blocked = true;
        connection.outgoing().extend_from_slice(b"abcd");
        connection.flush(10).unwrap();
        assert_eq!((connection.unsent_len(), connection.has_unsent()), (0, true));
        connection.outgoing().extend_from_slice(b"efghi");
        connection.flush(20).unwrap();
        assert_eq!(layer.0.lock().unwrap().held, b"abcd");
        layer.0.lock().unwrap().is_blocked = false;
        connection.flush(30).unwrap();
        assert_eq!(layer.0.lock().unwrap().gone, b"abcdefghi");
        assert_eq!((connection.has_unsent(), connection.blocked_ns()), (false, 20));
    }
}
