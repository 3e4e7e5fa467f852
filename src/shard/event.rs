//! Everything that can happen to a shard.

use std::net::SocketAddr;
use std::sync::Arc;

use skein_protocol::{Error, Frame};

use super::{Announcement, HandOver, Message, Spilled};
use crate::access::{Access, provider::Outcome};
use crate::config::Settings;
use crate::record::state::State;
use crate::session::{AcceptOrder, ConnectionId, ListenerId, PeerAddress, ShardId, Time};

/// How a connection ended that the core did not close itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The peer closed its side.
    EndOfStream,
    /// The socket failed; the text is for the log.
    Failed(String),
    /// The peer broke the rules of what lies below MQTT: of TLS, say. The text is for the log.
    Refused(String),
    /// The handshakes below MQTT were not over within `tls_handshake_ms_max`.
    HandshakeTooSlow,
    /// A packet was begun and not gone on with for `packet_stalled_ms_max`.
    PacketStalled,
    /// Handling what came on it has panicked, before anything but the connection was changed.
    Panicked,
    /// The address that a proxy names has too many connections; the text says of what.
    Crowded(String),
}

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// What the store holds, perhaps nothing; the first event of a shard whose broker has a store.
    /// A shard that never hears it keeps everything in memory.
    Recovered {
        /// The state of all shards.
        state: Arc<State>,
        /// The start of the broker's clock, milliseconds since 1970.
        unix_ms: u64,
    },
    /// Everything up to this [`Persist`](super::Persist) is as safe as it was to be.
    Durable {
        /// Its ticket.
        ticket: u64,
    },
    /// Nothing can be made durable for now. What was handed over is kept and tried again;
    /// [`Event::Durable`] says that it has worked.
    StoreFailed {
        /// Whether room on the disk is missing.
        is_disk_full: bool,
    },
    /// What was to be done with a part of a long queue was done, or could not be.
    Spilled {
        /// The number of the chunk.
        chunk: u64,
        /// What has become of it.
        outcome: Spilled,
    },
    /// A socket was dealt to this shard by the acceptor.
    Opened {
        /// Its id here.
        connection: ConnectionId,
        /// Where it comes from.
        peer: PeerAddress,
        /// The listener it came through.
        listener: ListenerId,
        /// Its place among all connections of the broker.
        order: AcceptOrder,
    },
    /// What lies below MQTT has learned more of the peer than the socket knows. Comes before the
    /// first packet.
    Introduced {
        /// Which connection.
        connection: ConnectionId,
        /// Where a trusted proxy says that it comes from.
        source: Option<SocketAddr>,
        /// The client's certificate (DER), which was verified, and those above it; empty if it has
        /// shown none.
        certificates: Vec<Box<[u8]>>,
    },
    /// The answer to a [`Login`](super::Login).
    Authenticated {
        /// Which connection.
        connection: ConnectionId,
        /// Who its client is, or why it may not come in.
        outcome: Box<Outcome>,
        /// When the identity ends, on the broker's clock.
        expires_at: Option<Time>,
    },
    /// The rules have changed.
    AccessChanged {
        /// Those that hold from now on.
        access: Arc<Access>,
    },
    /// One whole packet arrived, cut but not parsed.
    Packet {
        /// On which connection.
        connection: ConnectionId,
        /// The packet.
        frame: Frame<'a>,
    },
    /// Bytes arrived that are no packet. The core answers and closes.
    Malformed {
        /// On which connection.
        connection: ConnectionId,
        /// What is wrong with them.
        error: Error,
    },
    /// The peer closed or the socket failed. Never sent for a connection that the core closed or
    /// handed over.
    Closed {
        /// Which connection.
        connection: ConnectionId,
        /// How it ended.
        cause: CloseCause,
    },
    /// The kernel took bytes out of this connection's outbox.
    Flushed {
        /// Which connection.
        connection: ConnectionId,
        /// How many bytes that were.
        written: usize,
    },
    /// A connection handed over by another shard arrived. Its unread bytes travel in the shell.
    Arrived {
        /// Its id here.
        connection: ConnectionId,
        /// The shard it comes from.
        from: ShardId,
        /// What that shard knew of it.
        handed: Box<HandOver>,
    },
    /// One message out of the lane from another shard.
    Message {
        /// That shard.
        from: ShardId,
        /// The message.
        message: Message,
    },
    /// Messages were taken out of what waits for the lane to another shard.
    LaneMoved {
        /// That shard.
        to: ShardId,
    },
    /// The settings have changed, in what a running shard can change.
    SettingsChanged {
        /// Those that hold from now on.
        settings: Arc<Settings>,
    },
    /// What the broker says of itself, in place of what it said before.
    Announced {
        /// All of it.
        announced: Arc<[Announcement]>,
    },
    /// The next deadline has passed.
    Tick,
    /// Stop: 0x8B to everybody, and no new connections.
    ShutDown,
}
