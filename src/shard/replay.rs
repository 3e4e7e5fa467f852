//! Retained messages go to a new subscription: home by home, step by step, as the subscriber's
//! own window and socket take them. A step is asked for only when the one before has left.

use std::collections::BTreeMap;

use super::{
    Message, RetainedReply, Shard, ShardId, Turn,
    deliver::{Outgoing, Terms},
    retain::is_same_or_newer,
};
use crate::session::{FilterId, SessionKey};

/// Names one replay; the serial is never used again in one shard, so a late reply finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplayId {
    session: SessionKey,
    serial: u64,
}

#[derive(Debug)]
struct Replay {
    filter: FilterId,
    pattern: Box<str>,
    /// Homes that were asked to the end; the next one is asked now.
    homes_done: usize,
    /// The last topic that came from the home that is asked now.
    after: Option<Box<str>>,
    /// Present while a reply is on its way: retained publishes that reached the session live
    /// meanwhile. The reply may hold an older message of such a topic.
    asked: Option<Vec<(Box<str>, u64)>>,
}

/// The replays of one shard's sessions.
#[derive(Debug, Default)]
pub(super) struct Replays {
    replays: BTreeMap<ReplayId, Replay>,
    serials: u64,
}

impl Replays {
    pub(super) fn begin(&mut self, session: SessionKey, filter: FilterId, pattern: Box<str>) {
        self.serials += 1;
        let id = ReplayId { session, serial: self.serials };
        self.replays
            .insert(id, Replay { filter, pattern, homes_done: 0, after: None, asked: None });
    }

    fn of(&mut self, session: SessionKey) -> impl Iterator<Item = (&ReplayId, &mut Replay)> {
        let first = ReplayId { session, serial: 0 };
        let last = ReplayId { session, serial: u64::MAX };
        self.replays.range_mut(first..=last)
    }

    /// A retained publish reaches a session live.
    #[inline]
    pub(super) fn note_live(&mut self, session: SessionKey, topic: &str, stamp: u64) {
        if self.replays.is_empty() {
            return;
        }
        for (_, replay) in self.of(session) {
            if let Some(seen) = &mut replay.asked {
                seen.push((topic.into(), stamp));
            }
        }
    }

    /// The session's connection is lost: a reply on its way is worth nothing, and is asked for
    /// again on the next connection.
    pub(super) fn pause(&mut self, session: SessionKey) {
        let paused: Vec<ReplayId> = self.of(session).map(|(id, _)| *id).collect();
        for id in paused {
            let Some(mut replay) = self.replays.remove(&id) else { continue };
            replay.asked = None;
            self.serials += 1;
            self.replays.insert(ReplayId { session, serial: self.serials }, replay);
        }
    }

    pub(super) fn forget(&mut self, session: SessionKey) {
        self.forget_where(session, |_| true);
    }

    pub(super) fn forget_filter(&mut self, session: SessionKey, filter: FilterId) {
        self.forget_where(session, |replay| replay.filter == filter);
    }

    fn forget_where(&mut self, session: SessionKey, is_over: impl Fn(&Replay) -> bool) {
        let over: Vec<ReplayId> =
            self.of(session).filter(|(_, replay)| is_over(replay)).map(|(id, _)| *id).collect();
        for id in over {
            self.replays.remove(&id);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.replays.len()
    }
}

impl Shard {
    /// Asks for the next step, if the session has taken the last one.
    pub(super) fn pump_replays(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        while self.takes_replay(key) {
            let Some((&request, replay)) = self.replays.of(key).next() else { return };
            if replay.asked.is_some() {
                return;
            }
            let Some(home) = self.next_home(request) else {
                self.replays.replays.remove(&request);
                continue;
            };
            let Some(replay) = self.replays.replays.get_mut(&request) else { return };
            replay.asked = Some(Vec::new());
            let (pattern, after) = (replay.pattern.clone(), replay.after.clone());
            self.tell(home, Message::RetainedQuery { request, pattern, after }, turn);
        }
    }

    /// Whether the session waits for nothing and has room.
    fn takes_replay(&self, key: SessionKey) -> bool {
        let session = self.sessions.at(key);
        let Some(id) = session.connection else { return false };
        session.queue.is_empty() && session.pressure.is_none() && self.has_room(id)
    }

    /// The home to be asked now: each in turn, or the only one of a filter without wildcards.
    fn next_home(&self, request: ReplayId) -> Option<ShardId> {
        let replay = self.replays.replays.get(&request)?;
        let has_wildcard = replay.pattern.split('/').any(|level| level == "+" || level == "#");
        match replay.homes_done {
            0 if !has_wildcard => Some(self.home_of(&replay.pattern)),
            done if has_wildcard && done < self.shards => Some(ShardId::new(done)),
            _ => None,
        }
    }

    /// One step has come.
    pub(super) fn on_retained_reply(&mut self, reply: RetainedReply, turn: &mut Turn<'_>) {
        let Some(replay) = self.replays.replays.get_mut(&reply.request) else {
            self.metrics.late_replies += 1;
            return;
        };
        let key = reply.request.session;
        let seen = replay.asked.take().unwrap_or_default();
        let filter = replay.filter;
        match reply.resume_after {
            Some(topic) => replay.after = Some(topic),
            None => {
                replay.after = None;
                replay.homes_done += 1;
            }
        }
        self.deliver_replay(key, filter, &reply.messages, &seen, turn);
        self.pump_replays(key, turn);
    }

    fn deliver_replay(
        &mut self,
        key: SessionKey,
        filter: FilterId,
        messages: &crate::router::Batch,
        seen: &[(Box<str>, u64)],
        turn: &mut Turn<'_>,
    ) {
        let Some(subscriber) = self.subscriptions.entry(filter).subscriber(key) else { return };
        let grant = subscriber.grant();
        messages.for_each(|routed| {
            let topic = routed.message.topic;
            let is_overtaken = seen
                .iter()
                .any(|(live, stamp)| **live == *topic && is_same_or_newer(*stamp, routed.stamp));
            if is_overtaken {
                return;
            }
            self.frames.begin();
            // A retained message sent at subscribe has RETAIN set [MQTT-3.3.1-8].
            let terms = Terms { grant: &grant, retain: true, share: None, is_replay: true };
            self.deliver(key, terms, &mut Outgoing::new(routed.message, None), turn);
        });
    }
}
