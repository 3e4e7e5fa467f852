//! Connections that come and go.

use std::{io, time::Duration};

use clap::Args;
use skein_protocol::QoS;

use super::{BrokerCpu, add_times, report, show};
use crate::{
    crowd::{Arrivals, Crowd, Opened},
    plan::{Target, at_least_one, qos},
    report::{Figure, Outputs, Report, Storm},
};

/// Options of all storms of connections.
#[derive(Args, Clone, Debug)]
struct Many {
    /// Connections.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
    connections: usize,
    /// Connections that may be on their way to being ready at once.
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    at_once: usize,
    /// Subscriptions of each connection, to topics of its own.
    #[arg(long, default_value_t = 1)]
    subscriptions: usize,
    /// QoS of the subscriptions.
    #[arg(long, default_value = "0", value_parser = qos)]
    qos: QoS,
    /// Whether each session outlives its connection and is resumed by the next one.
    #[arg(long)]
    persistent: bool,
    /// Exit with 1 if a connection fails.
    #[arg(long)]
    expect: bool,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    outputs: Outputs,
}

/// Clients connect, subscribe and disconnect.
#[derive(Args, Clone, Debug)]
pub(super) struct Connect {
    #[command(flatten)]
    many: Many,
}

/// All clients lose their connections at once and come back.
#[derive(Args, Clone, Debug)]
pub(super) struct Reconnect {
    #[command(flatten)]
    many: Many,
}

/// Each client connects a second time.
#[derive(Args, Clone, Debug)]
pub(super) struct Takeover {
    #[command(flatten)]
    many: Many,
}

impl Connect {
    pub(super) fn run(self) -> io::Result<bool> {
        let Many { target, connections, .. } = &self.many;
        let mut crowd = Crowd::new(target)?;
        let cpu = BrokerCpu::watch(target);
        let opened = self.many.open(&mut crowd, 0, true)?;
        let cost = cpu.microseconds_each(opened.ready);
        let mut report = report(target, "connect storm", *connections);
        report.storms.push(storm("connect", &opened, cost));
        self.many.finish(report, &opened)
    }
}

impl Reconnect {
    pub(super) fn run(self) -> io::Result<bool> {
        let Many { target, connections, .. } = &self.many;
        let mut crowd = Crowd::new(target)?;
        let mut report = report(target, "reconnect storm", *connections);
        let cpu = BrokerCpu::watch(target);
        let opened = self.many.open(&mut crowd, 0, false)?;
        let cost = cpu.microseconds_each(opened.ready);
        report.storms.push(storm("first connect", &opened, cost));
        crowd.vanish();
        let cpu = BrokerCpu::watch(target);
        let opened = self.many.open(&mut crowd, 0, false)?;
        let cost = cpu.microseconds_each(opened.ready);
        report.storms.push(storm("reconnect", &opened, cost));
        crowd.leave();
        self.many.finish(report, &opened)
    }
}

impl Takeover {
    pub(super) fn run(self) -> io::Result<bool> {
        let Many { target, connections, .. } = &self.many;
        let mut crowd = Crowd::new(target)?;
        let mut report = report(target, "takeover storm", *connections);
        let first = self.many.open(&mut crowd, 0, false)?;
        let cpu = BrokerCpu::watch(target);
        let opened = self.many.open(&mut crowd, *connections, false)?;
        let closed = opened.closed + crowd.idle(LAST_WORDS)?;
        let cost = cpu.microseconds_each(opened.ready);
        report.storms.push(storm("takeover", &opened, cost));
        report.figures.push(Figure {
            name: "old connections closed by the broker".to_owned(),
            value: closed as f64,
            unit: format!("of {}", first.ready),
        });
        crowd.leave();
        let all_closed = closed == first.ready;
        Ok(self.many.finish(report, &opened)? && (all_closed || !self.many.expect))
    }
}

impl Many {
    /// Opens all connections, as the seats from `first` on.
    fn open(&self, crowd: &mut Crowd<'_>, first: usize, leaves: bool) -> io::Result<Opened> {
        let client_id = |seat: usize| self.target.client_id(seat - first);
        let filters = |seat: usize| {
            let topic = |number| format!("skein/loadtest/{}/{number}", seat - first);
            (0..self.subscriptions).map(topic).collect()
        };
        let arrivals = Arrivals {
            client_id: &client_id,
            filters: &filters,
            qos: self.qos,
            clean_start: !self.persistent,
            session_expiry_s: if self.persistent { SESSION_EXPIRY_S } else { 0 },
            at_once: self.at_once,
            leaves,
        };
        crowd.open(first..first + self.connections, &arrivals)
    }

    fn finish(&self, mut report: Report, opened: &Opened) -> io::Result<bool> {
        add_times(&mut report, opened);
        show(report, &self.outputs)?;
        Ok(!self.expect || opened.failed == 0)
    }
}

fn storm(kind: &str, opened: &Opened, cost: Option<f64>) -> Storm {
    let seconds = opened.took.as_secs_f64();
    Storm {
        kind: kind.to_owned(),
        connections: opened.ready,
        failed: opened.failed,
        seconds,
        connections_per_s: opened.ready as f64 / seconds.max(f64::MIN_POSITIVE),
        broker_cpu_us_per_connection: cost,
    }
}

/// Long enough for every storm.
const SESSION_EXPIRY_S: u32 = 3600;
/// How long brokers may take to close the connections that were taken over.
const LAST_WORDS: Duration = Duration::from_millis(500);
