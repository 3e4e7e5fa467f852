//! MQTT in the binary messages of a WebSocket (6).

use std::io::{self, Read, Write};
use std::mem;

use bytes::{Buf, Bytes};
use mio::event::Source;
use mio::{Interest, Registry, Token};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::socket::Socket;
use super::tls::TlsStream;
use super::{Layered, Transport};

/// The name of MQTT among the protocols over WebSocket [MQTT-6.0.0-3].
const PROTOCOL: &str = "mqtt";
/// What may wait to be written; more than one write of ours.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// Read at once. Each WebSocket has a buffer of this size for itself, and clears it for each read.
const READ_BYTES: usize = 16 << 10;

/// What a WebSocket may run over.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket),
    Tls(TlsStream),
}

/// A WebSocket whose messages are one stream of bytes.
#[derive(Debug)]
pub(super) struct WebSocketStream {
    state: State,
    /// What is left of the last message.
    input: Bytes,
}

/// ```text
///   Opening ── the server agrees ──▶ Open
///      └────── it does not ────────▶ Failed
/// ```
#[derive(Debug)]
enum State {
    Opening(MidHandshake<ClientHandshake<Stream>>),
    Open(WebSocket<Stream>),
    Failed(Nothing),
}

/// What is left of a WebSocket that failed before it was one.
#[derive(Debug)]
struct Nothing;

impl WebSocketStream {
    /// A WebSocket over a stream. Hands are shaken when something is read, written or flushed.
    pub(super) fn begin(url: &str, stream: Stream) -> io::Result<Self> {
        let mut request = url.into_client_request().map_err(into_io)?;
        let protocol = HeaderValue::from_static(PROTOCOL);
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .max_message_size(None)
            .max_frame_size(None);
        let handshake = ClientHandshake::start(stream, request, Some(config)).map_err(into_io)?;
        Ok(Self { state: State::Opening(handshake), input: Bytes::new() })
    }

    /// The WebSocket, once hands are shaken; `WouldBlock` until then.
    fn open(&mut self) -> io::Result<&mut WebSocket<Stream>> {
        if matches!(self.state, State::Opening(_)) {
            self.shake_hands()?;
        }
        match &mut self.state {
            State::Open(socket) => Ok(socket),
            State::Opening(_) => Err(io::ErrorKind::WouldBlock.into()),
            State::Failed(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        self.state = match mem::replace(&mut self.state, State::Failed(Nothing)) {
            State::Opening(handshake) => match handshake.handshake() {
                Ok((socket, _)) => State::Open(socket),
                Err(HandshakeError::Interrupted(handshake)) => State::Opening(handshake),
                Err(HandshakeError::Failure(error)) => return Err(into_io(error)),
            },
            state => state,
        };
        Ok(())
    }
}

impl Layered for WebSocketStream {
    fn set_nonblocking(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Opening(handshake) => handshake.get_mut().get_mut().set_nonblocking(),
            State::Open(socket) => socket.get_mut().set_nonblocking(),
            State::Failed(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Transport for WebSocketStream {
    fn source(&mut self) -> &mut dyn Source {
        match &mut self.state {
            State::Opening(handshake) => handshake.get_mut().get_mut().source(),
            State::Open(socket) => socket.get_mut().source(),
            State::Failed(nothing) => nothing,
        }
    }

    fn shutdown(&mut self) -> io::Result<()> {
        let socket = self.open()?;
        match socket.close(None).and_then(|()| socket.flush()) {
            Ok(()) | Err(Error::ConnectionClosed) => Ok(()),
            Err(error) => Err(into_io(error)),
        }
    }
}

impl Read for WebSocketStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.input.is_empty() {
            match self.open()?.read() {
                Ok(Message::Binary(bytes)) => self.input = bytes,
                // [MQTT-6.0.0-1]
                Ok(Message::Text(_)) => return Err(io::ErrorKind::InvalidData.into()),
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Ok(0);
                }
                Ok(_) => {}
                Err(error) => return Err(into_io(error)),
            }
        }
        let count = buffer.len().min(self.input.len());
        buffer[..count].copy_from_slice(&self.input[..count]);
        self.input.advance(count);
        Ok(count)
    }
}

impl Write for WebSocketStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.open()?.write(Message::Binary(Bytes::copy_from_slice(bytes))) {
            Ok(()) => Ok(bytes.len()),
            Err(Error::WriteBufferFull(_)) => Err(io::ErrorKind::WouldBlock.into()),
            // The message is in the buffer of the WebSocket, and `flush` sends it.
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(bytes.len()),
            Err(error) => Err(into_io(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush().map_err(into_io)
    }
}

impl Layered for Stream {
    fn set_nonblocking(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.set_nonblocking(),
            Self::Tls(stream) => stream.socket().set_nonblocking(),
        }
    }
}

impl Transport for Stream {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(),
            Self::Tls(stream) => stream.shutdown(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Source for Nothing {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}
