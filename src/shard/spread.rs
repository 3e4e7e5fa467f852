//! A message goes to everybody who wants it: to sessions here, to other shards, and to the home of its
//! topic if it is retained.

use skein_protocol::qos::QoS;
use smallvec::SmallVec;

use super::{Shard, ShardId, Turn, deliver::Outgoing, metrics::DropReason};
use crate::{
    router::{Batch, Route, Routed},
    session::{Publisher, SessionKey},
    topic::{Pick, ShardSet},
};

impl Shard {
    /// Takes a message to everybody who wants it, here and on other shards, and to the home of
    /// its topic if it is retained.
    pub(super) fn spread(
        &mut self,
        outgoing: &mut Outgoing<'_>,
        route: &Route,
        own: Option<SessionKey>,
        turn: &mut Turn<'_>,
    ) {
        if outgoing.message.retain {
            outgoing.stamp = self.retained.next_stamp(self.id);
        }
        self.frames.begin();
        let picks = self.pick_shares(route);
        self.tell_shards(outgoing, route, &picks, own);
        self.deliver_to_receivers(outgoing, route, own, turn);
        for (shard, key) in &picks {
            if *shard == self.id {
                self.deliver_to_member(*key, outgoing, turn);
            }
        }
        if outgoing.message.retain && self.home_of(outgoing.message.topic) == self.id {
            self.retain(outgoing);
        }
    }

    /// One shard, and its key, for each matching share.
    fn pick_shares(&mut self, route: &Route) -> SmallVec<[(ShardId, u64); 2]> {
        let mut picks = SmallVec::new();
        for key in &route.shares {
            match self.subscriptions.share_by_key(*key).map(|share| share.pick_shard()) {
                Some(Pick::Here) => picks.push((self.id, *key)),
                Some(Pick::There(shard, key)) => picks.push((shard, key)),
                Some(Pick::Nobody) | None => {}
            }
        }
        picks
    }

    /// One entry in the lane of each shard that has subscribers, a picked member or the topic's
    /// retained message.
    fn tell_shards(
        &mut self,
        outgoing: &Outgoing<'_>,
        route: &Route,
        picks: &[(ShardId, u64)],
        own: Option<SessionKey>,
    ) {
        let mut shards = route.shards;
        for (shard, _) in picks {
            shards.insert(*shard);
        }
        let home = outgoing.message.retain.then(|| self.home_of(outgoing.message.topic));
        if let Some(home) = home {
            shards.insert(home);
        }
        shards.remove(self.id);
        let mut recording = route.durable_shards;
        picks.iter().map(|(shard, _)| *shard).chain(home).for_each(|shard| {
            recording.insert(shard);
        });
        let grouped = self.group(outgoing.message.qos, shards, recording, own);
        if let Some(publisher) = outgoing.publisher.filter(|_| !grouped.is_empty()) {
            self.pause_for_groups(publisher.connection);
        }
        for shard in shards.iter() {
            let keys: SmallVec<[u64; 2]> =
                picks.iter().filter(|(s, _)| *s == shard).map(|(_, key)| *key).collect();
            let routed = Routed {
                message: outgoing.message,
                deliver: route.shards.contains(shard),
                store: home == Some(shard),
                stamp: outgoing.stamp,
                picks: &keys,
                publisher: outgoing.publisher.map(|publisher| publisher.connection),
                author: outgoing.author.filter(|_| home == Some(shard)),
                is_grouped: grouped.contains(shard),
            };
            self.metrics.publishes_forwarded += 1;
            self.lanes.publish(shard, &routed);
            if let Some(publisher) = outgoing.publisher {
                self.pause_for_lane(publisher.connection, shard);
            }
        }
    }

    /// Of the other shards that a message is told, those that record it, or may: it is there after
    /// a crash with what this shard records of it, or neither is. A client that has proved by its
    /// QoS 2 handshake that it has sent the message once is not to find it twice anywhere.
    #[inline]
    fn group(
        &mut self,
        qos: QoS,
        told: ShardSet,
        recording: ShardSet,
        own: Option<SessionKey>,
    ) -> ShardSet {
        if !self.journal.is_on() || qos == QoS::AtMostOnce {
            return ShardSet::EMPTY;
        }
        let is_sent_once = qos == QoS::ExactlyOnce && own.is_some_and(|own| self.is_durable(own));
        let grouped = if is_sent_once { told } else { told.intersection(recording) };
        self.journal.tell(grouped);
        grouped
    }

    /// The publishes of another shard's turn.
    pub(super) fn on_publishes(&mut self, from: ShardId, batch: &Batch, turn: &mut Turn<'_>) {
        batch.for_each(|routed| {
            let connection = routed.publisher;
            let publisher = connection.map(|connection| Publisher { shard: from, connection });
            let mut outgoing = Outgoing::new(routed.message, publisher);
            outgoing.stamp = routed.stamp;
            if routed.is_grouped {
                self.journal.await_part(from);
            }
            if routed.stamp != 0 {
                self.interest.note_stamp(from, super::retain::origin_of(routed.stamp).1);
            }
            self.frames.begin();
            let has_expired = routed.message.is_expired(turn.now);
            if has_expired && (routed.deliver || !routed.picks.is_empty()) {
                // It was too long on its way [MQTT-3.3.2-5].
                self.metrics.count_drop(DropReason::Expired, routed.message.topic);
            }
            if routed.deliver && !has_expired {
                let route = self.routes.find(routed.message.topic, &self.subscriptions);
                self.deliver_to_receivers(&mut outgoing, &route, None, turn);
            }
            for key in routed.picks.iter().filter(|_| !has_expired) {
                self.deliver_to_member(*key, &mut outgoing, turn);
            }
            if routed.store {
                outgoing.author = routed.author;
                self.retain(&mut outgoing);
            }
        });
        if let Some(group) = batch.group() {
            self.journal.take_part(from, group);
        }
    }
}
