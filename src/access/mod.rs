//! Who a client is, and what it may do: pure rules over names, asked by the shard.

pub mod acl;
mod author;
mod cache;
pub mod certificate;
mod credentials;
mod denial;
mod gate;
mod identity;
pub mod jwt;
mod nonce;
pub mod password;
mod permissions;
pub mod provider;
mod recent;
pub mod scram;
mod subset;
mod throttle;

use std::sync::Arc;

use skein_protocol::{TopicFilter, TopicName};

use self::acl::Acl;
pub use self::author::Author;
pub use self::cache::{CacheKey, CredentialCache};
use self::certificate::RevokedCertificates;
pub use self::credentials::{Credentials, Secret};
pub use self::denial::Denial;
pub use self::gate::{Gate, Passage, Ticket};
pub use self::identity::{Identity, PermissionSource, Voucher};
pub use self::nonce::Nonces;
pub use self::permissions::{Permissions, Rule};
use self::provider::{Provider, Providers};
use self::subset::covers;
pub use self::throttle::{Subject, Throttle, ThrottleSettings, Throttled};
use crate::config;
use crate::session::ListenerId;

/// The rules of one broker: all its shards share them, and a reload makes new ones.
#[derive(Debug)]
pub struct Access {
    listeners: Box<[ListenerAccess]>,
    /// For connections of no listener that is known.
    otherwise: ListenerAccess,
    /// For connections that this process makes to itself.
    inside: ListenerAccess,
    deny_publish: Box<[Box<str>]>,
    deny_subscribe: Box<[Box<str>]>,
}

/// The rules of one listener.
#[derive(Clone, Debug)]
pub struct ListenerAccess {
    /// Who says who its clients are.
    pub providers: Providers,
    /// What they may do, unless whoever vouched for a client said so; `None`: everything.
    pub acl: Option<Arc<Acl>>,
    /// Whether a subscription is refused that asks for more than the client may receive. Otherwise
    /// it is granted, and only what the client may receive is sent, as Mosquitto does.
    pub is_strict: bool,
    /// The client certificates that are good no more, whoever else vouches for who shows one.
    pub revoked: RevokedCertificates,
}

impl ListenerAccess {
    /// A listener without providers and access list: if the settings allow anonymous clients,
    /// everybody is one, whatever user name they give; else nobody comes in.
    pub fn without_providers(settings: &config::Access) -> Self {
        let chain = if settings.anonymous { vec![Provider::Everybody] } else { Vec::new() };
        // The key is for SCRAM alone.
        Self::of_providers(Providers::new(chain, 0, [0; 32]))
    }

    /// A listener where these say who clients are, and everybody may do everything.
    #[must_use]
    pub fn of_providers(providers: Providers) -> Self {
        let revoked = RevokedCertificates::default();
        Self { providers, acl: None, is_strict: false, revoked }
    }
}

impl Access {
    /// The listeners' rules, in the order of the settings, whose filters were checked when they were
    /// read. With no listener here all are [`ListenerAccess::without_providers`]; otherwise nobody
    /// comes in through one that is not here.
    pub fn new(listeners: Vec<ListenerAccess>, settings: &config::Access) -> Self {
        let boxed = |filters: &[String]| filters.iter().map(|f| f.as_str().into()).collect();
        let anonymous = settings.anonymous && listeners.is_empty();
        Self {
            otherwise: ListenerAccess::without_providers(&config::Access {
                anonymous,
                ..config::Access::default()
            }),
            inside: ListenerAccess::of_providers(Providers::new(
                vec![Provider::Inside],
                0,
                [0; 32],
            )),
            listeners: listeners.into(),
            deny_publish: boxed(&settings.deny_publish),
            deny_subscribe: boxed(&settings.deny_subscribe),
        }
    }

    /// The same, with an access list for the bridges of this process.
    #[must_use]
    pub fn with_inside(mut self, acl: Option<Arc<Acl>>) -> Self {
        self.inside.acl = acl;
        self
    }

    /// The rules of this listener.
    pub fn of(&self, listener: ListenerId) -> &ListenerAccess {
        match listener {
            ListenerId::INSIDE => &self.inside,
            _ => self.listeners.get(usize::from(listener.0)).unwrap_or(&self.otherwise),
        }
    }

    /// What a client may do that came through this listener.
    pub fn permissions(
        &self,
        listener: ListenerId,
        identity: &Identity,
        client_id: &str,
    ) -> Permissions {
        identity.permissions(self.of(listener).acl.as_deref(), client_id)
    }

    /// Whether anybody may publish to the topic, also as a will.
    #[inline]
    pub fn may_publish(&self, topic: TopicName<'_>) -> bool {
        let denies = |filter: &str| TopicFilter::assume_valid(filter).matches(topic);
        self.deny_publish.is_empty() || !self.deny_publish.iter().any(|filter| denies(filter))
    }

    /// Whether anybody may subscribe to the pattern (a filter without `$share/name/`): not when
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
        let settings = config::Access {
            anonymous: true,
            deny_publish: vec!["secret/#".into()],
            deny_subscribe: vec!["test/nosubscribe".into()],
            ..config::Access::default()
        };
        let access = Access::new(Vec::new(), &settings);
        let topic = |text| TopicName::new(text).expect("a valid topic");
        assert!(!access.may_publish(topic("secret/a")) && access.may_publish(topic("a")));
        assert!(!access.may_subscribe("test/nosubscribe") && access.may_subscribe("test/#"));
    }

    /// H14: nothing is anonymous by accident.
    #[test]
    fn through_a_listener_that_is_not_known_nobody_comes_in() {
        let settings = config::Access::default();
        let everybody = |access: &Access, listener| {
            access.of(ListenerId(listener)).providers.allows_anonymous()
        };
        let one = vec![ListenerAccess::without_providers(&settings)];
        let access = Access::new(one, &settings);
        assert!(everybody(&access, 0) && !everybody(&access, 1));
        assert!(everybody(&Access::new(Vec::new(), &settings), 1));
        let closed = config::Access { anonymous: false, ..settings };
        assert!(!everybody(&Access::new(Vec::new(), &closed), 0));
    }
}
