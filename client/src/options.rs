//! What a client is told once, before it connects.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use skein_protocol::{ReasonCode, Version};

use crate::message::{check_length, check_pairs, check_text};
use crate::{Error, Result, Will};

/// Everything about a client that is decided before it connects. `Default` is a client of MQTT 5.0
/// that falls back to 3.1.1, with a clean session, a queue of 10,000 messages, and reconnects.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers, tried in turn. What the text means is the driver's business.
    pub servers: Vec<Arc<str>>,
    /// The client identifier; empty asks the server to choose one, which is kept from then on.
    pub client_id: String,
    /// Which versions of MQTT are tried.
    pub versions: Versions,
    /// Whether the first connection forgets an earlier session. Later ones never do.
    pub clean_start: bool,
    /// How long the server keeps the session after the connection, in seconds; 0: not at all,
    /// `u32::MAX`: for ever. Before MQTT 5.0 anything above 0 is "for ever".
    pub session_expiry_s: u32,
    /// The longest silence from this side, in seconds; 0 turns pings off. The server may choose
    /// another one [MQTT-3.2.2-21].
    pub keep_alive_s: u16,
    /// User name and password.
    pub login: Login,
    /// What the server publishes when this client is gone.
    pub will: Option<Will>,
    /// How long a connection may take from the first byte to CONNACK.
    pub connect_timeout: Duration,
    /// How long an acknowledgement may take before the ticket says so. The exchange goes on.
    pub ack_timeout: Option<Duration>,
    /// How many messages of QoS 1 and 2 may be unacknowledged towards this client, 1 to 65,535.
    pub receive_maximum: u16,
    /// How many messages of QoS 1 and 2 may be unacknowledged towards the server, where it allows
    /// as many.
    pub in_flight_max: u16,
    /// The longest packet this client takes, in bytes.
    pub packet_bytes_max: u32,
    /// How many topic aliases the server may use towards this client. Towards the server as many
    /// are used as it allows, up to this number.
    pub topic_aliases_max: u16,
    /// The highest packet identifier that is used; `None`: any. With one, a session that an earlier
    /// process has left is made safe before anything is sent in it: the server is told that each of
    /// these identifiers is finished, so that it takes no new message of QoS 2 for one that the
    /// earlier process had sent [MQTT-4.3.3-10].
    pub packet_ids_max: Option<u16>,
    /// Whether whoever drives the session passes messages and their handshakes on to another server,
    /// each with the packet identifier it has here: nothing of QoS 2 is sent or answered by the
    /// session itself, and so two sessions can be left and resumed by any process; see
    /// [`Session::relay_publish`](crate::session::Session::relay_publish).
    pub is_relay: bool,
    /// Whether the server is told, before MQTT 5.0, that this is a bridge: Mosquitto's bit 0x80 of the
    /// protocol level. A server that knows it does not send back what came from here; one that does
    /// not refuses, and is asked again without.
    pub is_bridge: bool,
    /// User properties of CONNECT.
    pub user_properties: Vec<(String, String)>,
    /// Whether the server is to name a basis of topics for responses (3.1.2.11.6).
    pub request_response_information: bool,
    /// Whether the server is to explain itself in reason strings (3.1.2.11.7).
    pub request_problem_information: bool,
    /// What DISCONNECT says when this side ends the connection.
    pub farewell: Farewell,
    /// The queue of messages that cannot be sent yet.
    pub queue: QueueOptions,
    /// What happens to unacknowledged messages when the server has lost the session.
    pub session_loss: SessionLoss,
    /// When to connect again; `None`: never.
    pub reconnect: Option<Backoff>,
    /// What to do after a reason of the server's, where it is not what [`Verdict::of`] says.
    pub verdicts: Vec<(ReasonCode, Verdict)>,
    /// Whether each packet is also handed out as bytes, for [`Effect::Packet`].
    ///
    /// [`Effect::Packet`]: crate::session::Effect::Packet
    pub tap: bool,
}

/// Which versions of MQTT are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// MQTT 5.0, and 3.1.1 from the moment that a server refuses 5.0.
    #[default]
    NewestFirst,
    /// This one and no other.
    Only(Version),
}

