//! Who gets a topic: computed from the trie on a miss, remembered until subscriptions change.

use std::rc::Rc;

use ahash::{AHashMap, RandomState};
use smallvec::SmallVec;

use crate::{
    session::{Grant, SessionKey},
    topic::{ShardSet, Subscriber, Subscriptions},
};

/// Topics remembered; then all are forgotten and the busy ones come back by themselves.
const ROUTES_MAX: usize = 65_536;
/// Receivers remembered, of all topics together: some 100 MiB of them.
const RECEIVERS_MAX: usize = if cfg!(test) { 100 } else { 1 << 20 };

/// What a session gets of the messages it published itself (No Local).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// The same as of everybody's.
    Same,
    /// Nothing: all its matching subscriptions are No Local.
    Nothing,
    /// What its other matching subscriptions grant.
    Less(Box<Grant>),
}

/// One local session that gets a topic.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Whose.
    pub session: SessionKey,
    /// What its matching subscriptions grant together.
    pub grant: Grant,
    /// What it gets of its own messages.
    pub own: Own,
}

impl Receiver {
    fn new(subscriber: &Subscriber) -> Self {
        let own = if subscriber.no_local { Own::Nothing } else { Own::Same };
        Self { session: subscriber.session, grant: subscriber.grant(), own }
    }

    /// Takes another matching subscription of the same session in.
    fn merge(&mut self, subscriber: &Subscriber) {
        let other = subscriber.grant();
        self.own = match (std::mem::replace(&mut self.own, Own::Same), subscriber.no_local) {
            (Own::Same, false) => Own::Same,
            (Own::Same, true) => Own::Less(Box::new(self.grant.clone())),
            (own, true) => own,
            (Own::Nothing, false) => Own::Less(Box::new(other.clone())),
            (Own::Less(mut less), false) => {
                less.merge(&other);
                Own::Less(less)
            }
        };
        self.grant.merge(&other);
    }

    /// The grant for a message published by `publisher`; `None` if it gets nothing of it.
    #[inline]
    pub fn grant_for(&self, publisher: Option<SessionKey>) -> Option<&Grant> {
        if publisher != Some(self.session) {
            return Some(&self.grant);
        }
        match &self.own {
            Own::Same => Some(&self.grant),
            Own::Nothing => None,
            Own::Less(grant) => Some(grant),
        }
    }
}

/// Who gets a topic.
#[derive(Debug, Default)]
pub struct Route {
    /// The topic.
    pub topic: Rc<str>,
    /// Local sessions, each once [MQTT-3.3.5-1], sorted.
    pub receivers: Vec<Receiver>,
    /// Other shards with a subscriber.
    pub shards: ShardSet,
    /// Matching shares, by key: each gets one copy.
    pub shares: SmallVec<[u64; 2]>,
    /// Whether everybody who wants the topic has a full queue.
    pub is_full: bool,
}

impl Route {
    /// Asks the trie.
    fn compute(topic: &str, subscriptions: &Subscriptions) -> Self {
        let mut route = Self { topic: topic.into(), is_full: true, ..Self::default() };
        let mut filters = 0;
        subscriptions.matches(topic, |_, entry| {
            filters += 1;
            route.receivers.extend(entry.local().iter().map(Receiver::new));
            route.shards = route.shards.union(entry.shards);
            route.shares.extend(entry.shares().iter().map(|share| share.key));
            route.is_full &= entry.is_full();
        });
        if filters > 1 {
            route.merge_overlapping(topic, subscriptions);
        }
        route.is_full &= !route.is_empty();
        route
    }

    /// Overlapping subscriptions of one session make one receiver.
    fn merge_overlapping(&mut self, topic: &str, subscriptions: &Subscriptions) {
        let mut all: Vec<Subscriber> = Vec::with_capacity(self.receivers.len());
        subscriptions.matches(topic, |_, entry| all.extend_from_slice(entry.local()));
        all.sort_by_key(|subscriber| subscriber.session);
        self.receivers.clear();
        for subscriber in &all {
            match self.receivers.last_mut().filter(|last| last.session == subscriber.session) {
                Some(last) => last.merge(subscriber),
                None => self.receivers.push(Receiver::new(subscriber)),
            }
        }
    }

    /// Whether nobody gets the topic.
    pub fn is_empty(&self) -> bool {
        self.receivers.is_empty() && self.shards.is_empty() && self.shares.is_empty()
    }
}

/// The routes of one shard.
#[derive(Debug)]
pub struct Routes {
    routes: AHashMap<Rc<str>, Rc<Route>>,
    /// The one that was asked for last: most messages in a row are of one topic.
    last: Option<Rc<Route>>,
    /// Receivers of all routes.
    receivers: usize,
    generation: u64,
}

impl Routes {
    /// None remembered.
    pub fn new(hasher: RandomState) -> Self {
        Self { routes: AHashMap::with_hasher(hasher), last: None, receivers: 0, generation: 0 }
    }

