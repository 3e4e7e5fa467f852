//! What one client may publish and receive, whoever said so.

use std::sync::Arc;

use skein_protocol::{TopicFilter, TopicName};

use super::subset::{self, Tier};

/// One line of rules: a filter, and what may be done with the topics it matches. With neither right
/// it is a denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A valid topic filter that names no share.
    pub filter: Box<str>,
    /// Whether it lets a client publish, also as its will.
    pub publish: bool,
    /// Whether it lets a client receive, live and retained.
    pub receive: bool,
}

/// What one client may publish and receive. Cheap to clone, and never changed: new rules make new
/// permissions.
#[derive(Clone, Debug)]
pub struct Permissions {
    /// Lists that are asked in this order. The first list that decides is the last one asked.
    /// `None`: there are no rules, everything is allowed.
    tiers: Option<Box<[Arc<[Rule]>]>>,
}

impl Permissions {
    /// Every topic, both ways.
    #[must_use]
    pub fn everything() -> Self {
        Self { tiers: None }
    }

    /// The topics of some filters and no others.
    pub fn of_filters(publish: &[Box<str>], receive: &[Box<str>]) -> Self {
        let rule =
            |filter: &str, publish| Rule { filter: filter.into(), publish, receive: !publish };
        let publish = publish.iter().map(|filter| rule(filter, true));
        let receive = receive.iter().map(|filter| rule(filter, false));
        Self::of_tiers([publish.chain(receive).collect()])
    }

    /// Lists of rules, of which the first with a rule for the topic and the right decides. In each
    /// list the denials stand first.
    pub(super) fn of_tiers(tiers: impl IntoIterator<Item = Arc<[Rule]>>) -> Self {
        Self { tiers: Some(tiers.into_iter().collect()) }
    }

    /// Whether the client may publish to the topic, also as its will. `$SYS` belongs to the broker:
    /// of its topics only the state of a bridge may be written.
    #[inline]
    pub fn may_publish(&self, topic: TopicName<'_>) -> bool {
        let Some(tiers) = &self.tiers else { return !belongs_to_broker(topic) };
        !belongs_to_broker(topic) && decides(tiers, topic, |rule| rule.publish)
    }

    /// Whether the client may be sent a message of this topic.
    #[inline]
    pub fn may_receive(&self, topic: TopicName<'_>) -> bool {
        self.tiers.as_ref().is_none_or(|tiers| decides(tiers, topic, |rule| rule.receive))
    }

    /// Whether the client may be sent every topic that the pattern (a filter without
    /// `$share/name/`) matches: what a strict broker asks before it grants a subscription.
    pub fn may_receive_all(&self, pattern: &str) -> bool {
        let Some(tiers) = &self.tiers else { return true };
        let tiers: Vec<Tier<'_>> = tiers.iter().map(|rules| receiving(rules)).collect();
        subset::is_allowed(pattern, &tiers)
    }

    /// Whether there are no rules, so that nobody has to ask for each message.
    #[inline]
    pub fn is_everything(&self) -> bool {
        self.tiers.is_none()
    }
}

/// Whether the topic is one of the broker's own, which nobody else writes.
fn belongs_to_broker(topic: TopicName<'_>) -> bool {
    const OF_BROKER: &str = "$SYS";
    const STATE_OF_BRIDGE: &str = "$SYS/broker/connection/+/state";
    topic.as_str().starts_with(OF_BROKER)
        && !TopicFilter::assume_valid(STATE_OF_BRIDGE).matches(topic)
}

fn decides(tiers: &[Arc<[Rule]>], topic: TopicName<'_>, has_right: fn(&Rule) -> bool) -> bool {
    for rule in tiers.iter().flat_map(|rules| rules.iter()) {
        let is_denial = !rule.publish && !rule.receive;
        if (is_denial || has_right(rule)) && TopicFilter::assume_valid(&rule.filter).matches(topic)
        {
            return !is_denial;
        }
    }
    false
}

/// The rules of one list that say who receives what.
fn receiving(rules: &[Rule]) -> Tier<'_> {
    let mut tier = Tier::default();
    for rule in rules {
        match (rule.receive, rule.publish) {
            (true, _) => tier.allow.push(&rule.filter),
            (false, false) => tier.deny.push(&rule.filter),
            (false, true) => {}
        }
    }
    tier
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> TopicName<'_> {
        TopicName::new(text).expect("a valid topic")
    }

    #[test]
    fn filters_allow_what_they_match_and_nothing_else() {
        let permissions = Permissions::of_filters(&["up/#".into()], &["down/+".into()]);
        assert!(
            permissions.may_publish(topic("up/a")) && !permissions.may_publish(topic("down/a"))
        );
        assert!(
            permissions.may_receive(topic("down/a")) && !permissions.may_receive(topic("up/a"))
        );
        assert!(permissions.may_receive_all("down/+") && !permissions.may_receive_all("down/#"));
        assert!(!permissions.is_everything());
    }

    /// C23: nobody publishes where the broker reports.
    #[test]
    fn the_brokers_own_topics_are_written_by_bridges_only() {
        for permissions in [
            Permissions::everything(),
            Permissions::of_filters(&["#".into(), "$SYS/#".into()], &["$SYS/#".into()]),
        ] {
            assert!(!permissions.may_publish(topic("$SYS/broker/load")));
            assert!(permissions.may_publish(topic("$SYS/broker/connection/a/state")));
            assert!(permissions.may_receive(topic("$SYS/broker/load")));
        }
    }

    #[test]
    fn without_filters_nothing_is_allowed() {
        let permissions = Permissions::of_filters(&[], &[]);
        assert!(!permissions.may_publish(topic("a")) && !permissions.may_receive(topic("a")));
        assert!(!permissions.may_receive_all("a"));
    }
}
