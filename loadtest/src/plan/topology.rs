//! Who publishes what to whom.
//!
//! Subscribers that get the same messages, the topics of those and their publishers are a *group*.
//! What one publisher sends to one group is a *stream*, with a sequence of its own, so every
//! subscriber of the group gets every number once. Who is owed that is a *unit*: a subscriber, or
//! the members of a share together.

use std::ops::Range;

use super::Shape;

/// How subscribers ask for their messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Each topic by its name.
    Named,
    /// All topics with one wildcard.
    Wildcard,
    /// As so many shares.
    Shared(usize),
    /// As so many shares, all topics with one wildcard.
    SharedWildcard(usize),
}

/// Subscribers that get the same messages, and who sends them.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The topics of its messages; a stream takes them in turn.
    pub(crate) topics: Vec<String>,
    /// Its streams.
    pub(crate) streams: Range<u32>,
    /// Those who are owed its messages.
    pub(crate) units: Range<usize>,
}

/// What one publisher sends to one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    /// The group.
    pub(crate) group: usize,
    /// The publisher, as a number of [`Topology::roles`].
    pub(crate) publisher: usize,
}

/// What a connection does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Role {
    /// The streams it publishes.
    pub(crate) streams: Vec<u32>,
    /// The unit it belongs to, if it subscribes.
    pub(crate) unit: Option<usize>,
}

/// Who publishes what to whom.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    /// The groups.
    pub(crate) groups: Vec<Group>,
    /// All streams; those of a group stand together.
    pub(crate) streams: Vec<Stream>,
    /// The group of each unit; those of a group stand together.
    pub(crate) units: Vec<usize>,
    /// What each connection does: subscribers first, since they have to be there first.
    pub(crate) roles: Vec<Role>,
    audience: Audience,
    topic: String,
}

impl Topology {
    /// Deals the topics of a shape out.
    pub(crate) fn new(shape: Shape, audience: Audience, topic: &str) -> Self {
        let Shape { publishers, subscribers, topics, mesh } = shape;
        let wildcard = matches!(audience, Audience::Wildcard | Audience::SharedWildcard(_));
        // A wildcard brings all topics to every subscriber.
        let groups = if wildcard { 1 } else { topics.min(subscribers) };
        let publisher_at = |publisher| if mesh { publisher } else { subscribers + publisher };
        let roles = if mesh { subscribers } else { subscribers + publishers };
        let mut topology = Self {
            groups: Vec::new(),
            streams: Vec::new(),
            units: Vec::new(),
            roles: vec![Role::default(); roles],
            audience,
            topic: topic.to_owned(),
        };
        for group in 0..groups {
            let topics = (group..topics).step_by(groups);
            let topics = topics.map(|number| topic_name(topic, number, shape.topics));
            let topics = topics.collect();
            let streams = topology.add_streams(group, groups, publishers, publisher_at);
            let units = topology.add_units(group, (group..subscribers).step_by(groups));
            topology.groups.push(Group { topics, streams, units });
        }
        topology
    }

    /// The filters of a connection; none if it does not subscribe.
    pub(crate) fn filters(&self, role: usize) -> Vec<String> {
        let Some(unit) = self.roles[role].unit else { return Vec::new() };
        let group = &self.groups[self.units[unit]];
        let share = format!("$share/loadtest-{}/", unit - group.units.start);
        match self.audience {
            Audience::Named => group.topics.clone(),
            Audience::Wildcard => vec![format!("{}/#", self.topic)],
            Audience::Shared(_) => {
                group.topics.iter().map(|topic| format!("{share}{topic}")).collect()
            }
            Audience::SharedWildcard(_) => vec![format!("{share}{}/#", self.topic)],
        }
    }

