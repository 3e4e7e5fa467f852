//! What leads a run from phase to phase and looks at it from above.

use std::{
    io,
    sync::{Arc, atomic::AtomicU64, mpsc},
    thread,
    time::Duration,
};

use super::{
    live::Ticker,
    outcome,
    plan::{Plan, Stop},
    series::Series,
    shared::{Phase, Progress, Shared},
    watch::Watch,
    worker::{Harvest, Worker},
};
use crate::{
    measure::{Interval, RunClock},
    report::Report,
};

/// How often the run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long nothing may happen while connections are opened.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How long a subscriber of SurgeMQ's benchmark waits, for each publisher.
const SURGE_PATIENCE: Duration = Duration::from_secs(10);
/// How long what is left may take once publishers have stopped.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// Runs a plan from the first connection to the last delivery.
///
/// # Errors
/// A connection that could not be made or was refused. What goes wrong once messages are sent is
/// part of the outcome.
pub(crate) fn run(plan: Plan) -> io::Result<Report> {
    let plan = Arc::new(plan);
    let (threads, groups) = (plan.load.threads, plan.topology.groups.len());
    let shared = Arc::new(Shared::new(RunClock::start(), threads, groups));
    let (seconds, arrivals) = mpsc::channel();
    let mut workers = Vec::new();
    for number in 0..threads {
        let worker = Worker::new(number, &plan, Arc::clone(&shared), seconds.clone())?;
        workers.push(spawn(number, worker, Arc::clone(&shared))?);
    }
    drop(seconds);
    let (watch, series) = (Watch::new(plan.load.target.pid), Series::default());
    let ticker = Ticker::new();
    let mut coordinator = Coordinator { plan, shared, arrivals, series, watch, ticker };
    let led = coordinator.lead();
    coordinator.shared.begin(Phase::Done);
    let harvests: Vec<_> = workers.into_iter().filter_map(|worker| worker.join().ok()?).collect();
    led?;
    if harvests.len() < threads {
        return Err(io::Error::other("a thread of the load test has failed"));
    }
    coordinator.take_seconds();
    let Coordinator { plan, series, watch, .. } = coordinator;
    Ok(outcome::report(&plan, harvests, series, &watch))
}

/// What leads a run from phase to phase.
struct Coordinator {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    arrivals: mpsc::Receiver<Interval>,
    series: Series,
    watch: Watch,
    ticker: Ticker,
}

impl Coordinator {
    fn lead(&mut self) -> io::Result<()> {
        self.open()?;
        match self.plan.stop {
            Stop::Messages(_) => {
                self.watch.begin(&self.shared);
                self.shared.begin(Phase::Running);
            }
            Stop::After { warm_up, measured } => self.run_for(warm_up, measured)?,
            Stop::Surge { messages } => return self.run_surge(messages),
        }
        self.drain()
    }

