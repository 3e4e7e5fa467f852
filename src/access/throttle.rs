//! What slows down those who guess passwords, and then bans them for a time.
//!
//! Failures are counted three ways. Of an address *and* user, where each failure makes the next try
//! wait twice as long, until both together are banned. Of an address, whatever users it tries. Of a
//! user, from whatever addresses. The last two ban too, but never an address and user that have
//! logged in before: otherwise anybody could lock out a device by failing in its name, or everybody
//! behind one router by failing once too often.
//!
//! One throttle, with one owner, serves the whole broker; a client could else have so many tries on
//! each shard.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ahash::RandomState;

use super::recent::RecentMap;
use crate::session::Time;

/// How much failing is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// How often an address, or an address and user, may fail within the window.
    pub failures_max: u32,
    /// How often a user may fail within the window, from whatever addresses.
    pub user_failures_max: u32,
    /// How long a failure counts.
    pub window_ms: u64,
    /// How long an address and user wait after their first failure; twice as long after each
    /// further one, and never longer than a ban.
    pub delay_ms: u64,
    /// How long a ban lasts.
    pub ban_ms: u64,
    /// How many addresses, users and pairs of both are remembered.
    pub entries_max: usize,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self {
            failures_max: 10,
            user_failures_max: 100,
            window_ms: 600_000,
            delay_ms: 100,
            ban_ms: 300_000,
            entries_max: 100_000,
        }
    }
}

/// Why a login is not even tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Who has to wait.
    pub who: Subject,
    /// When the next try is looked at.
    pub until: Time,
    /// Whether it is a ban, and not only the time between two tries.
    pub is_ban: bool,
}

/// Whose failures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One user from one address.
    AddressAndUser,
    /// One address; of IPv6 the network of 64 bits, which is what one customer is given.
    Address,
    /// One user.
    User,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressAndUser => "the user at this address",
            Self::Address => "the address",
            Self::User => "the user",
        })
    }
}

/// Who failed how often. Pure: the time and the seeds are arguments.
#[derive(Clone, Debug)]
pub struct Throttle {
    settings: ThrottleSettings,
    /// By a keyed hash, so that a long user name takes no more room than a short one.
    records: RecentMap<u64, Record>,
    hash: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    failures: u32,
    last_failure: Time,
    until: Time,
    is_banned: bool,
    /// Has logged in before, and been banned never since.
    is_trusted: bool,
}

impl Throttle {
    /// Nobody has failed yet. The seeds are random, so that nobody can choose names that collide.
    pub fn new(settings: ThrottleSettings, seeds: [u64; 4]) -> Self {
        let [a, b, c, d] = seeds;
        Self {
            settings,
            records: RecentMap::new(settings.entries_max),
            hash: RandomState::with_seeds(a, b, c, d),
        }
    }

    /// Asks before a password is looked at.
    ///
    /// # Errors
    /// Who has to wait until when.
    pub fn may_try(
        &self,
        address: IpAddr,
        user_name: Option<&str>,
        now: Time,
    ) -> Result<(), Throttled> {
        let waits = |who| {
            let record = self.record(who, address, user_name)?;
            let Record { until, is_banned, .. } = *record;
            (until > now).then_some(Throttled { who, until, is_ban: is_banned })
        };
        if let Some(throttled) = waits(Subject::AddressAndUser) {
            return Err(throttled);
        }
        let pair = self.record(Subject::AddressAndUser, address, user_name);
        if pair.is_some_and(|pair| pair.is_trusted) {
            return Ok(());
        }
        match waits(Subject::Address).or_else(|| waits(Subject::User)) {
            Some(throttled) => Err(throttled),
            None => Ok(()),
        }
    }

