//! TLS 1.2 and 1.3, the server's end, by rustls and without I/O of its own: records in, plain
//! bytes out, and the other way round. While it is idle it holds no buffer.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{Error, ServerConfig};

use super::Flow;

/// The first byte of every TLS handshake: the record's type.
const HANDSHAKE_RECORD: u8 = 22;
/// The longest plain text of one record (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// More than any cipher adds to a record.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Why a connection's TLS has ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum TlsError {
    #[error("TLS was expected, and the client began with something else")]
    NotTls,
    #[error("TLS failed: {0}")]
    Failed(#[from] Error),
    #[error("TLS: the handshake is not over, and nothing can be said")]
    NotOpen,
    #[error("TLS: the keys are worn out")]
    WornOut,
    #[error("TLS: a bug of the library, which has panicked (the reason stands above)")]
    Panicked,
}

/// The server's end of one TLS connection.
pub(super) struct Tls {
    connection: UnbufferedServerConnection,
    /// The part of a record, or of a message of the handshake, whose rest has not come.
    held: Vec<u8>,
    has_begun: bool,
    /// Whether its first byte was none of TLS.
    is_foreign: bool,
    /// Why it is over. rustls may not be asked for anything then: it expects to be shown the
    /// bytes that it has failed on.
    failure: Option<TlsError>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.connection.protocol_version();
        formatter.debug_struct("Tls").field("version", &version).finish_non_exhaustive()
    }
}

/// What one pass over the records is for.
enum Purpose<'a> {
    /// Only what came in.
    Receive,
    /// These bytes are to be said.
    Send(&'a [u8]),
    /// The end is to be said.
    Finish,
}

/// How far a pass came.
struct Pass {
    /// Bytes at the front of the records that are done with.
    used: usize,
    has_peer_closed: bool,
    /// Whether the purpose was served.
    is_served: bool,
}

