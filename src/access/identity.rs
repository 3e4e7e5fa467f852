//! Who a client turned out to be.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::acl::Acl;
use super::permissions::Permissions;

/// Who a client is, what says what it may do, and for how long.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user name that was proved; `None` for anonymous clients. It is what a session belongs to
    /// (5.4.2), which no other user may take over.
    pub user_name: Option<Arc<str>>,
    /// Where its permissions come from.
    pub source: PermissionSource,
    /// When it ends, in seconds since the Unix epoch; the session's connection ends with it.
    pub expiry_s: Option<u64>,
    /// What it rests on.
    pub voucher: Voucher,
}

/// What an identity rests on, so that after a change it can be asked whether that still holds; see
/// [`Providers::still_vouches`](super::provider::Providers::still_vouches). A fingerprint is of what
/// the file holds, never of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// Nothing: the client is anonymous.
    Nothing,
    /// A verified certificate.
    Certificate,
    /// A line of a password file, by its fingerprint.
    Password(u64),
    /// A token that a key with this fingerprint has signed.
    Token(u64),
    /// The answer of the HTTP hook.
    Hook,
    /// A line of a SCRAM file, by its fingerprint.
    Scram(u64),
    /// This process itself: it is a bridge.
    Inside,
}

/// Where the permissions of a client come from.
#[derive(Clone, Debug)]
pub enum PermissionSource {
    /// The access list of the broker, whichever is in force when somebody asks.
    AccessList,
    /// What whoever vouched for the client said, until it connects again.
    Given(Permissions),
}

impl Identity {
    /// The user name of bridges that may do everything. No client can prove it, as there is a control
    /// character in it.
    pub const BRIDGE: &str = "\tbridge";

    /// A client that proved nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        let source = PermissionSource::AccessList;
        Self { user_name: None, source, expiry_s: None, voucher: Voucher::Nothing }
    }

    /// A user whose rights stand in the access list.
    pub fn user(name: &str, voucher: Voucher) -> Self {
        Self { user_name: Some(name.into()), voucher, ..Self::anonymous() }
    }

    /// A bridge of this process, which says whose rights it has; all, if it does not say. Its name can
    /// be that of no other client, so that nobody else may take its session over.
    pub fn bridge(user_name: Option<&str>) -> Self {
        let voucher = Voucher::Inside;
        match user_name {
            Some(name) => Self::user(name, voucher),
            None => Self {
                source: PermissionSource::Given(Permissions::everything()),
                ..Self::user(Self::BRIDGE, voucher)
            },
        }
    }

    /// What this client may do now. To be asked again for every session when the access list has
    /// changed; without a list everything is allowed.
    pub fn permissions(&self, list: Option<&Acl>, client_id: &str) -> Permissions {
        match (&self.source, list) {
            (PermissionSource::Given(permissions), _) => permissions.clone(),
            (PermissionSource::AccessList, Some(list)) => {
                list.permissions(self.user_name.as_deref(), client_id)
            }
            (PermissionSource::AccessList, None) => Permissions::everything(),
        }
    }

    /// Whether the identity has ended at this time, in seconds since the Unix epoch.
    pub fn has_expired(&self, now_s: u64) -> bool {
        self.expiry_s.is_some_and(|expiry_s| now_s >= expiry_s)
    }
}

/// The first bytes of a hash over something that is kept, to notice that it has changed.
pub(super) fn fingerprint(kept: impl AsRef<[u8]>) -> u64 {
    let digest = Sha256::digest(kept);
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Whether text from outside may become a user name: not empty, not longer than MQTT can say, and
/// without control characters, which would forge lines in logs.
pub(super) fn is_user_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 65_535 && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use skein_protocol::TopicName;

    use super::*;

    #[test]
    fn the_list_in_force_decides_unless_permissions_were_given() {
        let list = Acl::parse(b"user u\ntopic read a\n", "acl").expect("a valid list");
        let topic = TopicName::new("a").expect("a valid topic");
        let user = Identity::user("u", Voucher::Token(1));
        assert!(user.permissions(Some(&list), "id").may_receive(topic));
        assert!(!user.permissions(Some(&Acl::default()), "id").may_receive(topic));
        assert!(user.permissions(None, "id").may_publish(topic));
        assert!(!Identity::anonymous().permissions(Some(&list), "id").may_receive(topic));
        let given = Permissions::of_filters(&[], &["b".into()]);
        let token = Identity {
            source: PermissionSource::Given(given),
            ..Identity::user("u", Voucher::Token(1))
        };
        assert!(!token.permissions(Some(&list), "id").may_receive(topic));
        assert!(!token.permissions(None, "id").may_receive(topic));
    }

    #[test]
    fn an_identity_ends_at_its_expiry() {
        let token = Identity { expiry_s: Some(10), ..Identity::user("u", Voucher::Token(1)) };
        assert!(!token.has_expired(9) && token.has_expired(10));
        assert!(!Identity::anonymous().has_expired(u64::MAX));
    }
}