    /// Counts a failed login; the bans that begin with it.
    pub fn on_failure(
        &mut self,
        address: IpAddr,
        user_name: Option<&str>,
        now: Time,
    ) -> impl Iterator<Item = Throttled> + use<> {
        let settings = self.settings;
        let subjects = [Subject::AddressAndUser, Subject::Address, Subject::User];
        let bans = subjects.map(|who| {
            let key = self.key(who, address, user_name)?;
            let mut record = self.records.find(&key).copied().unwrap_or_default();
            record.fail(who, settings, now);
            self.records.insert(key, record);
            let Record { until, is_banned: is_ban, .. } = record;
            is_ban.then_some(Throttled { who, until, is_ban })
        });
        bans.into_iter().flatten()
    }

    /// Counts a login that succeeded: this user may come again from this address, whatever others
    /// do. The failures of the address stay, or a guesser could wipe them out with a login of
    /// its own.
    pub fn on_success(&mut self, address: IpAddr, user_name: Option<&str>) {
        if let Some(key) = self.key(Subject::AddressAndUser, address, user_name) {
            self.records.insert(key, Record { is_trusted: true, ..Record::default() });
        }
    }

    /// How many addresses, users and pairs are remembered.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.records.len() == 0
    }

    fn record(&self, who: Subject, address: IpAddr, user_name: Option<&str>) -> Option<&Record> {
        self.records.find(&self.key(who, address, user_name)?)
    }

    /// `None` where there is no user to count for.
    fn key(&self, who: Subject, address: IpAddr, user_name: Option<&str>) -> Option<u64> {
        let address = network(address);
        match (who, user_name) {
            (Subject::Address, _) => Some(self.hash.hash_one((who, address))),
            (_, None) => None,
            (Subject::User, Some(name)) => Some(self.hash.hash_one((who, name))),
            (Subject::AddressAndUser, Some(name)) => Some(self.hash.hash_one((who, address, name))),
        }
    }
}

