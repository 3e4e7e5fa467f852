//! SUBSCRIBE (3.8): each filter is granted or refused; SUBACK follows once every shard knows of
//! the new filters (law 5), and retained messages follow it.

use std::rc::Rc;

use skein_protocol::{
    Error, ReasonCode, TopicFilter,
    packet::{AckProperties, Packet, RetainHandling, SubAck, Subscribe, SubscriptionOptions},
    qos::PacketId,
};
use smallvec::SmallVec;

use super::{ConnectionId, Shard, Turn, connect::lower, replay::Live, respond::Violation};
use crate::{
    session::{FilterId, HeldSubscription, SessionKey},
    topic::Subscriber,
};

/// A SUBSCRIBE that waits for its barrier.
#[derive(Debug)]
pub(super) struct PendingSubscribe {
    connection: ConnectionId,
    session: SessionKey,
    packet_id: PacketId,
    reasons: SmallVec<[ReasonCode; 4]>,
    /// Filters whose retained messages are asked for, by their texts: a filter that is given up
    /// meanwhile may leave its number to another.
    replays: Vec<Box<str>>,
    /// The highest barrier of its filters.
    barrier: u64,
    /// Of each shard, the last retained publish that may not have come live: all later ones do.
    pub(super) live_after: Vec<u64>,
}

impl Shard {
    pub(super) fn on_subscribe(
        &mut self,
        id: ConnectionId,
        session: SessionKey,
        subscribe: &Subscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.check_subscribe(subscribe)?;
        let mut pending = PendingSubscribe {
            connection: id,
            session,
            packet_id: subscribe.packet_id,
            reasons: SmallVec::new(),
            replays: Vec::new(),
            barrier: 0,
            live_after: self.interest.stamps(),
        };
        pending.live_after[self.id.index()] = self.retained.stamps();
        for (filter, options) in &subscribe.filters {
            let reason = match self.refusal_of_filter(session, *filter) {
                Some(reason) => {
                    let is_full = reason == ReasonCode::QuotaExceeded;
                    self.metrics.subscriptions_refused += u64::from(is_full);
                    reason
                }
                None => self.grant(&mut pending, *filter, *options, subscribe.identifier),
            };
            pending.reasons.push(reason);
        }
        self.interest.wait(pending.barrier, pending);
        self.finish_reached(turn);
        Ok(())
    }

    /// What closes the connection.
    fn check_subscribe(&self, subscribe: &Subscribe<'_>) -> Result<(), Violation> {
        let limits = &self.settings.limits;
        if subscribe.identifier.is_some() && !limits.subscription_identifiers_available {
            let reason = ReasonCode::SubscriptionIdentifiersNotSupported;
            return Err(Violation::new(reason, "subscription identifiers are not available"));
        }
        self.check_user_properties(subscribe.user_properties)?;
        for (filter, options) in &subscribe.filters {
            if options.no_local && filter.share().is_some() {
                return Err(Error::NoLocalOnShared.into());
            }
        }
        Ok(())
    }

    /// Why this filter is not granted; the others of the packet may be.
    fn refusal_of_filter(
        &self,
        session: SessionKey,
        filter: TopicFilter<'_>,
    ) -> Option<ReasonCode> {
        let limits = &self.settings.limits;
        if filter.level_count() > limits.topic_levels_max {
            return Some(ReasonCode::TopicFilterInvalid);
        }
        if self.journal.trouble.has_failed() && self.is_durable(session) {
            return Some(ReasonCode::QuotaExceeded);
        }
        if filter.share().is_some() && !limits.shared_subscription_available {
            return Some(ReasonCode::SharedSubscriptionsNotSupported);
        }
        if filter.has_wildcard() && !limits.wildcard_subscription_available {
            return Some(ReasonCode::WildcardSubscriptionsNotSupported);
        }
        if !self.may_subscribe(session, filter.pattern()) {
            return Some(ReasonCode::NotAuthorized);
        }
        let held = self.sessions.at(session).subscriptions.len();
        let bytes_max = limits.subscription_bytes_max / self.shards;
        let is_full = held >= limits.subscriptions_per_client_max
            || self.subscription_bytes + subscription_bytes(filter.pattern()) > bytes_max;
        (is_full && self.held(session, filter).is_none()).then_some(ReasonCode::QuotaExceeded)
    }

    /// The session's subscription with this very filter text.
    pub(super) fn held(
        &self,
        session: SessionKey,
        filter: TopicFilter<'_>,
    ) -> Option<HeldSubscription> {
        let group = filter.share().map(Box::from);
        let held = HeldSubscription { filter: self.subscriptions.find(filter.pattern())?, group };
        let all = &self.sessions.at(session).subscriptions;
        all.binary_search(&held).is_ok().then_some(held)
    }

