//! What a client is told before it connects.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mio::{Poll, Waker};
use skein_protocol::{Packet, QoS, ReasonCode, SubscriptionOptions, Version};

use super::push::handler;
use super::{Client, Context, Handle, request};
use crate::driver::{self, Handler, Hooked, Routes, Shared, Target};
use crate::hooks::NoHooks;
use crate::router::Pattern;
use crate::session::{Authenticator, Direction, Event, Session, Subscribe};
use crate::store::Kept;
use crate::transport::{Dial, Dialer, Proxy, Tls, Way};
use crate::{
    Backoff, Error, Hooks, Login, Offline, Options, Result, SessionLoss, Store, Verdict, Versions,
    WhenFull, Will,
};

/// A client that is yet to be started.
///
/// ```no_run
/// use std::time::Duration;
///
/// use skein_client::{Client, QoS, Scram, WhenFull, Will};
///
/// let client = Client::builder("mqtt://a.example,mqtt://b.example:1884") // tried in turn
///     .client_id("meter-7")
///     .keep_session(Duration::from_secs(86_400))
///     .auth(Scram::sha256("meter-7", "secret"))
///     .will(Will::new("meter/7/state", "gone").qos(QoS::AtLeastOnce).retain())
///     .queue(10_000, WhenFull::Block)
///     .route("meter/7/cmd/#", QoS::AtLeastOnce, |cx| println!("{}", cx.topic()))
///     .on_event(|event| eprintln!("{event:?}"))
///     .start()?;
/// # Ok::<(), skein_client::Error>(())
/// ```
#[must_use = "a builder does nothing before it is started"]
pub struct Builder {
    options: Options,
    authenticator: Option<Box<dyn Authenticator>>,
    hooked: Hooked,
    drain: Duration,
    hold_unrouted: Duration,
    routes: Vec<(String, QoS, Handler)>,
    tls: Option<Tls>,
    way: Result<Way>,
    store: Option<Box<dyn Store>>,
}

impl Builder {
    pub(super) fn new(servers: &str) -> Self {
        let servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        let hooked = Hooked {
            hooks: Arc::new(NoHooks),
            on_event: None,
            tap: None,
            dialer: Arc::new(Dial::default()),
            login: Login::default(),
            #[cfg(feature = "serde")]
            formats: crate::format::Formats::new(),
        };
        Self {
            options: Options::new(servers),
            authenticator: None,
            hooked,
            drain: Duration::from_secs(5),
            hold_unrouted: Duration::from_secs(5),
            routes: Vec::new(),
            tls: None,
            way: Ok(Way::Direct),
            store: None,
        }
    }

