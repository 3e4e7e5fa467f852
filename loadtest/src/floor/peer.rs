//! A connection of the null broker.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use skein_protocol::Version;

/// A connection of the null broker.
pub(super) struct Peer {
    stream: TcpStream,
    /// The version its CONNECT named.
    pub(super) version: Version,
    /// Whether it waits to be read.
    pub(super) is_unread: bool,
    /// Whether its client has closed: behind what is to be read stands the end.
    pub(super) is_ending: bool,
    /// The beginning of a packet whose end has not come.
    incomplete: Vec<u8>,
    /// What the socket has not taken; the first `written` bytes are gone.
    unsent: Vec<u8>,
    written: usize,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            version: Version::V3_1_1,
            is_unread: false,
            is_ending: false,
            incomplete: Vec::new(),
            unsent: Vec::new(),
            written: 0,
        }
    }

    /// Bytes that the socket has not taken.
    pub(super) fn backlog(&self) -> usize {
        self.unsent.len() - self.written
    }

    /// Bytes of an incomplete packet.
    pub(super) fn held(&self) -> usize {
        self.incomplete.len()
    }

    /// Keeps the beginning of a packet.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.incomplete.clear();
        self.incomplete.extend_from_slice(bytes);
    }

    /// Reads once, behind what is held: the length of both; `None` if nothing has come.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let held = self.incomplete.len();
        buffer[..held].copy_from_slice(&self.incomplete);
        match self.stream.read(&mut buffer[held..]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(Some(held + count)),
            Err(error) if is_temporary(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes as much as the socket takes, and keeps the rest.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.backlog() == 0 && !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_temporary(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what was kept.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.backlog() > 0 {
            match self.stream.write(&self.unsent[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if is_temporary(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.unsent.clear();
        self.written = 0;
        Ok(())
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
