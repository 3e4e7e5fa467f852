//! A socket and nothing over it.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;

use crate::net::Seat;

/// A stream socket: of TCP, or of the Unix domain, which the kernel reads, writes and shuts down
/// by the same calls.
#[derive(Debug)]
pub(in crate::net) struct Plain {
    stream: TcpStream,
    /// Its place in the count of its address, for as long as the socket is open.
    seat: Option<Seat>,
}

impl Plain {
    /// Prepares an accepted stream: its small packets are not held back to be sent together,
    /// because the event loop already writes once per turn.
    pub(super) fn new(stream: TcpStream, seat: Option<Seat>) -> Self {
        // A socket that refuses the option is slower, not broken; a dead one shows at its read.
        let _ = stream.set_nodelay(true);
        Self { stream, seat }
    }

    /// Counts it where it comes from, now that this is known.
    pub(super) fn sit(&mut self, seat: Option<Seat>) {
        self.seat = seat;
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.stream.read(into))
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        uninterrupted(|| self.stream.write_vectored(slices))
    }

    pub(super) fn shut_down_write(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    pub(super) fn source(&mut self) -> &mut impl Source {
        &mut self.stream
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
