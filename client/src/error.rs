//! What can go wrong, and what to do about it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use skein_protocol::ReasonCode;

use crate::Publish;

/// The result of what a client was asked to do.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done. Its text says what to do next.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No link to the server came about.
    #[error("cannot reach {server}: {source}; check the address, and that the server is running")]
    Dial {
        /// The server, as it was given.
        server: Arc<str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The store of messages cannot be used.
    #[error("the store of messages cannot be used: {0}")]
    Store(Arc<str>),
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(Arc<str>),
    /// A server's address that cannot be understood.
    #[error("{address:?} is no address of a server: {reason}; write mqtt://HOST:PORT")]
    Address {
        /// The address, as it was given.
        address: Arc<str>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The server refused the connection in its CONNACK.
    #[error("the server refused the connection: {}", Answer(*reason, text.as_deref()))]
    Refused {
        /// The server's reason.
        reason: ReasonCode,
        /// The server's words, if it gave any.
        text: Option<Arc<str>>,
    },
    /// The server said DISCONNECT.
    #[error("the server disconnected: {}", Answer(*reason, text.as_deref()))]
    Disconnected {
        /// The server's reason.
        reason: ReasonCode,
        /// The server's words, if it gave any.
        text: Option<Arc<str>>,
    },
    /// The server refused one operation; the connection goes on.
    #[error("the server rejected the {operation}: {}", Answer(*reason, text.as_deref()))]
    Rejected {
        /// What was refused.
        operation: Operation,
        /// The server's reason.
        reason: ReasonCode,
        /// The server's words, if it gave any.
        text: Option<Arc<str>>,
    },
    /// The server has said that it has no such thing, so nothing was sent.
    #[error("the server has no {0}; do without, or use another server")]
    Unsupported(Feature),
    /// The packet is longer than the server takes, so nothing was sent.
    #[error("a packet of {size} bytes, but the server takes at most {max}; send less at once")]
    TooLarge {
        /// The bytes of the packet.
        size: usize,
        /// The server's Maximum Packet Size in bytes.
        max: usize,
    },
    /// The queue is full; the message comes back.
    #[error("the queue of outgoing messages is full; wait, or give the queue another policy")]
    QueueFull(Box<Publish>),
    /// The message left the queue for one that is newer or older, as the queue's policy says.
    #[error("the message was dropped from a full queue; enlarge the queue or publish less")]
    Overflowed,
    /// The message's expiry interval ran out before it could be sent.
    #[error("the message expired before it could be sent")]
    Expired,
    /// QoS 0 without a connection, where the policy keeps none.
    #[error("not connected, and messages of QoS 0 are not kept; use QoS 1, or keep them")]
    NotConnected,
    /// No answer in time. The exchange goes on: it may still succeed.
    #[error("no answer to the {operation} within {after:?}; it may still arrive")]
    Timeout {
        /// What was not answered.
        operation: Operation,
        /// How long it waited.
        after: Duration,
    },
    /// The link broke or was closed.
    #[error("the connection was lost: {0}")]
    Lost(Arc<str>),
    /// The server broke a rule of MQTT.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] skein_protocol::Error),
    /// The server could not prove itself, or the exchange went wrong.
    #[error("authentication failed: {0}; check the secret, and that this is the right server")]
    Authentication(Arc<str>),
    /// A topic or filter that MQTT does not allow.
    #[error("{text:?} cannot be used: {source}")]
    BadTopic {
        /// The topic or filter.
        text: Arc<str>,
        /// The rule it breaks.
        source: skein_protocol::Error,
    },
    /// A field is longer than a packet has room for.
    #[error("{0} is longer than 65,535 bytes, which no packet can carry")]
    FieldTooLong(&'static str),
    /// The server has forgotten the session, and the policy is not to send again.
    #[error("the server lost the session before the message was acknowledged; publish it again")]
    SessionLost,
    /// Waiting here would wait for ever: this code runs on the client's own thread.
    #[error("this code runs on the client's own thread, which must not wait; use the ticket later")]
    OnClientThread,
    /// The client was closed before everything was delivered.
    #[error("closed with {0} messages not acknowledged; drain longer, or keep the session")]
    Undelivered(usize),
    /// A payload could not be written.
    #[cfg(feature = "serde")]
    #[error(transparent)]
    Format(#[from] crate::format::FormatError),
    /// The client is closed.
    #[error("the client is closed; start a new one")]
    Closed,
}

/// What was asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the operation of its name")]
pub enum Operation {
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
    Ping,
    Authenticate,
    Request,
    Close,
}

/// What a server may say that it does not have (3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// QoS 2, or 1 and 2 [MQTT-3.2.2-11].
    QoS(skein_protocol::QoS),
    /// Retained messages [MQTT-3.2.2-14].
    Retain,
    /// Wildcards in filters.
    WildcardSubscriptions,
    /// Shared subscriptions.
    SharedSubscriptions,
    /// Enhanced authentication, which MQTT before 5.0 does not have.
    EnhancedAuthentication,
    /// Response topics, which MQTT before 5.0 does not have: name the topic of the response.
    ResponseTopics,
}

impl Error {
    /// The server's reason, where it gave one.
    pub fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Refused { reason, .. }
            | Self::Disconnected { reason, .. }
            | Self::Rejected { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether the same may succeed later without anything being changed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Dial { .. }
            | Self::QueueFull(_)
            | Self::Overflowed
            | Self::NotConnected
            | Self::Timeout { .. }
            | Self::Lost(_)
            | Self::SessionLost => true,
            Self::Refused { reason, .. }
            | Self::Disconnected { reason, .. }
            | Self::Rejected { reason, .. } => is_passing(*reason),
            _ => false,
        }
    }

    pub(crate) fn lost(why: &str) -> Self {
        Self::Lost(why.into())
    }

    pub(crate) fn bad_topic(text: &str, source: skein_protocol::Error) -> Self {
        Self::BadTopic { text: text.into(), source }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::Publish => "PUBLISH",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ping => "PINGREQ",
            Self::Authenticate => "AUTH",
            Self::Request => "request",
            Self::Close => "close",
        })
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QoS(qos) => write!(f, "QoS {qos}"),
            Self::Retain => f.write_str("retained messages"),
            Self::WildcardSubscriptions => f.write_str("wildcard subscriptions"),
            Self::SharedSubscriptions => f.write_str("shared subscriptions"),
            Self::EnhancedAuthentication => f.write_str("enhanced authentication"),
            Self::ResponseTopics => f.write_str("response topics before MQTT 5.0"),
        }
    }
}

