//! Retained messages go to a new subscription: home by home, step by step, as the subscriber's
//! own window and socket take them. A step is asked for only when the one before has left.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Message, RetainedReply, Shard, ShardId, Turn,
    deliver::{Outgoing, Terms},
    retain::{is_same_or_newer, origin_of},
};
use crate::session::{ConnectionId, FilterId, SessionKey};

/// Steps that one session's replays may take in one turn. Only where the home is the asking shard
/// itself, and the only one, does a reply come at once.
const STEPS_PER_TURN: usize = 16;

/// Names one question of one replay; the last number is never used again in one shard, so a late
/// reply finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayId {
    session: SessionKey,
    serial: u64,
    question: u64,
}

#[derive(Debug)]
struct Replay {
    filter: FilterId,
    pattern: Box<str>,
    /// Homes that were asked to the end; the next one is asked now.
    homes_done: usize,
    /// The last topic that came from the home that is asked now.
    after: Option<Box<str>>,
    live: Live,
    asked: Option<Asked>,
}

/// Which retained messages a subscription has got live, so that they are not sent a second time.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// While the session has this connection: without one, QoS 0 reaches nobody.
    pub(super) connection: ConnectionId,
    /// What each shard published with RETAIN after this many came live.
    pub(super) after: Rc<[u64]>,
}

impl Live {
    /// What came live after both of two SUBSCRIBEs: each asks for what came before it, and the
    /// later one may be answered first.
    fn or_after(self, other: &Self) -> Self {
        if self.connection != other.connection {
            return self;
        }
        let both = self.after.iter().zip(other.after.iter());
        Self { after: both.map(|(one, other)| *one.max(other)).collect(), ..self }
    }

    fn has_brought(&self, connection: Option<ConnectionId>, stamp: u64) -> bool {
        let (shard, number) = origin_of(stamp);
        connection == Some(self.connection)
            && self.after.get(shard).is_some_and(|after| number > *after)
    }
}

/// A reply is on its way.
#[derive(Debug)]
struct Asked {
    question: u64,
    /// Retained publishes that reached the session live meanwhile. The reply may hold an older
    /// message of such a topic.
    seen: Vec<(Box<str>, u64)>,
}

/// The replays of one shard's sessions. The first one of a session runs; the others wait for it.
#[derive(Debug, Default)]
pub(super) struct Replays {
    replays: BTreeMap<(SessionKey, u64), Replay>,
    /// The serials of those that were not begun, so that asking again adds no other: there are
    /// never more of one session than its filters, and the one that runs.
    fresh: BTreeMap<(SessionKey, FilterId), u64>,
    /// Sessions with replays that live messages were dropped for: what a reply brings is theirs,
    /// whatever came live.
    deprived: BTreeSet<SessionKey>,
    /// Sessions whose replays go on with the next tick.
    unfinished: BTreeSet<SessionKey>,
    is_pumping: bool,
    serials: u64,
    questions: u64,
}

impl Replays {
    pub(super) fn begin(
        &mut self,
        session: SessionKey,
        filter: FilterId,
        pattern: Box<str>,
        live: Live,
    ) {
        if let Some(serial) = self.fresh.get(&(session, filter))
            && let Some(replay) = self.replays.get_mut(&(session, *serial))
        {
            replay.live = live.or_after(&replay.live);
            return;
        }
        self.serials += 1;
        self.fresh.insert((session, filter), self.serials);
        let replay = Replay { filter, pattern, homes_done: 0, after: None, live, asked: None };
        self.replays.insert((session, self.serials), replay);
    }

    /// The one that runs.
    fn first(&mut self, session: SessionKey) -> Option<(u64, &mut Replay)> {
        let all = (session, 0)..=(session, u64::MAX);
        self.replays.range_mut(all).next().map(|((_, serial), replay)| (*serial, replay))
    }

    /// A retained publish reaches a session live.
    #[inline]
    pub(super) fn note_live(&mut self, session: SessionKey, topic: &str, stamp: u64) {
        if self.replays.is_empty() {
            return;
        }
        if let Some((_, Replay { asked: Some(asked), .. })) = self.first(session) {
            asked.seen.push((topic.into(), stamp));
        }
    }

    /// A retained publish should have reached a session live, and was dropped.
    #[cold]
    pub(super) fn note_dropped(&mut self, session: SessionKey) {
        if self.first(session).is_some() {
            self.deprived.insert(session);
        }
    }

    /// The session's connection is lost: a reply on its way is worth nothing, and is asked for
    /// again on the next connection.
    pub(super) fn pause(&mut self, session: SessionKey) {
        if let Some((_, replay)) = self.first(session) {
            replay.asked = None;
        }
    }

    pub(super) fn forget(&mut self, session: SessionKey) {
        while let Some((serial, replay)) = self.first(session) {
            let filter = replay.filter;
            self.remove(session, serial, filter);
        }
        self.unfinished.remove(&session);
        self.deprived.remove(&session);
    }

    pub(super) fn forget_filter(&mut self, session: SessionKey, filter: FilterId) {
        if let Some(serial) = self.fresh.get(&(session, filter)).copied() {
            self.remove(session, serial, filter);
        }
        if let Some((serial, replay)) = self.first(session)
            && replay.filter == filter
        {
            self.remove(session, serial, filter);
        }
    }

    fn remove(&mut self, session: SessionKey, serial: u64, filter: FilterId) {
        self.replays.remove(&(session, serial));
        self.begun(session, serial, filter);
    }

