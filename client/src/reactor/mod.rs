//! Tens of thousands of clients on one thread.
//!
//! Each is a [`Session`] and a link, without queues, callbacks or locks: what happens is handed to
//! one function, which may act on the client it happens to.
//!
//! ```no_run
//! use skein_client::reactor::{Happening, Reactor};
//! use skein_client::session::Event;
//! use skein_client::{Options, Publish};
//!
//! let mut reactor = Reactor::new()?;
//! for number in 0..50_000 {
//!     let client_id = format!("c{number}");
//!     reactor.add(Options { client_id, ..Options::new(["mqtt://127.0.0.1"]) })?;
//! }
//! reactor.run(|seat, happening| {
//!     if let Happening::Event(Event::Connected { .. }) = happening {
//!         let _ = seat.publish(Publish::new("t", "x"));
//!     }
//! })?;
//! # Ok::<(), skein_client::Error>(())
//! ```

mod dialers;
mod happening;
mod linger;
mod member;
mod seat;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token as PollToken, Waker};

use self::dialers::{Dialers, Opened};
use self::linger::Lingering;
use self::member::{Member, random};
use crate::session::{Authenticator, Session};
use crate::store::Kept;
use crate::transport::{Dial, Dialer};
use crate::{Error, Options, Result, Store};

pub use self::happening::Happening;
pub use self::seat::Seat;

/// What wakes the poll besides links.
const WAKER: PollToken = PollToken(usize::MAX);
/// How many threads open links, where nothing else is said.
const DIALERS: usize = 8;
/// How many links are looked at in one go.
const EVENTS: usize = 1024;
/// How much is read from one link before the next has its turn.
const READ_BYTES: usize = 64 * 1024;

/// Names one client of a reactor; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(usize);

/// Many clients, and the thread that calls [`run`](Self::run) or [`turn`](Self::turn).
pub struct Reactor {
    poll: Poll,
    events: Events,
    members: BTreeMap<MemberId, Member>,
    last: usize,
    /// When which client wants a tick. An entry that is not the one its client remembers is stale.
    timers: BinaryHeap<Reverse<(Duration, MemberId)>>,
    /// Clients with something to do, each once.
    ready: VecDeque<MemberId>,
    dialers: Dialers,
    lingering: VecDeque<Lingering>,
    started: Instant,
    buffer: Vec<u8>,
}

impl Reactor {
    /// A reactor without clients, for all the usual addresses.
    ///
    /// # Errors
    /// The system has no further descriptors or threads.
    pub fn new() -> Result<Self> {
        Self::with_dialer(Dial::default(), DIALERS)
    }

    /// A reactor that opens links with this dialer, on so many threads.
    ///
    /// # Errors
    /// The system has no further descriptors or threads.
    pub fn with_dialer(dialer: impl Dialer + 'static, threads: usize) -> Result<Self> {
        let poll = Poll::new().map_err(|error| lost(&error))?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(|error| lost(&error))?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            members: BTreeMap::new(),
            last: 0,
            timers: BinaryHeap::new(),
            ready: VecDeque::new(),
            dialers: Dialers::new(dialer, threads, waker)?,
            lingering: VecDeque::new(),
            started: Instant::now(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Adds a client, which connects with the next turn.
    ///
    /// # Errors
    /// Options that no CONNECT can carry.
    pub fn add(&mut self, options: Options) -> Result<MemberId> {
        self.insert(options, None, None, None)
    }

    /// As [`add`](Self::add), with a method of enhanced authentication.
    ///
    /// # Errors
    /// As for it.
    pub fn add_with(
        &mut self,
        options: Options,
        authenticator: Option<Box<dyn Authenticator>>,
    ) -> Result<MemberId> {
        self.insert(options, authenticator, None, None)
    }

    /// As [`add`](Self::add), with a dialer of the client's own.
    ///
    /// # Errors
    /// As for it.
    pub fn add_with_dialer(
        &mut self,
        options: Options,
        dialer: Arc<dyn Dialer>,
    ) -> Result<MemberId> {
        self.insert(options, None, Some(dialer), None)
    }

    /// As [`add`](Self::add), with messages of QoS 1 and 2 that outlive the process, and, if it has
    /// one, a dialer of the client's own. What the last process left is sent first; see
    /// [`Builder::store`](crate::Builder::store).
    ///
    /// # Errors
    /// As for it, and [`Error::Store`].
    pub fn add_with_store(
        &mut self,
        options: Options,
        dialer: Option<Arc<dyn Dialer>>,
        store: Box<dyn Store>,
    ) -> Result<MemberId> {
        self.insert(options, None, dialer, Some(store))
    }

    fn insert(
        &mut self,
        options: Options,
        authenticator: Option<Box<dyn Authenticator>>,
        dialer: Option<Arc<dyn Dialer>>,
        store: Option<Box<dyn Store>>,
    ) -> Result<MemberId> {
        let seed = u64::from_ne_bytes(random()?);
        let mut session = Session::new(options, seed)?;
        if let Some(authenticator) = authenticator {
            session.set_authenticator(authenticator);
        }
        let kept = match store {
            Some(store) => Some(Box::new(Kept::restore(store, &mut session)?)),
            None => None,
        };
        session.start(self.now());
        self.last += 1;
        let id = MemberId(self.last);
        self.members.insert(id, Member::new(session, dialer, kept));
        self.ready.push_back(id);
        Ok(id)
    }

    /// How many clients there are; those that have ended are none.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no client.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A client, to have it do something; what follows happens in the next turn.
    pub fn seat(&mut self, id: MemberId) -> Option<Seat<'_>> {
        let now = self.now();
        let member = self.members.get_mut(&id)?;
        if !member.is_ready {
            member.is_ready = true;
            self.ready.push_back(id);
        }
        Some(Seat { id, session: &mut member.session, kept: member.kept.as_deref_mut(), now })
    }

    /// A client, to look at.
    pub fn session(&self, id: MemberId) -> Option<&Session> {
        self.members.get(&id).map(|member| &member.session)
    }

    /// What ends a [`turn`](Self::turn) from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        self.dialers.waker()
    }

