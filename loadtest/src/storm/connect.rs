//! Connections that come and go.

use std::{io, time::Duration};

use clap::Args;
use skein_protocol::QoS;

use super::{
    BrokerCpu, add_times,
    options::{Common, Many},
    report, show,
};
use crate::{
    crowd::{Arrivals, Crowd, Opened},
    plan::qos,
    report::{Figure, Report, Storm},
};

/// Connections that come and go.
#[derive(Args, Clone, Debug)]
pub(super) struct Connections {
    #[command(flatten)]
    many: Many,
    /// Subscriptions of each connection, to topics of its own.
    #[arg(long, default_value_t = 1)]
    subscriptions: usize,
    /// QoS of the subscriptions.
    #[arg(long, default_value = "0", value_parser = qos)]
    qos: QoS,
    /// Whether each session outlives its connection and is resumed by the next one.
    #[arg(long)]
    persistent: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Connections {
    /// Clients connect, subscribe and disconnect.
    pub(super) fn connect(&self) -> io::Result<bool> {
        let mut crowd = Crowd::new(&self.common.target)?;
        let mut report = self.report("connect storm");
        let opened = self.open_timed("connect", &mut crowd, (0, true), &mut report)?;
        self.finish(report, &opened)
    }

    /// All clients lose their connections at once and come back.
    pub(super) fn reconnect(&self) -> io::Result<bool> {
        let mut crowd = Crowd::new(&self.common.target)?;
        let mut report = self.report("reconnect storm");
        self.open_timed("first connect", &mut crowd, (0, false), &mut report)?;
        crowd.vanish();
        let opened = self.open_timed("reconnect", &mut crowd, (0, false), &mut report)?;
        crowd.leave();
        self.finish(report, &opened)
    }

    /// Each client connects a second time.
    pub(super) fn take_over(&self) -> io::Result<bool> {
        let mut crowd = Crowd::new(&self.common.target)?;
        let mut report = self.report("takeover storm");
        let first = self.open(&mut crowd, 0, false)?;
        let seats = (self.many.connections, false);
        let opened = self.open_timed("takeover", &mut crowd, seats, &mut report)?;
        let closed = opened.closed + crowd.idle(LAST_WORDS)?;
        report.figures.push(Figure {
            name: "old connections closed by the broker".to_owned(),
            value: closed as f64,
            unit: format!("of {}", first.ready),
        });
        crowd.leave();
        let all_closed = closed == first.ready;
        Ok(self.finish(report, &opened)? && (all_closed || !self.common.expect))
    }

    fn report(&self, name: &str) -> Report {
        report(&self.common.target, name, self.many.connections)
    }

    /// Opens all connections, as the seats from `first` on, and reports how that went.
    fn open_timed(
        &self,
        kind: &str,
        crowd: &mut Crowd<'_>,
        (first, leaves): (usize, bool),
        report: &mut Report,
    ) -> io::Result<Opened> {
        let cpu = BrokerCpu::watch(&self.common.target);
        let opened = self.open(crowd, first, leaves)?;
        let cost = cpu.microseconds_each(opened.ready);
        report.storms.push(storm(kind, &opened, cost));
        Ok(opened)
    }

    fn open(&self, crowd: &mut Crowd<'_>, first: usize, leaves: bool) -> io::Result<Opened> {
        let client_id = |seat: usize| self.common.target.client_id(seat - first);
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
            at_once: self.many.at_once,
            leaves,
        };
        crowd.open(first..first + self.many.connections, &arrivals)
    }

    fn finish(&self, mut report: Report, opened: &Opened) -> io::Result<bool> {
        add_times(&mut report, opened);
        show(report, &self.common.outputs)?;
        Ok(!self.common.expect || opened.failed == 0)
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
