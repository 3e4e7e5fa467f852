//! A socket and nothing over it.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;

/// A stream socket: of TCP, or of the Unix domain, which the kernel reads, writes and shuts down
/// by the same calls.
#[derive(Debug)]
pub(in crate::net) struct Plain(TcpStream);

impl Plain {
    /// Prepares an accepted stream: its small packets are not held back to be sent together,
    /// because the event loop already writes once per turn.
    pub(super) fn new(stream: TcpStream) -> Self {
        // A socket that refuses the option is slower, not broken; a dead one shows at its read.
        let _ = stream.set_nodelay(true);
        Self(stream)
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.read(into))
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        uninterrupted(|| self.0.write_vectored(slices))
    }

    pub(super) fn shut_down_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    pub(super) fn source(&mut self) -> &mut impl Source {
        &mut self.0
    }
}

/// Repeats a call that a signal interrupted.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