/// What DISCONNECT says besides its reason (3.14.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Farewell {
    /// Another session expiry interval, in seconds. Of no effect on a session that ends with its
    /// connection, whose expiry cannot be changed.
    pub session_expiry_s: Option<u32>,
    /// Why, in words.
    pub reason_string: Option<String>,
    /// Pairs of text in order, duplicates kept.
    pub user_properties: Vec<(String, String)>,
}

/// User name and password. `Debug` shows neither the password nor a token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub user_name: Option<String>,
    /// The password, or a token.
    pub password: Option<Bytes>,
}

/// The queue of messages that cannot be sent yet: no connection, or the server's window is full.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// How many messages it holds.
    pub messages_max: usize,
    /// How many bytes its messages take.
    pub bytes_max: usize,
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// What happens to QoS 0 without a connection.
    pub offline: Offline,
}

/// What happens when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The caller waits. In a session without a thread, and in `try_publish`: as `Fail`.
    #[default]
    Block,
    /// The message comes back in [`Error::QueueFull`].
    Fail,
    /// The oldest message is dropped.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
}

/// What happens to messages of QoS 0 without a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offline {
    /// [`Error::NotConnected`]: a reading of an hour ago is worth nothing to most.
    #[default]
    Refuse,
    /// They are queued like all others.
    Keep,
}

/// What happens to unacknowledged messages when the server has lost the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionLoss {
    /// They are sent again as new messages, in order, before anything else. A message may then
    /// arrive twice, even with QoS 2.
    #[default]
    Resend,
    /// They fail with [`Error::SessionLost`]; what was never sent goes out.
    Drop,
    /// They fail, and the client gives up.
    Stop,
}

/// When to connect again: the delay doubles from attempt to attempt, shortened by a random share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The longest delay before the first attempt.
    pub first: Duration,
    /// The longest delay of all.
    pub longest: Duration,
    /// The random share, 0 to 1: 1 draws between nothing and the whole delay ("full jitter").
    pub jitter: f64,
    /// How long a connection must have lasted for the delay to begin anew.
    pub stable: Duration,
    /// After how many attempts in a row without a stable connection to give up; `None`: never.
    pub attempts_max: Option<u32>,
}

/// What to do after a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt would fail as well: report and stop.
    Stop,
    /// Try again as the backoff says.
    Retry,
    /// The server is busy: as `Retry`, but not before 15 seconds.
    RetryLater,
    /// Try the next server, or the one it named, at once.
    Elsewhere,
}

impl Verdict {
    /// What a reason of the server's calls for.
    pub fn of(reason: ReasonCode) -> Self {
        use ReasonCode as R;
        match reason {
            R::BadUserNameOrPassword
            | R::NotAuthorized
            | R::Banned
            | R::BadAuthenticationMethod
            | R::ClientIdentifierNotValid
            | R::SessionTakenOver
            | R::UnsupportedProtocolVersion
            | R::MalformedPacket
            | R::ProtocolError
            | R::PacketTooLarge
            | R::TopicNameInvalid
            | R::TopicFilterInvalid
            | R::PayloadFormatInvalid
            | R::RetainNotSupported
            | R::QoSNotSupported => Self::Stop,
            R::ServerBusy
            | R::ServerUnavailable
            | R::QuotaExceeded
            | R::MessageRateTooHigh
            | R::ConnectionRateExceeded
            | R::AdministrativeAction => Self::RetryLater,
            R::UseAnotherServer | R::ServerMoved => Self::Elsewhere,
            _ => Self::Retry,
        }
    }
}

impl Backoff {
    /// Delays that double from the first to the longest, with full jitter.
    pub fn exponential(first: Duration, longest: Duration) -> Self {
        Self { first, longest, ..Self::default() }
    }

    /// Another random share, 0 to 1.
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share.clamp(0.0, 1.0);
        self
    }
}

impl Login {
    /// A user name and a password.
    pub fn new(user_name: impl Into<String>, password: impl Into<Bytes>) -> Self {
        Self { user_name: Some(user_name.into()), password: Some(password.into()) }
    }

