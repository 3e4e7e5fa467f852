//! Messages for a client that is away.

use std::io;

use clap::Args;
use skein_protocol::QoS;

use super::{
    BrokerCpu,
    exchange::{Inboxes, publish_all},
    options::{Common, Messages},
    report, show,
};
use crate::{
    client::Publisher,
    crowd::{Arrivals, Crowd},
    drive::run_id,
    plan::{Audience, Topology, qos},
    report::Figure,
    verify::Payloads,
};

/// Messages for a client that is away.
///
/// A client subscribes and leaves; messages are published that its session keeps; it comes back and
/// gets them. How fast the broker takes them, how fast it hands them out, and whether all come once
/// and in order.
#[derive(Args, Clone, Debug)]
pub(super) struct Queue {
    #[command(flatten)]
    messages: Messages,
    /// QoS, 1 or 2.
    #[arg(long, default_value = "1", value_parser = qos)]
    qos: QoS,
    /// Messages that may be unacknowledged while they are published.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=32_767))]
    inflight: u16,
    #[command(flatten)]
    pub(super) common: Common,
}

const SUBSCRIBER: usize = 0;
const PUBLISHER: usize = 1;
const SESSION_EXPIRY_S: u32 = 3600;

impl Queue {
    pub(super) fn run(self) -> io::Result<bool> {
        let Self { common: Common { target, .. }, messages, .. } = &self;
        let count = messages.count as u64;
        let shape = "1:1".parse().map_err(io::Error::other)?;
        let topology = Topology::new(shape, Audience::Named, "skein/loadtest/queue");
        let payloads = Payloads::new(run_id(), messages.payload_bytes as usize);
        let mut crowd = Crowd::new(target)?;
        let mut report = report(target, "offline queue", 1);
        // Whatever an earlier run has left is forgotten first.
        self.open(&mut crowd, SUBSCRIBER, true)?;
        crowd.leave();
        self.open(&mut crowd, SUBSCRIBER, false)?;
        crowd.leave();
        self.open(&mut crowd, PUBLISHER, true)?;
        let version = target.version;
        let mut publisher = Publisher::new(&topology, &[0], count, version, self.qos);
        publisher.begin(self.inflight);
        let cpu = BrokerCpu::watch(target);
        let took =
            publish_all(&mut crowd, PUBLISHER, &mut publisher, (&topology, &payloads), version)?;
        let mut add = |name: &str, value: f64, unit: &str| {
            let (name, unit) = (name.to_owned(), unit.to_owned());
            report.figures.push(Figure { name, value, unit });
        };
        add("taken for a client that is away", count as f64 / took.as_secs_f64(), "published/s");
        if let Some(cost) = cpu.microseconds_each(count) {
            add("CPU of the broker to take one", cost, "µs");
        }
        let cpu = BrokerCpu::watch(target);
        let mut inboxes = Inboxes::new(&topology, &payloads, version, SUBSCRIBER, 1);
        let begin = std::time::Instant::now();
        crowd.open_and_see(
            SUBSCRIBER..SUBSCRIBER + 1,
            &self.arrivals(false),
            &mut inboxes.see(),
        )?;
        inboxes.wait(&mut crowd, count)?;
        let took = inboxes.last().duration_since(begin).as_secs_f64();
        add("handed out when it came back", inboxes.delivered as f64 / took, "delivered/s");
        if let Some(cost) = cpu.microseconds_each(inboxes.delivered) {
            add("CPU of the broker to hand one out", cost, "µs");
        }
        crowd.leave();
        self.open(&mut crowd, SUBSCRIBER, true)?;
        crowd.leave();
        let published = [count];
        let tallies = inboxes.units().map(|unit| unit.finish(&published));
        report.verification = tallies.map(|tally| tally.judge(self.qos as u8, false)).collect();
        let is_clean = report.is_clean();
        show(report, &self.common.outputs)?;
        Ok(!self.common.expect || is_clean)
    }

    fn open(&self, crowd: &mut Crowd<'_>, seat: usize, clean_start: bool) -> io::Result<()> {
        crowd.open(seat..seat + 1, &self.arrivals(clean_start))?.check()
    }

    fn arrivals(&self, clean_start: bool) -> Arrivals<'_> {
        Arrivals {
            client_id: &|seat| {
                if seat == SUBSCRIBER { "loadtest-away".into() } else { "loadtest-here".into() }
            },
            filters: &|seat| {
                if seat == SUBSCRIBER { vec!["skein/loadtest/queue".into()] } else { Vec::new() }
            },
            qos: self.qos,
            clean_start,
            session_expiry_s: if clean_start { 0 } else { SESSION_EXPIRY_S },
            at_once: 1,
            leaves: false,
        }
    }
}