    /// Until every connection is ready.
    fn open(&mut self) -> io::Result<()> {
        let wanted = self.plan.topology.roles.len() as u64;
        let (mut before, mut since_ns) = (0, 0);
        loop {
            let ready = self.look(|progress| &progress.ready)?;
            let now_ns = self.shared.clock.now_ns();
            if ready == wanted {
                return Ok(());
            }
            if ready != before {
                (before, since_ns) = (ready, now_ns);
            }
            if Duration::from_nanos(now_ns - since_ns) > READY_WITHIN {
                let reason = format!("{ready} of {wanted} connections are ready, and no more come");
                return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
        }
    }

    fn run_for(&mut self, warm_up: Duration, measured: Duration) -> io::Result<()> {
        let now_ns = self.shared.clock.now_ns();
        let from_ns = now_ns + warm_up.as_nanos() as u64;
        let until_ns = from_ns + measured.as_nanos() as u64;
        self.shared.set_window(from_ns, until_ns);
        self.shared.begin(Phase::Running);
        self.sleep_until(from_ns)?;
        self.watch.begin(&self.shared);
        self.sleep_until(until_ns)?;
        self.shared.begin(Phase::Draining);
        self.watch.end(&self.shared);
        Ok(())
    }

    /// By the stop rules of SurgeMQ's benchmark of 2014. A subscriber waits for as many messages as
    /// one publisher sends, in a mesh for those of all, and ten seconds for each publisher; then it
    /// leaves. When all have what they waited for, publishers have nobody to send to and end.
    fn run_surge(&mut self, messages: u64) -> io::Result<()> {
        let shape = self.plan.load.shape();
        let each = if shape.mesh { messages * shape.publishers as u64 } else { messages };
        let target = each * shape.subscribers as u64;
        let patience = SURGE_PATIENCE * shape.publishers as u32;
        self.watch.begin(&self.shared);
        self.shared.begin(Phase::Running);
        let deadline_ns = self.shared.clock.now_ns() + patience.as_nanos() as u64;
        loop {
            let delivered = self.look(|progress| &progress.delivered)?;
            let is_late = self.shared.clock.now_ns() > deadline_ns;
            if delivered < target && !is_late {
                continue;
            }
            if delivered < target {
                self.watch.cut_off = Some(format!(
                    "the subscribers wait {} s, and had {delivered} of {target} messages then",
                    patience.as_secs()
                ));
                self.shared.begin(Phase::Leaving);
                while !self.shared.is_done() {
                    self.look(|progress| &progress.published)?;
                }
            } else if !self.shared.is_done() {
                let published = self.shared.total(|progress| &progress.published);
                self.watch.cut_off = Some(format!(
                    "the subscribers stop at {target} messages; {published} of {} were sent then",
                    messages * shape.publishers as u64
                ));
            }
            self.watch.end(&self.shared);
            self.shared.begin(Phase::Draining);
            self.watch.drained(&self.shared);
            return Ok(());
        }
    }

    /// Until all that is owed has come, or nothing comes any more.
    fn drain(&mut self) -> io::Result<()> {
        let (mut before, mut since_ns) = (0, self.shared.clock.now_ns());
        let deadline_ns = match self.plan.stop {
            Stop::Messages(_) | Stop::Surge { .. } => u64::MAX,
            Stop::After { .. } => since_ns + DRAIN_WITHIN.as_nanos() as u64,
        };
        loop {
            let delivered = self.look(|progress| &progress.delivered)?;
            let now_ns = self.shared.clock.now_ns();
            let acknowledged = self.shared.total(|progress| &progress.acknowledged);
            let published = self.shared.total(|progress| &progress.published);
            let seen = delivered + acknowledged + published;
            if seen != before {
                (before, since_ns) = (seen, now_ns);
            }
            let is_quiet = Duration::from_nanos(now_ns - since_ns) > self.plan.load.quiet();
            if self.is_complete() || is_quiet || now_ns > deadline_ns {
                self.watch.drained(&self.shared);
                return Ok(());
            }
        }
    }

    fn is_complete(&self) -> bool {
        let is_done = self.shared.is_done();
        let is_acknowledged = self.plan.load.publish_qos() as u8 == 0
            || self.shared.total(|progress| &progress.acknowledged)
                == self.shared.total(|progress| &progress.published);
        is_done
            && is_acknowledged
            && self.shared.total(|progress| &progress.paid)
                >= self.shared.total(|progress| &progress.owed)
    }

    fn sleep_until(&mut self, until_ns: u64) -> io::Result<()> {
        while self.shared.clock.now_ns() < until_ns {
            self.look(|progress| &progress.delivered)?;
        }
        Ok(())
    }

    /// Waits a little; then a figure of all workers.
    fn look(&mut self, figure: impl Fn(&Progress) -> &AtomicU64) -> io::Result<u64> {
        thread::sleep(LOOK_EVERY);
        self.take_seconds();
        self.watch.look(&self.shared);
        self.ticker.look(&self.shared, &self.series);
        match self.shared.failure() {
            Some(reason) => Err(io::Error::other(reason)),
            None => Ok(self.shared.total(figure)),
        }
    }

    fn take_seconds(&mut self) {
        while let Ok(interval) = self.arrivals.try_recv() {
            self.series.add(&interval);
        }
    }
}

fn spawn(
    number: usize,
    worker: Worker,
    shared: Arc<Shared>,
) -> io::Result<thread::JoinHandle<Option<Harvest>>> {
    thread::Builder::new().name(format!("load-{number}")).spawn(move || match worker.run() {
        Ok(harvest) => Some(harvest),
        Err(error) => {
            shared.fail(error.to_string());
            None
        }
    })
}
