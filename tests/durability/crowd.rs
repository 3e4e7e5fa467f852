//! Who takes part in a run: publishers and subscribers of every kind, drawn from a seed.

use fastrand::Rng;
use skein_protocol::QoS::{AtLeastOnce, ExactlyOnce};
use skein_protocol::Version;

use crate::client::Plan;
use crate::history::KEPT;

/// How many topics there are; all publishers use all of them, and each has one that retains.
const TOPICS: usize = 6;

/// The plans of so many publishers and subscribers.
pub(crate) fn draw(rng: &mut Rng, publishers: usize, subscribers: usize) -> Vec<Plan> {
    let publisher = |client| draw_publisher(rng, client);
    let mut plans: Vec<Plan> = (0..publishers).map(publisher).collect();
    plans.extend((publishers..publishers + subscribers).map(|it| draw_subscriber(rng, it)));
    // Whatever was drawn, packets of every kind come and go.
    let (publishing, subscribed) = plans.split_at_mut(publishers);
    if let Some(first) = publishing.first_mut() {
        first.qos = vec![AtLeastOnce, ExactlyOnce];
    }
    for (plan, qos) in subscribed.iter_mut().zip([AtLeastOnce, ExactlyOnce]) {
        plan.filters.iter_mut().for_each(|(_, asked)| *asked = qos);
    }
    plans
}

/// What all have in common: one that neither publishes nor subscribes.
fn draw_idle(rng: &mut Rng, client: usize) -> Plan {
    Plan {
        client,
        version: if rng.bool() { Version::V5 } else { Version::V3_1_1 },
        seed: rng.u64(..),
        filters: Vec::new(),
        topics: Vec::new(),
        qos: Vec::new(),
        window: [1, 4, 20][rng.usize(..3)],
        pause_ms_max: [20, 60, 200][rng.usize(..3)],
        receive_maximum: [4, 20, u16::MAX][rng.usize(..3)],
        naps: rng.u8(..4) == 0,
    }
}

fn draw_publisher(rng: &mut Rng, client: usize) -> Plan {
    let qos = [&[AtLeastOnce][..], &[ExactlyOnce], &[AtLeastOnce, ExactlyOnce]][rng.usize(..3)];
    let shared = (0..TOPICS).map(|topic| format!("plant/{topic}"));
    let topics = shared.chain([format!("{KEPT}{client}")]).collect();
    Plan { topics, qos: qos.to_vec(), ..draw_idle(rng, client) }
}

/// One that wants everything, or one topic after the other; no two of its filters overlap, so that
/// each message comes to it once.
fn draw_subscriber(rng: &mut Rng, client: usize) -> Plan {
    let qos = if rng.bool() { AtLeastOnce } else { ExactlyOnce };
    let filters = match rng.u8(..4) {
        0 => vec![("plant/#".to_owned(), qos)],
        1 => vec![("plant/+".to_owned(), qos)],
        _ => {
            let mut topics: Vec<usize> = (0..TOPICS).collect();
            rng.shuffle(&mut topics);
            topics.truncate(3);
            topics.iter().map(|topic| (format!("plant/{topic}"), qos)).collect()
        }
    };
    Plan { filters, ..draw_idle(rng, client) }
}
