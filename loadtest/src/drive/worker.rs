//! One thread of the load test.

use std::{
    io,
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use super::{
    desk::Desk,
    fleet::Fleet,
    pacer::{Pacer, Turn},
    plan::{Pace, Plan},
    shared::{Phase, Shared},
    spans::Spans,
};
use crate::{
    measure::{Interval, Recorder},
    verify::Unit,
};

/// How long a new phase may go unnoticed.
const PHASE_CHECK: Duration = Duration::from_millis(5);

/// One thread of the load test.
#[derive(Debug)]
pub(crate) struct Worker {
    number: usize,
    shared: Arc<Shared>,
    fleet: Fleet,
    desk: Desk,
    pacer: Pacer,
    /// Where the seconds that are over go.
    seconds: mpsc::Sender<Interval>,
    next_ping_ns: u64,
    /// So long before the next message it does not sleep any more.
    spin_ns: u64,
}

/// What is left of a worker when all is over.
#[derive(Debug)]
pub(crate) struct Harvest {
    /// Its units, in the order of their numbers.
    pub(crate) units: Vec<Unit>,
    /// Messages sent, by stream.
    pub(crate) published: Vec<(u32, u64)>,
    /// What it counted and timed.
    pub(crate) recorder: Recorder,
    /// How long sockets took nothing, over all connections.
    pub(crate) blocked_ns: u64,
    /// Messages that the broker refused.
    pub(crate) refused: u64,
    /// Connections lost during the run.
    pub(crate) lost: u64,
    /// Messages that were due and waited for acknowledgements or for the socket, and those that
    /// never left.
    pub(crate) held_back: (u64, u64),
    /// The longest times that connections needed.
    pub(crate) spans: Spans,
}

impl Worker {
    /// Worker `number` of the plan's threads.
    pub(crate) fn new(
        number: usize,
        plan: &Arc<Plan>,
        shared: Arc<Shared>,
        seconds: mpsc::Sender<Interval>,
    ) -> io::Result<Self> {
        let (topology, threads) = (&plan.topology, plan.load.threads);
        let units = (number..topology.units.len()).step_by(threads);
        let new_unit = |unit: usize| {
            let group = topology.units[unit];
            Unit::new(group, topology.groups[group].streams.clone())
        };
        let units = units.map(new_unit).collect();
        let desk = Desk::new(Arc::clone(plan), units, shared.clock);
        let mine = |role: &usize| topology.thread(*role, threads) == number;
        let roles = (0..topology.roles.len()).filter(mine).collect();
        let fleet = Fleet::new(roles, &desk)?;
        let pacer = Pacer::new(&desk, &fleet, number);
        let spin_ns = match plan.pace {
            Pace::Flood { .. } => 0,
            Pace::Rate { spin, .. } => spin.as_nanos() as u64,
        };
        Ok(Self { number, shared, fleet, desk, pacer, seconds, next_ping_ns: 0, spin_ns })
    }

    /// Does what the phase asks for until the last one.
    pub(crate) fn run(mut self) -> io::Result<Harvest> {
        let mut turn = Turn::default();
        loop {
            let phase = self.shared.phase();
            if phase == Phase::Done {
                return Ok(self.finish());
            }
            self.wait(turn)?;
            self.desk.look_at_clock();
            let began_ns = self.desk.now_ns;
            self.fleet.serve(&mut self.desk, phase)?;
            self.desk.look_at_clock();
            turn = self.take_turn(phase)?;
            self.fleet.flush(&self.desk, phase)?;
            self.tell(turn);
            self.end_turn(began_ns);
        }
    }

    /// What the phase asks for besides reading.
    fn take_turn(&mut self, phase: Phase) -> io::Result<Turn> {
        match phase {
            Phase::Opening => {
                self.fleet.open(&self.desk)?;
                Ok(Turn::default())
            }
            Phase::Running | Phase::Leaving | Phase::Draining | Phase::Done => {
                self.desk.recorder.begin_window(self.shared.window_from_ns());
                self.keep_alive();
                if phase == Phase::Leaving {
                    self.fleet.leave();
                }
                let Self { pacer, fleet, desk, shared, .. } = self;
                Ok(pacer.publish(fleet, desk, shared, phase))
            }
        }
    }

    /// Until something comes, or something is to be sent, or the phase may be another.
    fn wait(&mut self, turn: Turn) -> io::Result<()> {
        if turn.has_more {
            return self.fleet.wait(Duration::ZERO);
        }
        let Some(next_ns) = turn.next_ns else { return self.fleet.wait(PHASE_CHECK) };
        self.desk.look_at_clock();
        // The rest is spent looking, since waking up takes long.
        let wake_ns = next_ns.saturating_sub(self.spin_ns);
        match wake_ns.saturating_sub(self.desk.now_ns) {
            0 => self.fleet.wait(Duration::ZERO),
            left_ns if left_ns > PHASE_CHECK.as_nanos() as u64 => self.fleet.wait(PHASE_CHECK),
            left_ns => self.fleet.wait_exactly(left_ns),
        }
    }

    /// [MQTT-3.1.2-20]: in time, whatever else the connections send.
    fn keep_alive(&mut self) {
        let keep_alive_s = u64::from(self.desk.plan.load.target.keep_alive());
        if keep_alive_s > 0 && self.desk.now_ns >= self.next_ping_ns {
            self.next_ping_ns = self.desk.now_ns + keep_alive_s * 1_000_000_000 / 2;
            self.fleet.ping(&self.desk);
        }
    }

    /// Tells the others how far this worker is.
    fn tell(&self, turn: Turn) {
        let progress = &self.shared.progress[self.number];
        let recorder = &self.desk.recorder;
        progress.ready.store(self.fleet.ready() as u64, Ordering::Relaxed);
        progress.published.store(recorder.published, Ordering::Relaxed);
        progress.delivered.store(recorder.delivered, Ordering::Relaxed);
        progress.acknowledged.store(recorder.acknowledged, Ordering::Relaxed);
        progress.owed.store(self.desk.owed, Ordering::Relaxed);
        progress.paid.store(self.desk.paid, Ordering::Relaxed);
        progress.lost.store(self.fleet.lost, Ordering::Relaxed);
        progress.last_delivery_ns.store(recorder.last_delivery_ns, Ordering::Relaxed);
        // After the counts: whoever sees it sees what was sent, too.
        progress.is_done.store(turn.is_done, Ordering::Release);
        self.pacer.tell(&self.desk, &self.shared);
    }

    fn end_turn(&mut self, began_ns: u64) {
        let Self { desk, seconds, .. } = self;
        let recorder = &mut desk.recorder;
        recorder.turn_max_ns = recorder.turn_max_ns.max(desk.now_ns.saturating_sub(began_ns));
        if let Some(interval) = recorder.next_interval(desk.now_ns) {
            // Without a coordinator nobody wants it.
            let _ = seconds.send(interval);
        }
    }

    fn finish(self) -> Harvest {
        let mut harvest = Harvest {
            units: self.desk.units,
            published: Vec::new(),
            recorder: self.desk.recorder,
            blocked_ns: 0,
            refused: 0,
            lost: self.fleet.lost,
            held_back: self.pacer.held_back(),
            spans: self.fleet.left,
        };
        for member in self.fleet.members.into_iter().flatten() {
            harvest.spans.add(&member.duties);
            harvest.blocked_ns += member.connection.blocked_ns();
            if let Some(publisher) = &member.duties.publisher {
                harvest.refused += publisher.refused();
                let outlets = publisher.outlets().iter();
                harvest.published.extend(outlets.map(|outlet| (outlet.stream, outlet.sent)));
            }
        }
        harvest
    }
}
