//! The decoding proxy: who connects here is connected to the broker, and all that is said is printed.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use skein_client::transport::{Dial, Dialed, Dialer};

use super::link::{Link, Standing};
use super::packet::Detail;
use super::seen::Seen;

/// Connections at once; further ones are closed.
const LINKS_MAX: usize = 1_000;

/// How long newcomers wait at most for another try where none could be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const SIGNALS: Token = Token(2);
/// Each link has two tokens from here on: that of its client and that of its broker.
const FIRST_LINK: usize = 4;

/// What the proxy tells of.
#[derive(Debug)]
pub(super) enum Told<'a> {
    /// A connection has come: from where, and where it goes.
    Connected(String),
    /// Something was said on it.
    Seen(&'a Seen),
    /// It has ended, and how.
    Closed(String),
    /// It could not be taken or passed on: what becomes of it, and why.
    Failed { event: &'static str, detail: String },
}

/// Where it goes, and how.
pub(super) struct Route {
    pub(super) dial: Dial,
    pub(super) server: Arc<str>,
    pub(super) timeout: Duration,
    pub(super) detail: Detail,
}

/// The proxy.
pub(super) struct Proxy {
    poll: Poll,
    listener: TcpListener,
    signals: Signals,
    route: Arc<Route>,
    waker: Arc<Waker>,
    /// What has become of links to the broker, and where that is told.
    opened: Receiver<Opened>,
    opening: Sender<Opened>,
    links: HashMap<u64, Link>,
    numbers: u64,
    /// Newcomers wait that could not be accepted, as the system had nothing to give. It says so only once:
    /// they are tried again when a link has ended, and after a while.
    is_short: bool,
    /// Links with more to do than one turn is for.
    busy: Vec<u64>,
}

/// A link to the broker that was opened, or why it could not be.
struct Opened {
    number: u64,
    dialed: skein_client::Result<Dialed>,
}

impl Proxy {
    /// Takes who comes to this listener.
    ///
    /// # Errors
    /// The system has no poll to give, or what belongs to it.
    pub(super) fn new(mut listener: TcpListener, route: Route) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (opening, opened) = channel();
        Ok(Self {
            poll,
            listener,
            signals,
            route: Arc::new(route),
            waker,
            opened,
            opening,
            links: HashMap::new(),
            numbers: 0,
            is_short: false,
            busy: Vec::new(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Passes on until a signal comes, or `tell` has told enough and says so by false.
    ///
    /// # Errors
    /// The system's poll fails.
    pub(super) fn run(mut self, mut tell: impl FnMut(u64, Told<'_>) -> bool) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let mut ready = std::mem::take(&mut self.busy);
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(&mut tell),
                    WAKER => {}
                    SIGNALS => {
                        if self.signals.pending().next().is_some() {
                            return Ok(());
                        }
                    }
                    Token(token) => {
                        let number = ((token - FIRST_LINK) / 2) as u64;
                        self.links.get_mut(&number).into_iter().for_each(Link::note_ready);
                        ready.push(number);
                    }
                }
            }
            ready.extend(self.take_opened(&mut tell));
            ready.sort_unstable();
            ready.dedup();
            for number in ready {
                if !self.pump(number, &mut tell) {
                    return Ok(());
                }
            }
            // What has ended has made room.
            if self.is_short {
                self.accept(&mut tell);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        match self.busy.is_empty() {
            false => Some(Duration::ZERO),
            true => self.is_short.then_some(ACCEPT_PAUSE),
        }
    }

    fn accept(&mut self, tell: &mut impl FnMut(u64, Told<'_>) -> bool) {
        let was_short = std::mem::take(&mut self.is_short);
        loop {
            let (mut client, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.is_short = true;
                    if !was_short {
                        tell(0, failed("cannot accept", format!("{error}; trying again")));
                    }
                    return;
                }
            };
            self.numbers += 1;
            let number = self.numbers;
            if self.links.len() >= LINKS_MAX {
                let detail = format!("{peer}: {LINKS_MAX} connections are enough");
                tell(number, failed("closed", detail));
                continue;
            }
            // Packets are passed on as they come, however small.
            let _ = client.set_nodelay(true);
            let (token, both) = (token(number, 0), Interest::READABLE | Interest::WRITABLE);
            let registered = self.poll.registry().register(&mut client, token, both);
            if let Err(error) = registered.and_then(|()| self.open(number)) {
                tell(number, failed("closed", error.to_string()));
                continue;
            }
            tell(number, Told::Connected(format!("from {peer} to {}", self.route.server)));
            self.links.insert(number, Link::new(client, self.route.detail));
        }
    }

    /// Looking up a name and shaking hands take their time: that is a thread's.
    fn open(&self, number: u64) -> io::Result<()> {
        let (sender, waker) = (self.opening.clone(), Arc::clone(&self.waker));
        let route = Arc::clone(&self.route);
        let dial = move || {
            let dialed = route.dial.dial(&route.server, route.timeout);
            // Who has ended has no use for it.
            let _ = sender.send(Opened { number, dialed });
            let _ = waker.wake();
        };
        thread::Builder::new().name("dial".into()).spawn(dial).map(drop)
    }

    /// Links that may begin.
    fn take_opened(&mut self, tell: &mut impl FnMut(u64, Told<'_>) -> bool) -> Vec<u64> {
        let mut begin = Vec::new();
        while let Ok(Opened { number, dialed }) = self.opened.try_recv() {
            let both = Interest::READABLE | Interest::WRITABLE;
            let registered = dialed.map_err(|error| error.to_string()).and_then(|mut dialed| {
                let source = dialed.transport.source();
                let registered = self.poll.registry().register(source, token(number, 1), both);
                registered.map(|()| dialed.transport).map_err(|error| error.to_string())
            });
            match (registered, self.links.get_mut(&number)) {
                (Ok(transport), Some(link)) => {
                    link.broker = Some(transport);
                    begin.push(number);
                }
                (Err(error), _) => {
                    self.links.remove(&number);
                    let detail = format!("as the broker cannot be reached: {error}");
                    tell(number, failed("closed", detail));
                }
                (Ok(_), None) => {}
            }
        }
        begin
    }

    /// False if enough was told.
    fn pump(&mut self, number: u64, tell: &mut impl FnMut(u64, Told<'_>) -> bool) -> bool {
        let Some(link) = self.links.get_mut(&number) else { return true };
        let mut all = Vec::new();
        let standing = link.pump(&mut all);
        if !all.iter().all(|seen| tell(number, Told::Seen(seen))) {
            return false;
        }
        match standing {
            Standing::Waits => {}
            Standing::Busy => self.busy.push(number),
            Standing::Over(how) => {
                let rest = match link.unfinished() {
                    0 => String::new(),
                    count => format!(", {count} bytes into a packet"),
                };
                self.links.remove(&number);
                return tell(number, Told::Closed(how + &rest));
            }
        }
        true
    }
}

fn failed(event: &'static str, detail: String) -> Told<'static> {
    Told::Failed { event, detail }
}

fn token(number: u64, side: usize) -> Token {
    // Nobody accepts so many connections that this is too small.
    let number = usize::try_from(number).unwrap_or(usize::MAX / 4);
    Token(FIRST_LINK + 2 * number + side)
}
