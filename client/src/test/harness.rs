//! A session, a clock and a link; the test plays the server.

use std::collections::BTreeMap;
use std::time::Duration;

use skein_protocol::{ConnAck, ConnAckProperties, Frame, Packet, ReasonCode};

use super::{Clock, Link};
use crate::session::{Attempt, Effect, Event, Outcome, Session, Step, Subscribe, Token};
use crate::store::Kept;
use crate::{Delivery, Error, Message, Options, Publish, Result, Store};

/// More ticks than any time span of a test has; a deadline that does not move is a bug.
const TICKS_MAX: usize = 100_000;

/// A session on a fake link. What it says is collected in the public fields.
#[derive(Debug)]
pub struct Harness {
    /// The session.
    pub session: Session,
    /// The link, whether it is open or not.
    pub link: Link,
    /// The tries to connect that were asked for, oldest first.
    pub dials: Vec<Attempt>,
    /// What has happened, oldest first.
    pub events: Vec<Event>,
    /// The operations that have ended.
    pub completed: BTreeMap<Token, Result<Outcome>>,
    /// The messages that arrived, oldest first.
    pub messages: Vec<Message>,
    /// The steps of handshakes that are to go on at another server, oldest first.
    pub steps: Vec<Step>,
    kept: Kept,
    clock: Clock,
    links: u8,
}

impl Harness {
    /// A session that has been started and wants a link.
    ///
    /// # Panics
    /// If no CONNECT can carry the options.
    pub fn new(options: Options) -> Self {
        Self::around(Session::new(options, 1).expect("the options of a test are good"))
    }

    /// As [`new`](Self::new), with messages that outlive the session.
    ///
    /// # Panics
    /// If no CONNECT can carry the options, or the store cannot be read.
    pub fn with_store(options: Options, store: impl Store + 'static) -> Self {
        let mut session = Session::new(options, 1).expect("the options of a test are good");
        let kept = Kept::restore(Box::new(store), &mut session).expect("the store can be read");
        Self::begin(session, kept)
    }

    /// Starts this session.
    pub fn around(session: Session) -> Self {
        Self::begin(session, Kept::default())
    }

    fn begin(session: Session, kept: Kept) -> Self {
        let mut harness = Self {
            session,
            link: Link::default(),
            dials: Vec::new(),
            events: Vec::new(),
            completed: BTreeMap::new(),
            messages: Vec::new(),
            steps: Vec::new(),
            kept,
            clock: Clock::default(),
            links: 0,
        };
        harness.session.start(harness.now());
        harness.settle();
        harness
    }

    /// A session that is connected, with a new session on a server without limits; its CONNECT was
    /// heard already.
    pub fn connected(options: Options) -> Self {
        let mut harness = Self::new(options);
        harness.open();
        harness.accept(false);
        harness
    }

    /// The time.
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Opens the link that was asked for.
    pub fn open(&mut self) {
        self.link.open();
        self.links = self.links.wrapping_add(1);
        let now = self.now();
        self.session.on_opened([self.links; 32], now);
        self.settle();
    }

    /// The try to connect fails.
    pub fn refuse_link(&mut self) {
        self.close_link(Some(Error::lost("connection refused")));
    }

    /// Says CONNACK with success and without properties; what the client said before is forgotten.
    pub fn accept(&mut self, session_present: bool) {
        self.accept_with(session_present, ConnAckProperties::default());
    }

    /// As [`accept`](Self::accept), on these terms.
    pub fn accept_with(&mut self, session_present: bool, properties: ConnAckProperties<'_>) {
        self.hear();
        let reason = ReasonCode::Success;
        self.say(&Packet::ConnAck(ConnAck { session_present, reason, properties }));
    }

    /// Says CONNACK with this refusal.
    pub fn refuse(&mut self, reason: ReasonCode) {
        let properties = ConnAckProperties::default();
        self.say(&Packet::ConnAck(ConnAck { session_present: false, reason, properties }));
    }

    /// Opens the next link and accepts the connection on it.
    pub fn reconnect(&mut self, session_present: bool) {
        self.open();
        self.accept(session_present);
    }

    /// The server says this.
    pub fn say(&mut self, packet: &Packet<'_>) {
        let version = self.session.version();
        packet.encode(version, &mut self.link.to_client);
        self.arrive();
    }

