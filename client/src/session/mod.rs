//! The client without I/O: a state machine that is told what happened and says what to do.
//!
//! ```text
//!          start            on_opened            CONNACK
//!   Idle ────────▶ Dialing ───────────▶ Connecting ────────▶ Up
//!                   ▲   │ on_closed         │ refused, late   │ lost
//!                   │   ▼                   ▼                 ▼
//!              Waiting until the delay is over ◀──────────────┘
//!                   │ a reason that stays, or close
//!                   ▼
//!                Stopped
//! ```
//!
//! Whoever drives a session opens the links it asks for ([`Effect::Dial`]), feeds it the bytes
//! that arrive, writes its [`output`](Session::output), and calls
//! [`on_tick`](Session::on_tick) when [`next_deadline`](Session::next_deadline) has come. Time is
//! an argument: what has passed since any fixed moment, never going back. So is randomness.

mod alias;
mod auth;
mod bytes;
mod connect;
mod effect;
mod ending;
mod incoming;
mod keep_alive;
mod limits;
mod mark;
mod outgoing;
mod plan;
mod queue;
mod relay;
mod settle;
mod subscribe;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use skein_protocol::qos::{Receiver, Sender};
use skein_protocol::{Packet, PacketId, Version};

use self::incoming::{Held, Unacknowledged};
use self::keep_alive::{Due, KeepAlive};
use self::plan::Plan;
use self::queue::{Outgoing, Queue};
use self::relay::Relay;
use self::settle::Settling;
use self::subscribe::{Request, Subscriptions};
use crate::{Error, Operation, Options, Result, Versions};

pub use auth::Authenticator;
pub use effect::{Attempt, Direction, Effect, Event, Outcome, ServerInfo, Statistics, Step, Token};
pub use limits::Limits;
pub use mark::{Mark, Progress};
pub use subscribe::Subscribe;

/// Above this many bytes of unwritten output, messages wait in the queue, where their number and
/// size are bounded and a policy holds.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// One client: its session, and the connections that come and go.
#[derive(Debug)]
pub struct Session {
    options: Options,
    authenticator: Option<Box<dyn Authenticator>>,
    phase: Phase,
    link: Link,
    plan: Plan,
    /// The version of the next attempt.
    version: Version,
    /// Our own, or the server's choice, which is kept [MQTT-3.2.2-16].
    client_id: String,
    /// Whether the server may still have a session of ours.
    had_session: bool,

    sender: Sender<Outgoing>,
    /// What an earlier process may have left open at the server; nothing is sent before it is not.
    settling: Settling,
    /// What an earlier process had left open is known.
    knows_ids: bool,
    /// What a store has to hear of; `None`: there is none.
    marks: Option<Vec<Mark<Token>>>,
    /// QoS 2 after PUBREC: the server owns the message, and PUBCOMP is awaited.
    released: BTreeMap<PacketId, Outgoing>,
    queue: Queue,
    relay: Relay,

    receiver: Receiver,
    /// What was handed out on this connection and is not acknowledged, in the order of arrival
    /// [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    unacknowledged: VecDeque<Unacknowledged>,
    /// What was handed out on an earlier connection and not acknowledged there.
    held: BTreeMap<PacketId, Held>,
    last_delivery: u64,

    subscriptions: Subscriptions,
    /// SUBSCRIBE and UNSUBSCRIBE that are not sent yet.
    requests: VecDeque<Request>,
    /// SUBSCRIBE and UNSUBSCRIBE that are not answered yet.
    open: BTreeMap<PacketId, Request>,

    /// Acknowledgements that are awaited, by the time they are overdue.
    deadlines: BTreeSet<(Duration, Token)>,
    /// When a client that closes stops waiting for acknowledgements.
    closing: Option<Duration>,
    last_token: u64,

    input: Vec<u8>,
    output: Vec<u8>,
    effects: VecDeque<Effect>,
    statistics: Statistics,
}

/// Where the session stands; drawn at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Waiting { until: Duration },
    Dialing { deadline: Duration },
    Connecting { deadline: Duration },
    Up { since: Duration },
    Stopped,
}

/// What is true of one connection only.
#[derive(Debug)]
struct Link {
    version: Version,
    keep_alive: KeepAlive,
    limits: Limits,
    inbound: alias::Inbound,
    outbound: alias::Outbound,
    /// What the server has said about itself; before CONNACK, that of the last connection.
    server: Option<Arc<ServerInfo>>,
    /// Who waits for a re-authentication to end.
    authenticating: Option<Token>,
}

impl Session {
    /// A session that does nothing before [`start`](Self::start). The seed decides the jitter of
    /// its delays.
    ///
    /// # Errors
    /// Options that no CONNECT can carry.
    pub fn new(options: Options, seed: u64) -> Result<Self> {
        options.check()?;
        let version = match options.versions {
            Versions::NewestFirst => Version::V5,
            Versions::Only(version) => version,
        };
        Ok(Self {
            authenticator: None,
            phase: Phase::Idle,
            link: Link::new(version, &options, Duration::ZERO),
            plan: Plan::new(seed),
            version,
            client_id: options.client_id.clone(),
            had_session: false,
            sender: Sender::with_ids_up_to(options.packet_ids_max.unwrap_or(u16::MAX)),
            settling: Settling::default(),
            knows_ids: false,
            marks: None,
            released: BTreeMap::new(),
            queue: Queue::new(options.queue),
            relay: Relay::default(),
            receiver: Receiver::new(),
            unacknowledged: VecDeque::new(),
            held: BTreeMap::new(),
            last_delivery: 0,
            subscriptions: Subscriptions::default(),
            requests: VecDeque::new(),
            open: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            closing: None,
            last_token: 0,
            input: Vec::new(),
            output: Vec::new(),
            effects: VecDeque::new(),
            statistics: Statistics::default(),
            options,
        })
    }

