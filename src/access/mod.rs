//! What a client may do: pure rules over names, asked by the shard.

use skein_protocol::{TopicFilter, TopicName};

use crate::config;

/// The rules of one broker.
#[derive(Clone, Debug)]
pub struct Access {
    anonymous: bool,
    deny_publish: Vec<Box<str>>,
    deny_subscribe: Vec<Box<str>>,
}

impl Access {
    /// From the settings, whose filters were checked when they were read.
    pub fn new(settings: &config::Access) -> Self {
        let boxed = |filters: &[String]| filters.iter().map(|f| f.as_str().into()).collect();
        Self {
            anonymous: settings.anonymous,
            deny_publish: boxed(&settings.deny_publish),
            deny_subscribe: boxed(&settings.deny_subscribe),
        }
    }

    /// Whether a client may connect. Without a provider of identities everybody is anonymous,
    /// whatever user name they give.
    pub fn may_connect(&self) -> bool {
        self.anonymous
    }

    /// Whether a client may publish to the topic, also as its will.
    #[inline]
    pub fn may_publish(&self, topic: TopicName<'_>) -> bool {
        let denies = |filter: &str| TopicFilter::assume_valid(filter).matches(topic);
        self.deny_publish.is_empty() || !self.deny_publish.iter().any(|filter| denies(filter))
    }

    /// Whether a client may subscribe to the pattern (a filter without `$share/name/`): not when
    /// all that it matches is denied.
    pub fn may_subscribe(&self, pattern: &str) -> bool {
        !self.deny_subscribe.iter().any(|denied| covers(denied, pattern))
    }
}

/// Whether every topic that `narrow` matches is matched by `wide` too.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    let mut is_first = true;
    loop {
        let reserved_is_left_out = |level: &str| is_first && level.starts_with('$');
        match (wide.next(), narrow.next()) {
            (Some("#"), None) | (None, None) => return true,
            (Some("#"), Some(level)) => return !reserved_is_left_out(level),
            (Some("+"), Some(level)) if level != "#" && !reserved_is_left_out(level) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_what_it_matches_whole() {
        for (wide, narrow) in
            [("a", "a"), ("#", "a/+"), ("a/#", "a"), ("a/#", "a/b/#"), ("+/b", "a/b"), ("+", "+")]
        {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
        }
        for (wide, narrow) in [
            ("a", "b"),
            ("a/+", "a/#"),
            ("+", "#"),
            ("#", "$SYS/a"),
            ("+/a", "$SYS/a"),
            ("a/b", "a"),
        ] {
            assert!(!covers(wide, narrow), "{wide} does not cover {narrow}");
        }
    }

    #[test]
    fn denied_filters_deny_publish_and_subscribe() {
        let access = Access::new(&config::Access {
            anonymous: true,
            deny_publish: vec!["secret/#".into()],
            deny_subscribe: vec!["test/nosubscribe".into()],
        });
        let topic = |text| TopicName::new(text).expect("a valid topic");
        assert!(!access.may_publish(topic("secret/a")) && access.may_publish(topic("a")));
        assert!(!access.may_subscribe("test/nosubscribe") && access.may_subscribe("test/#"));
    }
}
