//! How fast clients may publish: messages and bytes per second, of one client and of all that came
//! through one listener. Who has published too much is not read until that is paid for; nothing of
//! it is lost, as the kernel holds it back.
//!
//! To reckon with each message would cost more than the message. Whoever is read gets a lease of what
//! it may publish anyway, which is only counted down; it is reckoned up when it is used up, when its
//! millisecond is over, or when somebody else is read.

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
    /// When it was given, and ends: what is used of it is spent then, and paid for from then on.
    at: Time,
    left: Amount,
    used: Amount,
}

impl Lease {
    /// A PUBLISH of so many bytes; false if the lease is not for it.
    #[inline]
    fn take(&mut self, id: ConnectionId, bytes: u64, now: Time) -> bool {
        let is_its = self.at == now && self.of.is_some_and(|(of, _)| of == id);
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

    /// Other limits, and more listeners perhaps. Who waits for what was owed of the old ones need
    /// not wait any longer.
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
            self.charge(before, its_listener, lease.used, lease.at);
        }
        let (wait_ms, left) = self.charge(id, listener, Amount { publishes: 1, bytes }, now);
        self.lease = Lease { of: Some((id, listener)), at: now, left, used: Amount::default() };
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
    pub(super) fn on_settings_changed(&mut self, settings: &Settings, turn: &mut Turn<'_>) {
        self.rates.change(&settings.limits, &settings.listeners, self.shards);
        self.settings = Rc::new(settings.clone());
        // By an old limit that was much too low, somebody might wait for years.
        for id in self.timers.take_rates() {
            self.on_rate_allows(id, turn);
        }
    }

    /// A PUBLISH of so many bytes has come: if that was too much, nothing more is read of its
    /// connection for a while.
    #[inline]
    pub(super) fn pause_for_rate(&mut self, id: ConnectionId, bytes: usize, turn: &mut Turn<'_>) {
        if self.rates.are_limited && !self.rates.lease.take(id, bytes as u64, turn.now) {
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
mod tests;
