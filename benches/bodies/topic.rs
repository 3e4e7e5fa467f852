//! Who wants a topic: the trie, and the routes that are remembered.

use std::hint::black_box;

use ahash::RandomState;
use skein::{
    router::Routes,
    session::SessionKey,
    topic::{Subscriber, Subscriptions},
};
use skein_protocol::qos::QoS;

use super::Run;

/// Topics that are looked up in one run.
pub(crate) const TOPICS: u64 = 100;
/// Filters without wildcards that are there; most of them match nothing that is asked for.
const FILTERS: usize = 10_000;

pub(crate) fn trie_exact() -> Run {
    walk(subscriptions(&[]))
}

pub(crate) fn trie_wildcards() -> Run {
    walk(subscriptions(&["#", "plant/#", "plant/+/sensor/+", "+/+/+/+", "plant/7/+/#"]))
}

pub(crate) fn route_hit() -> Run {
    let (subscriptions, topics) = (subscriptions(&[]), topics());
    let mut routes = Routes::new(hasher());
    Box::new(move || find_all(&mut routes, &topics, &subscriptions))
}

/// A subscription somewhere has made all that was remembered worthless.
pub(crate) fn route_miss() -> Run {
    let (mut subscriptions, topics) = (subscriptions(&[]), topics());
    let mut routes = Routes::new(hasher());
    Box::new(move || {
        let filter = subscriptions.insert("another/filter");
        subscriptions.prune(filter);
        find_all(&mut routes, &topics, &subscriptions);
    })
}

fn walk(subscriptions: Subscriptions) -> Run {
    let topics = topics();
    Box::new(move || {
        for topic in &topics {
            subscriptions.matches(black_box(topic), |filter, entry| {
                black_box((filter, entry));
            });
        }
    })
}

fn find_all(routes: &mut Routes, topics: &[String], subscriptions: &Subscriptions) {
    for topic in topics {
        black_box(routes.find(black_box(topic), subscriptions));
    }
}

fn topic(number: usize) -> String {
    format!("plant/{}/sensor/{number}", number % 100)
}

fn topics() -> Vec<String> {
    (0..TOPICS as usize).map(|number| topic(number * 97)).collect()
}

fn subscriptions(wildcards: &[&str]) -> Subscriptions {
    let mut subscriptions = Subscriptions::new(hasher());
    let filters = (0..FILTERS).map(topic).chain(wildcards.iter().map(|filter| (*filter).into()));
    for (slot, filter) in filters.enumerate() {
        let id = subscriptions.insert(&filter);
        subscriptions.entry_mut(id).subscribe(Subscriber {
            session: SessionKey::new(slot),
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            is_durable: false,
            identifier: None,
        });
    }
    subscriptions
}

fn hasher() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}
