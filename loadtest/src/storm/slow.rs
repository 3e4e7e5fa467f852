//! Subscribers that do not keep up, among others that do.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use clap::Args;

use super::show;
use crate::{
    crowd::{Arrivals, Crowd},
    drive::{self, Pace, Stop},
    plan::{Arrivals as Times, Load, at_least_one},
    report::{
        Figure, Outputs, Report,
        latency::{Clock, Latency},
    },
};

/// Some subscribers stop reading, or read slowly: what the others notice.
///
/// The same load runs twice at a fixed rate, first alone, then while slow subscribers of the same
/// topics are connected. A broker that isolates its clients shows twice the same.
#[derive(Args, Clone, Debug)]
pub(super) struct Slow {
    /// Messages that all publishers together send each second.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
    rate: usize,
    /// Subscribers that are slow.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    slow: usize,
    /// Bytes that each of them reads a second; 0 reads nothing.
    #[arg(long, default_value_t = 0)]
    slow_bytes: usize,
    /// How long each of the two runs is, seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[command(flatten)]
    pub(super) load: Load,
    #[command(flatten)]
    outputs: Outputs,
}

/// A slow subscriber reads so often a second.
const SIPS_PER_SECOND: usize = 10;

impl Slow {
    pub(super) fn run(self) -> io::Result<bool> {
        let pace =
            Pace::Rate { per_s: self.rate as f64, arrivals: Times::Fixed, spin: Duration::ZERO };
        let warm_up = Duration::from_secs(1);
        let stop = Stop::After { warm_up, measured: Duration::from_secs(self.seconds) };
        let alone = drive::run(&self.load, pace, stop)?;
        let mut crowd = Crowd::new(&self.load.target)?;
        self.open(&mut crowd)?;
        let is_over = AtomicBool::new(false);
        let (beside, lost) = thread::scope(|scope| {
            let sipping = scope.spawn(|| self.sip(&mut crowd, &is_over));
            let beside = drive::run(&self.load, pace, stop);
            is_over.store(true, Ordering::Relaxed);
            let lost = sipping.join().map_err(|_| io::Error::other("a thread has failed"));
            lost.and_then(|lost| Ok((beside?, lost)))
        })?;
        let is_clean = alone.is_clean() && beside.is_clean();
        show(self.report(&alone, beside, lost), &self.outputs)?;
        Ok(!self.load.expect || is_clean)
    }

    /// Connects those who will be slow.
    fn open(&self, crowd: &mut Crowd<'_>) -> io::Result<()> {
        let topic = self.load.topic();
        let arrivals = Arrivals {
            client_id: &|seat| format!("{}-slow-{seat}", self.load.target.client_id),
            filters: &|_| vec![topic.to_owned(), format!("{topic}/#")],
            qos: self.load.subscribe_qos(),
            clean_start: true,
            session_expiry_s: 0,
            at_once: self.slow,
            leaves: false,
        };
        crowd.open(0..self.slow, &arrivals)?.check()
    }

    /// Reads slowly until the run is over; how many connections the broker closed.
    fn sip(&self, crowd: &mut Crowd<'_>, is_over: &AtomicBool) -> usize {
        let sip = self.slow_bytes / SIPS_PER_SECOND;
        let mut lost = 0;
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_secs(1) / SIPS_PER_SECOND as u32);
            if sip > 0 {
                lost += crowd.sip(sip);
            }
        }
        // Whoever was cut off finds the end behind what it had not read.
        lost + (0..LAST_SIPS).map(|_| crowd.sip(LAST_SIP)).sum::<usize>()
    }

    fn report(&self, alone: &Report, mut beside: Report, lost: usize) -> Report {
        let mut figures = Vec::new();
        for (report, when) in [(alone, "alone"), (&beside, "beside slow ones")] {
            let mut add = |what: &str, value: f64, unit: &str| {
                let name = format!("fast subscribers {when}{what}");
                figures.push(Figure { name, value, unit: unit.to_owned() });
            };
            add("", report.traffic.delivered_per_s, "delivered/s");
            let missing: u64 = report.verification.iter().map(|found| found.missing).sum();
            add(", lost", missing as f64, "messages");
            if let Some(latency) = delivery(report) {
                add(", median latency", latency.p50_us, "µs");
                add(", 99th percentile", latency.p99_us, "µs");
            }
        }
        figures.push(Figure {
            name: "slow subscribers whose connections were closed".to_owned(),
            value: lost as f64,
            unit: format!("of {}", self.slow),
        });
        beside.figures.extend(figures);
        beside.scenario.name = Some("slow subscribers among fast ones".to_owned());
        beside
    }
}

fn delivery(report: &Report) -> Option<&Latency> {
    report.latencies.iter().find(|latency| latency.clock == Clock::Delivery)
}

/// Enough to read everything that sockets hold.
const LAST_SIPS: usize = 256;
const LAST_SIP: usize = 64 * 1024;