    /// This one is no longer fresh; a later one of the same filter may be.
    fn begun(&mut self, session: SessionKey, serial: u64, filter: FilterId) {
        if self.fresh.get(&(session, filter)) == Some(&serial) {
            self.fresh.remove(&(session, filter));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.replays.len()
    }

    /// Whether no session has anything to be asked or forgotten.
    #[inline]
    fn is_idle(&self) -> bool {
        self.replays.is_empty() && self.deprived.is_empty()
    }

    /// Whether a session's replays go on with the next tick.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }
}

impl Shard {
    /// Asks for the next steps, as far as the session takes them.
    #[inline]
    pub(super) fn pump_replays(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        // Our own answer comes while the question is asked: the loop below goes on with it.
        if !self.replays.is_idle() && !self.replays.is_pumping {
            self.pump_steps(key, turn);
        }
    }

    fn pump_steps(&mut self, key: SessionKey, turn: &mut Turn<'_>) {
        self.replays.is_pumping = true;
        let mut steps = 0;
        while steps < STEPS_PER_TURN && self.takes_replay(key) && self.ask_next(key, turn) {
            steps += 1;
        }
        self.replays.is_pumping = false;
        if steps == STEPS_PER_TURN {
            self.replays.unfinished.insert(key);
        }
    }

    /// What was put off for the sake of other work.
    pub(super) fn pump_unfinished(&mut self, turn: &mut Turn<'_>) {
        for key in std::mem::take(&mut self.replays.unfinished) {
            self.pump_replays(key, turn);
        }
    }

    /// Asks for the next step. False if a reply is on its way, or nothing is left.
    fn ask_next(&mut self, key: SessionKey, turn: &mut Turn<'_>) -> bool {
        while let Some((serial, replay)) = self.replays.first(key) {
            if replay.asked.is_some() {
                return false;
            }
            let (filter, pattern, after) =
                (replay.filter, replay.pattern.clone(), replay.after.clone());
            let homes_done = replay.homes_done;
            let Some(home) = self.next_home(&pattern, homes_done) else {
                self.replays.remove(key, serial, filter);
                continue;
            };
            self.replays.begun(key, serial, filter);
            self.replays.questions += 1;
            let question = self.replays.questions;
            if let Some((_, replay)) = self.replays.first(key) {
                replay.asked = Some(Asked { question, seen: Vec::new() });
            }
            let request = ReplayId { session: key, serial, question };
            self.tell(home, Message::RetainedQuery { request, pattern, after }, turn);
            return true;
        }
        self.replays.deprived.remove(&key);
        false
    }

    /// Whether the session waits for nothing and has room.
    fn takes_replay(&self, key: SessionKey) -> bool {
        let session = self.sessions.at(key);
        let Some(id) = session.connection else { return false };
        session.queue.is_empty() && session.pressure.is_none() && self.has_room(id)
    }

    /// The home to be asked now: each in turn, or the only one of a filter without wildcards.
    fn next_home(&self, pattern: &str, homes_done: usize) -> Option<ShardId> {
        let has_wildcard = pattern.split('/').any(|level| level == "+" || level == "#");
        match homes_done {
            0 if !has_wildcard => Some(self.home_of(pattern)),
            done if has_wildcard && done < self.shards => Some(ShardId::new(done)),
            _ => None,
        }
    }

    /// One step has come.
    pub(super) fn on_retained_reply(&mut self, reply: RetainedReply, turn: &mut Turn<'_>) {
        let ReplayId { session: key, serial, question } = reply.request;
        let replay = self.replays.replays.get_mut(&(key, serial));
        let asked = |replay: &mut Replay| replay.asked.take_if(|asked| asked.question == question);
        let Some((replay, asked)) = replay.and_then(|r| asked(r).map(|asked| (r, asked))) else {
            self.metrics.late_replies += 1;
            return;
        };
        let filter = replay.filter;
        let live = replay.live.clone();
        match reply.resume_after {
            Some(topic) => replay.after = Some(topic),
            None => {
                replay.after = None;
                replay.homes_done += 1;
            }
        }
        self.deliver_replay((key, filter), &live, &reply.messages, &asked.seen, turn);
        self.pump_replays(key, turn);
    }

    fn deliver_replay(
        &mut self,
        (key, filter): (SessionKey, FilterId),
        live: &Live,
        messages: &crate::router::Batch,
        seen: &[(Box<str>, u64)],
        turn: &mut Turn<'_>,
    ) {
        let Some(subscriber) = self.subscriptions.entry(filter).subscriber(key) else { return };
        let grant = subscriber.grant();
        // With No Local its own messages do not come live.
        let is_told_all = !subscriber.no_local && !self.replays.deprived.contains(&key);
        let connection = self.sessions.at(key).connection;
        messages.for_each(|routed| {
            let topic = routed.message.topic;
            let is_overtaken = seen
                .iter()
                .any(|(live, stamp)| **live == *topic && is_same_or_newer(*stamp, routed.stamp));
            let has_come = is_told_all && live.has_brought(connection, routed.stamp);
            if is_overtaken || has_come {
                return;
            }
            self.frames.begin();
            // A retained message sent at subscribe has RETAIN set [MQTT-3.3.1-8].
            let terms =
                Terms { grant: &grant, topic: None, retain: true, share: None, is_replay: true };
            self.deliver(key, terms, &mut Outgoing::new(routed.message, None), turn);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(serial: u64, after: &[u64]) -> Live {
        Live { connection: ConnectionId::new(1, serial), after: after.into() }
    }

    #[test]
    fn of_two_subscribes_that_share_a_replay_the_earlier_one_hides_nothing_from_the_later() {
        let (later, earlier) = (live(1, &[7, 0]), live(1, &[5, 1]));
        assert_eq!(*earlier.clone().or_after(&later).after, [7, 1]);
        assert_eq!(*later.or_after(&earlier).after, [7, 1]);
        assert_eq!(*live(2, &[3, 3]).or_after(&earlier).after, [3, 3]);
    }
}
