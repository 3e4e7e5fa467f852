//! A broker with a listener of every kind, and the ways to it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use skein_protocol::Version;
use tungstenite::client::IntoClientRequest;
use tungstenite::error::ProtocolError;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, Message, WebSocket};

use super::authority::quoted;
use super::{Authority, Broker, Case, Peer, serial};

/// A way from a client to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Tls12,
    Tls13,
    /// One frame for each thing said.
    WebSocket,
    /// Frames of five bytes, whatever packets are in them.
    SmallFrames,
    SecureWebSocket,
    Unix,
    /// Behind a proxy that says so in text.
    ProxyText,
    /// Behind a proxy that says so in binary.
    ProxyBinary,
    /// WebSocket over TLS, behind a proxy.
    Everything,
}

impl Way {
    pub(crate) const ALL: [Self; 10] = [
        Self::Plain,
        Self::Tls12,
        Self::Tls13,
        Self::WebSocket,
        Self::SmallFrames,
        Self::SecureWebSocket,
        Self::Unix,
        Self::ProxyText,
        Self::ProxyBinary,
        Self::Everything,
    ];

    /// The index of its listener in the settings.
    fn listener(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Tls12 | Self::Tls13 => 1,
            Self::WebSocket | Self::SmallFrames => 2,
            Self::SecureWebSocket => 3,
            Self::Unix => 4,
            Self::ProxyText | Self::ProxyBinary => 5,
            Self::Everything => 6,
        }
    }
}

/// A broker with a listener for each way.
pub(crate) struct Doors {
    pub(crate) case: Case,
}

/// From where the proxies of [`Way`] say that a connection comes.
pub(crate) const BEYOND_THE_PROXY: &str = "192.0.2.77:4711";

impl Doors {
    pub(crate) fn open(shards: usize) -> Self {
        Self::open_with(shards, "")
    }

    /// With more settings (TOML).
    pub(crate) fn open_with(shards: usize, more: &str) -> Self {
        let authority = Authority::shared();
        let file = |name| quoted(&authority.path(name));
        let tls = format!(
            "[listener.tls]\ncertificate = {}\nkey = {}\n",
            file("broker.pem"),
            file("broker.key")
        );
        let socket =
            std::env::temp_dir().join(format!("skein-{}-{}", std::process::id(), serial()));
        let listen = |rest: &str| format!("[[listener]]\naddress = \"127.0.0.1:0\"\n{rest}");
        let websocket = "protocol = \"websocket\"\n";
        let proxy = "proxy_protocol_from = \"127.0.0.0/8\"\nauth = \"anonymous\"\n";
        let settings = [
            listen(""),
            listen(&tls),
            listen(websocket),
            listen(&format!("{websocket}{tls}")),
            format!("[[listener]]\naddress = \"unix:{}\"\n", socket.display()),
            listen(proxy),
            listen(&format!("{websocket}{proxy}{tls}")),
            // So that the log shows who is refused below MQTT.
            "[log]\nlevel = \"debug\"\n".to_owned(),
            more.to_owned(),
        ];
        let broker = Broker::start_as_configured(shards, &settings.concat());
        Self { case: Case::on(Arc::new(broker)) }
    }

    /// The address of the listener that a way leads to.
    pub(crate) fn address(&self, way: Way) -> SocketAddr {
        let address = &self.case.broker.addresses[way.listener()];
        address.parse().expect("all but one have an IP address")
    }

    /// A socket that has reached the listener, and on which nothing was said.
    pub(crate) fn socket(&self, way: Way) -> TcpStream {
        let address = &self.case.broker.addresses[way.listener()];
        let socket = match address.strip_prefix("unix:") {
            // The kernel alone knows the difference.
            Some(path) => TcpStream::from(OwnedFd::from(
                UnixStream::connect(path).expect("the broker listens"),
            )),
            None => TcpStream::connect(address).expect("the broker listens"),
        };
        // A Unix socket has no delay to be taken from it.
        let _ = socket.set_nodelay(true);
        socket
    }

    /// A connection on which no MQTT was said yet.
    pub(crate) fn peer(&self, way: Way, version: Version) -> Peer {
        let socket = self.socket(way);
        let mut below = socket.try_clone().expect("there are descriptors");
        let encrypt = |below, version, alpn| {
            Authority::shared().encrypt(below, "localhost", &[version], None, &[alpn])
        };
        match way {
            Way::Plain | Way::Unix => Peer::over(socket, below, version),
            Way::Tls12 => Peer::over(socket, encrypt(below, &TLS12, "mqtt"), version),
            Way::Tls13 => Peer::over(socket, encrypt(below, &TLS13, "mqtt"), version),
            Way::WebSocket => Peer::over(socket, Frames::open(below, usize::MAX), version),
            Way::SmallFrames => Peer::over(socket, Frames::open(below, 5), version),
            Way::SecureWebSocket => {
                let stream = Frames::open(encrypt(below, &TLS13, "http/1.1"), usize::MAX);
                Peer::over(socket, stream, version)
            }
            Way::ProxyText => {
                say(&mut below, b"PROXY TCP4 192.0.2.77 192.0.2.1 4711 1883\r\n");
                Peer::over(socket, below, version)
            }
            Way::ProxyBinary => {
                say(&mut below, &binary_header());
                Peer::over(socket, below, version)
            }
            Way::Everything => {
                say(&mut below, &binary_header());
                let stream = Frames::open(encrypt(below, &TLS12, "http/1.1"), 100);
                Peer::over(socket, stream, version)
            }
        }
    }
}

fn say(socket: &mut TcpStream, bytes: &[u8]) {
    socket.write_all(bytes).expect("the broker reads");
}

/// A header of the PROXY protocol, version 2.
fn binary_header() -> Vec<u8> {
    let addresses = [192, 0, 2, 77, 192, 0, 2, 1, 0x12, 0x67, 0x07, 0x5B];
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C"[..], &addresses].concat()
}

/// A WebSocket as a stream of bytes.
struct Frames<S: Read + Write> {
    socket: WebSocket<S>,
    frame_bytes_max: usize,
    /// What came and was not read yet.
    unread: Vec<u8>,
}

impl<S: Read + Write> Frames<S> {
    fn open(stream: S, frame_bytes_max: usize) -> Self {
        let mut request = "ws://localhost/mqtt".into_client_request().expect("a good address");
        let subprotocol = HeaderValue::from_static("mqtt");
        request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol);
        let Ok((socket, response)) = tungstenite::client(request, stream) else {
            panic!("the broker refuses a WebSocket")
        };
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt", "[MQTT-6.0.0-4]");
        Self { socket, frame_bytes_max, unread: Vec::new() }
    }
}

impl<S: Read + Write> Read for Frames<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.unread = bytes.to_vec(),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Ok(0);
                }
                Ok(other) => panic!("[MQTT-6.0.0-1] the broker sends {other:?}"),
                Err(Error::Io(error)) => return Err(error),
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return Ok(0),
                Err(error) => panic!("the broker breaks the WebSocket protocol: {error}"),
            }
        }
        let count = self.unread.len().min(into.len());
        into[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(count)
    }
}

impl<S: Read + Write> Write for Frames<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let failed = |error| io::Error::new(io::ErrorKind::BrokenPipe, error);
        for frame in bytes.chunks(self.frame_bytes_max) {
            self.socket.write(Message::Binary(frame.to_vec().into())).map_err(failed)?;
        }
        self.socket.flush().map_err(failed)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
