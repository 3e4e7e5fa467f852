//! UNSUBSCRIBE (3.10), and what a full queue tells the filters of its session (policy `refuse`).

use std::borrow::Cow;

use skein_protocol::{
    ReasonCode,
    packet::{AckProperties, Packet, UnsubAck, Unsubscribe},
};

use super::{
    ConnectionId, Shard, Time, Turn,
    metrics::DropReason,
    respond::Violation,
    subscribe::{counts_as_full, subscription_bytes},
    timers::Timer,
};
use crate::{
    config::Overflow,
    record::Record,
    session::{HeldSubscription, SessionKey},
    topic::Subscriber,
};

impl Shard {
    pub(super) fn on_unsubscribe(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        unsubscribe: &Unsubscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.check_user_properties(unsubscribe.user_properties)?;
        let mut unsuback = UnsubAck {
            packet_id: unsubscribe.packet_id,
            reasons: Default::default(),
            properties: AckProperties::default(),
        };
        for filter in &unsubscribe.filters {
            let reason = match self.held(session, *filter) {
                Some(held) => {
                    self.drop_subscription(session, &held);
                    let all = &mut self.sessions.at_mut(session).subscriptions;
                    if let Ok(at) = all.binary_search(&held) {
                        all.remove(at);
                    }
                    let filter = Cow::Borrowed(filter.as_str());
                    self.record(session, |client_id| Record::Unsubscribed { client_id, filter });
                    ReasonCode::Success
                }
                None => ReasonCode::NoSubscriptionExisted,
            };
            unsuback.reasons.push(reason);
        }
        let unsuback = Packet::UnsubAck(unsuback);
        self.check_answer(id, &unsuback)?;
        if self.is_durable(session) {
            self.hold_for_all(id, true);
        }
        self.write(id, &unsuback, turn);
        Ok(())
    }

    /// Takes the session out of a filter; the session's own list is the caller's.
    pub(super) fn drop_subscription(&mut self, session: SessionKey, held: &HeldSubscription) {
        self.subscription_bytes -= subscription_bytes(&self.subscriptions.text(held.filter));
        if let Some(group) = &held.group {
            self.change_share(held.filter, group, |share| {
                share.leave(session);
            });
            return;
        }
        self.replays.forget_filter(session, held.filter);
        let is_full = self.sessions.at(session).is_full;
        self.change_filter(held.filter, |entry| {
            let old = entry.unsubscribe(session);
            entry.full_local -= u32::from(old.is_some_and(|old| is_full && counts_as_full(&old)));
        });
    }

    /// Looks whether the queue has become full, or has room again; only `refuse` cares. Between
    /// the two is a gap, so that one message does not go to and fro.
    #[inline]
    pub(super) fn update_fullness(&mut self, key: SessionKey) {
        if self.sessions.at(key).overflow == Overflow::Refuse {
            self.compare_fullness(key);
        }
    }

    fn compare_fullness(&mut self, key: SessionKey) {
        let session = self.sessions.at(key);
        let (queue, limits) = (&session.queue, self.queue_limits(key));
        let has_room = queue.fits(limits.bytes_max / 16, limits);
        let is_drained =
            queue.len() <= limits.messages_max / 4 * 3 && queue.bytes() <= limits.bytes_max / 4 * 3;
        match session.is_full {
            false if !has_room => self.set_session_full(key, true),
            true if is_drained => self.set_session_full(key, false),
            _ => {}
        }
    }

    /// A full queue that nobody empties has room again when something in it expires.
    fn await_room(&mut self, key: SessionKey, at: Option<Time>) {
        let arrears = &mut self.sessions.at_mut(key).arrears;
        let before = match at {
            Some(at) => arrears.get_or_insert_default().room_at.replace(at),
            None => arrears.as_mut().and_then(|arrears| arrears.room_at.take()),
        };
        if let Some(before) = before {
            self.timers.cancel(before, Timer::QueueExpires(key));
        }
        if let Some(at) = at {
            self.timers.arm(at, Timer::QueueExpires(key));
        }
    }

    /// What has expired in a session's queue makes room.
    pub(super) fn drop_expired(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        for delivery in self.sessions.at_mut(key).queue.take_expired(turn.now) {
            self.memory.release(delivery.bytes());
            self.record_dropped(key, &delivery);
            self.drop_message(key, delivery.message.topic(), DropReason::Expired, turn);
        }
    }

    pub(super) fn on_queue_expired(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        if let Some(arrears) = &mut self.sessions.at_mut(key).arrears {
            arrears.room_at = None;
        }
        self.look_for_room(key, turn);
        self.spill(key, turn);
    }

    /// What has expired of what is in memory goes; a queue that is full still waits for the next.
    pub(super) fn look_for_room(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        self.drop_expired(key, turn);
        self.update_fullness(key);
        let session = self.sessions.at(key);
        if session.is_full {
            let room_at = session.queue.expires_from();
            self.await_room(key, room_at);
        }
    }

    /// The session is recorded from now on, or no longer: so is what its subscriptions bring.
    pub(super) fn set_session_durable(&mut self, key: SessionKey, is_durable: bool) {
        let held = self.sessions.at(key).subscriptions.iter().filter(|held| held.group.is_none());
        let filters: Vec<_> = held.map(|held| held.filter).collect();
        for filter in filters {
            self.change_filter(filter, |entry| {
                if let Some(old) = entry.subscriber(key).copied() {
                    entry.subscribe(Subscriber { is_durable, ..old });
                }
            });
        }
    }

    pub(super) fn set_session_full(&mut self, key: SessionKey, is_full: bool) {
        let session = self.sessions.at_mut(key);
        if session.is_full == is_full {
            return;
        }
        session.is_full = is_full;
        let room_at = if is_full { session.queue.expires_from() } else { None };
        self.await_room(key, room_at);
        let session = self.sessions.at(key);
        let held = session.subscriptions.iter().filter(|held| held.group.is_none());
        let filters: Vec<_> = held.map(|held| held.filter).collect();
        for filter in filters {
            self.change_filter(filter, |entry| {
                let counts = entry.subscriber(key).is_some_and(counts_as_full);
                match is_full {
                    true => entry.full_local += u32::from(counts),
                    false => entry.full_local -= u32::from(counts),
                }
            });
        }
    }
}
