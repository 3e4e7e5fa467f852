//! The connections of one worker: opened, read, written, lost.

use std::{io, time::Duration};

use mio::{Events, Poll, Token};
use skein_protocol::Packet;

use super::{
    desk::Desk,
    member::{Member, Stage},
    shared::Phase,
    spans::Spans,
    timer::{TIMER, Timer},
};

/// Read at once; many small messages fit.
const READ_BYTES: usize = 256 * 1024;
/// Events taken at once.
const EVENTS: usize = 1024;
/// Connections that may be on their way to being ready at once, so that the broker's backlog of
/// connections to accept does not overflow.
const OPENING_MAX: usize = 100;

/// The connections of one worker.
#[derive(Debug)]
pub(crate) struct Fleet {
    poll: Poll,
    timer: Timer,
    events: Events,
    buffer: Vec<u8>,
    /// What each connection is, as numbers of the topology's roles.
    roles: Vec<usize>,
    /// The connections, in the order of `roles`; `None` until they are opened.
    pub(crate) members: Vec<Option<Member>>,
    /// Which of them publish.
    pub(crate) publishers: Vec<usize>,
    opened: usize,
    ready: usize,
    /// Connections lost since the run began.
    pub(crate) lost: u64,
    /// The longest times of those connections that left.
    pub(crate) left: Spans,
    /// Connections that have more to read without an event to say so.
    unread: Vec<usize>,
    /// Connections that have something to write.
    dirty: Vec<usize>,
}

impl Fleet {
    /// Connections with these roles, none of them open.
    pub(crate) fn new(roles: Vec<usize>, desk: &Desk) -> io::Result<Self> {
        let does = &desk.plan.topology.roles;
        let publishes = |place: &usize| !does[roles[*place]].streams.is_empty();
        let poll = Poll::new()?;
        Ok(Self {
            timer: Timer::new(poll.registry())?,
            poll,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            members: roles.iter().map(|_| None).collect(),
            publishers: (0..roles.len()).filter(publishes).collect(),
            roles,
            opened: 0,
            ready: 0,
            lost: 0,
            left: Spans::default(),
            unread: Vec::new(),
            dirty: Vec::new(),
        })
    }

    /// How many connections are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    /// Waits for something to happen, at most so long.
    pub(crate) fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        let at_most = if self.unread.is_empty() { at_most } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for something to happen, at most so long, which is kept to the microsecond.
    pub(crate) fn wait_exactly(&mut self, at_most_ns: u64) -> io::Result<()> {
        self.timer.set(at_most_ns)?;
        self.wait(Duration::from_nanos(at_most_ns) + Duration::from_millis(1))
    }

    /// Opens as many connections as may be opened now.
    pub(crate) fn open(&mut self, desk: &Desk) -> io::Result<()> {
        let due = connections_due(desk);
        while self.opened < self.roles.len().min(due) && self.opened < self.ready + OPENING_MAX {
            let (place, token) = (self.opened, Token(self.opened));
            let member = Member::open(desk, self.roles[place], self.poll.registry(), token)?;
            self.members[place] = Some(member);
            self.opened += 1;
        }
        Ok(())
    }

    /// Reads and checks what has come.
    pub(crate) fn serve(&mut self, desk: &mut Desk, phase: Phase) -> io::Result<()> {
        for place in std::mem::take(&mut self.unread) {
            self.read(place, desk, phase)?;
        }
        // Taken out of the way, since reading needs all of the fleet.
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let outcome = events.iter().try_for_each(|event| {
            if event.token() == TIMER {
                return Ok(());
            }
            let Token(place) = event.token();
            if event.is_writable() {
                self.dirty.push(place);
            }
            if let Some(member) = self.members[place].as_mut().filter(|_| event.is_read_closed()) {
                member.is_ending = true;
            }
            if event.is_readable() || event.is_error() || event.is_read_closed() {
                self.read(place, desk, phase)?;
            }
            Ok(())
        });
        self.events = events;
        outcome
    }

    /// Writes what the connections have to write, as far as the kernel takes it.
    pub(crate) fn flush(&mut self, desk: &Desk, phase: Phase) -> io::Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for place in dirty.drain(..) {
            let Some(member) = &mut self.members[place] else { continue };
            let is_idle = !member.connection.has_unsent();
            if is_idle || member.duties.stage == Stage::Lost {
                continue;
            }
            if let Err(error) = member.connection.flush(desk.now_ns) {
                self.on_lost(place, phase, error)?;
            }
        }
        self.dirty = dirty;
        Ok(())
    }

    /// Closes the connections that only subscribe.
    pub(crate) fn leave(&mut self) {
        for member in &mut self.members {
            let leaves = |member: &mut Member| member.duties.publisher.is_none();
            if let Some(member) = member.take_if(leaves) {
                self.left.add(&member.duties);
            }
        }
    }

    /// Keeps every connection alive.
    pub(crate) fn ping(&mut self, desk: &Desk) {
        for (place, member) in self.members.iter_mut().enumerate() {
            if let Some(member) = member.as_mut().filter(|member| member.is_ready()) {
                let out = member.connection.outgoing();
                Packet::PingReq.encode(desk.plan.load.target.version, out);
                self.dirty.push(place);
            }
        }
    }

    fn read(&mut self, place: usize, desk: &mut Desk, phase: Phase) -> io::Result<()> {
        let Some(member) = &mut self.members[place] else { return Ok(()) };
        if member.duties.stage == Stage::Lost {
            return Ok(());
        }
        let was_ready = member.is_ready();
        match member.on_readable(desk, &mut self.buffer) {
            Ok(has_more) => {
                if has_more {
                    self.unread.push(place);
                }
                if member.connection.has_unsent() {
                    self.dirty.push(place);
                }
                self.ready += usize::from(!was_ready && member.is_ready());
                Ok(())
            }
            Err(error) => self.on_lost(place, phase, error),
        }
    }

    /// Before the run a lost connection ends it; afterwards it is part of what the run shows.
    fn on_lost(&mut self, place: usize, phase: Phase, error: io::Error) -> io::Result<()> {
        if phase == Phase::Opening {
            return Err(error);
        }
        if let Some(member) = &mut self.members[place] {
            member.lose();
            self.lost += 1;
        }
        Ok(())
    }
}

/// How many connections a worker may have opened by now.
fn connections_due(desk: &Desk) -> usize {
    let load = &desk.plan.load;
    match u64::from(load.target.connect_rate.unwrap_or(0)) {
        0 => usize::MAX,
        // Workers open side by side, each its part.
        rate => 1 + (desk.now_ns / 1000 * rate / 1_000_000 / load.threads as u64) as usize,
    }
}