    /// Adds or replaces the subscription [MQTT-3.8.4-3].
    fn grant(
        &mut self,
        pending: &mut PendingSubscribe,
        filter: TopicFilter<'_>,
        options: SubscriptionOptions,
        identifier: Option<std::num::NonZeroU32>,
    ) -> ReasonCode {
        let session = pending.session;
        let subscriber = Subscriber {
            session,
            qos: lower(options.qos, self.settings.limits.maximum_qos),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            is_durable: self.is_durable(session),
            identifier,
        };
        self.record_subscribed(filter.as_str(), subscriber, options);
        let was_held = self.held(session, filter).is_some();
        let barrier = self.take_subscription(filter, subscriber, true);
        pending.barrier = pending.barrier.max(barrier);
        let sends_retained = match options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => !was_held,
            RetainHandling::DoNotSend => false,
        };
        // Shared subscriptions get no retained messages at subscribe (MQTT 5, 4.8.2).
        if sends_retained && filter.share().is_none() {
            pending.replays.push(filter.pattern().into());
        }
        granted_reason(subscriber.qos)
    }

    /// A session holds a subscription from now on, or another one with the same filter; returns
    /// the number of the interest that tells the other shards.
    pub(super) fn take_subscription(
        &mut self,
        filter: TopicFilter<'_>,
        subscriber: Subscriber,
        is_online: bool,
    ) -> u64 {
        let was_held = self.held(subscriber.session, filter).is_some();
        let key = self.subscriptions.insert(filter.pattern());
        if !was_held {
            let held = HeldSubscription { filter: key, group: filter.share().map(Box::from) };
            self.sessions.at_mut(subscriber.session).hold(held);
            self.subscription_bytes += subscription_bytes(filter.pattern());
        }
        let Some(group) = filter.share() else {
            self.subscribe_locally(key, subscriber);
            return self.subscriptions.entry(key).barrier;
        };
        self.change_share(key, group, |share| {
            share.join(subscriber, is_online);
        });
        self.subscriptions.entry(key).share(group).map_or(0, |share| share.barrier)
    }

    fn subscribe_locally(&mut self, key: FilterId, subscriber: Subscriber) {
        let is_full = self.sessions.at(subscriber.session).is_full;
        self.change_filter(key, |entry| {
            let replaced = entry.subscribe(subscriber);
            let was_counted = replaced.is_some_and(|old| is_full && counts_as_full(&old));
            entry.full_local -= u32::from(was_counted);
            entry.full_local += u32::from(is_full && counts_as_full(&subscriber));
        });
    }

    /// Every shard knows of the filters: SUBACK [MQTT-3.8.4-1], then the retained messages.
    pub(super) fn finish_subscribe(&mut self, pending: PendingSubscribe, turn: &mut Turn<'_>) {
        let id = pending.connection;
        let session = self.connections.find(id).and_then(|connection| connection.session());
        if session != Some(pending.session) {
            self.metrics.late_replies += 1;
            return;
        }
        let is_granted = pending.reasons.iter().any(|reason| !reason.is_error());
        let suback = SubAck {
            packet_id: pending.packet_id,
            reasons: pending.reasons,
            properties: AckProperties::default(),
        };
        let suback = Packet::SubAck(suback);
        if let Err(violation) = self.check_answer(id, &suback) {
            self.punish(id, &violation, turn);
            return;
        }
        if is_granted && self.is_durable(pending.session) {
            self.hold_for_all(id, true);
        }
        self.write(id, &suback, turn);
        for pattern in &pending.replays {
            self.replay_announced(pending.session, pattern, turn);
        }
        if pending.live_after.iter().all(|stamp| *stamp == 0) {
            // Nobody had published with RETAIN, so no home is asked: what comes will come live.
            return;
        }
        let live_after: Rc<[u64]> = pending.live_after.into();
        for pattern in pending.replays {
            if let Some(filter) = self.subscriptions.find(&pattern)
                && self.holds(pending.session, filter)
            {
                let live = Live { connection: id, after: Rc::clone(&live_after) };
                self.replays.begin(pending.session, filter, pattern, live);
            }
        }
        self.pump_replays(pending.session, turn);
    }

    /// Whether the session still holds this filter (not as a share).
    fn holds(&self, session: SessionKey, filter: FilterId) -> bool {
        let held = HeldSubscription { filter, group: None };
        self.sessions.at(session).subscriptions.binary_search(&held).is_ok()
    }
}

fn granted_reason(qos: skein_protocol::qos::QoS) -> ReasonCode {
    match qos {
        skein_protocol::qos::QoS::AtMostOnce => ReasonCode::Success,
        skein_protocol::qos::QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        skein_protocol::qos::QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

/// About what a subscription with this filter takes.
pub(super) fn subscription_bytes(filter: &str) -> usize {
    const ENTRIES_BYTES: usize = 64;
    filter.len() + ENTRIES_BYTES
}

/// A QoS 0 subscription never fills a queue.
pub(super) fn counts_as_full(subscriber: &Subscriber) -> bool {
    subscriber.qos != skein_protocol::qos::QoS::AtMostOnce
}
