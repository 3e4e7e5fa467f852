//! Who a client is, and what it may do: pure rules over names, asked by the shard.

pub mod acl;
mod cache;
pub mod certificate;
mod credentials;
mod denial;
mod gate;
mod identity;
pub mod jwt;
pub mod password;
mod permissions;
pub mod provider;
mod recent;
pub mod scram;
mod subset;
mod throttle;

use skein_protocol::{TopicFilter, TopicName};

pub use self::cache::{CacheKey, CredentialCache};
pub use self::credentials::{Credentials, Secret};
pub use self::denial::Denial;
pub use self::gate::{Gate, Passage, Ticket};
pub use self::identity::{Identity, PermissionSource};
pub use self::permissions::{Permissions, Rule};
use self::subset::covers;
pub use self::throttle::{Subject, Throttle, ThrottleSettings, Throttled};
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

#[cfg(test)]
mod tests {
    use super::*;

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
