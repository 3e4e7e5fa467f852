//! Rate: messages are sent when the schedule says, whatever the broker does (an open loop). A
//! message that cannot leave in time waits in a queue of its publisher and keeps its intended time.

use std::collections::VecDeque;

use super::{desk::Desk, fleet::Fleet, pacer::Turn};
use crate::{
    plan::{Arrivals, Schedule},
    report::latency::Clock,
};

/// A publisher whose socket has not taken so many bytes waits for it.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// What decides when a worker's publishers send.
#[derive(Debug)]
pub(crate) struct Rate {
    per_s: f64,
    arrivals: Arrivals,
    /// This worker's number and how many there are.
    part: (usize, usize),
    /// From the first turn on.
    schedule: Option<Schedule>,
    /// For each publisher, when those messages were to be sent that are due.
    due: Vec<VecDeque<u64>>,
    /// Publishers with due messages.
    waiting: Vec<usize>,
    /// Whose the next message is.
    next: usize,
    /// For each publisher, when it was last held back by acknowledgements or its socket.
    held_ns: Vec<u64>,
    /// Messages that were held back so.
    held_back: u64,
}

impl Rate {
    /// The part of one worker in a rate of all publishers together.
    pub(crate) fn new(
        desk: &Desk,
        fleet: &Fleet,
        part: usize,
        per_s: f64,
        arrivals: Arrivals,
    ) -> Self {
        let threads = desk.plan.load.threads;
        let mine = fleet.publishers.len();
        let all = desk.plan.load.shape().publishers;
        Self {
            per_s: per_s * mine as f64 / all as f64,
            arrivals,
            part: (part, threads),
            schedule: None,
            due: vec![VecDeque::new(); mine],
            waiting: Vec::new(),
            next: 0,
            held_ns: vec![0; mine],
            held_back: 0,
        }
    }

    /// Messages that waited for acknowledgements or for the socket, and those that still do.
    pub(crate) fn held_back(&self) -> (u64, u64) {
        (self.held_back, self.due.iter().map(|due| due.len() as u64).sum())
    }

    /// Sends what is due before `until_ns`.
    pub(crate) fn publish(&mut self, fleet: &mut Fleet, desk: &mut Desk, until_ns: u64) -> Turn {
        if self.due.is_empty() {
            return Turn { is_done: true, ..Turn::default() };
        }
        let next_ns = self.collect(desk.now_ns, until_ns);
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|number| self.send(*number, fleet, desk));
        self.waiting = waiting;
        let is_over = next_ns >= until_ns;
        Turn {
            has_more: false,
            is_done: is_over && self.waiting.is_empty(),
            next_ns: (!is_over).then_some(next_ns),
        }
    }

    /// Notes what is due by now; when the next message will be.
    fn collect(&mut self, now_ns: u64, until_ns: u64) -> u64 {
        let Self { per_s, arrivals, part, .. } = *self;
        let new = || Schedule::new(arrivals, per_s, now_ns, part);
        let schedule = self.schedule.get_or_insert_with(new);
        while schedule.next_ns() <= now_ns && schedule.next_ns() < until_ns {
            let due = &mut self.due[self.next];
            if due.is_empty() {
                self.waiting.push(self.next);
            }
            due.push_back(schedule.next_ns());
            schedule.advance();
            self.next = (self.next + 1) % self.due.len();
        }
        schedule.next_ns()
    }

    /// Sends what is due of one publisher; true if some of it has to wait.
    fn send(&mut self, number: usize, fleet: &mut Fleet, desk: &mut Desk) -> bool {
        let due = &mut self.due[number];
        let member = fleet.members[fleet.publishers[number]].as_mut();
        let Some((publisher, connection)) = member.and_then(|member| member.publisher()) else {
            due.clear();
            return false;
        };
        desk.look_at_clock();
        while let Some(intended_ns) = due.front() {
            if !publisher.may_send() || connection.unsent_len() >= UNSENT_BYTES_MAX {
                self.held_ns[number] = desk.now_ns;
                break;
            }
            if *intended_ns > self.held_ns[number] {
                desk.recorder.record(Clock::ScheduleLag, *intended_ns, desk.now_ns);
            } else {
                self.held_back += 1;
            }
            desk.publish(publisher, *intended_ns, connection.outgoing());
            due.pop_front();
        }
        // An error shows again when the connection is read.
        let _ = connection.flush(desk.now_ns);
        !due.is_empty()
    }
}