    /// Begins to connect; of no effect on a session that has begun.
    pub fn start(&mut self, now: Duration) {
        if self.phase == Phase::Idle {
            self.dial(now);
        }
    }

    /// What the session was made with. Changes hold from the next attempt on.
    pub fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// The next thing to do, if there is any.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether there is something to do.
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// When [`on_tick`](Self::on_tick) is wanted.
    pub fn next_deadline(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Idle | Phase::Stopped => return None,
            Phase::Waiting { until } => Some(until),
            Phase::Dialing { deadline } | Phase::Connecting { deadline } => Some(deadline),
            Phase::Up { .. } => self.link.keep_alive.next_deadline(),
        };
        let ack = self.deadlines.first().map(|(deadline, _)| *deadline);
        [phase, ack, self.settling_deadline(), self.closing].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn on_tick(&mut self, now: Duration) {
        self.expire_acknowledgements(now);
        self.expire_settling(now);
        match self.phase {
            Phase::Waiting { until } if now >= until => self.dial(now),
            Phase::Dialing { deadline } | Phase::Connecting { deadline } if now >= deadline => {
                let after = self.options.connect_timeout;
                self.effects.push_back(Effect::Close);
                self.end(Error::Timeout { operation: Operation::Connect, after }, now);
            }
            Phase::Up { .. } => self.check_silence(now),
            _ => {}
        }
        if self.closing.is_some_and(|deadline| now >= deadline) {
            self.finish_closing(now);
        }
    }

    /// Whether the server has accepted the connection.
    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up { .. })
    }

    /// Whether the session has ended for good.
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    /// The client identifier: the options', or the server's choice.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What the server of the present connection, or else of the last one, has said about itself.
    pub fn server(&self) -> Option<&Arc<ServerInfo>> {
        self.link.server.as_ref()
    }

    /// The version that is spoken, or tried next.
    pub fn version(&self) -> Version {
        if self.is_up() { self.link.version } else { self.version }
    }

    /// What the session has done so far, and what it holds.
    pub fn statistics(&self, now: Duration) -> Statistics {
        let queued = self.queue.iter().map(|outgoing| outgoing.since);
        let in_flight = self.sender.values().map(|(_, outgoing)| outgoing.since);
        Statistics {
            queued: self.queue.len(),
            queued_bytes: self.queue.bytes(),
            in_flight: self.sender.in_flight(),
            unacknowledged: self.unacknowledged.len(),
            round_trip: self.link.keep_alive.round_trip(),
            oldest_age: queued
                .take(1)
                .chain(in_flight.take(1))
                .min()
                .map(|since| now.saturating_sub(since)),
            ..self.statistics
        }
    }

    /// Whether packets may arrive.
    fn is_linked(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. } | Phase::Up { .. })
    }

    /// Sends what may be sent now, in this order: what is to be sent again, subscriptions, the
    /// queue.
    fn pump(&mut self, now: Duration) {
        if self.is_up() {
            self.resend(now);
            self.send_requests(now);
            self.send_queue(now);
        }
        if self.closing.is_some() && self.is_drained() {
            self.finish_closing(now);
        }
    }

    fn check_silence(&mut self, now: Duration) {
        match self.link.keep_alive.due(now) {
            Due::Nothing => {}
            Due::Ping => {
                self.write(&Packet::PingReq, now);
                self.link.keep_alive.on_ping(now);
            }
            Due::ServerIsGone => self.fail(skein_protocol::Error::KeepAliveTimeout, now),
        }
    }

    fn expire_acknowledgements(&mut self, now: Duration) {
        while let Some((deadline, token)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            self.deadlines.pop_first();
            let after = self.options.ack_timeout.unwrap_or_default();
            let is_request = self.open.values().find(|request| request.token() == Some(token));
            let operation = is_request.map_or(Operation::Publish, Request::operation);
            self.complete(token, Err(Error::Timeout { operation, after }));
        }
    }

    /// When an acknowledgement that is awaited from now on is overdue.
    fn watch(&mut self, token: Token, now: Duration) -> Option<Duration> {
        let deadline = now + self.options.ack_timeout?;
        self.deadlines.insert((deadline, token));
        Some(deadline)
    }

    fn unwatch(&mut self, outgoing: &Outgoing) {
        if let Some(deadline) = outgoing.deadline {
            self.deadlines.remove(&(deadline, outgoing.token));
        }
    }

    fn complete(&mut self, token: Token, result: Result<Outcome>) {
        self.effects.push_back(Effect::Completed(token, result));
    }

    fn event(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    fn next_token(&mut self) -> Token {
        self.last_token += 1;
        Token(self.last_token)
    }

    /// # Errors
    /// The session has ended, or is about to.
    fn check_open(&self) -> Result<()> {
        if self.is_stopped() || self.closing.is_some() { Err(Error::Closed) } else { Ok(()) }
    }
}

impl Link {
    fn new(version: Version, options: &Options, now: Duration) -> Self {
        let announced = if version == Version::V5 { options.topic_aliases_max } else { 0 };
        Self {
            version,
            keep_alive: KeepAlive::new(Duration::ZERO, now),
            limits: Limits::BEFORE_V5,
            inbound: alias::Inbound::new(announced),
            outbound: alias::Outbound::default(),
            server: None,
            authenticating: None,
        }
    }
}

/// The text of a reason string, to be kept.
fn own(text: Option<&str>) -> Option<Arc<str>> {
    text.map(Into::into)
}