impl Record {
    fn fail(&mut self, who: Subject, settings: ThrottleSettings, now: Time) {
        if now.since(self.last_failure) >= settings.window_ms {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last_failure = now;
        let failures_max = match who {
            Subject::User => settings.user_failures_max,
            _ => settings.failures_max,
        };
        self.is_banned = self.failures >= failures_max.max(1);
        self.is_trusted &= !self.is_banned;
        let wait_ms = match who {
            _ if self.is_banned => settings.ban_ms,
            Subject::AddressAndUser => {
                let doubled = settings.delay_ms.saturating_mul(1 << (self.failures - 1).min(32));
                doubled.min(settings.ban_ms)
            }
            // Others behind the same router, or with the same user name, do not wait for one's
            // mistakes.
            Subject::Address | Subject::User => 0,
        };
        self.until = now.plus(wait_ms);
    }
}

/// What stands for everybody who can have this address at will.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: ThrottleSettings = ThrottleSettings {
        failures_max: 3,
        user_failures_max: 5,
        window_ms: 10_000,
        delay_ms: 100,
        ban_ms: 5_000,
        entries_max: 1_000,
    };

    fn throttle() -> Throttle {
        Throttle::new(SETTINGS, [1, 2, 3, 4])
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    /// Fails, and says who was banned by it.
    fn fail(throttle: &mut Throttle, from: IpAddr, user: &str, now: Time) -> Vec<Subject> {
        throttle.on_failure(from, Some(user), now).map(|throttled| throttled.who).collect()
    }

    #[test]
    fn each_failure_doubles_the_wait_until_the_ban() {
        let mut throttle = throttle();
        let may_try = |throttle: &Throttle, ms| throttle.may_try(address(1), Some("u"), at(ms));
        assert_eq!(fail(&mut throttle, address(1), "u", at(0)), []);
        assert!(may_try(&throttle, 99).is_err_and(|throttled| !throttled.is_ban));
        assert_eq!(may_try(&throttle, 100), Ok(()));
        assert_eq!(fail(&mut throttle, address(1), "u", at(100)), []);
        assert!(may_try(&throttle, 299).is_err() && may_try(&throttle, 300).is_ok());
        let banned = fail(&mut throttle, address(1), "u", at(300));
        assert_eq!(banned, [Subject::AddressAndUser, Subject::Address]);
        let refused = may_try(&throttle, 5_299).expect_err("it is banned");
        assert_eq!((refused.until, refused.is_ban), (at(5_300), true));
        assert_eq!(may_try(&throttle, 5_300), Ok(()));
        let again = fail(&mut throttle, address(1), "u", at(5_300));
        assert_eq!(again.len(), 2, "who fails right after a ban is banned again");
    }

    #[test]
    fn failures_are_forgotten_after_the_window() {
        let mut throttle = throttle();
        for round in 0..10 {
            assert_eq!(fail(&mut throttle, address(1), "u", at(round * 10_000)), []);
        }
    }

    #[test]
    fn an_address_that_tries_many_users_is_banned() {
        let mut throttle = throttle();
        assert_eq!(fail(&mut throttle, address(1), "a", at(0)), []);
        assert_eq!(fail(&mut throttle, address(1), "b", at(0)), []);
        assert_eq!(fail(&mut throttle, address(1), "c", at(0)), [Subject::Address]);
        assert!(throttle.may_try(address(1), Some("d"), at(1)).is_err());
        assert!(throttle.may_try(address(1), None, at(1)).is_err());
        assert!(throttle.may_try(address(2), Some("a"), at(1)).is_ok());
    }

    #[test]
    fn a_user_who_is_tried_from_many_addresses_is_banned() {
        let mut throttle = throttle();
        for last in 0..4 {
            assert_eq!(fail(&mut throttle, address(last), "u", at(0)), []);
        }
        assert_eq!(fail(&mut throttle, address(4), "u", at(0)), [Subject::User]);
        assert!(throttle.may_try(address(9), Some("u"), at(1)).is_err());
        assert!(throttle.may_try(address(9), Some("v"), at(1)).is_ok());
    }

    /// Nobody locks out a device by failing in its name or behind its router.
    #[test]
    fn who_has_logged_in_before_is_not_banned_by_others() {
        let mut throttle = throttle();
        throttle.on_success(address(1), Some("u"));
        for last in 2..10 {
            fail(&mut throttle, address(last), "u", at(0));
        }
        for user in ["a", "b", "c"] {
            fail(&mut throttle, address(1), user, at(0));
        }
        assert_eq!(throttle.may_try(address(1), Some("u"), at(1)), Ok(()));
        assert!(throttle.may_try(address(1), Some("v"), at(1)).is_err());
        assert!(throttle.may_try(address(20), Some("u"), at(1)).is_err());
        for round in 0..3 {
            fail(&mut throttle, address(1), "u", at(1_000 + round));
        }
        assert!(throttle.may_try(address(1), Some("u"), at(2_000)).is_err(), "its own failures do");
        assert!(throttle.may_try(address(1), Some("u"), at(20_000)).is_ok());
        for user in ["a", "b", "c"] {
            fail(&mut throttle, address(1), user, at(20_000));
        }
        assert!(throttle.may_try(address(1), Some("u"), at(20_001)).is_err(), "trust is lost");
    }

    #[test]
    fn a_login_of_ones_own_wipes_out_no_failures_with_other_names() {
        let mut throttle = throttle();
        for user in ["a", "b"] {
            fail(&mut throttle, address(1), user, at(0));
            throttle.on_success(address(1), Some("own"));
        }
        assert_eq!(fail(&mut throttle, address(1), "c", at(0)), [Subject::Address]);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let mut throttle = throttle();
        for last in 1..=3 {
            let from = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
            fail(&mut throttle, from, &format!("u{last}"), at(0));
        }
        let of = |network| IpAddr::from([0x2001, 0xdb8, 0, network, 9, 9, 9, 9]);
        assert!(throttle.may_try(of(1), Some("u"), at(1)).is_err());
        assert!(throttle.may_try(of(2), Some("u"), at(1)).is_ok());
        let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]);
        assert_eq!(network(mapped), address(1));
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut throttle = throttle();
        for number in 0..10_000_u32 {
            let from = IpAddr::from(number.to_be_bytes());
            fail(&mut throttle, from, &number.to_string(), at(0));
            assert!(throttle.len() <= SETTINGS.entries_max);
        }
        assert!(!throttle.is_empty());
    }
}
