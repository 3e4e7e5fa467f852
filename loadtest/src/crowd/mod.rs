//! Many connections that come and go, on one thread.
//!
//! ```text
//!   open ──▶ Connecting ── CONNACK ──▶ Subscribing ── SUBACKs ──▶ Ready ── leaves ──▶ gone
//!                 └──────────────── refused, closed, too late ─────────────────────▶ failed
//! ```

mod seat;

use std::{io, ops::Range, time::Duration};

use mio::{Events, Poll, Token};
use skein_protocol::{Frame, QoS};

pub(crate) use seat::Opened;

use crate::{
    client::{Connection, Dialer, Hello},
    measure::RunClock,
    plan::Target,
};
use seat::{Seat, Stage, Steps};

const READ_BYTES: usize = 256 * 1024;
const EVENTS: usize = 1024;
/// Without any progress for so long, whoever is not ready has failed.
const PROGRESS_WITHIN: Duration = Duration::from_secs(10);

/// Who comes, and what they do.
pub(crate) struct Arrivals<'a> {
    /// The client identifier of a seat.
    pub(crate) client_id: &'a dyn Fn(usize) -> String,
    /// The filters that a seat subscribes to.
    pub(crate) filters: &'a dyn Fn(usize) -> Vec<String>,
    /// QoS of the subscriptions.
    pub(crate) qos: QoS,
    /// Whether an earlier session is to be forgotten.
    pub(crate) clean_start: bool,
    /// How long sessions outlive their connections.
    pub(crate) session_expiry_s: u32,
    /// Connections that may be on their way to being ready at once.
    pub(crate) at_once: usize,
    /// Whether each says DISCONNECT and leaves as soon as it is ready.
    pub(crate) leaves: bool,
}