    /// Every client's name.
    pub fn ids(&self) -> impl Iterator<Item = MemberId> {
        self.members.keys().copied()
    }

    /// Turns until every client has ended.
    ///
    /// # Errors
    /// The system's poll fails.
    pub fn run(&mut self, mut handle: impl FnMut(&mut Seat<'_>, Happening)) -> Result<()> {
        while !self.is_empty() {
            self.turn(None, &mut handle)?;
        }
        Ok(())
    }

    /// Waits until something happens, for so long at most, and does everything that follows.
    ///
    /// # Errors
    /// The system's poll fails.
    pub fn turn(
        &mut self,
        timeout: Option<Duration>,
        handle: &mut impl FnMut(&mut Seat<'_>, Happening),
    ) -> Result<()> {
        let mut has_happened = false;
        self.serve_ready(&mut |seat: &mut Seat<'_>, happening| {
            has_happened = true;
            handle(seat, happening);
        });
        self.begin_dials();
        // What has happened already is not waited for.
        let at_once = has_happened.then_some(Duration::ZERO);
        let timeout = [timeout, self.next_timeout(), at_once].into_iter().flatten().min();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(lost(&error)),
            _ => {}
        }
        self.take_events();
        while let Some(opened) = self.dialers.next_opened() {
            self.take_link(opened);
        }
        self.tick();
        self.serve_ready(handle);
        Ok(())
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long until somebody wants a tick; no time at all if somebody has something to do.
    fn next_timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let timer = self.timers.peek().map(|Reverse((deadline, _))| *deadline);
        let linger = self.lingering.front().map(Lingering::end);
        let next = [timer, linger].into_iter().flatten().min()?;
        Some(next.saturating_sub(self.now()))
    }

    fn take_events(&mut self) {
        for event in &self.events {
            let id = MemberId(event.token().0);
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.may_read |= event.is_readable() || event.is_read_closed();
            member.may_write |= event.is_writable();
            if !member.is_ready {
                member.is_ready = true;
                self.ready.push_back(id);
            }
        }
    }

    /// Hands out as many dials as there are threads for. The time that one may take begins with it:
    /// with tens of thousands of clients the last of them waits for longer than that.
    fn begin_dials(&mut self) {
        let now = self.now();
        let Self { dialers, members, .. } = self;
        dialers.begin(|wanted| {
            let member = members.get_mut(&wanted.id);
            let Some(member) = member.filter(|member| member.dial == wanted.dial) else {
                return false;
            };
            member.waits_for_dial = false;
            member.session.postpone(now);
            true
        });
    }

    fn take_link(&mut self, opened: Opened) {
        let (id, now) = (opened.id, self.now());
        let Some(member) = self.members.get_mut(&id) else { return };
        // A try that was given up meanwhile has come too late.
        if member.dial != opened.dial {
            return;
        }
        member.adopt(opened, self.poll.registry(), now);
        if !member.is_ready {
            member.is_ready = true;
            self.ready.push_back(id);
        }
    }

    /// Ticks those whose time has come.
    fn tick(&mut self) {
        let now = self.now();
        while let Some(Reverse((deadline, id))) = self.timers.peek().copied() {
            if deadline > now {
                break;
            }
            self.timers.pop();
            let Some(member) = self.members.get_mut(&id) else { continue };
            if member.armed != Some(deadline) {
                continue;
            }
            member.armed = None;
            if member.waits_for_dial {
                member.session.postpone(now);
            }
            member.session.on_tick(now);
            if !member.is_ready {
                member.is_ready = true;
                self.ready.push_back(id);
            }
        }
        let buffer = &mut self.buffer;
        self.lingering.retain_mut(|lingering| lingering.goes_on(now, buffer));
    }

    /// Reads, acts and writes for each client that has something to do, once.
    fn serve_ready(&mut self, handle: &mut impl FnMut(&mut Seat<'_>, Happening)) {
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { return };
            let now = self.now();
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.is_ready = false;
            member.read(&mut self.buffer, now);
            let closed = member.perform(id, now, &mut self.dialers, handle);
            self.lingering.extend(closed.map(|link| Lingering::new(id, link, now)));
            member.write(now);
            if member.session.is_stopped() {
                self.members.remove(&id);
                continue;
            }
            if member.has_more() {
                member.is_ready = true;
                self.ready.push_back(id);
            }
            if let Some(deadline) = member.arm() {
                self.timers.push(Reverse((deadline, id)));
            }
        }
    }
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("clients", &self.len()).finish_non_exhaustive()
    }
}

fn lost(error: &io::Error) -> Error {
    Error::Lost(error.to_string().into())
}
