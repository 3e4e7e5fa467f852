//! A socket with layers upon it: the I/O around a [`Stack`], and the bytes that wait between them.
//!
//! ```text
//!   read:   socket ──▶ raw ──stack──▶ above ──▶ into       what does not fit is `ready`
//!   write:  slices ──stack──▶ below ──▶ socket             what it does not take is `outgoing`
//! ```
//!
//! While nothing is in the middle of something, no buffer is held: the shard lends its
//! [`Scratch`] to each call.

use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;

use super::plain::Plain;
use super::stack::{Between, Fault, Layers, Stack};
use super::{Flow, Introduction};

/// What is read from a socket at once.
const RAW_BYTES_MAX: usize = 64 * 1024;
/// No read is smaller, however few bytes of MQTT are asked for: a record has to come whole before
/// one of its bytes can be read.
const RAW_BYTES_MIN: usize = 4 * 1024;
/// What is given to a socket at once, and one slice more.
const BELOW_BYTES_MAX: usize = 64 * 1024;
/// A slice is cut into pieces of this size, so that what waits for the socket stays small.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Room that a shard lends to its layered connections, one at a time. Takes no memory until the
/// first of them comes.
#[derive(Debug, Default)]
pub(in crate::net) struct Scratch {
    raw: Vec<u8>,
    above: Vec<u8>,
    below: Vec<u8>,
    between: Between,
}

impl Scratch {
    /// Forgets what a call that failed has left: it belongs to another connection.
    fn clear(&mut self) {
        self.above.clear();
        self.below.clear();
    }
}

/// A socket and the layers upon it.
#[derive(Debug)]
pub(in crate::net) struct Layered {
    socket: Plain,
    stack: Stack,
    /// Bytes of MQTT that were read and not taken yet.
    ready: Vec<u8>,
    /// Bytes for the socket that it did not take yet.
    outgoing: Vec<u8>,
    /// How reading ended, once it has.
    end: Option<End>,
    /// Whether the last read found all that there was.
    is_drained: bool,
    is_introduced: bool,
    /// Whether it is known where it comes from.
    is_placed: bool,
    is_finished: bool,
}

/// What one read of the socket brought, in bytes.
enum Raw {
    /// As many as there was room for.
    Full(usize),
    /// Fewer.
    Short(usize),
    /// None: nothing for now, or the end.
    Empty,
}

impl Raw {
    fn count(&self) -> usize {
        match self {
            Self::Full(count) | Self::Short(count) => *count,
            Self::Empty => 0,
        }
    }
}

#[derive(Debug)]
enum End {
    /// The peer said that it has no more.
    Clean,
    /// The socket failed.
    Failed(io::Error),
    /// The peer broke the rules of a layer.
    Fault(Fault),
}

impl Layered {
    pub(super) fn new(socket: Plain, layers: &Layers) -> io::Result<Self> {
        Ok(Self {
            socket,
            stack: Stack::new(layers).map_err(invalid)?,
            ready: Vec::new(),
            outgoing: Vec::new(),
            end: None,
            is_drained: true,
            is_introduced: false,
            is_placed: false,
            is_finished: false,
        })
    }

    /// Reads until `into` is full, the socket has no more for now, or as many bytes have been read
    /// from it as `into` holds. After [`shut_down_write`](Self::shut_down_write) the bytes are the
    /// socket's, fit to be thrown away. A fault is an error of the kind `InvalidData`, and what is to be
    /// said of it has been given to the socket.
    pub(super) fn read(&mut self, into: &mut [u8], scratch: &mut Scratch) -> io::Result<usize> {
        if self.is_finished {
            // Nobody wants these bytes, and whoever has failed on a layer can send no others.
            self.is_drained = true;
            return self.socket.read(into);
        }
        scratch.clear();
        let mut filled = hand_out(&mut self.ready, into);
        if self.ready.is_empty() {
            self.ready = Vec::new();
        }
        let mut left = into.len().max(RAW_BYTES_MIN);
        self.is_drained = false;
        while filled < into.len() && left > 0 && self.end.is_none() {
            let raw = self.read_raw(left, scratch);
            left -= raw.count();
            filled += hand_out(&mut scratch.above, &mut into[filled..]);
            self.ready.append(&mut scratch.above);
            self.answer(scratch);
            // A short read means that there is no more, but does not rule out that the end is
            // near: whoever has nothing to show for it looks again.
            self.is_drained =
                matches!(raw, Raw::Empty) || (matches!(raw, Raw::Short(_)) && filled > 0);
            if self.is_drained {
                break;
            }
        }
        self.is_drained &= self.ready.is_empty() && self.end.is_none();
        match &self.end {
            None if filled == 0 => Err(ErrorKind::WouldBlock.into()),
            Some(end) if filled == 0 => end.as_result(),
            _ => Ok(filled),
        }
    }

