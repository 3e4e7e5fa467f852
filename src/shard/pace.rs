//! How fast clients may publish: messages and bytes per second, of one client and of all that came
//! through one listener. Who has published too much is not read until that is paid for; nothing of
//! it is lost, as the kernel holds it back.
//!
//! To reckon with each message would cost more than the message. Whoever is read gets a lease of what
//! it may publish anyway, which is only counted down; it is reckoned up when it is used up, or when
//! somebody else is read.

use std::{collections::BTreeMap, rc::Rc};

use super::{ConnectionId, ListenerId, Shard, Time, Turn, timers::Timer};
use crate::config::{Limits, Listener, Settings};

/// What is spent is counted in thousandths, so that each millisecond pays for some of it.
const PARTS: u64 = 1_000;
/// Clients of which something is known, from which on those that owe nothing are looked for.
const CLIENTS_MIN: usize = 64;

/// A pace: what was spent is paid for by the passing of time. A second's worth may come at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// What is not paid for, thousandths.
    spent: u64,
    /// When that was so.
    at: Time,
}

impl Pace {
    /// What is paid for by now, is.
    fn pay(&mut self, per_s: u64, now: Time) {
        let elapsed_ms = now.as_millis().saturating_sub(self.at.as_millis());
        self.spent = self.spent.saturating_sub(per_s.saturating_mul(elapsed_ms));
        self.at = now;
    }

    /// Spends `amount` at `now`; returns for how many milliseconds nothing more may be spent. A
    /// pace of 0 per second is none.
    fn spend(&mut self, amount: u64, per_s: u64, now: Time) -> u64 {
        if per_s == 0 {
            return 0;
        }
        self.pay(per_s, now);
        self.spent = self.spent.saturating_add(amount.saturating_mul(PARTS));
        self.spent.saturating_sub(per_s.saturating_mul(PARTS)).div_ceil(per_s)
    }

    /// What may be spent at once at the time that was reckoned with last.
    fn left(&self, per_s: u64) -> u64 {
        match per_s {
            0 => u64::MAX,
            _ => per_s.saturating_mul(PARTS).saturating_sub(self.spent) / PARTS,
        }
    }

    /// Another pace holds from now on: no more than a second's worth of it is owed.
    fn change(&mut self, per_s: u64) {
        self.spent = self.spent.min(per_s.saturating_mul(PARTS));
    }
}

/// Messages, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    publishes: u64,
    bytes: u64,
}

impl Amount {
    const UNLIMITED: Self = Self { publishes: u64::MAX, bytes: u64::MAX };

    fn min(self, other: Self) -> Self {
        let (publishes, bytes) = (self.publishes, self.bytes);
        Self { publishes: publishes.min(other.publishes), bytes: bytes.min(other.bytes) }
    }

    /// As a pace, where 0 is as much as one likes: whether it is a limit.
    fn is_limit(self) -> bool {
        self.publishes > 0 || self.bytes > 0
    }
}

/// The two paces of one client, or of one listener.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paces {
    publishes: Pace,
    bytes: Pace,
}

impl Paces {
    fn spend(&mut self, amount: Amount, per_s: Amount, now: Time) -> u64 {
        let publishes_ms = self.publishes.spend(amount.publishes, per_s.publishes, now);
        publishes_ms.max(self.bytes.spend(amount.bytes, per_s.bytes, now))
    }

    fn left(&self, per_s: Amount) -> Amount {
        let publishes = self.publishes.left(per_s.publishes);
        Amount { publishes, bytes: self.bytes.left(per_s.bytes) }
    }

    fn change(&mut self, per_s: Amount) {
        self.publishes.change(per_s.publishes);
        self.bytes.change(per_s.bytes);
    }

    /// Whether everything is paid for.
    fn are_free(&mut self, per_s: Amount, now: Time) -> bool {
        self.publishes.pay(per_s.publishes, now);
        self.bytes.pay(per_s.bytes, now);
        self.publishes.spent == 0 && self.bytes.spent == 0
    }
}

/// What the connection that is read may publish before it has to be reckoned with.
#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    of: Option<(ConnectionId, ListenerId)>,
    left: Amount,
    used: Amount,
}

impl Lease {
    /// A PUBLISH of so many bytes; false if the lease is not for it.
    #[inline]
    fn take(&mut self, id: ConnectionId, bytes: u64) -> bool {
        let is_its = self.of.is_some_and(|(of, _)| of == id);
        if !is_its || self.left.publishes == 0 || self.left.bytes < bytes {
            return false;
        }
        self.left.publishes -= 1;
        self.left.bytes -= bytes;
        self.used.publishes += 1;
        self.used.bytes += bytes;
        true
    }
}