/// Sees a packet that came to a seat, with the buffer for answers.
pub(crate) trait See: FnMut(usize, Frame<'_>, &mut Vec<u8>) -> io::Result<()> {}

impl<F: FnMut(usize, Frame<'_>, &mut Vec<u8>) -> io::Result<()>> See for F {}

/// Connections by seat.
pub(crate) struct Crowd<'a> {
    target: &'a Target,
    dialer: Dialer,
    clock: RunClock,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    seats: Vec<Option<Seat>>,
}

impl<'a> Crowd<'a> {
    /// Nobody yet.
    pub(crate) fn new(target: &'a Target) -> io::Result<Self> {
        Ok(Self {
            target,
            dialer: Dialer::new(target)?,
            clock: RunClock::start(),
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            seats: Vec::new(),
        })
    }

    /// Opens the connections of these seats, and waits until each is ready or has failed.
    pub(crate) fn open(
        &mut self,
        seats: Range<usize>,
        arrivals: &Arrivals<'_>,
    ) -> io::Result<Opened> {
        self.open_and_see(seats, arrivals, &mut |_, _, _| Ok(()))
    }

    /// The same; `visit` sees what comes meanwhile besides CONNACK and SUBACK.
    pub(crate) fn open_and_see(
        &mut self,
        seats: Range<usize>,
        arrivals: &Arrivals<'_>,
        visit: &mut dyn See,
    ) -> io::Result<Opened> {
        let begin_ns = self.clock.now_ns();
        self.seats.resize_with(self.seats.len().max(seats.end), || None);
        let mut opened = Opened::new();
        let mut next = seats.start;
        let mut pending = 0_u64;
        let mut progress_ns = begin_ns;
        while next < seats.end || pending > 0 {
            let due = self.due(begin_ns).min(seats.len()) + seats.start;
            while next < due && pending < arrivals.at_once as u64 {
                match self.enter(next, arrivals) {
                    Ok(()) => pending += 1,
                    Err(error) => opened.fail(error),
                }
                next += 1;
            }
            let before = opened.settled();
            self.turn(&seats, arrivals, &mut opened, visit)?;
            let settled = opened.settled() - before;
            pending -= settled.min(pending);
            let now_ns = self.clock.now_ns();
            if settled > 0 {
                progress_ns = now_ns;
            } else if pending > 0 && now_ns - progress_ns > PROGRESS_WITHIN.as_nanos() as u64 {
                opened.failed += pending + (seats.end - next) as u64;
                break;
            }
        }
        opened.took = Duration::from_nanos(self.clock.now_ns() - begin_ns);
        Ok(opened)
    }

    /// Serves all connections for a while: what comes is read and forgotten. How many the broker
    /// closed.
    pub(crate) fn idle(&mut self, time: Duration) -> io::Result<u64> {
        let until_ns = self.clock.now_ns() + time.as_nanos() as u64;
        let mut closed = 0;
        while self.clock.now_ns() < until_ns {
            self.serve(&mut |_, _, _| Ok(()), &mut |_| closed += 1)?;
        }
        Ok(closed)
    }

    /// One look at all connections that are ready: `visit` sees every packet, with the buffer for
    /// answers, `on_closed` every seat whose connection is lost.
    pub(crate) fn serve(
        &mut self,
        visit: &mut dyn See,
        on_closed: &mut dyn FnMut(usize),
    ) -> io::Result<()> {
        for place in self.wait()? {
            let Some(seat) = self.seats.get_mut(place).and_then(Option::as_mut) else { continue };
            let now_ns = self.clock.now_ns();
            let visit = |frame: Frame<'_>, out: &mut Vec<u8>| visit(place, frame, out);
            if seat.serve(&mut self.buffer, now_ns, visit).is_err() {
                self.seats[place] = None;
                on_closed(place);
            }
        }
        Ok(())
    }

    /// Reads at most so many bytes from each connection, and forgets them. How many connections
    /// are lost.
    pub(crate) fn sip(&mut self, bytes: usize) -> usize {
        let mut cup = vec![0; bytes];
        let mut lost = 0;
        for seat in &mut self.seats {
            let taken = seat.as_mut().map(|seat| seat.connection.fill(&mut cup));
            if let Some(Err(_)) = taken {
                *seat = None;
                lost += 1;
            }
        }
        lost
    }

    /// The connection of a seat, to send something on it.
    pub(crate) fn connection(&mut self, seat: usize) -> Option<&mut Connection> {
        Some(&mut self.seats.get_mut(seat)?.as_mut()?.connection)
    }

    /// Writes what the connection of a seat has to write.
    pub(crate) fn flush(&mut self, seat: usize) -> io::Result<()> {
        let now_ns = self.clock.now_ns();
        self.connection(seat).map_or(Ok(()), |connection| connection.flush(now_ns))
    }

    /// Says SUBSCRIBE on connections that are ready, and waits for the answers.
    pub(crate) fn subscribe(
        &mut self,
        seats: Range<usize>,
        arrivals: &Arrivals<'_>,
    ) -> io::Result<Opened> {
        let begin_ns = self.clock.now_ns();
        let mut opened = Opened::new();
        let mut wanted = 0;
        for place in seats.clone() {
            let now_ns = self.clock.now_ns();
            let Some(seat) = self.seats[place].as_mut() else { continue };
            seat.subscribe(self.target, &(arrivals.filters)(place), arrivals.qos, now_ns)?;
            wanted += 1;
            if seat.connection.flush(now_ns).is_err() {
                self.seats[place] = None;
                opened.failed += 1;
            }
        }
        let mut progress_ns = begin_ns;
        while opened.settled() < wanted {
            let before = opened.settled();
            self.turn(&seats, arrivals, &mut opened, &mut |_, _, _| Ok(()))?;
            let now_ns = self.clock.now_ns();
            if opened.settled() > before {
                progress_ns = now_ns;
            } else if now_ns - progress_ns > PROGRESS_WITHIN.as_nanos() as u64 {
                opened.failed = wanted - opened.ready;
            }
        }
        opened.took = Duration::from_nanos(self.clock.now_ns() - begin_ns);
        Ok(opened)
    }

    /// Says DISCONNECT everywhere and closes.
    pub(crate) fn leave(&mut self) {
        let (now_ns, version) = (self.clock.now_ns(), self.target.version);
        for mut seat in self.seats.drain(..).flatten() {
            seat.say_goodbye(version, now_ns);
        }
    }

    /// Closes all connections without a word, as a network does that breaks.
    pub(crate) fn vanish(&mut self) {
        self.seats.clear();
    }

    /// How many connections may have been opened by now.
    fn due(&self, begin_ns: u64) -> usize {
        let Some(rate) = self.target.connect_rate else { return usize::MAX / 2 };
        let passed_us = (self.clock.now_ns() - begin_ns) / 1000;
        1 + (passed_us * u64::from(rate) / 1_000_000) as usize
    }

    fn enter(&mut self, place: usize, arrivals: &Arrivals<'_>) -> io::Result<()> {
        let mut connection = Connection::new(self.dialer.open(place)?);
        connection.register(self.poll.registry(), Token(place))?;
        let hello = Hello {
            version: self.target.version,
            client_id: &(arrivals.client_id)(place),
            clean_start: arrivals.clean_start,
            session_expiry_s: arrivals.session_expiry_s,
            keep_alive_s: self.target.keep_alive(),
            user: self.target.user.as_deref(),
            password: self.target.password.as_deref(),
            will: None,
        };
        hello.encode(connection.outgoing());
        let since_ns = self.clock.now_ns();
        self.seats[place] = Some(Seat::new(connection, since_ns));
        Ok(())
    }

    /// One look at all connections while those of `arriving` become ready.
    fn turn(
        &mut self,
        arriving: &Range<usize>,
        arrivals: &Arrivals<'_>,
        opened: &mut Opened,
        visit: &mut dyn See,
    ) -> io::Result<()> {
        for place in self.wait()? {
            let Some(seat) = self.seats.get_mut(place).and_then(Option::as_mut) else { continue };
            let was_ready = seat.stage == Stage::Ready;
            let now_ns = self.clock.now_ns();
            let filters = || (arrivals.filters)(place);
            let mut visit = |frame: Frame<'_>, out: &mut Vec<u8>| visit(place, frame, out);
            let (target, qos) = (self.target, arrivals.qos);
            let mut steps = Steps { target, filters: &filters, qos, visit: &mut visit };
            let outcome = seat.advance(&mut self.buffer, now_ns, &mut steps, opened);
            match outcome {
                Ok(()) if !was_ready && seat.stage == Stage::Ready => {
                    opened.ready += 1;
                    if arrivals.leaves {
                        seat.say_goodbye(self.target.version, now_ns);
                        self.seats[place] = None;
                    }
                }
                Ok(()) => {}
                Err(error) => {
                    self.seats[place] = None;
                    match was_ready || !arriving.contains(&place) {
                        true => opened.closed += 1,
                        false => opened.fail(error),
                    }
                }
            }
        }
        Ok(())
    }

    /// The seats at which something happened.
    fn wait(&mut self) -> io::Result<Vec<usize>> {
        match self.poll.poll(&mut self.events, Some(Duration::from_millis(1))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        Ok(self.events.iter().map(|event| event.token().0).collect())
    }
}
