//! Credentials that were verified a moment ago, so that a storm of reconnecting clients does not
//! hash every password again.
//!
//! No password is kept: an entry is found by a hash that nobody outside this process can compute
//! (HMAC-SHA-256 with a random key). Only successes are kept, for a time, and a bounded number of
//! them; a reload of what they rest on forgets them all.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::identity::Identity;
use super::recent::RecentMap;
use crate::session::Time;

/// Verified credentials. Pure: the time and the random key are arguments.
pub struct CredentialCache {
    secret: [u8; 32],
    epoch: u64,
    entries: RecentMap<[u8; 32], Entry>,
}

/// What one entry is found by. It outlives no reload, so a check that began before one cannot bring
/// back what the reload took away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CacheKey {
    tag: [u8; 32],
    epoch: u64,
}

struct Entry {
    identity: Identity,
    until: Time,
}

impl CredentialCache {
    /// An empty cache for so many credentials; with fewer than two it keeps none. The secret is
    /// random.
    pub fn new(entries_max: usize, secret: [u8; 32]) -> Self {
        Self { secret, epoch: 0, entries: RecentMap::new(entries_max) }
    }

    /// The key for credentials, of which `parts` are all that the answer depends on. `scope` tells
    /// listeners with other providers apart.
    pub fn key(&self, scope: u32, parts: &[&[u8]]) -> CacheKey {
        let mut keyed = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length will do");
        keyed.update(&scope.to_be_bytes());
        for part in parts {
            // With the lengths in front, no other parts run together to the same bytes.
            keyed.update(&part.len().to_be_bytes());
            keyed.update(part);
        }
        CacheKey { tag: keyed.finalize().into_bytes().into(), epoch: self.epoch }
    }

    /// Who was verified under this key not too long ago.
    pub fn find(&self, key: &CacheKey, now: Time) -> Option<&Identity> {
        let entry = self.entries.find(&key.tag)?;
        (entry.until > now && key.epoch == self.epoch).then_some(&entry.identity)
    }

    /// Keeps who was verified for so many milliseconds.
    pub fn remember(&mut self, key: &CacheKey, identity: Identity, now: Time, keep_ms: u64) {
        if key.epoch == self.epoch && keep_ms > 0 {
            self.entries.insert(key.tag, Entry { identity, until: now.plus(keep_ms) });
        }
    }

    /// Forgets everything, also what is being verified right now.
    pub fn clear(&mut self) {
        self.epoch += 1;
        self.entries.clear();
    }

    /// How many credentials are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none are kept.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }
}

/// Says how many there are; the secret stays one.
impl fmt::Debug for CredentialCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialCache").field("entries", &self.len()).finish_non_exhaustive()
    }
}

/// Says nothing: it stands for a password.
impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::identity::Voucher;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn cache() -> CredentialCache {
        CredentialCache::new(10, [5; 32])
    }

    fn name(found: Option<&Identity>) -> Option<&str> {
        found.and_then(|identity| identity.user_name.as_deref())
    }

    #[test]
    fn what_was_verified_is_found_for_a_time() {
        let mut cache = cache();
        let key = cache.key(1, &[b"user", b"password"]);
        assert_eq!(name(cache.find(&key, at(0))), None);
        cache.remember(&key, Identity::user("user", Voucher::Token(1)), at(0), 100);
        assert_eq!(name(cache.find(&key, at(99))), Some("user"));
        assert_eq!(name(cache.find(&key, at(100))), None);
        cache.remember(&key, Identity::user("user", Voucher::Token(1)), at(100), 0);
        assert_eq!(name(cache.find(&key, at(100))), None, "kept for no time at all");
    }

    #[test]
    fn every_part_counts_and_where_it_ends() {
        let cache = cache();
        let key = cache.key(1, &[b"user", b"password"]);
        for (scope, parts) in [
            (2, [&b"user"[..], b"password"]),
            (1, [b"userp", b"assword"]),
            (1, [b"user", b"Password"]),
            (1, [b"", b"userpassword"]),
        ] {
            assert!(cache.key(scope, &parts) != key);
        }
        assert!(CredentialCache::new(10, [6; 32]).key(1, &[b"user", b"password"]) != key);
        assert!(cache.key(1, &[b"user", b"password"]) == key);
    }

    #[test]
    fn a_reload_forgets_what_was_verified_and_what_is_being_verified() {
        let mut cache = cache();
        let key = cache.key(1, &[b"user"]);
        cache.remember(&key, Identity::user("user", Voucher::Token(1)), at(0), 100);
        cache.clear();
        assert!(cache.is_empty() && cache.find(&key, at(0)).is_none());
        cache.remember(&key, Identity::user("user", Voucher::Token(1)), at(0), 100);
        assert!(cache.is_empty(), "the check began before the reload");
        let key = cache.key(1, &[b"user"]);
        cache.remember(&key, Identity::user("user", Voucher::Token(1)), at(0), 100);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut cache = cache();
        for number in 0..100_u32 {
            let key = cache.key(1, &[&number.to_be_bytes()]);
            cache.remember(&key, Identity::anonymous(), at(0), 100);
            assert!(cache.len() <= 10 && cache.find(&key, at(1)).is_some());
        }
    }

    #[test]
    fn logs_show_no_secrets() {
        let cache = cache();
        let key = cache.key(1, &[b"user"]);
        assert_eq!(
            format!("{key:?} {cache:?}"),
            "CacheKey { .. } CredentialCache { entries: 0, .. }"
        );
    }
}