    /// A token in the place of the password, without a user name; needs MQTT 5.0.
    pub fn token(token: impl Into<Bytes>) -> Self {
        Self { user_name: None, password: Some(token.into()) }
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_text("user name", self.user_name.as_deref().unwrap_or_default())?;
        check_length("password", self.password.as_ref().map_or(0, Bytes::len))
    }
}

impl Farewell {
    fn check(&self) -> Result<()> {
        check_text("reason string", self.reason_string.as_deref().unwrap_or_default())?;
        check_pairs(&self.user_properties)
    }
}

impl Options {
    /// These servers and the defaults.
    pub fn new<I: Into<Arc<str>>>(servers: impl IntoIterator<Item = I>) -> Self {
        Self { servers: servers.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Checks once and for all that a CONNECT can be written.
    pub(crate) fn check(&self) -> Result<()> {
        if self.servers.is_empty() {
            return Err(Error::Address { address: "".into(), reason: "there is no server" });
        }
        check_text("client identifier", &self.client_id)?;
        self.login.check()?;
        check_pairs(&self.user_properties)?;
        self.farewell.check()?;
        self.will.as_ref().map_or(Ok(()), Will::check)
    }

    /// What to do after a reason of the server's.
    pub(crate) fn verdict(&self, reason: ReasonCode) -> Verdict {
        let own = self.verdicts.iter().find(|(own, _)| *own == reason);
        own.map_or_else(|| Verdict::of(reason), |(_, verdict)| *verdict)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "hidden"))
            .finish()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            client_id: String::new(),
            versions: Versions::default(),
            clean_start: true,
            session_expiry_s: 0,
            keep_alive_s: 60,
            login: Login::default(),
            will: None,
            connect_timeout: Duration::from_secs(30),
            ack_timeout: None,
            receive_maximum: 1024,
            in_flight_max: u16::MAX,
            packet_bytes_max: 16 << 20,
            topic_aliases_max: 16,
            packet_ids_max: None,
            is_relay: false,
            is_bridge: false,
            user_properties: Vec::new(),
            request_response_information: true,
            request_problem_information: true,
            farewell: Farewell::default(),
            queue: QueueOptions::default(),
            session_loss: SessionLoss::default(),
            reconnect: Some(Backoff::default()),
            verdicts: Vec::new(),
            tap: false,
        }
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            messages_max: 10_000,
            bytes_max: 64 << 20,
            when_full: WhenFull::default(),
            offline: Offline::default(),
        }
    }
}

impl Default for Backoff {
    /// 100 ms to 60 s, full jitter, stable after 30 s, for ever.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(60),
            jitter: 1.0,
            stable: Duration::from_secs(30),
            attempts_max: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let text = format!("{:?}", Login::new("ada", "secret"));
        assert!(text.contains("ada") && !text.contains("secret"), "{text}");
    }

    /// A refused login, a ban and a takeover do not get better by trying.
    #[test]
    fn stale_credentials_are_not_retried_for_ever() {
        for reason in [
            ReasonCode::BadUserNameOrPassword,
            ReasonCode::NotAuthorized,
            ReasonCode::Banned,
            ReasonCode::SessionTakenOver,
        ] {
            assert_eq!(Verdict::of(reason), Verdict::Stop);
        }
        assert_eq!(Verdict::of(ReasonCode::ServerBusy), Verdict::RetryLater);
        assert_eq!(Verdict::of(ReasonCode::ServerMoved), Verdict::Elsewhere);
        assert_eq!(Verdict::of(ReasonCode::ServerShuttingDown), Verdict::Retry);
    }

    #[test]
    fn verdicts_can_be_overruled() {
        let mut options = Options::new(["mqtt://a"]);
        options.verdicts.push((ReasonCode::NotAuthorized, Verdict::Retry));
        assert_eq!(options.verdict(ReasonCode::NotAuthorized), Verdict::Retry);
        assert_eq!(options.verdict(ReasonCode::Banned), Verdict::Stop);
    }
}
