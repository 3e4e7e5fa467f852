//! Who gets a message: a tree of filters, level by level.

mod pattern;
mod tree;

pub use pattern::{Captures, Pattern};

use std::collections::BTreeMap;

use skein_protocol::TopicName;

use self::tree::Node;
use crate::{Message, Result};

/// Names one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(u64);

/// Routes from topics to whatever deals with their messages.
///
/// ```
/// use skein_client::router::Router;
///
/// let mut router = Router::new();
/// router.add("home/{room}/temp", None, "rooms")?;
/// router.add("home/#", None, "all")?;
/// let found: Vec<_> = router.find("home/hall/temp").map(|route| *route.target()).collect();
/// assert_eq!(found, ["rooms", "all"]);
/// # Ok::<(), skein_client::Error>(())
/// ```
#[derive(Debug)]
pub struct Router<T> {
    root: Node,
    /// In the order in which they were added.
    routes: BTreeMap<RouteId, Route<T>>,
    last: u64,
}

/// One pattern, and what deals with the messages it takes.
#[derive(Debug)]
pub struct Route<T> {
    id: RouteId,
    pattern: Pattern,
    /// The identifier of the subscription it was made for.
    identifier: Option<u32>,
    target: T,
}

impl<T> Router<T> {
    /// No routes.
    pub fn new() -> Self {
        Self { root: Node::default(), routes: BTreeMap::new(), last: 0 }
    }

    /// Adds a route behind all others.
    ///
    /// # Errors
    /// The pattern is no filter with names in it.
    pub fn add(&mut self, pattern: &str, identifier: Option<u32>, target: T) -> Result<RouteId> {
        let pattern = Pattern::new(pattern)?;
        // To the server a filter is one subscription, with the identifier it was given last.
        for route in self.routes.values_mut() {
            if identifier.is_some() && route.pattern.filter() == pattern.filter() {
                route.identifier = identifier;
            }
        }
        self.last += 1;
        let id = RouteId(self.last);
        self.root.add(pattern.filter().levels(), id);
        self.routes.insert(id, Route { id, pattern, identifier, target });
        Ok(id)
    }

    /// Takes a route out; all others stay.
    pub fn remove(&mut self, id: RouteId) -> Option<T> {
        let route = self.routes.remove(&id)?;
        self.root.remove(route.pattern.filter().levels(), id);
        Some(route.target)
    }

    /// Whether there is a route with this filter, names left aside.
    pub fn has_filter(&self, filter: &str) -> bool {
        self.routes.values().any(|route| route.pattern.filter().as_str() == filter)
    }

    /// Every route.
    pub fn iter(&self) -> impl Iterator<Item = &Route<T>> {
        self.routes.values()
    }

    /// The routes that take this topic, each once, in the order in which they were added. A text
    /// that is no topic has none.
    pub fn find(&self, topic: &str) -> impl Iterator<Item = &Route<T>> {
        let mut found = Vec::new();
        if let Ok(topic) = TopicName::new(topic) {
            self.root.find(topic, &mut found);
        }
        found.sort_unstable();
        found.into_iter().filter_map(|id| self.routes.get(&id))
    }

    /// The routes that a message is for. Where the server names the subscriptions, only those that
    /// were made for them: it sends one copy for all, or one for each, and every route gets one.
    pub fn route(&self, message: &Message) -> Vec<&Route<T>> {
        let matching: Vec<_> = self.find(message.topic()).collect();
        let named = message.subscription_identifiers();
        let is_named = |route: &&Route<T>| route.identifier.is_some_and(|it| named.contains(&it));
        // Identifiers of an earlier process, whose session this is, name none of ours.
        if matching.iter().any(is_named) {
            return matching.into_iter().filter(is_named).collect();
        }
        matching
    }
}

impl<T> Route<T> {
    /// What [`Router::remove`] takes.
    pub fn id(&self) -> RouteId {
        self.id
    }

    /// The filter and its names.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// What deals with the messages.
    pub fn target(&self) -> &T {
        &self.target
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use skein_protocol::{Publish, PublishProperties, QoS, SubscriptionIdentifiers, TopicFilter};

    use super::*;

    /// To `a/b`, for these subscriptions.
    fn message(identifiers: &[u32]) -> Message {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: None,
            packet_id: None,
            properties: PublishProperties {
                subscription_identifiers: SubscriptionIdentifiers::from_slice(identifiers),
                ..PublishProperties::default()
            },
            payload: b"",
        };
        Message::new(Arc::from("a/b"), &publish, None)
    }

