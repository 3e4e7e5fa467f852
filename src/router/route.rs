//! Who gets a topic: computed from the trie on a miss, remembered until subscriptions change.

use std::{fmt, rc::Rc};

use ahash::RandomState;
use quick_cache::{
    Weighter,
    unsync::{Cache, DefaultLifecycle},
};
use smallvec::SmallVec;

use crate::{
    session::{Grant, SessionKey},
    topic::{ShardSet, Subscriber, Subscriptions},
};

/// What all routes together may weigh, some 70 MiB: 250,000 with a receiver or two each. Beyond
/// it those are forgotten that were not asked for lately.
const WEIGHT_MAX: u64 = if cfg!(test) { 100 } else { 1 << 20 };
/// What a route weighs beside its receivers, each of which is one.
const ROUTE_WEIGHT: u64 = 3;

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
    /// Whether messages are recorded for a local session.
    pub is_durable: bool,
    /// Other shards that record messages for a subscriber.
    pub durable_shards: ShardSet,
    /// Matching shares, by key: each gets one copy.
    pub shares: SmallVec<[u64; 2]>,
    /// Whether everybody who wants the topic has a full queue.
    pub is_full: bool,
    /// Of the subscriptions that were asked.
    generation: u64,
}

impl Route {
    /// The same topic for nobody but the members of shares.
    pub fn of_shares(&self) -> Self {
        Self { topic: Rc::clone(&self.topic), shares: self.shares.clone(), ..Self::default() }
    }

    /// Asks the trie.
    fn compute(topic: &str, subscriptions: &Subscriptions) -> Self {
        let mut route = Self {
            topic: topic.into(),
            is_full: true,
            generation: subscriptions.generation(),
            ..Self::default()
        };
        let mut filters = 0;
        subscriptions.matches(topic, |_, entry| {
            filters += 1;
            route.receivers.extend(entry.local().iter().map(Receiver::new));
            route.shards = route.shards.union(entry.shards);
            route.is_durable |= entry.is_durable();
            route.durable_shards = route.durable_shards.union(entry.durable_shards);
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

struct ByReceivers;

impl Weighter<Rc<str>, Rc<Route>> for ByReceivers {
    fn weight(&self, _topic: &Rc<str>, route: &Rc<Route>) -> u64 {
        ROUTE_WEIGHT + route.receivers.len() as u64
    }
}

/// The routes of one shard. When subscriptions change, none is true any more; each is then
/// computed anew when it is asked for, and none is forgotten for that reason alone.
pub struct Routes {
    routes: Cache<Rc<str>, Rc<Route>, ByReceivers, RandomState>,
    /// The one that was asked for last: most messages in a row are of one topic.
    last: Option<Rc<Route>>,
    hasher: RandomState,
}

impl Routes {
    /// None remembered.
    pub fn new(hasher: RandomState) -> Self {
        let routes_max = (WEIGHT_MAX / (ROUTE_WEIGHT + 1)) as usize;
        let lifecycle = DefaultLifecycle::default();
        let routes = Cache::with(routes_max, WEIGHT_MAX, ByReceivers, hasher.clone(), lifecycle);
        Self { routes, last: None, hasher }
    }

    /// Who gets this topic now.
    #[inline]
    pub fn find(&mut self, topic: &str, subscriptions: &Subscriptions) -> Rc<Route> {
        let is_now = |route: &Rc<Route>| route.generation == subscriptions.generation();
        if let Some(last) = &self.last
            && is_now(last)
            && *last.topic == *topic
        {
            return Rc::clone(last);
        }
        let route = match self.routes.get(topic) {
            Some(route) if is_now(route) => Rc::clone(route),
            _ => self.compute(topic, subscriptions),
        };
        self.last = Some(Rc::clone(&route));
        route
    }

    /// The route that was found last. Who gets its topic may have changed since.
    #[inline]
    pub fn last(&self) -> Option<Rc<Route>> {
        self.last.clone()
    }

    #[cold]
    fn compute(&mut self, topic: &str, subscriptions: &Subscriptions) -> Rc<Route> {
        let route = Rc::new(Route::compute(topic, subscriptions));
        if subscriptions.is_empty() {
            // Nothing is worth being remembered, and the memory is given back.
            *self = Self::new(self.hasher.clone());
            return route;
        }
        self.routes.insert(Rc::clone(&route.topic), Rc::clone(&route));
        route
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Routes").field("weight", &self.routes.weight()).finish()
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
            is_durable: false,
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
        let mut identifiers = route.receivers[0].grant.identifiers().to_vec();
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
        assert_eq!((own.qos, own.identifiers()), (QoS::AtMostOnce, &[9][..]));
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

    #[test]
    fn a_route_that_is_not_true_any_more_takes_no_room_beside_the_new_one() {
        let mut subscriptions = subscriptions(&[]);
        let mut routes = Routes::new(RandomState::with_seeds(1, 2, 3, 4));
        for slot in 1..5 {
            let filter = subscriptions.insert("a");
            subscriptions.entry_mut(filter).subscribe(subscriber(slot, QoS::AtMostOnce, false, 0));
            assert_eq!(routes.find("a", &subscriptions).receivers.len(), slot);
            assert_eq!((routes.routes.len(), routes.routes.weight()), (1, 3 + slot as u64));
        }
    }

    #[test]
    fn nothing_is_remembered_when_nobody_wants_anything() {
        let mut subscriptions = subscriptions(&[("a", subscriber(1, QoS::AtMostOnce, false, 0))]);
        let mut routes = Routes::new(RandomState::with_seeds(1, 2, 3, 4));
        routes.find("a", &subscriptions);
        assert_eq!(routes.routes.len(), 1);
        let filter = subscriptions.find("a").expect("it was inserted");
        subscriptions.entry_mut(filter).unsubscribe(SessionKey::new(1));
        subscriptions.prune(filter);
        assert!(routes.find("a", &subscriptions).is_empty());
        assert_eq!(routes.routes.len(), 0);
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
            let held: usize = routes.routes.iter().map(|(_, route)| route.receivers.len()).sum();
            assert!((30..=WEIGHT_MAX as usize).contains(&held), "{held} are remembered");
        }
    }
}
