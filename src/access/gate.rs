//! Stands before the workers: whom it knows it lets through, who failed too often it keeps out, and
//! only the rest costs work. One gate, with one owner, serves the whole broker.
//!
//! It is asked when a worker is free, not when the work arrives: what waits in a queue has not failed
//! yet, and a guesser could else have as many tries as the queue has places.
//!
//! ```text
//! Work ──▶ Gate::before ──▶ Outcome                       known, or made to wait
//!                └────────▶ Ticket and Work ──▶ Work::run ──▶ Gate::after ──▶ Outcome
//! ```

use std::net::IpAddr;

use super::cache::{CacheKey, CredentialCache};
use super::denial::Denial;
use super::provider::{Outcome, Work};
use super::throttle::{Throttle, Throttled};
use crate::session::Time;

/// Throttle and cache together. Pure: the time is an argument.
#[derive(Debug)]
pub struct Gate {
    throttle: Throttle,
    cache: CredentialCache,
}

/// What the gate says before any work is done.
#[derive(Debug)]
pub enum Passage {
    /// The answer is known.
    Known(Outcome),
    /// Run the work, and show the ticket to [`Gate::after`].
    Run(Work, Ticket),
}

/// What the gate has to know of work when it has been done.
#[derive(Debug)]
pub struct Ticket {
    user_name: Option<Box<str>>,
    address: Option<IpAddr>,
    cache_key: Option<CacheKey>,
}

impl Gate {
    /// A gate that knows nobody yet.
    pub fn new(throttle: Throttle, cache: CredentialCache) -> Self {
        Self { throttle, cache }
    }

    /// Asks for passage. `scope` tells the providers of one listener from those of others.
    pub fn before(&self, work: Work, scope: u32, now: Time) -> Passage {
        let credentials = work.credentials();
        let (user_name, address) = (credentials.user_name.clone(), credentials.address);
        // Before the cache: who is banned must not learn that a guess was right. Those of a unix
        // socket have no address and belong to this machine.
        let throttled = address
            .and_then(|address| self.throttle.may_try(address, user_name.as_deref(), now).err());
        if let Some(throttled) = throttled {
            return Passage::Known(Outcome::denied(Denial::Throttled(throttled)));
        }
        let cache_key = work.cache_parts().map(|parts| {
            let parts = parts.each_ref().map(Vec::as_slice);
            self.cache.key(scope, &parts)
        });
        let known = cache_key.as_ref().and_then(|key| self.cache.find(key, now));
        if let Some(identity) = known {
            let result = Ok(identity.clone());
            return Passage::Known(Outcome { result, data: None, cache_ms: 0 });
        }
        Passage::Run(work, Ticket { user_name, address, cache_key })
    }

    /// Learns what the work found out; the bans that begin with it, for the log.
    pub fn after(&mut self, ticket: &Ticket, outcome: &Outcome, now: Time) -> Vec<Throttled> {
        let user_name = ticket.user_name.as_deref();
        match (&outcome.result, ticket.address) {
            (Ok(identity), address) => {
                if let Some(address) = address {
                    self.throttle.on_success(address, user_name);
                }
                if let Some(key) = &ticket.cache_key {
                    self.cache.remember(key, identity.clone(), now, outcome.cache_ms);
                }
                Vec::new()
            }
            (Err(denial), Some(address)) if denial.is_failure() => {
                self.throttle.on_failure(address, user_name, now).collect()
            }
            (Err(_), _) => Vec::new(),
        }
    }

