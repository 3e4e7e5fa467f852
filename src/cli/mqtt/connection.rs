//! One connection, told what to do step by step.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::Waker;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use skein_client::reactor::{Happening, MemberId, Reactor, Seat};
use skein_client::session::{Event, Outcome, ServerInfo, Session, Token};
use skein_client::{Error, Message, ReasonCode, Version, Versions};

use super::exit::{Exit, code};
use super::options::{ConnectionPlan, Manner};
use super::{debug, input};

/// A connection to a broker, and what else a program listens to.
pub(in crate::cli) struct Connection {
    reactor: Reactor,
    id: MemberId,
    incidents: VecDeque<Incident>,
    lines: Option<Receiver<Bytes>>,
    /// What other threads tell.
    calls: Receiver<Incident>,
    caller: Sender<Incident>,
    version: Version,
    client_id: String,
    manner: Manner,
    is_debug: bool,
    is_quiet: bool,
    is_tls: bool,
    keeps_trying: bool,
    was_connected: bool,
}

/// Something that happened.
#[derive(Debug)]
pub(in crate::cli) enum Incident {
    /// The broker has accepted the connection, for the first time or again.
    Connected(Arc<ServerInfo>, bool),
    /// The connection is lost; it is looked for again.
    Lost(Error),
    /// A message has arrived. Above QoS 0 it wants to be acknowledged.
    Message(Message),
    /// An operation has ended.
    Completed(Token, skein_client::Result<Outcome>),
    /// A line of standard input.
    Line(Bytes),
    /// Standard input has ended.
    EndOfLines,
    /// SIGINT or SIGTERM.
    Signal,
    /// A command that was run for a message has ended: well, or not.
    Ran(bool),
    /// It is over, and this is why.
    Over(Exit),
    /// The time is over.
    Timeout,
}

/// Tells a connection what happens on other threads.
#[derive(Clone)]
pub(in crate::cli) struct Caller {
    sender: Sender<Incident>,
    waker: Arc<Waker>,
}

impl Caller {
    /// Tells it; false when nobody listens any more.
    pub(in crate::cli) fn tell(&self, incident: Incident) -> bool {
        self.sender.send(incident).is_ok() && self.waker.wake().is_ok()
    }
}

impl Connection {
    /// Begins to connect.
    ///
    /// # Errors
    /// Options that no CONNECT can carry, or a system out of threads.
    pub(in crate::cli) fn start(plan: ConnectionPlan) -> Result<Self, Exit> {
        let ConnectionPlan { options, dial, authenticator, manner, .. } = plan;
        let version = match options.versions {
            Versions::NewestFirst => Version::V5,
            Versions::Only(version) => version,
        };
        let failed = |error: Error| Exit::with(code::USAGE, format!("Error: {error}"));
        let client_id = options.client_id.clone();
        let mut reactor = Reactor::with_dialer(dial, 1).map_err(failed)?;
        let id = reactor.add_with(options, authenticator).map_err(failed)?;
        let (caller, calls) = channel();
        Ok(Self {
            reactor,
            id,
            incidents: VecDeque::new(),
            lines: None,
            calls,
            caller,
            version,
            client_id,
            manner,
            is_debug: plan.is_debug,
            is_quiet: plan.is_quiet,
            is_tls: plan.is_tls,
            keeps_trying: plan.keeps_trying,
            was_connected: false,
        })
    }

