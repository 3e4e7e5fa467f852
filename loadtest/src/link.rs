//! One client connection of the load test: handshake, then bytes in both directions without
//! blocking.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use mio::{Interest, Registry, Token};
use skein_protocol::{
    Frame, Packet, QoS, TopicFilter, Version,
    packet::{Connect, ConnectProperties, Subscribe, SubscriptionOptions},
    qos::PacketId,
};

/// How long a broker may take to answer during the handshake.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Read at once; many small messages fit.
const READ_BYTES: usize = 256 * 1024;

/// A connected client.
#[derive(Debug)]
pub(crate) struct Link {
    stream: mio::net::TcpStream,
    /// Read and not yet cut into packets.
    unread: Vec<u8>,
    /// To be written; the first `written` bytes are.
    unsent: Vec<u8>,
    written: usize,
}

impl Link {
    /// Connects with a clean session; subscribes to `filter` if there is one.
    pub(crate) fn open(address: SocketAddr, id: &str, filter: Option<&str>) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let connect = Connect {
            version: Version::V3_1_1,
            clean_start: true,
            keep_alive_s: 0,
            client_id: id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        };
        call(&mut stream, &Packet::Connect(connect))?;
        if let Some(filter) = filter {
            subscribe(&mut stream, filter)?;
        }
        stream.set_nonblocking(true)?;
        let stream = mio::net::TcpStream::from_std(stream);
        Ok(Self { stream, unread: Vec::new(), unsent: Vec::new(), written: 0 })
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// The buffer that packets to be sent are appended to.
    pub(crate) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Bytes that still wait to be written.
    pub(crate) fn unsent_len(&self) -> usize {
        self.unsent.len() - self.written
    }

    /// Writes what the kernel takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.unsent_len() > 0 {
            match self.stream.write(&self.unsent[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.unsent.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads until the kernel has no more, and shows every packet.
    pub(crate) fn receive(&mut self, mut visit: impl FnMut(Frame<'_>)) -> io::Result<()> {
        loop {
            let start = self.unread.len();
            self.unread.resize(start + READ_BYTES, 0);
            let outcome = self.stream.read(&mut self.unread[start..]);
            let count = *outcome.as_ref().unwrap_or(&0);
            self.unread.truncate(start + count);
            match outcome {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => self.cut(&mut visit)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn cut(&mut self, visit: &mut impl FnMut(Frame<'_>)) -> io::Result<()> {
        let mut used = 0;
        while let Some((frame, length)) =
            Frame::decode(&self.unread[used..], usize::MAX).map_err(io::Error::other)?
        {
            visit(frame);
            used += length;
        }
        self.unread.drain(..used);
        Ok(())
    }
}

fn subscribe(stream: &mut TcpStream, filter: &str) -> io::Result<()> {
    let filter = TopicFilter::new(filter).map_err(io::Error::other)?;
    let options = SubscriptionOptions { qos: QoS::AtMostOnce, ..SubscriptionOptions::default() };
    let subscribe = Subscribe {
        packet_id: PacketId::new(1).expect("1 is not 0"),
        identifier: None,
        user_properties: Default::default(),
        filters: [(filter, options)].into_iter().collect(),
    };
    call(stream, &Packet::Subscribe(subscribe))
}

/// Sends a packet and waits for one that accepts it.
fn call(stream: &mut TcpStream, packet: &Packet<'_>) -> io::Result<()> {
    let mut bytes = Vec::new();
    packet.encode(Version::V3_1_1, &mut bytes);
    stream.write_all(&bytes)?;
    let mut answer = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
        let Some((frame, _)) = Frame::decode(&answer, 1024).map_err(io::Error::other)? else {
            continue;
        };
        let accepted = match Packet::decode(frame, Version::V3_1_1).map_err(io::Error::other)? {
            Packet::ConnAck(connack) => !connack.reason.is_error(),
            Packet::SubAck(suback) => suback.reasons.iter().all(|reason| !reason.is_error()),
            _ => false,
        };
        let refused = || io::Error::other(format!("{} was refused", packet.packet_type()));
        return if accepted { Ok(()) } else { Err(refused()) };
    }
}
