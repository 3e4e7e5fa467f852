//! A run seen from above: its counts at the bounds of the measured window, and what the broker and
//! the load test needed meanwhile.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    thread::available_parallelism,
    time::{SystemTime, UNIX_EPOCH},
};

use super::shared::Shared;
use crate::{
    measure::{Process, ProcessSample, ThreadSample},
    report::{BrokerProcess, Second},
};

/// How often the broker's memory is looked at.
const MEMORY_EVERY_NS: u64 = 50_000_000;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// A run seen from above.
#[derive(Debug)]
pub(crate) struct Watch {
    broker: Option<Process>,
    /// The broker's memory before the first connection.
    rss_start_bytes: u64,
    rss_peak_bytes: u64,
    next_memory_ns: u64,
    /// The broker at the end of each second.
    broker_seconds: BTreeMap<u64, BrokerSecond>,
    /// The window's begin.
    pub(crate) begin: Moment,
    /// The window's end.
    pub(crate) end: Option<Moment>,
    /// When nothing came any more.
    pub(crate) drained: Moment,
    /// The window's begin by the calendar, milliseconds since 1970.
    pub(crate) started_unix_ms: u64,
    /// Why the run was ended before everything was received, if a rule of the preset did that.
    pub(crate) cut_off: Option<String>,
}

/// The broker at the end of a second.
#[derive(Clone, Copy, Debug)]
struct BrokerSecond {
    cpu_ns: u64,
    rss_bytes: u64,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moment {
    /// When.
    pub(crate) at_ns: u64,
    /// Messages sent so far.
    pub(crate) published: u64,
    /// Messages received so far.
    pub(crate) delivered: u64,
    /// Messages acknowledged so far.
    pub(crate) acknowledged: u64,
    /// The broker, if it is known.
    pub(crate) broker: Option<ProcessSample>,
    /// The load test.
    pub(crate) own: ProcessSample,
}

impl Watch {
    /// Before the first connection.
    pub(crate) fn new(broker: Option<u32>) -> Self {
        let broker = broker.map(Process::new);
        let rss_start_bytes = broker.and_then(|broker| broker.rss_bytes()).unwrap_or(0);
        Self {
            broker,
            rss_start_bytes,
            rss_peak_bytes: rss_start_bytes,
            next_memory_ns: 0,
            broker_seconds: BTreeMap::new(),
            begin: Moment::default(),
            end: None,
            drained: Moment::default(),
            started_unix_ms: 0,
            cut_off: None,
        }
    }

    /// The measured window begins.
    pub(crate) fn begin(&mut self, shared: &Shared) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.started_unix_ms = now.as_millis() as u64;
        self.begin = self.moment(shared);
    }

    /// The measured window ends.
    pub(crate) fn end(&mut self, shared: &Shared) {
        self.end = Some(self.moment(shared));
    }

    /// Nothing comes any more.
    pub(crate) fn drained(&mut self, shared: &Shared) {
        self.drained = self.moment(shared);
    }

    /// Some time has passed.
    pub(crate) fn look(&mut self, shared: &Shared) {
        let now_ns = shared.clock.now_ns();
        let Some(broker) = self.broker.filter(|_| now_ns >= self.next_memory_ns) else { return };
        let second = self.next_memory_ns / NANOSECONDS_PER_SECOND;
        self.next_memory_ns = now_ns + MEMORY_EVERY_NS;
        let Some(rss_bytes) = broker.rss_bytes() else { return };
        self.rss_peak_bytes = self.rss_peak_bytes.max(rss_bytes);
        if now_ns / NANOSECONDS_PER_SECOND > second
            && let Some(cpu_ns) = broker.cpu_ns()
        {
            self.broker_seconds.insert(second, BrokerSecond { cpu_ns, rss_bytes });
        }
    }

    /// What the broker needed in the measured window.
    pub(crate) fn broker(&self, delivered: u64) -> Option<BrokerProcess> {
        let (broker, used) = (self.broker?, self.broker_used()?);
        let (user_ns, system_ns) = used.cpu_ns();
        let sum = |count: fn(&ThreadSample) -> u64| used.threads.iter().map(count).sum();
        let mut process = BrokerProcess {
            pid: broker.pid(),
            cpu_user_s: user_ns as f64 / 1e9,
            cpu_system_s: system_ns as f64 / 1e9,
            ns_per_delivery: None,
            rss_start_bytes: self.rss_start_bytes,
            rss_peak_bytes: self.rss_peak_bytes.max(used.rss_bytes),
            rss_end_bytes: self.drained.broker.as_ref().map_or(0, |sample| sample.rss_bytes),
            switches_voluntary: sum(|thread| thread.switches_voluntary),
            switches_involuntary: sum(|thread| thread.switches_involuntary),
            threads: used.threads.len() as u64,
            files: used.files,
        };
        process.ns_per_delivery = process.nanoseconds_per(delivered);
        Some(process)
    }

    /// What the broker's threads used in the measured window.
    pub(crate) fn broker_used(&self) -> Option<ProcessSample> {
        Some(self.last().broker.as_ref()?.since(self.begin.broker.as_ref()?))
    }

    /// Processors that the broker may use.
    pub(crate) fn broker_cores(&self) -> f64 {
        let affinity = self.broker.and_then(|broker| broker.cores());
        affinity.unwrap_or_else(|| available_parallelism().map_or(1, NonZeroUsize::get)) as f64
    }

    /// What the load test's threads used in the measured window.
    pub(crate) fn own_used(&self) -> ProcessSample {
        self.last().own.since(&self.begin.own)
    }

    /// Adds to the seconds of the measured window, which begins with `first`, what the broker
    /// needed in them.
    pub(crate) fn add_broker(&self, first: u64, series: &mut [Second]) {
        for second in series {
            let number = first + u64::from(second.second);
            let Some(broker) = self.broker_seconds.get(&number) else { continue };
            second.broker_rss_bytes = Some(broker.rss_bytes);
            let before = number.checked_sub(1).and_then(|before| self.broker_seconds.get(&before));
            second.broker_cpu_s = before
                .map(|before| (broker.cpu_ns - before.cpu_ns.min(broker.cpu_ns)) as f64 / 1e9);
        }
    }

    /// The end of what is measured.
    fn last(&self) -> &Moment {
        self.end.as_ref().unwrap_or(&self.drained)
    }

    fn moment(&self, shared: &Shared) -> Moment {
        Moment {
            at_ns: shared.clock.now_ns(),
            published: shared.total(|progress| &progress.published),
            delivered: shared.total(|progress| &progress.delivered),
            acknowledged: shared.total(|progress| &progress.acknowledged),
            broker: self.broker.and_then(|broker| broker.sample()),
            own: Process::own().sample().unwrap_or_default(),
        }
    }
}
