//! The retained messages whose topics have their home on this shard (law 2), and the answers to
//! those who ask for them.
//!
//! An answer must hold every retained publish that the asking shard could have missed live. Such
//! a publish may still wait behind the lane from its publisher's shard; so the home first sends a
//! fence to every other shard and answers when all have sent it back (law 5). Only the asking shard
//! needs none: what its publishers sent has come before its question.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use skein_protocol::qos::QoS;

use super::{
    Message, RetainedReply, Shard, ShardId, Time, Turn, deliver::Outgoing, memory::MemoryLevel,
    rights::may_still_publish, timers::Timer,
};
use crate::{
    access::Author,
    config::Limits,
    record::Record,
    router::{Batch, Routed},
    session::Application,
    topic::{
        ShardSet,
        retained::{Retained, Scan},
    },
};

/// A reply is cut when it holds this many bytes: one step of a large retained store must not hold
/// a lane.
const REPLY_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
struct RetainedMessage {
    message: Application,
    stamp: u64,
    author: Option<Arc<Author>>,
}

#[derive(Debug)]
struct Query {
    from: ShardId,
    request: super::replay::ReplayId,
    pattern: Box<str>,
    after: Option<Box<str>>,
    /// Shards that have not sent the fence back yet.
    fences_left: usize,
}

/// One shard's retained topics.
#[derive(Debug)]
pub(super) struct RetainedHome {
    topics: Retained<RetainedMessage>,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    /// Below this much room the home counts as full: the next message might not fit.
    spare_bytes: usize,
    /// When which topic's message expires.
    expiries: BTreeSet<(Time, Box<str>)>,
    /// When the timer for that is armed for.
    expires_at: Option<Time>,
    /// Queries by the number of their fence.
    queries: BTreeMap<u64, Query>,
    fences: u64,
    /// Counts the retained publishes of this shard's own publishers. While it is zero everywhere,
    /// no home is asked for anything.
    stamps: u64,
    /// Homes that retain no further topics.
    full: ShardSet,
}

impl RetainedHome {
    pub(super) fn new(shards: usize, limits: &Limits) -> Self {
        let bytes_max = limits.retained_bytes_max.div_ceil(shards);
        Self {
            topics: Retained::new(),
            bytes: 0,
            messages_max: limits.retained_messages_max.div_ceil(shards),
            bytes_max,
            spare_bytes: limits.packet_bytes_max.min(bytes_max / 16),
            expiries: BTreeSet::new(),
            expires_at: None,
            queries: BTreeMap::new(),
            fences: 0,
            stamps: 0,
            full: ShardSet::EMPTY,
        }
    }

    /// The stamp of the next retained publish: the shard, and a number that rises. Two stamps of
    /// one shard tell which message is newer; see [`is_same_or_newer`].
    pub(super) fn next_stamp(&mut self, own: ShardId) -> u64 {
        self.stamps += 1;
        (own.index() as u64) << STAMP_BITS | self.stamps
    }

    /// How many retained publishes this shard's own publishers have made.
    pub(super) fn stamps(&self) -> u64 {
        self.stamps
    }

    /// Some home has kept messages that nobody has published since the start.
    pub(super) fn note_recovered(&mut self) {
        self.stamps = self.stamps.max(1);
    }

    /// A message that the store had kept, older than all that come.
    pub(super) fn restore(
        &mut self,
        topic: &str,
        message: Application,
        author: Option<Arc<Author>>,
    ) {
        self.insert(topic, RetainedMessage { message, stamp: RECOVERED, author });
    }

    pub(super) fn set_full(&mut self, home: ShardId, is_full: bool) {
        let _ = if is_full { self.full.insert(home) } else { self.full.remove(home) };
    }

    /// Every retained topic with its payload.
    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let payload =
            |retained: &RetainedMessage| retained.message.borrow().payload.as_slice().to_vec();
        self.topics.iter().map(|(topic, kept)| (topic.to_owned(), payload(kept))).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many topics have a message.
    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    /// The topics whose message has an author of whom this is true.
    pub(super) fn topics_of(&self, is_it: impl Fn(&Author, &str) -> bool) -> Vec<Box<str>> {
        let has_it = |topic: &str, kept: &RetainedMessage| {
            kept.author.as_ref().is_some_and(|author| is_it(author, topic))
        };
        let found = self.topics.iter().filter(|(topic, kept)| has_it(topic, kept));
        found.map(|(topic, _)| topic.into()).collect()
    }

