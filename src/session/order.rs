//! Which of two connections is the newer, on whatever shards they are.

use super::Time;

/// A connection's place in the order in which the acceptor took them all: microseconds on the
/// broker's clock, and for each connection more than for those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AcceptOrder(u64);

impl AcceptOrder {
    /// The place behind this one, for a connection that is accepted `now_us` microseconds after
    /// the clock's start.
    #[must_use]
    pub const fn next(self, now_us: u64) -> Self {
        if now_us > self.0 { Self(now_us) } else { Self(self.0 + 1) }
    }

    /// The place of a connection whose CONNECT is read at `now` and may have waited unread for
    /// `unread_ms_max` milliseconds. Who opens a connection and says nothing for longer than that
    /// does not stand before those who came in between.
    #[must_use]
    pub fn of_connect_read_at(self, now: Time, unread_ms_max: u64) -> Self {
        let sent_ms = now.as_millis().saturating_sub(unread_ms_max);
        self.max(Self(sent_ms.saturating_mul(1000)))
    }

    /// How long a connection with this place has been there at `now`, milliseconds.
    #[must_use]
    pub const fn age_ms(self, now: Time) -> u64 {
        now.as_millis().saturating_sub(self.0 / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_connections_of_one_microsecond_have_different_places() {
        let first = AcceptOrder::default().next(7_000);
        let second = first.next(7_000);
        assert!(first < second && second < second.next(7_002));
    }

    #[test]
    fn silence_counts_only_beyond_the_time_a_connect_may_wait_unread() {
        let order = AcceptOrder::default().next(5_000_000);
        assert_eq!(order.of_connect_read_at(Time::from_millis(6_000), 1_000), order);
        let late = order.of_connect_read_at(Time::from_millis(6_001), 1_000);
        assert!(order < late && late < order.next(5_001_001));
        assert_eq!(order.of_connect_read_at(Time::from_millis(10), 1_000), order);
    }
}