    /// Forgets whom it knows: passwords, keys or providers have changed. Failures stay counted.
    pub fn on_reload(&mut self) {
        self.cache.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::*;
    use crate::access::credentials::{Credentials, Secret};
    use crate::access::password::{PasswordFile, PasswordHash, Scheme};
    use crate::access::provider::{Decision, HttpReply, Outside, Provider, Providers};
    use crate::access::throttle::ThrottleSettings;

    struct Nowhere;

    impl Outside for Nowhere {
        fn post_json(&mut self, _: &str, _: &str, _: u64) -> Result<HttpReply, String> {
            Err("there is no network".to_owned())
        }
    }

    fn gate() -> Gate {
        let settings = ThrottleSettings { failures_max: 3, ..ThrottleSettings::default() };
        Gate::new(Throttle::new(settings, [1; 4]), CredentialCache::new(100, [2; 32]))
    }

    fn work(password: &[u8], address: Option<IpAddr>) -> Work {
        let hash = PasswordHash::make(Scheme::Sha512, b"right", &[1; 12]).expect("no cost");
        let file = PasswordFile::parse(format!("u:{hash}").as_bytes(), "f").expect("valid");
        let providers = Providers::new(vec![Provider::Password(Arc::new(file))], 1_000, [3; 32]);
        let credentials = Credentials {
            client_id: "c".into(),
            user_name: Some("u".into()),
            password: Some(Secret::new(password)),
            certificate: None,
            address,
        };
        match providers.decide(credentials) {
            Decision::Later(work) => work,
            other => panic!("a password is never decided on at once: {other:?}"),
        }
    }

    /// Through the gate, with the work done if it is asked for; whether it was.
    fn pass(gate: &mut Gate, password: &[u8], ms: u64) -> (Outcome, bool) {
        pass_from(gate, password, Some(IpAddr::from([192, 0, 2, 1])), ms)
    }

    fn pass_from(
        gate: &mut Gate,
        password: &[u8],
        address: Option<IpAddr>,
        ms: u64,
    ) -> (Outcome, bool) {
        let now = Time::from_millis(ms);
        match gate.before(work(password, address), 0, now) {
            Passage::Known(outcome) => (outcome, false),
            Passage::Run(work, ticket) => {
                let outcome = work.run(0, &mut Nowhere);
                gate.after(&ticket, &outcome, now);
                (outcome, true)
            }
        }
    }

    #[test]
    fn a_password_that_was_right_is_not_hashed_again_for_a_while() {
        let mut gate = gate();
        let (outcome, worked) = pass(&mut gate, b"right", 0);
        assert!(outcome.result.is_ok() && worked);
        let (outcome, worked) = pass(&mut gate, b"right", 999);
        assert!(outcome.result.is_ok_and(|it| it.user_name.as_deref() == Some("u")) && !worked);
        assert!(pass(&mut gate, b"right", 1_000).1, "the time is over");
        gate.on_reload();
        assert!(pass(&mut gate, b"right", 1_001).1, "the file may be another one");
    }

    /// G18: a guesser learns nothing while it is kept out, not even that a guess was right.
    #[test]
    fn who_fails_too_often_is_kept_out_without_any_work() {
        let mut gate = gate();
        assert!(pass(&mut gate, b"right", 0).0.result.is_ok());
        for ms in [0, 10_000, 20_000] {
            let (outcome, worked) = pass(&mut gate, b"wrong", ms);
            assert_eq!(outcome.result.expect_err("it is wrong"), Denial::WrongPassword);
            assert!(worked);
        }
        let (outcome, worked) = pass(&mut gate, b"right", 20_001);
        let denial = outcome.result.expect_err("it is banned");
        assert!(matches!(denial, Denial::Throttled(throttled) if throttled.is_ban) && !worked);
    }

    #[test]
    fn a_unix_socket_is_not_throttled() {
        let mut gate = gate();
        for ms in 0..20 {
            assert!(pass_from(&mut gate, b"wrong", None, ms).1);
        }
        assert!(pass_from(&mut gate, b"right", None, 20).0.result.is_ok());
    }

    #[test]
    fn bans_are_reported_when_they_begin() {
        let mut gate = gate();
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let mut reported = Vec::new();
        for ms in [0, 10_000, 20_000] {
            let now = Time::from_millis(ms);
            let Passage::Run(work, ticket) = gate.before(work(b"wrong", address), 0, now) else {
                panic!("nobody is banned yet")
            };
            let outcome = work.run(0, &mut Nowhere);
            reported.push(gate.after(&ticket, &outcome, now).len());
        }
        assert_eq!(reported, [0, 0, 2]);
    }
}
