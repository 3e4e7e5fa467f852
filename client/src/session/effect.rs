//! What a session wants done, and what it has to tell.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use skein_protocol::{PacketId, QoS, ReasonCode, Version};

use super::Limits;
use crate::{Error, Message, Result};

/// What the driver of a session is to do, in this order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// Open a link to this server, then call `on_opened` or `on_closed`.
    Dial(Attempt),
    /// Write the output as far as the link takes it, then close the link. No call to `on_closed`
    /// is wanted for it.
    Close,
    /// Hand this message to whom it may concern.
    Deliver(Message),
    /// An operation has ended.
    Completed(Token, Result<Outcome>),
    /// A handshake is to go on at another server; only if [`Options::is_relay`] is set.
    ///
    /// [`Options::is_relay`]: crate::Options::is_relay
    Step(Step),
    /// Something worth knowing has happened.
    Event(Event),
    /// A whole packet was sent or received; only if [`Options::tap`](crate::Options::tap) is set.
    Packet(Direction, Version, Vec<u8>),
}

/// Names one operation: what was begun, and which [`Effect::Completed`] ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(crate) u64);

/// A step of the handshake of QoS 2 that whoever relays it takes at the other server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// PUBREC came for this message: the server owns it. PUBREC is to go where it came from.
    Received(Token),
    /// PUBREL came for this identifier. PUBREL is to go where the message went.
    Released(PacketId),
}

/// One try to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The server: one of the options', or one that a server named.
    pub server: Arc<str>,
    /// The how-manieth try it is since the last stable connection, from 1.
    pub number: u32,
}

/// How an operation ended well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// QoS 0: written to the link.
    Sent,
    /// The server has taken the message; the reason may say that nobody has subscribed.
    Published(ReasonCode),
    /// SUBACK: what was granted, filter by filter.
    Subscribed(Vec<Result<QoS>>),
    /// UNSUBACK: how it went, filter by filter.
    Unsubscribed(Vec<Result<()>>),
    /// The server accepted the new authentication.
    Authenticated,
}

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the server.
    Received,
    /// To the server.
    Sent,
}

/// Which way a packet went, as an arrow.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Received => "<",
            Self::Sent => ">",
        })
    }
}

/// What has happened to a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A try to connect begins.
    Connecting(Attempt),
    /// The server has accepted the connection.
    Connected {
        /// Whether the server still has the session.
        session_present: bool,
        /// What the server has said about itself.
        server: Arc<ServerInfo>,
    },
    /// The try to connect failed: no link, no CONNACK in time, or a refusal.
    Failed {
        /// Why.
        why: Error,
        /// When the next try begins; `None`: never.
        retry_in: Option<Duration>,
    },
    /// The connection ended, and the client had not asked for it.
    Lost {
        /// Why.
        why: Error,
        /// When the next try begins; `None`: never.
        retry_in: Option<Duration>,
    },
    /// No further try: the reason does not pass, or there were enough.
    GaveUp {
        /// Why the last try or connection ended.
        why: Error,
    },
    /// The server has refused the version; the next one is tried.
    FellBack(Version),
    /// The server has named another one, which is tried next.
    Redirected(Arc<str>),
    /// The server has forgotten the session.
    SessionLost {
        /// How many unacknowledged messages are sent again as new ones.
        resent: usize,
    },
    /// A subscription was made again because the session was gone.
    Resubscribed {
        /// The filter.
        filter: Arc<str>,
        /// The granted QoS, or why the server refuses now.
        result: Result<QoS>,
    },
    /// Outgoing messages were dropped.
    Dropped {
        /// Why: [`Error::Overflowed`], [`Error::Expired`] or [`Error::SessionLost`].
        why: Error,
        /// How many.
        count: usize,
    },
    /// The store could not keep what had become of messages: the next process may send them, or
    /// hand them out, again.
    StoreFailed(Error),
    /// The client is closed, as it was asked to.
    Closed {
        /// How many messages were not acknowledged, or not sent at all.
        undelivered: usize,
    },
}

/// What a server has said about itself in its CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// The version of MQTT that is spoken.
    pub version: Version,
    /// The client identifier, perhaps the server's choice.
    pub client_id: String,
    /// What the server takes.
    pub limits: Limits,
    /// The keep alive that holds, in seconds.
    pub keep_alive_s: u16,
    /// How long the session outlives the connection, in seconds.
    pub session_expiry_s: u32,
    /// The basis of topics for responses, if the server names one.
    pub response_information: Option<String>,
    /// User properties of CONNACK.
    pub user_properties: Vec<(String, String)>,
}

/// What a session has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Messages written, those sent again included.
    pub messages_sent: u64,
    /// Messages handed out.
    pub messages_received: u64,
    /// Bytes of packets written.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Messages written a second time after a connection was lost.
    pub messages_resent: u64,
    /// Outgoing messages that a full queue dropped.
    pub messages_overflowed: u64,
    /// Outgoing messages that expired while they waited.
    pub messages_expired: u64,
    /// Connections that came about.
    pub connections: u64,
    /// Acknowledgements of identifiers that were not in use.
    pub acks_unknown: u64,
    /// Messages that wait to be sent.
    pub queued: usize,
    /// Bytes of these.
    pub queued_bytes: usize,
    /// Messages of QoS 1 and 2 that were sent and are not acknowledged.
    pub in_flight: usize,
    /// Received messages that are not acknowledged yet.
    pub unacknowledged: usize,
    /// How long the last PINGREQ waited for its PINGRESP.
    pub round_trip: Option<Duration>,
    /// For how long the oldest queued or unacknowledged message has been waiting.
    pub oldest_age: Option<Duration>,
}