/// The rates of one shard.
#[derive(Debug)]
pub(super) struct PublishRates {
    /// What one client may publish per second; 0 for as much as it likes.
    of_client: Amount,
    /// What each client owes. Who owes nothing need not be here.
    clients: BTreeMap<ConnectionId, Paces>,
    /// With so many clients it is time to forget those that owe nothing.
    clients_max: usize,
    /// This shard's share of what all of a listener may publish, and what they owe of it.
    of_listeners: Vec<(Amount, Paces)>,
    lease: Lease,
    /// Whether there are any.
    are_limited: bool,
}

impl PublishRates {
    pub(super) fn new(limits: &Limits, listeners: &[Listener], shards: usize) -> Self {
        let mut rates = Self {
            of_client: Amount::default(),
            clients: BTreeMap::new(),
            clients_max: CLIENTS_MIN,
            of_listeners: Vec::new(),
            lease: Lease::default(),
            are_limited: false,
        };
        rates.change(limits, listeners, shards);
        rates
    }

    /// Other limits, and more listeners perhaps.
    fn change(&mut self, limits: &Limits, listeners: &[Listener], shards: usize) {
        let share = |most: u64| most.div_ceil(shards as u64);
        let of_listener = |listener: &Listener| Amount {
            publishes: share(u64::from(listener.publishes_per_s_max)),
            bytes: share(listener.publish_bytes_per_s_max as u64),
        };
        self.lease = Lease::default();
        self.of_client = Amount {
            publishes: u64::from(limits.publishes_per_client_per_s_max),
            bytes: limits.publish_bytes_per_client_per_s_max as u64,
        };
        self.clients.values_mut().for_each(|paces| paces.change(self.of_client));
        self.of_listeners.resize(listeners.len(), (Amount::default(), Paces::default()));
        for ((per_s, paces), listener) in self.of_listeners.iter_mut().zip(listeners) {
            *per_s = of_listener(listener);
            paces.change(*per_s);
        }
        self.are_limited = self.of_client.is_limit()
            || self.of_listeners.iter().any(|(per_s, _)| per_s.is_limit());
    }

    /// A PUBLISH of so many bytes that has no lease; returns for how many milliseconds its
    /// connection may not go on. Whatever else it may publish at once, it has a lease for.
    fn spend(&mut self, id: ConnectionId, listener: ListenerId, bytes: u64, now: Time) -> u64 {
        let lease = std::mem::take(&mut self.lease);
        if let Some((before, its_listener)) = lease.of {
            self.charge(before, its_listener, lease.used, now);
        }
        let (wait_ms, left) = self.charge(id, listener, Amount { publishes: 1, bytes }, now);
        self.lease = Lease { of: Some((id, listener)), left, used: Amount::default() };
        wait_ms
    }

    /// Reckons with what a client has published; returns how long it has to wait, and what else it
    /// may publish at once.
    fn charge(
        &mut self,
        id: ConnectionId,
        listener: ListenerId,
        amount: Amount,
        now: Time,
    ) -> (u64, Amount) {
        let (mut wait_ms, mut left) = (0, Amount::UNLIMITED);
        if self.of_client.is_limit() {
            let per_s = self.of_client;
            let paces = self.paces_of(id, now);
            wait_ms = paces.spend(amount, per_s, now);
            left = paces.left(per_s);
        }
        if let Some((per_s, paces)) = self.of_listeners.get_mut(usize::from(listener.0)) {
            wait_ms = wait_ms.max(paces.spend(amount, *per_s, now));
            left = left.min(paces.left(*per_s));
        }
        (wait_ms, left)
    }

    fn paces_of(&mut self, id: ConnectionId, now: Time) -> &mut Paces {
        if self.clients.len() >= self.clients_max {
            let per_s = self.of_client;
            self.clients.retain(|_, paces| !paces.are_free(per_s, now));
            self.clients_max = CLIENTS_MIN.max(self.clients.len() * 2);
        }
        self.clients.entry(id).or_default()
    }

    /// The connection is gone.
    fn forget(&mut self, id: ConnectionId) {
        self.clients.remove(&id);
    }
}

impl Shard {
    /// These settings hold from now on, in what a running shard can change.
    pub(super) fn on_settings_changed(&mut self, settings: &Settings) {
        self.rates.change(&settings.limits, &settings.listeners, self.shards);
        self.settings = Rc::new(settings.clone());
    }

    /// A PUBLISH of so many bytes has come: if that was too much, nothing more is read of its
    /// connection for a while.
    #[inline]
    pub(super) fn pause_for_rate(&mut self, id: ConnectionId, bytes: usize, turn: &mut Turn<'_>) {
        if self.rates.are_limited && !self.rates.lease.take(id, bytes as u64) {
            self.spend(id, bytes as u64, turn);
        }
    }

