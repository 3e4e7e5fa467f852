//! One connection: packets over a socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use skein_protocol::{Frame, Packet, Version};

/// How long a write may wait for a broker that is stopped, before the connection is given up.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A connection to the broker.
pub(crate) struct Link {
    socket: TcpStream,
    version: Version,
    /// What came and is not taken.
    unread: Vec<u8>,
    /// What is to be sent.
    unsent: Vec<u8>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, at the moment.
    pub(crate) fn open(address: SocketAddr, version: Version) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_MAX))?;
        Ok(Self { socket, version, unread: Vec::new(), unsent: Vec::new() })
    }

    /// Says this with the next [`Link::flush`].
    pub(crate) fn say(&mut self, packet: &Packet<'_>) {
        packet.encode(self.version, &mut self.unsent);
    }

    /// Sends what was said.
    ///
    /// # Errors
    /// The broker has gone.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let sent = self.socket.write_all(&self.unsent);
        self.unsent.clear();
        sent
    }

    /// Waits so long for bytes, if no whole packet is there.
    ///
    /// # Errors
    /// The broker has gone.
    pub(crate) fn wait(&mut self, within: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(within.max(Duration::from_millis(1))))?;
        let mut buffer = [0; 65_536];
        match self.socket.read(&mut buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Takes out the bytes of the next whole packet.
    ///
    /// # Errors
    /// What came is no MQTT.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, skein_protocol::Error> {
        let Some(size) = Frame::size(&self.unread)?.filter(|size| *size <= self.unread.len())
        else {
            return Ok(None);
        };
        let rest = self.unread.split_off(size);
        Ok(Some(std::mem::replace(&mut self.unread, rest)))
    }
}
