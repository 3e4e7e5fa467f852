//! Many retained messages for many subscribers at once.

use std::{io, time::Instant};

use clap::Args;
use skein_protocol::{Publish, PublishProperties, QoS, TopicName};

use super::{
    BrokerCpu,
    exchange::{Inboxes, publish_all},
    options::{Common, Messages},
    report, show,
};
use crate::{
    client::Publisher,
    crowd::{Arrivals, Crowd, See},
    drive::run_id,
    plan::{Audience, Shape, Target, Topology, at_least_one},
    report::Figure,
    verify::{Payloads, Tally},
};

/// Many retained messages for many subscribers at once.
///
/// A publisher leaves a retained message on each topic; then all subscribers ask for all of them
/// with one wildcard. At the end the messages are taken away again.
#[derive(Args, Clone, Debug)]
pub(super) struct Retained {
    /// Subscribers that ask for all of them.
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    subscribers: usize,
    #[command(flatten)]
    messages: Messages,
    #[command(flatten)]
    pub(super) common: Common,
}

const TOPIC: &str = "skein/loadtest/retained";
const PUBLISHER: usize = 0;
const FIRST_SUBSCRIBER: usize = 1;
/// QoS of publishes and subscriptions: what is acknowledged is there.
const QOS: QoS = QoS::AtLeastOnce;
const IN_FLIGHT: u16 = 100;

impl Retained {
    pub(super) fn run(self) -> io::Result<bool> {
        let Self { common: Common { target, .. }, messages, subscribers } = &self;
        let shape = Shape { publishers: 1, subscribers: 1, topics: messages.count, mesh: false };
        let topology = Topology::new(shape, Audience::Named, TOPIC);
        let payloads = Payloads::new(run_id(), messages.payload_bytes as usize);
        let version = target.version;
        let mut crowd = Crowd::new(target)?;
        let mut report = report(target, "retained storm", *subscribers);
        self.open(&mut crowd, PUBLISHER, 1, &mut |_, _, _| Ok(()))?;
        let count = messages.count as u64;
        let mut publisher = Publisher::new(&topology, &[0], count, version, QOS).retained();
        publisher.begin(IN_FLIGHT);
        let took =
            publish_all(&mut crowd, PUBLISHER, &mut publisher, (&topology, &payloads), version)?;
        let mut add = |name: &str, value: f64, unit: &str| {
            let (name, unit) = (name.to_owned(), unit.to_owned());
            report.figures.push(Figure { name, value, unit });
        };
        add("retained messages stored", count as f64 / took.as_secs_f64(), "published/s");
        let cpu = BrokerCpu::watch(target);
        let mut inboxes =
            Inboxes::new(&topology, &payloads, version, FIRST_SUBSCRIBER, *subscribers);
        let begin = Instant::now();
        self.open(&mut crowd, FIRST_SUBSCRIBER, *subscribers, &mut inboxes.see())?;
        inboxes.wait(&mut crowd, count * *subscribers as u64)?;
        let took = inboxes.last().duration_since(begin).as_secs_f64();
        add("retained messages handed out", inboxes.delivered as f64 / took, "delivered/s");
        add("until the last subscriber had all", took * 1e3, "ms");
        if let Some(cost) = cpu.microseconds_each(inboxes.delivered) {
            add("CPU of the broker to hand one out", cost * 1e3, "ns");
        }
        clear(&mut crowd, &topology, target)?;
        let mut total = Tally::default();
        inboxes.units().for_each(|unit| total.add(&unit.finish(&[count])));
        // Retained messages have no order between topics (3.3.1.3, 4.6).
        total.reordered = 0;
        report.verification.push(total.judge(QOS as u8, false));
        let is_clean = report.is_clean();
        show(report, &self.common.outputs)?;
        Ok(!self.common.expect || is_clean)
    }

    fn open(
        &self,
        crowd: &mut Crowd<'_>,
        first: usize,
        count: usize,
        see: &mut dyn See,
    ) -> io::Result<()> {
        let arrivals = Arrivals {
            client_id: &|seat| self.common.target.client_id(seat),
            filters: &|seat| {
                if seat == PUBLISHER { Vec::new() } else { vec![format!("{TOPIC}/#")] }
            },
            qos: QOS,
            clean_start: true,
            session_expiry_s: 0,
            at_once: count,
            leaves: false,
        };
        crowd.open_and_see(first..first + count, &arrivals, see)?.check()
    }
}

/// Takes the retained messages away: an empty one on each topic [MQTT-3.3.1-6].
fn clear(crowd: &mut Crowd<'_>, topology: &Topology, target: &Target) -> io::Result<()> {
    for topics in topology.groups[0].topics.chunks(1000) {
        let Some(connection) = crowd.connection(PUBLISHER) else { return Ok(()) };
        for topic in topics {
            let publish = Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: true,
                topic: TopicName::new(topic).ok(),
                packet_id: None,
                properties: PublishProperties::default(),
                payload: &[],
            };
            publish.encode(target.version, connection.outgoing());
        }
        crowd.flush(PUBLISHER)?;
        while crowd.connection(PUBLISHER).is_some_and(|connection| connection.has_unsent()) {
            crowd.serve(&mut |_, _, _| Ok(()), &mut |_| {})?;
        }
    }
    crowd.leave();
    Ok(())
}
