//! MQTT in the binary messages of a WebSocket (6).

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use mio::event::Source;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::Transport;
use super::socket::Socket;
use super::tls::TlsStream;

/// The name of MQTT among the protocols over WebSocket [MQTT-6.0.0-3].
const PROTOCOL: &str = "mqtt";
/// What may wait to be written; more than one write of ours.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// What a WebSocket may run over.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket),
    Tls(TlsStream),
}

/// A WebSocket whose messages are one stream of bytes.
#[derive(Debug)]
pub(super) struct WebSocketStream {
    socket: WebSocket<Stream>,
    /// What is left of the last message.
    input: Bytes,
}

impl WebSocketStream {
    /// Shakes hands over a stream that still blocks.
    pub(super) fn connect(url: &str, stream: Stream) -> io::Result<Self> {
        let mut request = url.into_client_request().map_err(into_io)?;
        let protocol = HeaderValue::from_static(PROTOCOL);
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let config = WebSocketConfig::default()
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .max_message_size(None)
            .max_frame_size(None);
        let shaken = tungstenite::client::client_with_config(request, stream, Some(config));
        let (socket, _) = shaken.map_err(|error| match error {
            HandshakeError::Failure(error) => into_io(error),
            HandshakeError::Interrupted(_) => io::ErrorKind::TimedOut.into(),
        })?;
        Ok(Self { socket, input: Bytes::new() })
    }

    /// The socket below it all.
    pub(super) fn socket(&mut self) -> &mut Socket {
        match self.socket.get_mut() {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.socket(),
        }
    }
}

impl Transport for WebSocketStream {
    fn source(&mut self) -> &mut dyn Source {
        self.socket()
    }

    fn shutdown(&mut self) -> io::Result<()> {
        match self.socket.close(None).and_then(|()| self.socket.flush()) {
            Ok(()) | Err(Error::ConnectionClosed) => Ok(()),
            Err(error) => Err(into_io(error)),
        }
    }
}

impl Read for WebSocketStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.input.is_empty() {
            match self.socket.read() {
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
        match self.socket.write(Message::Binary(Bytes::copy_from_slice(bytes))) {
            Ok(()) => Ok(bytes.len()),
            Err(Error::WriteBufferFull(_)) => Err(io::ErrorKind::WouldBlock.into()),
            // The message is in the buffer of the WebSocket, and `flush` sends it.
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(bytes.len()),
            Err(error) => Err(into_io(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(into_io)
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

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}
