//! When to send PINGREQ, and when the server counts as gone (3.1.2.10).

use std::time::Duration;

/// The silence of one connection. All times are those of the session.
#[derive(Debug, Default)]
pub(super) struct KeepAlive {
    /// Zero turns pings off.
    interval: Duration,
    sent: Duration,
    received: Duration,
    ping_sent: Option<Duration>,
    round_trip: Option<Duration>,
}

/// What the silence calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// Nothing was heard in spite of a PINGREQ.
    ServerIsGone,
}

impl KeepAlive {
    pub(super) fn new(interval: Duration, now: Duration) -> Self {
        Self { interval, sent: now, received: now, ..Self::default() }
    }

    pub(super) fn on_sent(&mut self, now: Duration) {
        self.sent = now;
    }

    pub(super) fn on_received(&mut self, now: Duration) {
        self.received = now;
    }

    /// PINGRESP came.
    pub(super) fn on_pong(&mut self, now: Duration) {
        self.round_trip = self.ping_sent.take().map(|sent| now.saturating_sub(sent));
    }

    /// PINGREQ was written.
    pub(super) fn on_ping(&mut self, now: Duration) {
        self.ping_sent = Some(now);
    }

    /// How long the last PINGREQ waited for its answer.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// When to look again.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        (!self.interval.is_zero()).then(|| match self.ping_sent {
            Some(sent) => sent + self.patience(),
            None => self.sent.min(self.received) + self.interval,
        })
    }

    pub(super) fn due(&self, now: Duration) -> Due {
        match (self.next_deadline(), self.ping_sent) {
            (Some(deadline), Some(_)) if now >= deadline => Due::ServerIsGone,
            (Some(deadline), None) if now >= deadline => Due::Ping,
            _ => Due::Nothing,
        }
    }

    /// Half the interval, so that a link that is open at one end only is found out after one and a
    /// half intervals, as the server finds out about us [MQTT-3.1.2-22].
    fn patience(&self) -> Duration {
        self.interval / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// [MQTT-3.1.2-20]: counted from the last packet that was sent, not from the last tick.
    #[test]
    fn a_ping_is_due_one_interval_after_the_last_packet_sent() {
        let mut keep_alive = KeepAlive::new(s(10), s(0));
        keep_alive.on_sent(s(7));
        keep_alive.on_received(s(8));
        assert_eq!(keep_alive.next_deadline(), Some(s(17)));
        assert_eq!((keep_alive.due(s(16)), keep_alive.due(s(17))), (Due::Nothing, Due::Ping));
    }

    /// A server that takes everything and answers nothing must not look alive.
    #[test]
    fn a_half_open_link_is_found_out_after_one_and_a_half_intervals() {
        let mut keep_alive = KeepAlive::new(s(10), s(0));
        keep_alive.on_sent(s(9));
        assert_eq!(keep_alive.due(s(10)), Due::Ping);
        keep_alive.on_ping(s(10));
        keep_alive.on_sent(s(14));
        assert_eq!(keep_alive.due(s(14)), Due::Nothing);
        assert_eq!(keep_alive.due(s(15)), Due::ServerIsGone);
        keep_alive.on_pong(s(12));
        assert_eq!(keep_alive.round_trip(), Some(s(2)));
    }

    #[test]
    fn no_interval_no_ping() {
        let keep_alive = KeepAlive::new(s(0), s(0));
        assert_eq!(keep_alive.next_deadline(), None);
        assert_eq!(keep_alive.due(s(1000)), Due::Nothing);
    }
}
