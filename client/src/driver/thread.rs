//! The client's own thread: the link, and what the session wants done.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token as PollToken};
use skein_protocol::{Frame, Packet};

use super::link::{Link, dial, random_bytes};
use super::received::Guard;
use super::ticket::mark_client_thread;
use super::{Inbox, Received, Shared, Target};
use crate::session::{Attempt, Effect, Event};
use crate::transport::Dialed;
use crate::{Error, Message, Result};

/// What wakes the poll besides the link.
pub(crate) const WAKER: PollToken = PollToken(0);
const LINK: PollToken = PollToken(1);

/// How much is read before something else gets its turn.
const READ_BYTES: usize = 64 * 1024;

/// Begins the thread of a client.
///
/// # Errors
/// The system has no further thread.
pub(crate) fn spawn(shared: Arc<Shared>, poll: Poll) -> Result<()> {
    let (dialed, dials) = channel();
    let name = format!("mqtt:{}", shared.core().session.client_id());
    let io = Io {
        shared,
        poll,
        link: None,
        dials,
        dialed,
        dial: 0,
        output: Vec::new(),
        written: 0,
        input: vec![0; READ_BYTES],
        filled: Vec::new(),
    };
    let spawned = thread::Builder::new().name(name).spawn(move || {
        mark_client_thread();
        io.run();
    });
    spawned.map(drop).map_err(|error| Error::Lost(error.to_string().into()))
}

struct Io {
    shared: Arc<Shared>,
    poll: Poll,
    link: Option<Link>,
    dials: Receiver<(u64, Result<Dialed>)>,
    dialed: Sender<(u64, Result<Dialed>)>,
    /// The number of the dial that counts; the results of others come too late.
    dial: u64,
    output: Vec<u8>,
    /// How much of the output is written.
    written: usize,
    input: Vec<u8>,
    /// Inboxes in which something new is, of which those who wait are to be told.
    filled: Vec<Arc<Inbox>>,
}

impl Io {
    fn run(mut self) {
        let mut events = Events::with_capacity(8);
        let mut undelivered = 0;
        loop {
            let (deadline, is_stopped) = self.take_effects(&mut undelivered);
            if is_stopped {
                break;
            }
            self.write();
            self.wait(deadline, &mut events);
            self.take_dial();
            self.read();
            self.tick();
        }
        self.finish(undelivered);
    }

    /// Does what the session wants done; says when it wants to be called, and whether it is over.
    fn take_effects(&mut self, undelivered: &mut usize) -> (Option<Duration>, bool) {
        loop {
            let mut effects = Vec::new();
            let mut core = self.shared.core();
            while let Some(effect) = core.session.next_effect() {
                if let Effect::Completed(token, result) = effect {
                    core.kept.on_completed(token, &result);
                    if let Some(slot) = core.slots.remove(&token) {
                        effects.push(Next::Fill(slot, result));
                    }
                } else {
                    effects.push(Next::Do(effect));
                }
            }
            if let Some(error) = core.kept.take_failure() {
                effects.push(Next::Do(Effect::Event(Event::StoreFailed(error))));
            }
            if self.output.is_empty() {
                self.shared.take_output(&mut core, &mut self.output);
            }
            let (deadline, is_stopped) = (core.session.next_deadline(), core.session.is_stopped());
            let room_wakers = std::mem::take(&mut core.room_wakers);
            drop(core);
            self.shared.announce_room(room_wakers);
            if effects.is_empty() {
                let held = self.shared.routes().next_deadline();
                let reply = self.shared.replies.next_deadline();
                return ([deadline, held, reply].into_iter().flatten().min(), is_stopped);
            }
            for effect in effects {
                match effect {
                    Next::Fill(slot, result) => slot.fill(result),
                    Next::Do(effect) => self.perform(effect, undelivered),
                }
            }
            // Once for all that has come, not for each: whoever waits is another thread.
            self.filled.drain(..).for_each(|inbox| inbox.announce());
        }
    }

    fn perform(&mut self, effect: Effect, undelivered: &mut usize) {
        match effect {
            Effect::Dial(attempt) => self.begin_dial(attempt),
            Effect::Close => self.close(),
            Effect::Deliver(message) => self.deliver(&message),
            Effect::Event(event) => self.on_event(event, undelivered),
            Effect::Packet(direction, version, bytes) => {
                let packet = Frame::decode(&bytes, usize::MAX)
                    .ok()
                    .flatten()
                    .and_then(|(frame, _)| Packet::decode(frame, version).ok());
                if let (Some(tap), Some(packet)) = (&self.shared.hooked.tap, packet) {
                    tap(direction, &packet);
                }
            }
            // The ones were taken out while the session was locked, the others nobody can ask for here.
            Effect::Completed(..) | Effect::Step(_) => {}
        }
    }

    fn on_event(&mut self, event: Event, undelivered: &mut usize) {
        match &event {
            Event::Connected { .. } => {
                self.shared.routes().on_connected(self.shared.now());
                self.tell_connecting(&Ok(()));
            }
            Event::GaveUp { why } => self.tell_connecting(&Err(why.clone())),
            Event::Closed { undelivered: count } => *undelivered = *count,
            _ => {}
        }
        self.shared.report(event);
    }

    /// Tells those who wait for the connection; without the lock, as their wakers may run anything.
    fn tell_connecting(&self, result: &Result<()>) {
        let connecting = std::mem::take(&mut self.shared.core().connecting);
        connecting.into_iter().for_each(|slot| slot.fill(result.clone()));
    }

