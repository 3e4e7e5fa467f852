//! How fast clients may publish: messages and bytes per second, of one client and of all that came
//! through one listener. Who has published too much is not read until that is paid for; nothing of
//! it is lost, as the kernel holds it back.

use std::rc::Rc;

use super::{ConnectionId, ListenerId, Shard, Time, Turn, timers::Timer};
use crate::config::{Limits, Listener, Settings};

/// A second's worth may come at once.
const BURST_NS: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// A pace: what was spent is paid for by the passing of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Everything so far, spread evenly, ends here.
    paid_until_ns: u64,
}

impl Pace {
    /// Spends `amount` at `now`; returns for how many milliseconds nothing more may be spent. A
    /// pace of 0 per second is none.
    fn spend(&mut self, amount: u64, per_s: u64, now: Time) -> u64 {
        if per_s == 0 {
            return 0;
        }
        let now_ns = now.as_millis().saturating_mul(NS_PER_MS);
        let cost_ns = u128::from(amount) * u128::from(BURST_NS) / u128::from(per_s);
        let cost_ns = u64::try_from(cost_ns).unwrap_or(u64::MAX);
        self.paid_until_ns = self.paid_until_ns.max(now_ns).saturating_add(cost_ns);
        self.paid_until_ns.saturating_sub(now_ns.saturating_add(BURST_NS)).div_ceil(NS_PER_MS)
    }
}

/// The two paces of one client, or of one listener.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paces {
    publishes: Pace,
    bytes: Pace,
}

/// How much may be published per second; 0 for as much as one likes.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    publishes: u64,
    bytes: u64,
}

impl Rates {
    fn are_limited(self) -> bool {
        self.publishes > 0 || self.bytes > 0
    }
}

impl Paces {
    fn spend(&mut self, bytes: usize, rates: Rates, now: Time) -> u64 {
        let publishes_ms = self.publishes.spend(1, rates.publishes, now);
        publishes_ms.max(self.bytes.spend(bytes as u64, rates.bytes, now))
    }
}

/// The rates of one shard.
#[derive(Debug)]
pub(super) struct PublishRates {
    of_client: Rates,
    /// What each client has spent, by the slot of its connection; empty where no client's rate is
    /// limited. A slot belongs to the connection that it names.
    clients: Vec<(Option<ConnectionId>, Paces)>,
    /// This shard's share of each listener's, and what was spent of it.
    of_listeners: Vec<(Rates, Paces)>,
    /// Whether there are any.
    are_limited: bool,
}

impl PublishRates {
    pub(super) fn new(limits: &Limits, listeners: &[Listener], shards: usize) -> Self {
        let mut rates = Self {
            of_client: Rates::default(),
            clients: Vec::new(),
            of_listeners: Vec::new(),
            are_limited: false,
        };
        rates.change(limits, listeners, shards);
        rates
    }

    /// Other limits, and more listeners perhaps. What was spent stays spent.
    fn change(&mut self, limits: &Limits, listeners: &[Listener], shards: usize) {
        let of_client = Rates {
            publishes: u64::from(limits.publishes_per_client_per_s_max),
            bytes: limits.publish_bytes_per_client_per_s_max as u64,
        };
        let share = |most: u64| most.div_ceil(shards as u64);
        let of_listener = |listener: &Listener| Rates {
            publishes: share(u64::from(listener.publishes_per_s_max)),
            bytes: share(listener.publish_bytes_per_s_max as u64),
        };
        self.of_listeners.resize(listeners.len(), (Rates::default(), Paces::default()));
        for ((rates, _), listener) in self.of_listeners.iter_mut().zip(listeners) {
            *rates = of_listener(listener);
        }
        self.of_client = of_client;
        self.are_limited = of_client.are_limited()
            || self.of_listeners.iter().any(|(rates, _)| rates.are_limited());
    }

    /// A PUBLISH of so many bytes; returns for how many milliseconds its connection may not go on.
    fn spend(&mut self, id: ConnectionId, listener: ListenerId, bytes: usize, now: Time) -> u64 {
        let mut wait_ms = 0;
        if self.of_client.are_limited() {
            let rates = self.of_client;
            wait_ms = self.paces_of(id).spend(bytes, rates, now);
        }
        if let Some((rates, paces)) = self.of_listeners.get_mut(usize::from(listener.0)) {
            wait_ms = wait_ms.max(paces.spend(bytes, *rates, now));
        }
        wait_ms
    }

    fn paces_of(&mut self, id: ConnectionId) -> &mut Paces {
        if self.clients.len() <= id.slot() {
            self.clients.resize(id.slot() + 1, (None, Paces::default()));
        }
        let (owner, paces) = &mut self.clients[id.slot()];
        if *owner != Some(id) {
            (*owner, *paces) = (Some(id), Paces::default());
        }
        paces
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
        if self.rates.are_limited {
            self.spend(id, bytes, turn);
        }
    }

    fn spend(&mut self, id: ConnectionId, bytes: usize, turn: &mut Turn<'_>) {
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
        let Some(connection) = self.connections.find(id) else { return };
        if let Some(until) = connection.rate_until() {
            self.timers.cancel(until, Timer::RateAllows(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_comes_at_once_and_then_the_pace_holds() {
        let mut pace = Pace::default();
        let at = Time::from_millis;
        let waits: Vec<u64> = (0..12).map(|_| pace.spend(1, 10, at(1_000))).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200]);
        assert_eq!(pace.spend(1, 10, at(1_200)), 100);
        assert_eq!(pace.spend(1, 10, at(60_000)), 0);
    }

    #[test]
    fn more_than_a_second_of_bytes_at_once_is_paid_for_afterwards() {
        let mut paces = Paces::default();
        let rates = Rates { publishes: 0, bytes: 1_000 };
        assert_eq!(paces.spend(5_000, rates, Time::from_millis(0)), 4_000);
        assert_eq!(paces.spend(0, rates, Time::from_millis(4_000)), 0);
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let mut paces = Paces::default();
        assert_eq!(paces.spend(usize::MAX, Rates::default(), Time::default()), 0);
    }
}
