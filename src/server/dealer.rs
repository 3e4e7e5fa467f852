//! Dealing accepted connections out to the shards: each goes to the one with the fewest.

use std::collections::VecDeque;

use super::newcomers::Work;
use crate::net::{Accepted, Command, Door};
use crate::session::ListenerId;

/// The shards, and how many connections each has been dealt.
#[derive(Debug)]
pub(super) struct Dealer {
    seats: Vec<Seat>,
    /// Who is asked first: of shards with equally few connections, each in its turn.
    next: usize,
}

/// One shard at the dealer's table.
#[derive(Debug)]
struct Seat {
    door: Door,
    /// Connections dealt to it so far.
    dealt: usize,
    /// Commands for which its lane had no room.
    waiting: VecDeque<Command>,
    /// Whether it was sent something and not woken yet.
    must_ring: bool,
}

impl Dealer {
    pub(super) fn new(doors: Vec<Door>) -> Self {
        let seat = |door| Seat { door, dealt: 0, waiting: VecDeque::new(), must_ring: false };
        Self { seats: doors.into_iter().map(seat).collect(), next: 0 }
    }

    pub(super) fn shards(&self) -> usize {
        self.seats.len()
    }

    /// Gives the connection to the shard with the fewest, of those whose lane has room.
    ///
    /// # Errors
    /// Gives the connection back when no lane has room.
    pub(super) fn deal(&mut self, accepted: Accepted) -> Result<(), Accepted> {
        let count = self.seats.len();
        let in_turn = (self.next..self.next + count).map(|index| index % count);
        let free: Vec<usize> = in_turn.filter(|&index| self.seats[index].has_room()).collect();
        let fewest = free.into_iter().min_by_key(|&index| self.seats[index].connections());
        let Some(index) = fewest else { return Err(accepted) };
        self.next = (index + 1) % count;
        let seat = &mut self.seats[index];
        seat.dealt += 1;
        seat.send(Command::Open(accepted));
        Ok(())
    }

    /// Whether a connection could be dealt now.
    pub(super) fn has_room(&mut self) -> bool {
        self.seats.iter_mut().any(Seat::has_room)
    }

    /// Sends a command to every shard, after everything sent before.
    pub(super) fn tell_all(&mut self, command: impl Fn() -> Command) {
        for seat in &mut self.seats {
            seat.waiting.push_back(command());
        }
    }

    /// Sends what waits, as far as it fits, and wakes the shards that were sent something. True if
    /// something still waits.
    pub(super) fn finish_turn(&mut self) -> bool {
        for seat in &mut self.seats {
            while !seat.door.commands.is_full() {
                let Some(command) = seat.waiting.pop_front() else { break };
                seat.send(command);
            }
            if std::mem::take(&mut seat.must_ring) {
                seat.door.doorbell.ring();
            }
        }
        self.seats.iter().any(|seat| !seat.waiting.is_empty())
    }

    /// What the shards have done since the start.
    pub(super) fn work(&self) -> Work {
        let tallies = || self.seats.iter().map(|seat| &seat.door.tallies);
        let publishes = tallies().map(|its| its.publishes.read()).fold(0, usize::wrapping_add);
        let newcomers_us = tallies().map(|its| its.newcomers_us.read());
        Work { publishes, newcomers_us: newcomers_us.fold(0, usize::wrapping_add) }
    }

    /// Connections that came through this listener and were closed since.
    pub(super) fn closed_on(&self, listener: ListenerId) -> usize {
        let closed = |seat: &Seat| seat.door.tallies.closed[usize::from(listener.0)].read();
        self.seats.iter().map(closed).fold(0, usize::wrapping_add)
    }
}

impl Seat {
    /// Connections the shard has, and will have once it has taken what it was dealt.
    fn connections(&self) -> usize {
        let tallies = &self.door.tallies;
        let closed = tallies.closed.iter().map(|tally| tally.read());
        let closed = closed.fold(0, usize::wrapping_add);
        let count = self.dealt.wrapping_add(tallies.moved.read()).wrapping_sub(closed);
        // The tallies are read one after the other: a connection that arrived and was closed
        // between the two reads makes the difference less than zero for a moment.
        if count.cast_signed() < 0 { 0 } else { count }
    }

    fn has_room(&mut self) -> bool {
        self.waiting.is_empty() && !self.door.commands.is_full()
    }

    fn send(&mut self, command: Command) {
        let pushed = self.door.commands.push(command);
        debug_assert!(pushed.is_ok(), "only the acceptor fills this lane, and it had room");
        self.must_ring = true;
    }
}