    /// Whether this home retains no further topics, as far as is known here.
    pub(super) fn is_full(&self, home: ShardId) -> bool {
        self.full.contains(home)
    }

    /// Whether a message of this topic would find room in this home.
    pub(super) fn has_room(&self, topic: &str) -> bool {
        !self.is_used_up() || self.topics.find(topic).is_some()
    }

    fn is_used_up(&self) -> bool {
        self.topics.len() >= self.messages_max || self.bytes + self.spare_bytes > self.bytes_max
    }

    /// Takes a topic's message out; its bytes are to be released.
    fn remove(&mut self, topic: &str) -> Option<RetainedMessage> {
        let old = self.topics.remove(topic)?;
        self.bytes -= old.message.bytes();
        if let Some(at) = old.message.borrow().expires_at {
            self.expiries.remove(&(at, topic.into()));
        }
        Some(old)
    }

    fn insert(&mut self, topic: &str, kept: RetainedMessage) {
        self.bytes += kept.message.bytes();
        if let Some(at) = kept.message.borrow().expires_at {
            self.expiries.insert((at, topic.into()));
        }
        self.topics.insert(topic, kept);
    }
}

const STAMP_BITS: u32 = 56;
/// The stamp of what nobody has published since the start.
const RECOVERED: u64 = 0;

/// The publishing shard of a stamp, and its number there.
pub(super) fn origin_of(stamp: u64) -> (usize, u64) {
    ((stamp >> STAMP_BITS) as usize, stamp & ((1 << STAMP_BITS) - 1))
}

/// Whether `stamp` is of the same publishing shard as `other`, and not older; or `other` is of what
/// the store had kept, which is older than all that comes.
pub(super) fn is_same_or_newer(stamp: u64, other: u64) -> bool {
    other == RECOVERED || (stamp >> STAMP_BITS == other >> STAMP_BITS && stamp >= other)
}

impl Shard {
    /// Replaces the topic's retained message [MQTT-3.3.1-5]; an empty payload removes it
    /// [MQTT-3.3.1-6].
    pub(super) fn retain(&mut self, outgoing: &mut Outgoing<'_>) {
        let topic = outgoing.message.topic;
        // The rules may have changed while it was on its way.
        if let Some(author) = outgoing.author
            && !may_still_publish(&self.access, author, topic)
        {
            self.metrics.retained_denied += 1;
            return;
        }
        if self.journal.trouble.has_failed() && outgoing.message.qos == QoS::AtMostOnce {
            self.metrics.retained_unsafe += 1;
            return;
        }
        let old = self.retained.remove(topic);
        self.memory.release(old.as_ref().map_or(0, |old| old.message.bytes()));
        let mut is_kept = false;
        if !outgoing.message.payload.is_empty() {
            let bytes = outgoing.message.bytes() + Application::OVERHEAD_BYTES;
            // After a start a home may hold more than its share of the limits: what is there may be
            // replaced all the same.
            let old_bytes = old.as_ref().map_or(0, |old| old.message.bytes());
            let fits = (old.is_some() || self.retained.topics.len() < self.retained.messages_max)
                && (bytes <= old_bytes || self.retained.bytes + bytes <= self.retained.bytes_max)
                && self.memory.level() < MemoryLevel::RefuseQueues;
            if fits {
                let kept = outgoing.to_retained();
                self.memory.charge(kept.message.bytes());
                self.retained.insert(topic, kept);
                is_kept = true;
            } else {
                // The old message is gone all the same: none is better than a stale one.
                self.metrics.retained_refused += 1;
            }
        }
        if is_kept || old.is_some() {
            self.record_retained(outgoing, is_kept);
        }
        self.settle_retained();
    }

    /// What was retained has changed: the others are told if it is full, or no longer.
    pub(super) fn settle_retained(&mut self) {
        self.tell_retained_full();
        self.arm_retained_expiry();
    }