/// A reason code with its name, the server's words and advice.
struct Answer<'a>(ReasonCode, Option<&'a str>);

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if let Some(text) = self.1 {
            write!(f, " ({text:?})")?;
        }
        write!(f, "; {}", advice(self.0))
    }
}

/// What the one who reads the error can do.
fn advice(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::BadUserNameOrPassword => "check the user name and the password",
        ReasonCode::NotAuthorized => "ask for the right to do this",
        ReasonCode::Banned => "ask whoever runs the server why",
        ReasonCode::ClientIdentifierNotValid => "choose another client identifier",
        ReasonCode::SessionTakenOver => "give each client an identifier of its own",
        ReasonCode::UnsupportedProtocolVersion => "use another version of MQTT",
        ReasonCode::UseAnotherServer | ReasonCode::ServerMoved => "connect to another server",
        ReasonCode::PacketTooLarge => "send smaller packets",
        ReasonCode::QuotaExceeded => "send less, or ask for a larger quota",
        reason if is_passing(reason) => "try again later",
        _ => "see the log of the server",
    }
}

/// Whether a reason describes a state of the server that passes.
fn is_passing(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::UnspecifiedError
            | ReasonCode::ServerUnavailable
            | ReasonCode::ServerBusy
            | ReasonCode::ServerShuttingDown
            | ReasonCode::KeepAliveTimeout
            | ReasonCode::MessageRateTooHigh
            | ReasonCode::QuotaExceeded
            | ReasonCode::ConnectionRateExceeded
            | ReasonCode::MaximumConnectTime
            | ReasonCode::PacketIdentifierInUse
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do() {
        let error =
            Error::Refused { reason: ReasonCode::NotAuthorized, text: Some("no such user".into()) };
        assert_eq!(
            error.to_string(),
            "the server refused the connection: 0x87 Not authorized (\"no such user\"); \
             ask for the right to do this"
        );
        assert_eq!(error.reason(), Some(ReasonCode::NotAuthorized));
        assert!(!error.is_retryable());
    }

    #[test]
    fn what_passes_can_be_tried_again() {
        assert!(Error::Refused { reason: ReasonCode::ServerBusy, text: None }.is_retryable());
        assert!(Error::NotConnected.is_retryable());
        assert!(!Error::Unsupported(Feature::Retain).is_retryable());
        assert!(!Error::Closed.is_retryable());
    }
}
