//! What is not about the rate of messages: connections that come and go, memory of those that do
//! nothing, and what a broker keeps for those who are away.

mod connect;
mod exchange;
mod idle;
mod options;
mod queue;
mod retained;
mod slow;

use std::io;

use clap::{Args, Subcommand};
use hdrhistogram::Histogram;

use self::connect::Connections;
use crate::{
    crowd::Opened,
    measure::Process,
    plan::Target,
    report::{
        Environment, Mode, Outputs, Report, Scenario,
        latency::{Clock, Latency},
    },
};

/// Connections that come and go, memory of those that do nothing, messages for those who are away.
#[derive(Args, Clone, Debug)]
pub(crate) struct Storm {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand, Clone, Debug)]
enum Kind {
    /// Clients connect, subscribe and disconnect: how many a second, and what each costs.
    Connect(Connections),
    /// All clients lose their connections at once and come back.
    Reconnect(Connections),
    /// Each client connects a second time and takes its session over.
    Takeover(Connections),
    /// Connections that do nothing: memory of each, without and with a subscription.
    Idle(idle::Idle),
    /// Some subscribers stop reading: what the others notice.
    Slow(Box<slow::Slow>),
    /// Messages for a client that is away: how fast they are taken, and how fast it gets them.
    Queue(queue::Queue),
    /// Subscribers that ask for many retained messages at once.
    Retained(retained::Retained),
}

impl Storm {
    /// Runs it and shows what came of it; whether all is as it is expected to be.
    pub(crate) fn run(self) -> io::Result<bool> {
        match self.kind {
            Kind::Connect(connections) => connections.connect(),
            Kind::Reconnect(connections) => connections.reconnect(),
            Kind::Takeover(connections) => connections.take_over(),
            Kind::Idle(idle) => idle.run(),
            Kind::Slow(slow) => slow.run(),
            Kind::Queue(queue) => queue.run(),
            Kind::Retained(retained) => retained.run(),
        }
    }

    /// The broker.
    pub(crate) fn target(&self) -> &Target {
        match &self.kind {
            Kind::Connect(connections)
            | Kind::Reconnect(connections)
            | Kind::Takeover(connections) => &connections.common.target,
            Kind::Idle(idle) => &idle.common.target,
            Kind::Slow(slow) => &slow.load.target,
            Kind::Queue(queue) => &queue.common.target,
            Kind::Retained(retained) => &retained.common.target,
        }
    }
}

/// A report with everything that all storms have in common.
fn report(target: &Target, name: &str, connections: usize) -> Report {
    let mut report = Report {
        command: std::env::args().collect(),
        environment: Environment::observe(target.pid),
        scenario: Scenario {
            name: Some(name.to_owned()),
            mode: Mode::Storm,
            shape: format!("{connections} connections"),
            version: target.version.to_string(),
            transport: target.transport_name(),
            connect_per_s: target.connect_rate.map(f64::from),
            ..Scenario::default()
        },
        ..Report::default()
    };
    report.verdict.reason = "storms have no single limit; see their figures".to_owned();
    report
}

/// The times of opening connections, without clocks that never ran.
fn add_times(report: &mut Report, opened: &Opened) {
    add_time(report, Clock::ConnectToConnack, &opened.connack);
    add_time(report, Clock::SubscribeToSuback, &opened.suback);
}

fn add_time(report: &mut Report, clock: Clock, times: &Histogram<u64>) {
    if !times.is_empty() {
        report.latencies.push(Latency::new(clock, times));
    }
}

/// CPU time that a broker uses from now on, if its process is known.
struct BrokerCpu {
    process: Option<Process>,
    before_ns: Option<u64>,
}

impl BrokerCpu {
    fn watch(target: &Target) -> Self {
        let process = target.pid.map(Process::new);
        Self { process, before_ns: process.and_then(|process| process.cpu_ns()) }
    }

    /// Microseconds of each of `count` things.
    fn microseconds_each(&self, count: u64) -> Option<f64> {
        let now_ns = self.process?.cpu_ns()?;
        (count > 0).then(|| (now_ns - self.before_ns.unwrap_or(now_ns)) as f64 / 1e3 / count as f64)
    }
}

/// Shows a report.
fn show(mut report: Report, outputs: &Outputs) -> io::Result<()> {
    if report.scenario.mode == Mode::Storm
        && let Some(own) = Process::own().sample()
    {
        let (user_ns, system_ns) = own.cpu_ns();
        report.generator.cpu_user_s = user_ns as f64 / 1e9;
        report.generator.cpu_system_s = system_ns as f64 / 1e9;
    }
    outputs.write(&mut report)
}
