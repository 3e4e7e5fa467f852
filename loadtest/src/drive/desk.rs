//! What all connections of a worker share while they are served.

use std::sync::Arc;

use skein_protocol::Frame;

use super::plan::Plan;
use crate::{
    client::{Publisher, Subscriber, topic_number},
    measure::{Recorder, RunClock},
    report::latency::Clock,
    verify::{Stamp, Unit, is_same},
};

/// What all connections of a worker share while they are served.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The run.
    pub(crate) plan: Arc<Plan>,
    /// Those units whose connections this worker drives.
    pub(crate) units: Vec<Unit>,
    /// What is counted and timed.
    pub(crate) recorder: Recorder,
    clock: RunClock,
    /// The time, as of the last look at the clock.
    pub(crate) now_ns: u64,
    /// Deliveries that are owed for what was sent.
    pub(crate) owed: u64,
    /// Deliveries that were owed and came.
    pub(crate) paid: u64,
    /// What is timed has none of these bits in its number.
    untimed_bits: u64,
}

impl Desk {
    /// At the beginning of a run.
    pub(crate) fn new(plan: Arc<Plan>, units: Vec<Unit>, clock: RunClock) -> Self {
        let recorder = Recorder::new(plan.delivery_clock());
        let untimed_bits = plan.untimed_bits();
        let now_ns = clock.now_ns();
        Self { plan, units, recorder, clock, now_ns, owed: 0, paid: 0, untimed_bits }
    }

    /// It is as late as the clock says.
    #[inline]
    pub(crate) fn look_at_clock(&mut self) {
        self.now_ns = self.clock.now_ns();
    }

    /// Appends the next PUBLISH of a publisher.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        publisher: &mut Publisher,
        intended_ns: u64,
        out: &mut Vec<u8>,
    ) {
        let topology = &self.plan.topology;
        self.owed += topology.groups[publisher.group()].units.len() as u64;
        publisher.publish(topology, &self.plan.payloads, (intended_ns, self.now_ns), out);
        self.recorder.on_publish(self.now_ns);
    }

    /// Checks and times a delivery, and appends its acknowledgement.
    #[inline]
    pub(crate) fn on_publish(
        &mut self,
        subscriber: &mut Subscriber,
        frame: Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), skein_protocol::Error> {
        let Some(delivery) = subscriber.on_publish(frame, out)? else { return Ok(()) };
        self.recorder.delivered += 1;
        let unit = &mut self.units[subscriber.unit];
        let payloads = &self.plan.payloads;
        let Some(checked) = unit.check(payloads, delivery.payload, delivery.dup) else {
            return Ok(());
        };
        self.paid += u64::from(checked.is_first);
        let stamp = checked.stamp;
        let topics = &self.plan.topology.groups[unit.group()].topics;
        let topic = &topics[topic_number(stamp.sequence, topics.len())];
        if !is_same(topic.as_bytes(), delivery.topic) {
            unit.note_wrong_topic();
        }
        if stamp.sequence & self.untimed_bits == 0 && payloads.has_times() {
            self.time(&stamp);
        }
        Ok(())
    }

    /// Notes when something was received, if anything was since there were `before` deliveries. Once
    /// for each read: all that a read brought came at the same time.
    #[inline]
    pub(crate) fn end_read(&mut self, before: u64, subscriber: Option<&mut Subscriber>) {
        if self.recorder.delivered > before {
            self.recorder.last_delivery_ns = self.now_ns;
            if let Some(subscriber) = subscriber {
                subscriber.note_time(self.now_ns);
            }
        }
    }

    /// A publish was acknowledged in full.
    #[inline]
    pub(crate) fn on_acknowledged(&mut self, clock: Clock, sent_ns: u64) {
        self.recorder.acknowledged += 1;
        if self.recorder.acknowledged & self.untimed_bits == 0 {
            self.recorder.record(clock, sent_ns, self.now_ns);
        }
    }

    fn time(&mut self, stamp: &Stamp) {
        self.recorder.record_delivery(stamp.intended_ns, self.now_ns);
        if self.recorder.delivery_clock() == Clock::Delivery {
            let sent_ns = stamp.intended_ns + u64::from(stamp.late_us) * 1000;
            self.recorder.record(Clock::DeliveryUncorrected, sent_ns, self.now_ns);
        }
    }
}