    /// From now on SIGINT and SIGTERM are incidents.
    ///
    /// # Errors
    /// The system does not tell of them.
    pub(in crate::cli) fn catch_signals(&mut self) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let caller = self.caller();
        let watch = move || {
            for _ in signals.forever() {
                if !caller.tell(Incident::Signal) {
                    return;
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
    }

    /// What other threads tell the connection with.
    pub(in crate::cli) fn caller(&self) -> Caller {
        Caller { sender: self.caller.clone(), waker: self.reactor.waker() }
    }

    /// From now on these keys are as a signal, where standard input is a terminal that gives keys one by
    /// one.
    ///
    /// # Errors
    /// The system has no further thread.
    pub(in crate::cli) fn catch_keys(&mut self, keys: &'static [u8]) -> io::Result<()> {
        let caller = self.caller();
        let watch = move || {
            let is_one = |key: &io::Result<u8>| key.as_ref().is_ok_and(|key| keys.contains(key));
            if io::stdin().lock().bytes().take_while(Result::is_ok).any(|key| is_one(&key)) {
                // Who has ended has no use for it.
                caller.tell(Incident::Signal);
            }
        };
        thread::Builder::new().name("keys".into()).spawn(watch).map(drop)
    }

    /// From now on lines of standard input are incidents, while there is room for them.
    ///
    /// # Errors
    /// The system has no further thread.
    pub(in crate::cli) fn read_lines(&mut self) -> io::Result<()> {
        self.lines = Some(input::lines(self.reactor.waker())?);
        Ok(())
    }

    /// The next incident, or [`Incident::Timeout`].
    pub(in crate::cli) fn next(&mut self, until: Option<Instant>) -> Incident {
        loop {
            if let Some(incident) = self.incidents.pop_front() {
                return self.note(incident);
            }
            if let Ok(incident) = self.calls.try_recv() {
                return incident;
            }
            if let Some(incident) = self.next_line() {
                return incident;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Incident::Timeout;
            }
            if let Err(exit) = self.turn(left) {
                return Incident::Over(exit);
            }
        }
    }

    /// Waits until the broker has accepted the connection.
    ///
    /// # Errors
    /// How the program ends without it.
    pub(in crate::cli) fn connect(
        &mut self,
        until: Option<Instant>,
    ) -> Result<(Arc<ServerInfo>, bool), Exit> {
        loop {
            match self.next(until) {
                Incident::Connected(server, is_present) => return Ok((server, is_present)),
                Incident::Over(exit) => return Err(exit),
                Incident::Timeout => return Err(Exit::timed_out()),
                Incident::Signal => return Err(Exit { code: code::INTERRUPTED, text: None }),
                _ => {}
            }
        }
    }

    /// Has the client do something, if there is still one.
    pub(in crate::cli) fn act<T>(&mut self, action: impl FnOnce(&mut Seat<'_>) -> T) -> Option<T> {
        self.reactor.seat(self.id).map(|mut seat| action(&mut seat))
    }

    /// As [`act`](Self::act), for what can fail.
    ///
    /// # Errors
    /// What it says, or that there is no client any more.
    pub(in crate::cli) fn try_act<T>(
        &mut self,
        action: impl FnOnce(&mut Seat<'_>) -> skein_client::Result<T>,
    ) -> skein_client::Result<T> {
        self.act(action).unwrap_or(Err(Error::Closed))
    }

    /// The version of MQTT that is spoken.
    pub(in crate::cli) fn version(&self) -> Version {
        self.version
    }

    /// What is known of the client.
    pub(in crate::cli) fn session(&self) -> Option<&Session> {
        self.reactor.session(self.id)
    }

    /// Writes what is to be written, says DISCONNECT with this reason, and waits a moment for the
    /// broker to hang up.
    ///
    /// # Errors
    /// The connection was lost before everything was written.
    pub(in crate::cli) fn goodbye(&mut self, reason: ReasonCode) -> Result<(), Exit> {
        /// How long a link that is full is left to empty before it is looked at again.
        const PAUSE: Duration = Duration::from_millis(100);
        self.turn(Some(Duration::ZERO))?;
        while self.session().is_some_and(|it| it.is_up() && !it.output().is_empty()) {
            self.turn(Some(PAUSE))?;
            let lost = self.incidents.iter().find_map(|incident| match incident {
                Incident::Lost(error) => Some(Exit::lost(error, self.version, self.manner)),
                Incident::Over(exit) => Some(exit.clone()),
                _ => None,
            });
            if let Some(exit) = lost {
                return Err(exit);
            }
        }
        self.act(|seat| seat.disconnect(reason));
        self.turn(Some(Duration::ZERO))?;
        self.reactor.linger();
        Ok(())
    }

    /// Says something that went wrong.
    pub(in crate::cli) fn warn(&self, text: &str) {
        if !self.is_quiet {
            eprintln!("{text}");
        }
    }

    fn next_line(&mut self) -> Option<Incident> {
        /// So many messages may wait for the broker before more lines are read.
        const WAITING_MAX: usize = 100;
        let is_ready = self.session().is_some_and(|session| {
            let waiting = session.statistics(Duration::ZERO);
            session.is_up() && waiting.queued < WAITING_MAX
        });
        let lines = self.lines.as_ref().filter(|_| is_ready)?;
        match lines.try_recv() {
            Ok(line) => Some(Incident::Line(line)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.lines = None;
                Some(Incident::EndOfLines)
            }
        }
    }

    fn turn(&mut self, timeout: Option<Duration>) -> Result<(), Exit> {
        let (incidents, is_debug) = (&mut self.incidents, self.is_debug);
        let (client_id, version) = (&mut self.client_id, &mut self.version);
        let (manner, is_first) = (self.manner, !self.was_connected);
        let (is_tls, keeps_trying) = (self.is_tls, self.keeps_trying);
        let ends = End { manner, is_tls, is_first, keeps_trying };
        let turned = self.reactor.turn(timeout, &mut |_, happening| match happening {
            Happening::Message(message) => incidents.push_back(Incident::Message(message)),
            Happening::Completed(token, result) => {
                incidents.push_back(Incident::Completed(token, result));
            }
            Happening::Packet(direction, version, bytes) if is_debug => {
                let lines = debug::lines(direction, version, &bytes, client_id);
                // Where nobody reads, nobody misses it.
                let _ = io::stdout().lock().write_all(lines.as_bytes());
            }
            Happening::Packet(..) | Happening::Step(_) => {}
            Happening::Event(Event::FellBack(next)) => *version = next,
            Happening::Event(Event::Connected { session_present, server }) => {
                *version = server.version;
                client_id.clone_from(&server.client_id);
                incidents.push_back(Incident::Connected(server, session_present));
            }
            Happening::Event(event) => incidents.extend(ends.incident(event, *version)),
        });
        turned.map_err(|error| Exit::with(code::UNKNOWN, format!("Error: {error}")))
    }

    fn note(&mut self, incident: Incident) -> Incident {
        self.was_connected |= matches!(incident, Incident::Connected(..));
        incident
    }
}

/// Which ends of connections are the end of the program.
struct End {
    manner: Manner,
    is_tls: bool,
    /// Nothing has ever worked.
    is_first: bool,
    keeps_trying: bool,
}

impl End {
    fn incident(&self, event: Event, version: Version) -> Option<Incident> {
        match event {
            Event::Failed { why, retry_in } => {
                let is_refused = matches!(why, Error::Refused { .. });
                let is_over = (self.is_first || is_refused) && !self.keeps_trying;
                let exit = || Exit::not_connected(&why, version, self.manner, self.is_tls);
                (is_over || retry_in.is_none()).then(|| Incident::Over(exit()))
            }
            Event::Lost { why, retry_in: Some(_) } => Some(Incident::Lost(why)),
            Event::GaveUp { why } => Some(Incident::Over(Exit::lost(&why, version, self.manner))),
            _ => None,
        }
    }
}
