//! What may be published, and for how long nothing is read of whoever has published too much.

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
        rates.lease.take(id, 1, NOW) || rates.spend(id, ListenerId(0), 1, NOW) == 0
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
            rates.lease.take(connection(0), 1, NOW)
                || rates.spend(connection(0), ListenerId(0), 1, NOW) == 0
        );
    }
    assert_eq!(publish_all(&mut rates, connection(1)), 90);
    // The one that was too much is spent as well.
    assert_eq!(publish_all(&mut rates, connection(0)), 0);
}

/// What is used of a lease is paid for by the time that passes then, not by that which passed
/// before it was reckoned up.
#[test]
fn who_keeps_to_the_pace_never_waits() {
    let mut rates = rates(10, 0);
    let mut publish = |at_ms: u64| {
        let now = Time::from_millis(at_ms);
        match rates.lease.take(connection(0), 1, now) {
            true => 0,
            false => rates.spend(connection(0), ListenerId(0), 1, now),
        }
    };
    for second in 1..=5 {
        let waits: Vec<u64> = (0..10).map(|_| publish(second * 1_000)).collect();
        assert_eq!(waits, [0; 10], "second {second}");
    }
    assert_eq!(publish(5_000), 100);
}

#[test]
fn the_greatest_and_the_least_pace_are_reckoned_with() {
    const BYTES_MAX: u64 = 281_474_976_710_656;
    let far = Time::NEVER;
    for per_s in [1, 1_000_000_000, BYTES_MAX] {
        let mut pace = Pace::default();
        assert_eq!(pace.spend(per_s, per_s, NOW), 0);
        assert_eq!(pace.left(per_s), 0);
        assert_eq!(pace.spend(per_s, per_s, NOW), 1_000);
        assert_eq!(pace.spend(0, per_s, far), 0);
        assert_eq!(pace.left(per_s), per_s);
    }
    // The largest packet, by the byte: more than eight years.
    assert_eq!(Pace::default().spend(268_435_455, 1, NOW), 268_435_454_000);
    assert_eq!(Pace::default().spend(u64::MAX, 1, NOW), u64::MAX - PARTS);
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