    /// Whether several connections together are owed each message once.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.audience, Audience::Shared(_) | Audience::SharedWildcard(_))
    }

    /// Which of `threads` drives a connection. The members of a share need the same one, which
    /// knows what came to the others.
    pub(crate) fn thread(&self, role: usize, threads: usize) -> usize {
        match self.roles[role].unit {
            Some(unit) => unit % threads,
            None => role % threads,
        }
    }

    /// Publishers are dealt out to groups, or groups to publishers if there are more of these.
    fn add_streams(
        &mut self,
        group: usize,
        groups: usize,
        publishers: usize,
        publisher_at: impl Fn(usize) -> usize,
    ) -> Range<u32> {
        let first = self.streams.len() as u32;
        let all = if publishers < groups {
            (group % publishers..group % publishers + 1).step_by(1)
        } else {
            (group..publishers).step_by(groups)
        };
        for publisher in all {
            let publisher = publisher_at(publisher);
            self.roles[publisher].streams.push(self.streams.len() as u32);
            self.streams.push(Stream { group, publisher });
        }
        first..self.streams.len() as u32
    }

    fn add_units(&mut self, group: usize, members: impl Iterator<Item = usize>) -> Range<usize> {
        let first = self.units.len();
        for (number, member) in members.enumerate() {
            let unit = match self.audience {
                Audience::Named | Audience::Wildcard => first + number,
                Audience::Shared(shares) | Audience::SharedWildcard(shares) => {
                    first + number % shares
                }
            };
            if unit == self.units.len() {
                self.units.push(group);
            }
            self.roles[member].unit = Some(unit);
        }
        first..self.units.len()
    }
}

fn topic_name(topic: &str, number: usize, topics: usize) -> String {
    if topics == 1 { topic.to_owned() } else { format!("{topic}/{number}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(shape: &str, audience: Audience) -> Topology {
        Topology::new(shape.parse().unwrap(), audience, "t")
    }

    #[test]
    fn one_topic_is_one_group() {
        let topology = topology("2:3", Audience::Named);
        assert_eq!((topology.groups.len(), topology.streams.len()), (1, 2));
        assert_eq!((topology.units.len(), topology.roles.len()), (3, 5));
        assert_eq!((topology.filters(0), topology.filters(3)), (vec!["t".into()], vec![]));
        assert_eq!(topology.roles[4], Role { streams: vec![1], unit: None });
    }

    #[test]
    fn in_a_mesh_everybody_does_both() {
        let topology = topology("mesh:3", Audience::Named);
        assert_eq!(topology.roles[2], Role { streams: vec![2], unit: Some(2) });
        assert_eq!(topology.roles.len(), 3);
    }

    #[test]
    fn pairs_have_a_group_each() {
        let topology = topology("pairs:3", Audience::Named);
        assert_eq!(topology.groups.len(), 3);
        assert_eq!(topology.streams[1], Stream { group: 1, publisher: 4 });
        assert_eq!(topology.filters(1), ["t/1"]);
    }

    #[test]
    fn every_topic_has_a_publisher_and_a_subscriber() {
        for shape in ["topics:10", "topics:10:3:2", "topics:3:10:2", "topics:2:1:10"] {
            let topology = topology(shape, Audience::Named);
            let mut topics: Vec<_> =
                topology.groups.iter().flat_map(|group| group.topics.clone()).collect();
            topics.sort_unstable();
            topics.dedup();
            assert_eq!(topics.len(), shape.parse::<Shape>().unwrap().topics, "{shape}");
            for group in &topology.groups {
                assert!(!group.streams.is_empty() && !group.units.is_empty(), "{shape}");
            }
            assert!(topology.roles.iter().all(|role| *role != Role::default()), "{shape}");
        }
    }

    #[test]
    fn a_wildcard_brings_everything_to_everybody() {
        let topology = topology("topics:10:2:3", Audience::Wildcard);
        assert_eq!((topology.groups.len(), topology.groups[0].topics.len()), (1, 10));
        assert_eq!(topology.filters(2), ["t/#"]);
    }

    #[test]
    fn the_members_of_a_share_are_one_unit_on_one_thread() {
        let topology = topology("1:4", Audience::Shared(2));
        assert_eq!(topology.groups[0].units, 0..2);
        assert_eq!(topology.filters(0), topology.filters(2));
        assert_ne!(topology.filters(0), topology.filters(1));
        assert_eq!(topology.thread(1, 2), topology.thread(3, 2));
    }
}
