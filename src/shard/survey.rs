//! What a shard says of itself: numbers, and the sessions that do not keep up. All sessions are looked
//! at, some of them at a time, so that nobody waits for it.

use super::{Metrics, Shard};
use crate::session::Session;

/// How many of the sessions that do not keep up are named.
pub const SLOWEST_MAX: usize = 10;

/// What a shard holds and has counted.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Network connections.
    pub connections: usize,
    /// Sessions.
    pub sessions: usize,
    /// Of these, sessions whose client is connected.
    pub sessions_connected: usize,
    /// Subscriptions of all sessions, shared ones included.
    pub subscriptions: usize,
    /// Of these, shared ones.
    pub shared_subscriptions: usize,
    /// Messages that wait in queues.
    pub queued_messages: usize,
    /// Bytes of them, wherever they are.
    pub queued_bytes: usize,
    /// Retained topics at home here.
    pub retained_messages: usize,
    /// Bytes of what clients make the shard hold, as the memory budget counts them.
    pub memory_bytes: usize,
    /// The counters.
    pub metrics: Metrics,
    /// Up to [`SLOWEST_MAX`] sessions that do not keep up or have lost messages, the worst first.
    pub slowest: Vec<SlowSession>,
}

/// A session that does not keep up, or has lost messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowSession {
    /// Its client id.
    pub client_id: Box<str>,
    /// Whether its client is connected.
    pub is_connected: bool,
    /// Whether it is connected, its grace is over, and it still does not keep up.
    pub is_slow: bool,
    /// Messages that wait in its queue.
    pub queued_messages: usize,
    /// Bytes of them.
    pub queued_bytes: usize,
    /// Bytes that its connection has not taken yet.
    pub unwritten_bytes: usize,
    /// Messages of QoS 1 and 2 that were sent and not acknowledged to the end.
    pub in_flight: usize,
    /// Messages dropped for it since it began.
    pub dropped: u32,
}

impl SlowSession {
    /// What makes a session worse than another: that it is slow, then what waits, then what was lost.
    pub fn badness(&self) -> (bool, usize, u32) {
        (self.is_slow, self.queued_bytes + self.unwritten_bytes, self.dropped)
    }
}

/// A look at all sessions that is not over yet.
#[derive(Debug, Default)]
pub struct Survey {
    next_slot: usize,
    report: Report,
}

impl Survey {
    fn note(&mut self, session: &Session, unwritten_bytes: usize) {
        let report = &mut self.report;
        report.sessions += 1;
        report.sessions_connected += usize::from(session.connection.is_some());
        report.subscriptions += session.subscriptions.len();
        let shared = session.subscriptions.iter().filter(|held| held.group.is_some());
        report.shared_subscriptions += shared.count();
        let (queued_messages, queued_bytes) = (session.queue.len(), session.queue.bytes());
        report.queued_messages += queued_messages;
        report.queued_bytes += queued_bytes;
        let badness = (session.is_slow(), queued_bytes + unwritten_bytes, session.dropped);
        let is_named = badness > (false, 0, 0)
            && (report.slowest.len() < SLOWEST_MAX
                || report.slowest.last().is_some_and(|last| badness > last.badness()));
        if !is_named {
            return;
        }
        let found = SlowSession {
            client_id: session.client_id.clone(),
            is_connected: session.connection.is_some(),
            is_slow: session.is_slow(),
            queued_messages,
            queued_bytes,
            unwritten_bytes,
            in_flight: session.sender.in_flight(),
            dropped: session.dropped,
        };
        let at = report.slowest.partition_point(|other| other.badness() >= badness);
        report.slowest.insert(at, found);
        report.slowest.truncate(SLOWEST_MAX);
    }
}

impl Shard {
    /// Goes on with a survey, by at most this many sessions; the report once all were looked at.
    /// What changes between two steps is in it as it was when its turn came.
    pub fn survey(&self, survey: &mut Survey, sessions_max: usize) -> Option<Report> {
        let slots = self.sessions.slots();
        let end = survey.next_slot.saturating_add(sessions_max).min(slots);
        for slot in survey.next_slot..end {
            let Some(session) = self.sessions.in_slot(slot) else { continue };
            let connection = session.connection.and_then(|id| self.connections.find(id));
            survey.note(session, connection.map_or(0, |connection| connection.outbox.len()));
        }
        survey.next_slot = end;
        (end == slots).then(|| Report {
            connections: self.connections.len(),
            retained_messages: self.retained.len(),
            memory_bytes: self.memory.used(),
            metrics: self.metrics.clone(),
            ..std::mem::take(&mut survey.report)
        })
    }
}

#[cfg(test)]
mod tests {
    use skein_protocol::Version;

    use super::*;
    use crate::config::Overflow;

    fn session(number: u32) -> Session {
        let client_id = format!("client {number}").into();
        let mut session = Session::new(client_id, 1, Version::V5, Overflow::DropNewest);
        session.dropped = number;
        session
    }

    #[test]
    fn the_worst_are_named_and_the_others_only_counted() {
        let mut survey = Survey::default();
        for number in [3, 0, 40, 7, 5, 0, 9, 30, 1, 2, 4, 6, 8] {
            survey.note(&session(number), 0);
        }
        survey.note(&session(99), 5);
        assert_eq!(survey.report.sessions, 14);
        let dropped: Vec<u32> = survey.report.slowest.iter().map(|slow| slow.dropped).collect();
        assert_eq!(dropped, [99, 40, 30, 9, 8, 7, 6, 5, 4, 3]);
        assert_eq!(&*survey.report.slowest[0].client_id, "client 99");
    }

    #[test]
    fn who_keeps_up_and_has_lost_nothing_is_not_named() {
        let mut survey = Survey::default();
        survey.note(&session(0), 0);
        assert_eq!((survey.report.sessions, survey.report.slowest.len()), (1, 0));
    }
}