    /// One timer for all: for the message that expires first.
    fn arm_retained_expiry(&mut self) {
        let first = self.retained.expiries.first().map(|(at, _)| *at);
        if first == self.retained.expires_at {
            return;
        }
        if let Some(at) = std::mem::replace(&mut self.retained.expires_at, first) {
            self.timers.cancel(at, Timer::RetainedExpires);
        }
        if let Some(at) = first {
            self.timers.arm(at, Timer::RetainedExpires);
        }
    }

    /// What has expired is forgotten [MQTT-3.3.2-5], some of it now and the rest a moment later.
    pub(super) fn on_retained_expired(&mut self, turn: &mut Turn<'_>) {
        self.retained.expires_at = None;
        let now = turn.now;
        let is_over = |(at, _): &&(Time, Box<str>)| *at <= now;
        for _ in 0..self.settings.limits.retained_step_topics {
            let Some((_, topic)) = self.retained.expiries.first().filter(is_over).cloned() else {
                break;
            };
            self.forget_retained(&topic);
        }
        self.tell_retained_full();
        if self.retained.expiries.first().is_some_and(|first| is_over(&first)) {
            let at = now.plus(1);
            self.retained.expires_at = Some(at);
            self.timers.arm(at, Timer::RetainedExpires);
        } else {
            self.arm_retained_expiry();
        }
    }

    /// The others refuse what this home would not keep.
    fn tell_retained_full(&mut self) {
        let is_full = self.retained.is_used_up();
        if self.retained.full.contains(self.id) == is_full {
            return;
        }
        self.retained.set_full(self.id, is_full);
        for shard in self.others() {
            self.lanes.send(shard, Message::RetainedFull { is_full });
        }
    }

    /// A shard asks for retained messages: first the fence, where there is one more shard.
    pub(super) fn on_retained_query(
        &mut self,
        from: ShardId,
        request: super::replay::ReplayId,
        pattern: Box<str>,
        after: Option<Box<str>>,
        turn: &mut Turn<'_>,
    ) {
        let fenced = self.others().filter(|shard| *shard != from);
        let fences_left = fenced.clone().count();
        let query = Query { from, request, pattern, after, fences_left };
        if query.fences_left == 0 {
            self.answer(&query, turn);
            return;
        }
        self.retained.fences += 1;
        let fence = self.retained.fences;
        self.retained.queries.insert(fence, query);
        for shard in fenced {
            self.lanes.send(shard, Message::Fence { fence });
        }
    }

    pub(super) fn on_fence_reached(&mut self, fence: u64, turn: &mut Turn<'_>) {
        let Some(query) = self.retained.queries.get_mut(&fence) else {
            debug_assert!(false, "each shard sends a fence back once");
            return;
        };
        query.fences_left -= 1;
        if query.fences_left == 0
            && let Some(query) = self.retained.queries.remove(&fence)
        {
            self.answer(&query, turn);
        }
    }

    /// One bounded step through the topics that match.
    fn answer(&mut self, query: &Query, turn: &mut Turn<'_>) {
        let mut messages = Batch::default();
        let steps = self.settings.limits.retained_step_topics;
        let after = query.after.as_deref();
        let scan = self.retained.topics.scan(&query.pattern, after, steps, |_, retained| {
            let message = retained.message.borrow();
            if message.is_expired(turn.now) {
                return true;
            }
            let (picks, publisher) = (&[][..], None);
            let stamp = retained.stamp;
            messages.push(&Routed {
                message,
                deliver: true,
                store: false,
                stamp,
                picks,
                publisher,
                author: None,
                is_grouped: false,
            });
            messages.bytes() < REPLY_BYTES_MAX
        });
        let resume_after = match scan {
            Scan::Done => None,
            Scan::More(topic) => Some(topic),
        };
        let reply = RetainedReply { request: query.request, messages, resume_after };
        self.tell(query.from, Message::RetainedReply(reply), turn);
    }

    pub(super) fn forget_retained(&mut self, topic: &str) {
        if let Some(old) = self.retained.remove(topic) {
            self.memory.release(old.message.bytes());
            if self.journal.is_on() {
                self.journal.push(&Record::Unretained { topic: topic.into() });
            }
        }
    }
}

impl Outgoing<'_> {
    fn to_retained(&self) -> RetainedMessage {
        RetainedMessage {
            message: self.message.to_owned(),
            stamp: self.stamp,
            author: self.author.cloned(),
        }
    }
}