    /// The client identifier. Without one the server chooses, and its choice is kept.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.options.client_id = client_id.into();
        self
    }

    /// Keeps the session for so long after the connection, in whole seconds, and finds it again:
    /// also that of an earlier process with the same client identifier.
    pub fn keep_session(mut self, expiry: Duration) -> Self {
        self.options.session_expiry_s = u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX);
        self.options.clean_start = false;
        self
    }

    /// Forgets the session of an earlier process, even if this one's is kept.
    pub fn clean_start(mut self) -> Self {
        self.options.clean_start = true;
        self
    }

    /// This version of MQTT and no other.
    pub fn version(mut self, version: Version) -> Self {
        self.options.versions = Versions::Only(version);
        self
    }

    /// User name and password, or a token.
    pub fn login(mut self, login: Login) -> Self {
        self.options.login = login;
        self
    }

    /// A method of enhanced authentication, such as [`Scram`](crate::Scram).
    pub fn auth(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.authenticator = Some(Box::new(authenticator));
        self
    }

    /// What the server publishes when this client is gone.
    pub fn will(mut self, will: Will) -> Self {
        self.options.will = Some(will);
        self
    }

    /// The longest silence before a ping, in whole seconds; zero turns pings off.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.options.keep_alive_s = u16::try_from(interval.as_secs()).unwrap_or(u16::MAX);
        self
    }

    /// How long a try to connect may take.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// How long an acknowledgement may take before its ticket fails.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.options.ack_timeout = Some(timeout);
        self
    }

    /// How many messages of QoS 1 and 2 may wait unacknowledged on this side.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.options.receive_maximum = messages.max(1);
        self
    }

    /// The longest packet this side takes, in bytes.
    pub fn max_packet(mut self, bytes: u32) -> Self {
        self.options.packet_bytes_max = bytes;
        self
    }

    /// How many topic aliases are used, each way.
    pub fn topic_aliases(mut self, aliases: u16) -> Self {
        self.options.topic_aliases_max = aliases;
        self
    }

    /// How many messages may wait to be sent, and what happens when there are more.
    pub fn queue(mut self, messages: usize, when_full: WhenFull) -> Self {
        self.options.queue.messages_max = messages;
        self.options.queue.when_full = when_full;
        self
    }

    /// How many bytes of messages may wait to be sent.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.options.queue.bytes_max = bytes;
        self
    }

    /// What happens to messages of QoS 0 without a connection.
    pub fn offline(mut self, offline: Offline) -> Self {
        self.options.queue.offline = offline;
        self
    }

    /// Keeps messages of QoS 1 and 2 until the server has them, also over the end of the process,
    /// for instance in a [`FileStore`](crate::FileStore). What the last process left is sent first.
    /// With a session that is [kept](Self::keep_session) under a [client
    /// identifier](Self::client_id) that stays the same, QoS 2 is exactly once both ways, whenever
    /// the process ends: what was on its way goes on where it was, and what arrived and was
    /// acknowledged does not arrive again. Without, what was on its way may arrive twice.
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// What happens to unacknowledged messages when the server has lost the session.
    pub fn on_session_loss(mut self, policy: SessionLoss) -> Self {
        self.options.session_loss = policy;
        self
    }

    /// When to connect again.
    pub fn reconnect(mut self, backoff: Backoff) -> Self {
        self.options.reconnect = Some(backoff);
        self
    }

    /// One connection and no other.
    pub fn no_reconnect(mut self) -> Self {
        self.options.reconnect = None;
        self
    }

    /// What to do after this reason of the server's.
    pub fn verdict(mut self, reason: ReasonCode, verdict: Verdict) -> Self {
        self.options.verdicts.push((reason, verdict));
        self
    }

    /// Everything else; what other methods set is part of it.
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// How long closing waits for what is under way.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// How long messages of QoS 1 and 2 that come before their route wait for it, from CONNACK on:
    /// a session that is resumed may have some. Meanwhile nothing behind them is acknowledged.
    pub fn hold_unrouted(mut self, hold: Duration) -> Self {
        self.hold_unrouted = hold;
        self
    }

    /// A route that is there before CONNECT, so that nothing is missed, and is subscribed to.
    pub fn route(
        mut self,
        pattern: &str,
        qos: QoS,
        callback: impl FnMut(&Context) + Send + 'static,
    ) -> Self {
        self.routes.push((pattern.to_owned(), qos, handler(callback)));
        self
    }

    /// Tells of everything that happens, on the thread of the callbacks.
    pub fn on_event(mut self, handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.hooked.on_event = Some(Arc::new(handler));
        self
    }

    /// Knows another format of payloads, or another way to write and read a known one.
    #[cfg(feature = "serde")]
    pub fn format(
        mut self,
        content_type: &str,
        format: impl crate::format::Format + 'static,
    ) -> Self {
        self.hooked.formats.add(content_type, Arc::new(format));
        self
    }

    /// Asks before things are done.
    pub fn hooks(mut self, hooks: impl Hooks + 'static) -> Self {
        self.hooked.hooks = Arc::new(hooks);
        self
    }

    /// Shows every packet. Runs on the client's own thread, so it must be quick, and waiting for
    /// tickets is an error there.
    pub fn tap(mut self, tap: impl Fn(Direction, &Packet<'_>) + Send + Sync + 'static) -> Self {
        self.hooked.tap = Some(Box::new(tap));
        self.options.tap = true;
        self
    }

    /// Speaks TLS like this, to servers whose addresses ask for it.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Goes through a proxy: `socks5://`, `socks5h://` or `http://` and its address.
    pub fn proxy(mut self, proxy: impl Into<String>) -> Self {
        self.way = Proxy::parse(&proxy.into()).map(Way::Proxy);
        self
    }

    /// Goes through the proxy that the environment asks for; see
    /// [`Dial::proxy_from_environment`]. Without this, the environment has no say.
    pub fn proxy_from_environment(mut self) -> Self {
        self.way = Ok(Way::Environment);
        self
    }

    /// Opens links in your own way. TLS and proxies are your business then.
    pub fn dialer(mut self, dialer: impl Dialer + 'static) -> Self {
        self.hooked.dialer = Arc::new(dialer);
        self
    }

    /// Starts the client and waits for the first try to connect to end.
    ///
    /// # Errors
    /// Why it failed; there is no client then.
    pub fn connect(mut self) -> Result<Client> {
        let timeout = self.options.connect_timeout;
        let first = driver::Slot::new();
        let told = Arc::clone(&first);
        let own = self.hooked.on_event.take();
        self.hooked.on_event = Some(Arc::new(move |event| {
            match event {
                Event::Connected { .. } => told.fill(Ok(())),
                Event::Failed { why, retry_in } if retry_in.is_none_or(|it| !it.is_zero()) => {
                    told.fill(Err(why.clone()));
                }
                Event::GaveUp { why } => told.fill(Err(why.clone())),
                _ => {}
            }
            if let Some(own) = &own {
                own(event);
            }
        }));
        let servers = u32::try_from(self.options.servers.len()).unwrap_or(u32::MAX).max(1);
        let client = self.start()?;
        let operation = crate::Operation::Connect;
        let after = timeout.saturating_mul(servers);
        let connected = first.wait_for(after)?.unwrap_or(Err(Error::Timeout { operation, after }));
        if let Err(error) = connected {
            // There is nothing to wait for at the end of a client that nobody has.
            client.shared().with_session(|session, now| session.close(Duration::ZERO, now));
            return Err(error);
        }
        Ok(client)
    }

    /// Starts the client, which connects behind your back, again and again if it must.
    ///
    /// # Errors
    /// Options that no CONNECT can carry, a bad pattern of a route, or a system out of threads.
    pub fn start(mut self) -> Result<Client> {
        let way = self.way?;
        if self.tls.is_some() || !matches!(way, Way::Direct) {
            self.hooked.dialer = Arc::new(dialer(self.tls.as_ref(), way)?);
        }
        let when_full = self.options.queue.when_full;
        self.hooked.login = self.options.login.clone();
        let mut session = Session::new(self.options, random_seed())?;
        if let Some(authenticator) = self.authenticator {
            session.set_authenticator(authenticator);
        }
        let kept = match self.store {
            Some(store) => Kept::restore(store, &mut session)?,
            None => Kept::default(),
        };
        let mut routes = Routes::new(self.hold_unrouted);
        for (pattern, qos, handler) in self.routes {
            let options = SubscriptionOptions::with_qos(qos);
            let subscribe = Subscribe::new(Pattern::new(&pattern)?.text(), options);
            let (_, identifier) = session.subscribe(subscribe, Duration::ZERO)?;
            routes.add(&pattern, Some(identifier), Target::Callback(handler), &Weak::new())?;
        }
        session.start(Duration::ZERO);
        let (poll, waker) = poll()?;
        let shared = Arc::new(Shared::new(session, kept, routes, self.hooked, when_full, waker));
        driver::spawn(Arc::clone(&shared), poll)?;
        let requests = request::Requests::default();
        Ok(Client(Arc::new(Handle { shared, drain: self.drain, requests })))
    }
}

fn dialer(tls: Option<&Tls>, way: Way) -> Result<Dial> {
    let dial = Dial::default().way(way);
    tls.map_or(Ok(dial.clone()), |tls| dial.tls(tls))
}

fn poll() -> Result<(Poll, Waker)> {
    let made = Poll::new().and_then(|poll| {
        let waker = Waker::new(poll.registry(), driver::WAKER)?;
        Ok((poll, waker))
    });
    made.map_err(|error| Error::Lost(error.to_string().into()))
}

/// What the jitter is drawn from; a system without random bytes has no better.
fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}