    fn found(router: &Router<u8>, topic: &str) -> Vec<u8> {
        router.find(topic).map(|route| *route.target()).collect()
    }

    #[test]
    fn each_route_gets_a_message_once_in_the_order_of_routes() {
        let mut router = Router::new();
        for (number, filter) in ["a/#", "a/+", "a/b", "#", "+/b", "a/b/#", "a/b"].iter().enumerate()
        {
            router.add(filter, None, number as u8).unwrap();
        }
        assert_eq!(found(&router, "a/b"), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(found(&router, "a"), [0, 3]);
        assert_eq!(found(&router, "x/y"), [3]);
        assert_eq!(found(&router, "not/a/+/topic"), [0; 0]);
    }

    /// [MQTT-4.7.2-1]
    #[test]
    fn a_leading_wildcard_takes_no_reserved_topic() {
        let mut router = Router::new();
        router.add("#", None, 0).unwrap();
        router.add("+/x", None, 1).unwrap();
        router.add("$SYS/#", None, 2).unwrap();
        assert_eq!(found(&router, "$SYS/x"), [2]);
    }

    #[test]
    fn one_route_can_be_cancelled_and_the_others_stay() {
        let mut router = Router::new();
        let one = router.add("a/+", None, 1).unwrap();
        router.add("a/+", None, 2).unwrap();
        let share = router.add("$share/g/a/b", None, 3).unwrap();
        assert_eq!(found(&router, "a/b"), [1, 2, 3]);
        assert_eq!(router.remove(one), Some(1));
        assert_eq!(router.remove(one), None);
        router.remove(share);
        assert_eq!(found(&router, "a/b"), [2]);
        assert!(router.has_filter("a/+") && !router.has_filter("$share/g/a/b"));
    }

    /// One copy for each subscription, or one copy for all: every route gets one message.
    #[test]
    fn overlapping_filters_get_the_message_once_each() {
        let mut router = Router::new();
        router.add("a/#", Some(1), 1).unwrap();
        router.add("a/+", Some(2), 2).unwrap();
        let routed = |identifiers: &[u32]| {
            let message = message(identifiers);
            router.route(&message).iter().map(|route| *route.target()).collect::<Vec<u8>>()
        };
        assert_eq!(routed(&[1, 2]), [1, 2], "one copy for all");
        assert_eq!((routed(&[1]), routed(&[2])), (vec![1], vec![2]), "one copy for each");
        assert_eq!(routed(&[]), [1, 2], "a server without identifiers");
        assert_eq!(routed(&[9]), [1, 2], "identifiers of an earlier process");
        router.add("a/+", Some(3), 3).unwrap();
        let routed = |identifiers: &[u32]| {
            let message = message(identifiers);
            router.route(&message).iter().map(|route| *route.target()).collect::<Vec<u8>>()
        };
        assert_eq!(routed(&[1, 3]), [1, 2, 3], "one subscription, two routes");
    }

    /// The oracle is the comparison level by level, without a tree.
    #[test]
    fn the_tree_agrees_with_the_plain_comparison() {
        let mut random = fastrand::Rng::with_seed(1);
        let levels = |random: &mut fastrand::Rng, words: &[&str]| {
            let count = random.usize(1..5);
            let levels: Vec<_> = (0..count).map(|_| *random.choice(words).unwrap()).collect();
            levels.join("/")
        };
        for _ in 0..300 {
            let mut router = Router::new();
            let mut filters: Vec<(RouteId, String)> = Vec::new();
            for _ in 0..10 {
                let mut filter = levels(&mut random, &["a", "b", "", "+", "$x"]);
                if random.bool() {
                    filter.push_str("/#");
                }
                if let Ok(id) = router.add(&filter, None, ()) {
                    filters.push((id, filter));
                }
            }
            for _ in 0..3 {
                let (id, _) = filters.remove(random.usize(..filters.len()));
                router.remove(id);
            }
            let topic = levels(&mut random, &["a", "b", "", "$x"]);
            let Ok(name) = TopicName::new(&topic) else { continue };
            let expected: Vec<_> = filters
                .iter()
                .filter(|(_, filter)| TopicFilter::new(filter).unwrap().matches(name))
                .map(|(id, _)| *id)
                .collect();
            let found: Vec<_> = router.find(&topic).map(Route::id).collect();
            assert_eq!(found, expected, "{topic} in {filters:?}");
        }
    }
}