    fn spend(&mut self, id: ConnectionId, bytes: u64, turn: &mut Turn<'_>) {
        let Some(connection) = self.connections.find_mut(id) else { return };
        let wait_ms = self.rates.spend(id, connection.listener, bytes, turn.now);
        if wait_ms == 0 || connection.rate_until().is_some() {
            return;
        }
        let until = turn.now.plus(wait_ms);
        connection.pauses_mut().rate_until = Some(until);
        self.timers.arm(until, Timer::RateAllows(id));
        self.metrics.publishers_throttled += 1;
    }

    /// What was too much is paid for.
    pub(super) fn on_rate_allows(&mut self, id: ConnectionId, turn: &mut Turn<'_>) {
        self.unpause(id, turn, |pauses| pauses.rate_until = None);
    }

    /// The connection goes: nobody waits for it.
    pub(super) fn forget_rate(&mut self, id: ConnectionId) {
        self.rates.forget(id);
        let Some(connection) = self.connections.find(id) else { return };
        if let Some(until) = connection.rate_until() {
            self.timers.cancel(until, Timer::RateAllows(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(60_000);

    #[test]
    fn a_second_comes_at_once_and_then_the_pace_holds() {
        let mut pace = Pace::default();
        let at = Time::from_millis;
        let waits: Vec<u64> = (0..12).map(|_| pace.spend(1, 10, at(1_000))).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200]);
        assert_eq!(pace.left(10), 0);
        assert_eq!(pace.spend(1, 10, at(1_200)), 100);
        assert_eq!(pace.spend(1, 10, at(60_000)), 0);
        assert_eq!(pace.left(10), 9);
    }

    /// Each millisecond pays for less than a message.
    #[test]
    fn what_is_looked_at_often_is_paid_for_as_well() {
        let mut pace = Pace::default();
        pace.spend(10, 10, Time::from_millis(0));
        for now_ms in 1..=100 {
            assert_eq!(pace.left(10), 0);
            pace.pay(10, Time::from_millis(now_ms));
        }
        assert_eq!(pace.left(10), 1);
    }

    #[test]
    fn more_than_a_second_of_bytes_at_once_is_paid_for_afterwards() {
        let mut paces = Paces::default();
        let per_s = Amount { publishes: 0, bytes: 1_000 };
        let amount = Amount { publishes: 1, bytes: 5_000 };
        assert_eq!(paces.spend(amount, per_s, Time::from_millis(0)), 4_000);
        assert_eq!(paces.spend(Amount::default(), per_s, Time::from_millis(4_000)), 0);
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let mut paces = Paces::default();
        assert_eq!(paces.spend(Amount::UNLIMITED, Amount::default(), Time::default()), 0);
        assert_eq!(paces.left(Amount::default()).publishes, u64::MAX);
    }

    fn rates(of_client: u32, of_listener: u32) -> PublishRates {
        let mut settings = Settings::default();
        settings.limits.publishes_per_client_per_s_max = of_client;
        settings.listeners[0].publishes_per_s_max = of_listener;
        PublishRates::new(&settings.limits, &settings.listeners, 1)
    }

    /// What a client publishes until it has to wait.
    fn publish_all(rates: &mut PublishRates, id: ConnectionId) -> u64 {
        let is_free = |rates: &mut PublishRates| {
            rates.lease.take(id, 1) || rates.spend(id, ListenerId(0), 1, NOW) == 0
        };
        (0..).take_while(|_| is_free(rates)).count() as u64
    }

    fn connection(slot: usize) -> ConnectionId {
        ConnectionId::new(slot, 1)
    }

    /// One that is read after another one ends its lease; the listener's is shared.
    #[test]
    fn a_lease_is_reckoned_up_when_somebody_else_is_read() {
        let mut rates = rates(100, 150);
        for _ in 0..60 {
            assert!(
                rates.lease.take(connection(0), 1)
                    || rates.spend(connection(0), ListenerId(0), 1, NOW) == 0
            );
        }
        assert_eq!(publish_all(&mut rates, connection(1)), 90);
        // The one that was too much is spent as well.
        assert_eq!(publish_all(&mut rates, connection(0)), 0);
    }

    #[test]
    fn a_lease_ends_with_the_limits_that_it_was_given_under() {
        let mut rates = rates(1_000_000, 0);
        assert_eq!(rates.spend(connection(0), ListenerId(0), 1, NOW), 0);
        let mut settings = Settings::default();
        settings.limits.publishes_per_client_per_s_max = 10;
        rates.change(&settings.limits, &settings.listeners, 1);
        assert_eq!(publish_all(&mut rates, connection(0)), 9);
    }

    #[test]
    fn who_owes_nothing_is_forgotten() {
        let mut rates = rates(10, 0);
        for slot in 0..1_000 {
            let now = Time::from_millis(60_000 + slot as u64);
            rates.spend(connection(slot), ListenerId(0), 1, now);
        }
        assert!(rates.clients.len() < 300, "{}", rates.clients.len());
        rates.forget(connection(999));
        assert!(!rates.clients.contains_key(&connection(999)));
    }
}