    /// Encrypts and frames these slices, and writes until the socket takes no more; what it does
    /// not take is kept. Returns how many bytes were accepted.
    pub(super) fn write_vectored(
        &mut self,
        slices: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        scratch.clear();
        self.pour(scratch)?;
        self.answer(scratch);
        if let Some(End::Fault(_)) = self.end {
            // Whoever broke the rules is told nothing more.
            return Ok(slices.iter().map(|slice| slice.len()).sum());
        }
        let mut accepted = 0;
        for piece in slices.iter().flat_map(|slice| slice.chunks(PIECE_BYTES_MAX)) {
            if !self.outgoing.is_empty() {
                break;
            }
            let sent = self.stack.send(piece, &mut scratch.between, &mut scratch.below);
            sent.map_err(invalid)?;
            accepted += piece.len();
            if scratch.below.len() >= BELOW_BYTES_MAX {
                self.pour(scratch)?;
            }
        }
        self.pour(scratch)?;
        let offers = slices.iter().any(|slice| !slice.is_empty());
        if offers && accepted == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(accepted) }
    }

    /// Says on every layer that no more will come. `WouldBlock` until the socket has taken what
    /// was said before.
    pub(super) fn shut_down_write(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        scratch.clear();
        if !self.is_finished {
            self.is_finished = true;
            self.stack.finish(&mut scratch.below);
        }
        self.pour(scratch)?;
        if self.outgoing.is_empty() {
            self.socket.shut_down_write()
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }

    /// Whether a further read finds nothing until the kernel reports something.
    pub(super) fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Whether a read finds something that the kernel does not report.
    pub(super) fn holds_input(&self) -> bool {
        !self.ready.is_empty() || self.end.is_some()
    }

    /// Whether bytes wait for the socket.
    pub(super) fn holds_output(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// What the layers have learned of the peer, once, when their handshakes are over.
    pub(super) fn take_introduction(&mut self) -> Option<Introduction> {
        if self.is_introduced || !self.stack.is_open() {
            return None;
        }
        self.is_introduced = true;
        let source = self.stack.source();
        let chain = self.stack.client_certificates().iter();
        let certificates: Vec<Box<[u8]>> = chain.map(|der| der.as_ref().into()).collect();
        let is_known = source.is_some() || !certificates.is_empty();
        is_known.then_some(Introduction { source, certificates })
    }

    /// Where a proxy says that the connection comes from, once.
    pub(super) fn take_source(&mut self) -> Option<IpAddr> {
        if self.is_placed {
            return None;
        }
        let source = self.stack.source();
        self.is_placed = source.is_some();
        source.map(|source| source.ip())
    }

    /// Whether all handshakes are over.
    pub(super) fn is_open(&self) -> bool {
        self.stack.is_open()
    }

    pub(super) fn socket(&mut self) -> &mut Plain {
        &mut self.socket
    }

    /// One read of the socket, through the layers.
    fn read_raw(&mut self, most: usize, scratch: &mut Scratch) -> Raw {
        scratch.raw.resize(RAW_BYTES_MAX, 0);
        let space = most.min(RAW_BYTES_MAX);
        match self.socket.read(&mut scratch.raw[..space]) {
            Ok(0) => self.end = Some(End::Clean),
            Ok(count) => {
                let Scratch { raw, above, below, between } = scratch;
                match self.stack.receive(&mut raw[..count], between, above, below) {
                    Ok(Flow::Going) => {}
                    Ok(Flow::Ended) => self.end = Some(End::Clean),
                    Err(fault) => self.end = Some(End::Fault(fault)),
                }
                return if count < space { Raw::Short(count) } else { Raw::Full(count) };
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.end = Some(End::Failed(error)),
        }
        Raw::Empty
    }

    /// Sends what the layers have answered to what they read, and when all that has gone, what was
    /// not urgent. If the socket fails, the next read says so.
    fn answer(&mut self, scratch: &mut Scratch) {
        let _ = self.pour(scratch);
        if self.outgoing.is_empty() {
            // Layers that cannot say it have failed, and reading says so.
            let _ = self.stack.answer(&mut scratch.between, &mut scratch.below);
            let _ = self.pour(scratch);
        }
    }

    /// Writes what waits, then `below`; keeps what the socket does not take.
    fn pour(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        let below = &mut scratch.below;
        if self.outgoing.is_empty() {
            let written = write_all(&mut self.socket, below);
            let count = *written.as_ref().unwrap_or(&below.len());
            self.outgoing.extend_from_slice(&below[count..]);
            below.clear();
            return written.map(drop);
        }
        self.outgoing.append(below);
        let count = write_all(&mut self.socket, &self.outgoing)?;
        self.outgoing.drain(..count);
        if self.outgoing.is_empty() {
            self.outgoing = Vec::new();
        }
        Ok(())
    }
}

impl End {
    fn as_result(&self) -> io::Result<usize> {
        match self {
            Self::Clean => Ok(0),
            Self::Failed(error) => Err(io::Error::new(error.kind(), error.to_string())),
            Self::Fault(fault) => Err(invalid(fault.clone())),
        }
    }
}

fn invalid(fault: Fault) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, fault)
}

/// Moves as many bytes as fit from the front of `from`.
fn hand_out(from: &mut Vec<u8>, into: &mut [u8]) -> usize {
    let count = from.len().min(into.len());
    into[..count].copy_from_slice(&from[..count]);
    from.drain(..count);
    count
}

/// Writes as much as the socket takes; returns how many bytes that was.
fn write_all(socket: &mut Plain, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write_vectored(&[IoSlice::new(&bytes[written..])]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