impl Tls {
    /// A connection whose handshake has not begun.
    ///
    /// # Errors
    /// When the configuration cannot serve anybody, which rustls checks when it is built.
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self {
            connection,
            held: Vec::new(),
            has_begun: false,
            is_foreign: false,
            failure: None,
        })
    }

    /// Records have come from below: their plain text is appended to `above`, what the handshake
    /// answers to `below`. The bytes are decrypted in place.
    ///
    /// # Errors
    /// Why it is over; the alert that says so is appended to `below`.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        above: &mut Vec<u8>,
        below: &mut Vec<u8>,
    ) -> Result<Flow, TlsError> {
        if let (Some(first), false) = (bytes.first(), self.has_begun) {
            self.is_foreign = *first != HANDSHAKE_RECORD;
            self.has_begun = true;
        }
        let pass = if self.held.is_empty() {
            let pass = self.pass(bytes, Purpose::Receive, above, below);
            let used = pass.as_ref().map_or(bytes.len(), |pass| pass.used);
            self.held.extend_from_slice(&bytes[used..]);
            pass
        } else {
            self.held.extend_from_slice(bytes);
            self.pass_held(Purpose::Receive, above, below)
        };
        match pass {
            Ok(pass) if pass.has_peer_closed => Ok(Flow::Ended),
            Ok(_) => Ok(Flow::Going),
            Err(_) if self.is_foreign => Err(TlsError::NotTls),
            Err(error) => Err(error),
        }
    }

    /// Encrypts these bytes.
    ///
    /// # Errors
    /// Before the handshake is over, and when rustls gives up.
    pub(super) fn send(&mut self, bytes: &[u8], below: &mut Vec<u8>) -> Result<(), TlsError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let pass = self.pass_held(Purpose::Send(bytes), &mut Vec::new(), below)?;
        if pass.is_served { Ok(()) } else { Err(TlsError::NotOpen) }
    }

    /// Says that no more will come.
    pub(super) fn finish(&mut self, below: &mut Vec<u8>) {
        // Where the handshake is not over there is nothing to end, and a failed connection has
        // said so with its alert.
        let _ = self.pass_held(Purpose::Finish, &mut Vec::new(), below);
    }

    /// Whether the handshake is over.
    pub(super) fn is_open(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// The client's certificate and those above it, once the handshake is over.
    pub(super) fn client_certificates(&self) -> &[CertificateDer<'static>] {
        self.connection.peer_certificates().unwrap_or_default()
    }

    /// A pass that remembers a failure. What comes first on every connection from anywhere is
    /// read by other people's code: if it panics, that costs this connection only.
    fn pass(
        &mut self,
        records: &mut [u8],
        purpose: Purpose<'_>,
        above: &mut Vec<u8>,
        below: &mut Vec<u8>,
    ) -> Result<Pass, TlsError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let work = || self.work(records, purpose, above, below);
        let pass = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(TlsError::Panicked));
        self.failure = pass.as_ref().err().cloned();
        pass
    }

    /// A pass over what is held.
    fn pass_held(
        &mut self,
        purpose: Purpose<'_>,
        above: &mut Vec<u8>,
        below: &mut Vec<u8>,
    ) -> Result<Pass, TlsError> {
        let mut held = std::mem::take(&mut self.held);
        let pass = self.pass(&mut held, purpose, above, below);
        let used = pass.as_ref().map_or(held.len(), |pass| pass.used);
        if used < held.len() {
            held.drain(..used);
            self.held = held;
        }
        pass
    }

    /// Lets rustls work until it waits for more records or, if there is something to say, until
    /// that is said.
    fn work(
        &mut self,
        records: &mut [u8],
        mut purpose: Purpose<'_>,
        above: &mut Vec<u8>,
        below: &mut Vec<u8>,
    ) -> Result<Pass, TlsError> {
        let mut pass = Pass { used: 0, has_peer_closed: false, is_served: false };
        loop {
            let status = self.connection.process_tls_records(&mut records[pass.used..]);
            let UnbufferedStatus { mut discard, state } = status;
            let mut is_waiting = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        above.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    put(below, 0, |into| data.encode(into))?;
                }
                // The bytes are in `below`, in order: as good as transmitted.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => pass.has_peer_closed = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    match std::mem::replace(&mut purpose, Purpose::Receive) {
                        Purpose::Receive => is_waiting = true,
                        Purpose::Send(bytes) => {
                            let records = bytes.len() / RECORD_BYTES_MAX + 1;
                            let size = bytes.len() + records * RECORD_OVERHEAD_BYTES;
                            put(below, size, |into| traffic.encrypt(bytes, into))?;
                            pass.is_served = true;
                        }
                        Purpose::Finish => {
                            let size = RECORD_OVERHEAD_BYTES;
                            put(below, size, |into| traffic.queue_close_notify(into))?;
                            pass.is_served = true;
                        }
                    }
                }
                Ok(_) => is_waiting = true,
                Err(error) => {
                    self.put_alert(below);
                    return Err(error.into());
                }
            }
            pass.used += discard;
            if is_waiting {
                return Ok(pass);
            }
        }
    }

    /// Appends the alert that a failure has left to be sent.
    fn put_alert(&mut self, below: &mut Vec<u8>) {
        // Asked only while there is something to send: rustls would go on with the records
        // otherwise, and expects to be shown all of those that it has begun.
        while self.connection.wants_write() {
            let state = self.connection.process_tls_records(&mut []).state;
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
            if put(below, 0, |into| data.encode(into)).is_err() {
                return;
            }
        }
    }
}

/// What keeps bytes from being written into the buffer that was offered.
trait Insufficient {
    /// How large the buffer must be, if that is what is wrong.
    fn required(&self) -> Option<usize>;
}

impl Insufficient for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl Insufficient for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::EncryptExhausted => None,
        }
    }
}

/// Appends what `write` puts into a buffer of `size` bytes, or of as many as it asks for.
fn put<E: Insufficient>(
    below: &mut Vec<u8>,
    size: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), TlsError> {
    let before = below.len();
    below.resize(before + size, 0);
    let mut written = write(&mut below[before..]);
    if let Some(required) = written.as_ref().err().and_then(Insufficient::required) {
        below.resize(before + required, 0);
        written = write(&mut below[before..]);
    }
    below.truncate(before + written.as_ref().copied().unwrap_or(0));
    written.map(drop).map_err(|_| TlsError::WornOut)
}

#[cfg(test)]
mod tests;