    /// Who gets this topic now.
    #[inline]
    pub fn find(&mut self, topic: &str, subscriptions: &Subscriptions) -> Rc<Route> {
        if self.generation != subscriptions.generation() {
            self.forget();
            self.generation = subscriptions.generation();
        }
        if let Some(last) = &self.last
            && *last.topic == *topic
        {
            return Rc::clone(last);
        }
        let route = match self.routes.get(topic) {
            Some(route) => Rc::clone(route),
            None => self.compute(topic, subscriptions),
        };
        self.last = Some(Rc::clone(&route));
        route
    }

    /// The route that was found last, if it still holds.
    #[inline]
    pub fn last(&self) -> Option<Rc<Route>> {
        self.last.clone()
    }

    #[cold]
    fn compute(&mut self, topic: &str, subscriptions: &Subscriptions) -> Rc<Route> {
        let route = Rc::new(Route::compute(topic, subscriptions));
        let receivers = self.receivers + route.receivers.len();
        if self.routes.len() >= ROUTES_MAX || receivers > RECEIVERS_MAX {
            self.forget();
        }
        self.receivers += route.receivers.len();
        self.routes.insert(Rc::clone(&route.topic), Rc::clone(&route));
        route
    }

    fn forget(&mut self) {
        self.routes.clear();
        self.last = None;
        self.receivers = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use skein_protocol::qos::QoS;

    use super::*;

    fn subscriber(slot: usize, qos: QoS, no_local: bool, identifier: u32) -> Subscriber {
        Subscriber {
            session: SessionKey::new(slot),
            qos,
            no_local,
            retain_as_published: false,
            identifier: NonZeroU32::new(identifier),
        }
    }

    fn subscriptions(all: &[(&str, Subscriber)]) -> Subscriptions {
        let mut subscriptions = Subscriptions::new(RandomState::with_seeds(1, 2, 3, 4));
        for (pattern, subscriber) in all {
            let filter = subscriptions.insert(pattern);
            subscriptions.entry_mut(filter).subscribe(*subscriber);
        }
        subscriptions
    }

    #[test]
    fn mqtt_3_3_5_1_overlapping_filters_make_one_receiver() {
        let all = [
            ("a/#", subscriber(1, QoS::AtMostOnce, false, 7)),
            ("a/b", subscriber(1, QoS::ExactlyOnce, false, 9)),
            ("+/b", subscriber(2, QoS::AtLeastOnce, false, 0)),
        ];
        let route = Route::compute("a/b", &subscriptions(&all));
        let receivers: Vec<_> =
            route.receivers.iter().map(|r| (r.session.slot(), r.grant.qos)).collect();
        assert_eq!(receivers, [(1, QoS::ExactlyOnce), (2, QoS::AtLeastOnce)]);
        let mut identifiers =
            route.receivers[0].grant.identifiers.as_deref().unwrap_or(&[]).to_vec();
        identifiers.sort_unstable();
        assert_eq!(identifiers, [7, 9]);
    }

    #[test]
    fn mqtt_3_8_3_3_no_local_counts_only_for_the_subscriptions_that_say_so() {
        let all = [
            ("a/#", subscriber(1, QoS::ExactlyOnce, true, 7)),
            ("a/b", subscriber(1, QoS::AtMostOnce, false, 9)),
            ("a/b", subscriber(2, QoS::AtMostOnce, true, 0)),
        ];
        let route = Route::compute("a/b", &subscriptions(&all));
        let [first, second] = &route.receivers[..] else { panic!("two sessions receive") };
        let own = first.grant_for(Some(SessionKey::new(1))).expect("its other filter matches");
        assert_eq!((own.qos, own.identifiers.as_deref()), (QoS::AtMostOnce, Some(&[9][..])));
        assert_eq!(first.grant_for(None).map(|g| g.qos), Some(QoS::ExactlyOnce));
        assert!(second.grant_for(Some(SessionKey::new(2))).is_none());
    }

    #[test]
    fn a_route_is_forgotten_when_subscriptions_change() {
        let mut subscriptions = subscriptions(&[]);
        let mut routes = Routes::new(RandomState::with_seeds(1, 2, 3, 4));
        assert!(routes.find("a", &subscriptions).is_empty());
        let filter = subscriptions.insert("a");
        subscriptions.entry_mut(filter).subscribe(subscriber(1, QoS::AtMostOnce, false, 0));
        assert_eq!(routes.find("a", &subscriptions).receivers.len(), 1);
    }

    /// Law 8: many topics that many want are not remembered all at once.
    #[test]
    fn the_receivers_of_all_routes_are_bounded_together() {
        let all: Vec<_> =
            (0..30).map(|slot| ("#", subscriber(slot, QoS::AtMostOnce, false, 0))).collect();
        let subscriptions = subscriptions(&all);
        let mut routes = Routes::new(RandomState::with_seeds(1, 2, 3, 4));
        for number in 0..50 {
            assert_eq!(routes.find(&number.to_string(), &subscriptions).receivers.len(), 30);
            let held: usize = routes.routes.values().map(|route| route.receivers.len()).sum();
            assert!(held <= RECEIVERS_MAX && held == routes.receivers, "{held} are remembered");
        }
    }
}