    fn deliver(&mut self, message: &Message) {
        let shared = Arc::downgrade(&self.shared);
        let guard = message.delivery().map(|delivery| Guard::new(delivery, Weak::clone(&shared)));
        let targets = self.shared.routes().route(message, guard.as_ref(), self.shared.now());
        let counters = &self.shared.counters;
        let Some(targets) = targets else {
            counters.unrouted.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for (target, captures) in targets {
            let received =
                Received::new(message.clone(), captures, guard.clone(), Weak::clone(&shared));
            if !target.take(received, &self.shared.dispatcher) {
                counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
            if let Target::Inbox(inbox) = target
                && self.filled.last().is_none_or(|last| !Arc::ptr_eq(last, &inbox))
            {
                self.filled.push(inbox);
            }
        }
    }

    /// Opens the link on a thread of its own: names are looked up there, and hands are shaken.
    fn begin_dial(&mut self, attempt: Attempt) {
        self.dial += 1;
        let (number, dialed) = (self.dial, self.dialed.clone());
        let shared = Arc::clone(&self.shared);
        let spawned = thread::Builder::new().name("mqtt-dial".into()).spawn(move || {
            mark_client_thread();
            let timeout = shared.core().session.options_mut().connect_timeout;
            let result = dial(&shared, attempt, timeout);
            if dialed.send((number, result)).is_ok() {
                shared.wake();
            }
        });
        if let Err(error) = spawned {
            let _ = self.dialed.send((self.dial, Err(Error::Lost(error.to_string().into()))));
            self.shared.wake();
        }
    }

    fn take_dial(&mut self) {
        while let Ok((number, result)) = self.dials.try_recv() {
            if number != self.dial {
                continue;
            }
            let opened = result.and_then(|dialed| {
                let entropy = random_bytes()?;
                self.adopt(dialed)?;
                Ok(entropy)
            });
            let now = self.shared.now();
            match opened {
                Ok(entropy) => self.shared.core().session.on_opened(entropy, now),
                Err(error) => self.shared.core().session.on_closed(Some(error), now),
            }
        }
    }

    fn adopt(&mut self, dialed: Dialed) -> Result<()> {
        let Dialed { mut transport, login } = dialed;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(transport.source(), LINK, interest)
            .map_err(|error| Error::Lost(error.to_string().into()))?;
        self.link = Some(Link { transport, may_read: true, may_write: true });
        self.output.clear();
        self.written = 0;
        self.shared.core().session.options_mut().login = login;
        Ok(())
    }

    fn wait(&mut self, deadline: Option<Duration>, events: &mut Events) {
        let is_busy = self.link.as_ref().is_some_and(|link| link.may_read);
        let left = deadline.map(|deadline| deadline.saturating_sub(self.shared.now()));
        let timeout = if is_busy { Some(Duration::ZERO) } else { left };
        // An interrupted poll is as good as one that was woken for nothing.
        let _ = self.poll.poll(events, timeout);
        for event in events.iter() {
            if let (LINK, Some(link)) = (event.token(), &mut self.link) {
                link.may_read |= event.is_readable() || event.is_read_closed();
                link.may_write |= event.is_writable();
            }
        }
        self.shared.on_awake();
    }

    /// Reads once; the rest has its turn after what this brings was done.
    fn read(&mut self) {
        let Some(link) = &mut self.link else { return };
        if !link.may_read {
            return;
        }
        match link.transport.read(&mut self.input) {
            Ok(0) => self.on_link_lost(None),
            Ok(count) => {
                let now = self.shared.now();
                self.shared.core().session.on_bytes(&self.input[..count], now);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => link.may_read = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.on_link_lost(Some(&error)),
        }
    }

    fn write(&mut self) {
        while let Some(link) = &mut self.link {
            if !link.may_write {
                return;
            }
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
                self.shared.take_output(&mut self.shared.core(), &mut self.output);
            }
            match link.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => link.may_write = false,
                Err(error) => return self.on_link_lost(Some(&error)),
            }
            if self.output.is_empty() {
                return;
            }
        }
    }

    fn tick(&mut self) {
        let now = self.shared.now();
        let mut core = self.shared.core();
        if core.session.next_deadline().is_some_and(|deadline| now >= deadline) {
            core.session.on_tick(now);
        }
        drop(core);
        self.shared.replies.on_tick(now);
        let given_up = self.shared.routes().on_tick(now);
        self.shared.counters.unrouted.fetch_add(given_up.len() as u64, Ordering::Relaxed);
    }

    fn on_link_lost(&mut self, error: Option<&io::Error>) {
        self.link = None;
        self.output.clear();
        self.written = 0;
        let why = error.map(|error| Error::Lost(error.to_string().into()));
        let now = self.shared.now();
        self.shared.core().session.on_closed(why, now);
    }

    /// Says the last word, waits a moment for the server to hang up, and hangs up.
    fn close(&mut self) {
        self.dial += 1;
        let Some(mut link) = self.link.take() else { return };
        let mut rest = self.output.split_off(self.written);
        self.output.clear();
        self.written = 0;
        let mut last = Vec::new();
        self.shared.take_output(&mut self.shared.core(), &mut last);
        rest.append(&mut last);
        link.linger(&rest, &mut self.poll);
    }

    fn finish(self, undelivered: usize) {
        self.tell_connecting(&Err(Error::Closed));
        let slots = std::mem::take(&mut self.shared.core().slots);
        slots.into_values().for_each(|slot| slot.fill(Err(Error::Closed)));
        let held = self.shared.routes().on_tick(Duration::MAX);
        drop(held);
        self.shared.routes().close();
        self.shared.replies.close();
        self.shared.dispatcher.close();
        self.shared.announce_room(Vec::new());
        self.shared.ended.fill(undelivered);
    }
}

/// An effect, with what only the lock could tell.
enum Next {
    Fill(Arc<super::Slot<Result<crate::session::Outcome>>>, Result<crate::session::Outcome>),
    Do(Effect),
}