    /// The server says these bytes.
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.link.to_client.extend_from_slice(bytes);
        self.arrive();
    }

    /// The link breaks.
    pub fn cut(&mut self) {
        self.close_link(None);
    }

    /// What the client has said since it was last listened to, a line for each packet.
    ///
    /// # Panics
    /// If what it said is no MQTT.
    pub fn hear(&mut self) -> Vec<String> {
        let bytes = std::mem::take(&mut self.link.to_server);
        let mut lines = Vec::new();
        let mut rest = &bytes[..];
        while let Some((frame, size)) = Frame::decode(rest, usize::MAX).expect("a good frame") {
            let packet = Packet::decode(frame, self.session.version()).expect("a good packet");
            lines.push(packet.to_string());
            rest = &rest[size..];
        }
        self.link.to_server = rest.to_vec();
        lines
    }

    /// Publishes.
    ///
    /// # Errors
    /// Those of [`Session::publish`].
    pub fn publish(&mut self, publish: Publish) -> Result<Token> {
        let token = self.kept.publish(&mut self.session, publish, self.clock.now());
        self.settle();
        token
    }

    /// Subscribes; gives the token and the subscription identifier.
    ///
    /// # Errors
    /// Those of [`Session::subscribe`].
    pub fn subscribe(&mut self, subscribe: Subscribe) -> Result<(Token, u32)> {
        let token = self.session.subscribe(subscribe, self.clock.now());
        self.settle();
        token
    }

    /// Acknowledges a message.
    pub fn acknowledge(&mut self, delivery: Delivery) {
        self.session.acknowledge(delivery, ReasonCode::Success, self.clock.now());
        self.kept.keep_marks(&mut self.session);
        self.settle();
    }

    /// Acknowledges all messages that have arrived so far, and gives them.
    pub fn take_messages(&mut self) -> Vec<Message> {
        let messages = std::mem::take(&mut self.messages);
        for delivery in messages.iter().filter_map(Message::delivery) {
            self.acknowledge(delivery);
        }
        messages
    }

    /// Closes the client.
    pub fn close(&mut self, drain: Duration) {
        self.session.close(drain, self.clock.now());
        self.settle();
    }

    /// Lets time pass, with a tick at every deadline.
    ///
    /// # Panics
    /// If a deadline comes again and again.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now() + by;
        for _ in 0..TICKS_MAX {
            match self.session.next_deadline().filter(|deadline| *deadline <= until) {
                Some(deadline) => self.clock.advance_to(deadline),
                None => return self.clock.advance_to(until),
            }
            self.session.on_tick(self.clock.now());
            self.settle();
        }
        panic!("a deadline does not move");
    }

    /// How an operation has ended, if it has.
    pub fn outcome(&mut self, token: Token) -> Option<Result<Outcome>> {
        self.completed.remove(&token)
    }

    /// Does what the session wants done, until it wants nothing.
    pub fn settle(&mut self) {
        self.flush();
        while let Some(effect) = self.session.next_effect() {
            match effect {
                Effect::Dial(attempt) => self.dials.push(attempt),
                Effect::Close => self.link.close(),
                Effect::Deliver(message) => self.messages.push(message),
                Effect::Completed(token, result) => {
                    self.kept.on_completed(token, &result);
                    self.completed.insert(token, result);
                }
                Effect::Event(event) => self.events.push(event),
                Effect::Step(step) => self.steps.push(step),
                Effect::Packet(..) => {}
            }
            self.flush();
        }
    }

    /// Carries the client's bytes; a link that breaks over them is closed at once.
    fn flush(&mut self) {
        while !self.session.output().is_empty() {
            let was_open = self.link.is_open();
            let mut bytes = Vec::new();
            self.kept.keep_marks(&mut self.session);
            self.session.swap_output(&mut bytes, self.clock.now());
            self.link.send(&bytes);
            if was_open && !self.link.is_open() {
                return self.session.on_closed(None, self.clock.now());
            }
        }
    }

    /// Carries the server's bytes, in the chunks of the link.
    pub(super) fn arrive(&mut self) {
        while self.link.is_open() && !self.link.to_client.is_empty() {
            let chunk = self.link.next_chunk();
            let was_cut = !self.link.is_open();
            self.session.on_bytes(&chunk, self.clock.now());
            self.settle();
            if was_cut {
                self.close_link(None);
            }
        }
    }

    fn close_link(&mut self, why: Option<Error>) {
        self.link.close();
        self.session.on_closed(why, self.clock.now());
        self.settle();
    }
}
