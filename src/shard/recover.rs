//! The broker has started, and its store had kept sessions and retained messages: each shard takes
//! up those that have their home here, by the functions that change them live.
//!
//! ```text
//!   Recovered ─▶ sessions, queues … ──interest, Message::Recovered──▶ other shards
//!                  ▲    │ what does not fit into memory goes to disk,
//!                  └────┘ and no more is taken up before that is there
//!                       timers stand still until all others have told theirs
//!   is_recovered: all others have applied ours
//! ```

use std::{
    collections::BTreeMap,
    rc::{Rc, Weak},
    sync::Arc,
};

use bytes::Bytes;
use skein_protocol::{TopicFilter, qos::PacketId};

use super::{Message, Shard, ShardId, Turn, timers::Timer};
use crate::{
    access::{Author, Identity},
    record::{
        Durability, Record, Window,
        state::{Entry, SessionState, State, WillState},
    },
    session::{
        Application, ApplicationRef, Delivery, ListenerId, Matched, Payload,
        SHARED_PAYLOAD_BYTES_MIN, Session, SessionKey, ShareOrigin, Will,
    },
    topic::{ShardSet, Subscriber},
};

/// Chunks of queues that may be on their way to disk, from all shards, before no more is taken up: some
/// 200 MiB. A file system takes its time to make as many files, and nobody is served meanwhile.
const CHUNKS_ON_THEIR_WAY_MAX: usize = 4096;
/// Messages that several want and that may be remembered, though perhaps all have let go of them.
const REMEMBERED_MAX: usize = 4096;

/// How far a shard is with taking up what the store had kept.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// What is still to be taken up.
    left: Option<Box<Left>>,
    /// Why it can not be taken up.
    failure: Option<String>,
    /// The interest of what was taken up; all others have to apply it.
    barrier: u64,
    /// Others that have told all of theirs.
    heard: ShardSet,
    /// Whether some of the others have not.
    waits: bool,
}

impl Recovery {
    /// Whether timers stand still: what they set off may be for somebody who is not known yet.
    #[inline]
    pub(super) fn is_going_on(&self) -> bool {
        self.waits
    }
}

/// What is still to be taken up, in the order of the Client Identifiers.
#[derive(Debug)]
struct Left {
    state: Arc<State>,
    /// The session whose queue is being filled, and how much of it is there; before it all is done.
    filling: Option<(Box<str>, SessionKey, usize)>,
    recalled: Recalled,
}

/// The messages that were needed so far: all entries of a shard share one copy, as long as any of
/// them is in memory.
#[derive(Debug, Default)]
struct Recalled {
    window: Window,
    messages: BTreeMap<u64, Weak<Application>>,
}

impl Shard {
    /// Whether every other shard knows what the sessions here want that the store had kept. Only
    /// when all shards say so, connections may come. Means nothing before [`Event::Recovered`].
    ///
    /// [`Event::Recovered`]: super::Event::Recovered
    pub fn is_recovered(&self) -> bool {
        let recovery = &self.journal.recovery;
        recovery.left.is_none()
            && !recovery.waits
            && self.interest.applied_everywhere(self.id) >= recovery.barrier
    }

    /// Whether more of what the store had kept can be taken up now.
    #[inline]
    pub(super) fn may_go_on_recovering(&self) -> bool {
        self.journal.recovery.left.is_some() && self.has_room_to_recover()
    }

    fn has_room_to_recover(&self) -> bool {
        self.chunks.on_their_way() < (CHUNKS_ON_THEIR_WAY_MAX / self.shards).max(1)
    }

    /// Why what the store had kept can not be taken up: its files can not be read any more. Then
    /// [`is_recovered`](Self::is_recovered) never says so, and the broker must not go on.
    pub fn recovery_failure(&self) -> Option<&str> {
        self.journal.recovery.failure.as_deref()
    }

    /// The first event of a broker with a store: recording begins.
    pub(super) fn on_recovered(&mut self, state: &Arc<State>, unix_ms: u64, turn: &mut Turn<'_>) {
        let entry_max = state.sessions().map(|(_, session)| session.entry_max).max();
        self.journal.begin(unix_ms, state.message_max(), entry_max.unwrap_or(0), self.shards);
        self.journal.recovery.waits = true;
        let (state, recalled) = (Arc::clone(state), Recalled::default());
        self.journal.recovery.left = Some(Box::new(Left { state, filling: None, recalled }));
        self.go_on_recovering(turn);
    }

    /// Takes up as much as there is room for. What was taken up is in memory, or on its way to disk.
    pub(super) fn go_on_recovering(&mut self, turn: &mut Turn<'_>) {
        let Some(mut left) = self.journal.recovery.left.take() else { return };
        match self.take_up(&mut left, turn) {
            Ok(true) => {
                self.journal.recovery.barrier = self.interest.issued();
                for shard in self.others() {
                    self.lanes.send(shard, Message::Recovered);
                }
                self.go_on_if_all_have_told(turn);
            }
            Ok(false) => self.journal.recovery.left = Some(left),
            Err(why) => self.journal.recovery.failure = Some(why),
        }
    }

    /// True if nothing is left.
    ///
    /// # Errors
    /// Which file can not be read, and why.
    fn take_up(&mut self, left: &mut Left, turn: &mut Turn<'_>) -> Result<bool, String> {
        let Left { state, filling, recalled } = left;
        loop {
            if let Some((client_id, key, done)) = filling {
                let Some(kept) = state.session(client_id) else { return Ok(true) };
                if !self.fill_queue(*key, kept, done, (state, recalled), turn)? {
                    return Ok(false);
                }
                self.update_fullness(*key);
                self.recover_deadlines(*key, kept, state.connected_lost_at_ms());
            }
            let last = filling.as_ref().map(|(client_id, ..)| &**client_id);
            let mine = |client_id: &str| self.registrar_of(client_id) == self.id;
            let next = state.sessions_after(last).find(|(client_id, _)| mine(client_id));
            let Some((client_id, kept)) = next else { break };
            let key = self.recover_session(client_id, kept, (state, recalled))?;
            *filling = Some((client_id.into(), key, 0));
        }
        self.recover_retained(state, &mut recalled.window)?;
        Ok(true)
    }

    /// Another shard has told what its sessions want.
    pub(super) fn on_others_recovered(&mut self, from: ShardId, turn: &mut Turn<'_>) {
        self.journal.recovery.heard.insert(from);
        self.go_on_if_all_have_told(turn);
    }

    fn go_on_if_all_have_told(&mut self, turn: &mut Turn<'_>) {
        let recovery = &mut self.journal.recovery;
        let all_have_told = recovery.heard.iter().count() + 1 == self.shards;
        if recovery.waits && recovery.left.is_none() && all_have_told {
            recovery.waits = false;
            self.on_tick(turn);
        }
    }

    /// A session, and what was on its way to its client, but nothing of its queue.
    fn recover_session(
        &mut self,
        client_id: &str,
        kept: &SessionState,
        (state, recalled): (&State, &mut Recalled),
    ) -> Result<SessionKey, String> {
        let listener = self.listener_named(&kept.listener);
        let (_, epoch) = self.registrar.grant(client_id, self.id);
        let overflow = self.overflow_at(listener);
        let mut session = Session::new(client_id.into(), epoch, kept.version, overflow);
        session.listener = listener;
        session.expiry_s = kept.expiry_s;
        // Whatever its listener promises now: it is in the store until its client comes back, and was
        // there for a listener that promised something.
        session.durability = Some(self.promise_of(listener).unwrap_or(Durability::Disk));
        for number in &kept.held {
            PacketId::new(*number).map(|packet_id| session.receiver.restore(packet_id));
        }
        let mut bytes = 0;
        let mut flights: Vec<_> = kept.flights.iter().collect();
        flights.sort_by_key(|(_, flight)| flight.entry.entry);
        for (number, flight) in flights {
            let delivery = match flight.is_received {
                true => None,
                false => recalled.delivery(self, state, &flight.entry)?,
            };
            bytes += delivery.as_ref().map_or(0, Delivery::bytes);
            PacketId::new(*number)
                .map(|packet_id| session.sender.restore(packet_id, flight.entry.qos, delivery));
        }
        self.memory.charge(bytes);
        let key = self.sessions.insert(session);
        self.restore_rights(key, owner(kept.owner.as_deref()));
        self.recover_subscriptions(key, kept);
        Ok(key)
    }

    /// Goes on with the queue of a session, whose first entries are `done`. False if what is on its way
    /// to disk has to be there first.
    fn fill_queue(
        &mut self,
        key: SessionKey,
        kept: &SessionState,
        done: &mut usize,
        (state, recalled): (&State, &mut Recalled),
        turn: &mut Turn<'_>,
    ) -> Result<bool, String> {
        while let Some(entry) = kept.queue.get(*done) {
            if !self.has_room_to_recover() {
                return Ok(false);
            }
            *done += 1;
            let Some(delivery) = recalled.delivery(self, state, entry)? else { continue };
            self.memory.charge(delivery.bytes());
            self.sessions.at_mut(key).queue.push_unbounded(delivery);
            self.spill(key, turn);
        }
        Ok(true)
    }

    fn recover_subscriptions(&mut self, session: SessionKey, kept: &SessionState) {
        for (filter, it) in &kept.subscriptions {
            let Ok(filter) = TopicFilter::new(filter) else { continue };
            let subscriber = Subscriber {
                session,
                qos: it.qos,
                no_local: it.no_local,
                retain_as_published: it.retain_as_published,
                is_durable: true,
                identifier: it.identifier.and_then(std::num::NonZeroU32::new),
            };
            self.take_subscription(filter, subscriber, false);
        }
    }

    /// Its clocks went on while nothing ran. A session that was connected is one whose connection
    /// was lost when the broker ended: that is recorded, or the next start would be later.
    fn recover_deadlines(&mut self, key: SessionKey, kept: &SessionState, lost_at_ms: u64) {
        let (expiry_s, was_connected) = (kept.expiry_s, kept.is_connected);
        let at_ms = if was_connected { kept.at_ms.max(lost_at_ms) } else { kept.at_ms };
        let delayed = |will: &WillState| {
            let delay_s = u64::from(will.delay_s.min(expiry_s));
            at_ms.saturating_add(delay_s * 1000)
        };
        let due_ms = kept.will.as_deref().map(|will| will.due_ms.unwrap_or_else(|| delayed(will)));
        if was_connected {
            self.record(key, |client_id| Record::Disconnected { client_id, expiry_s, at_ms });
            if let Some(at_ms) = due_ms {
                self.record(key, |client_id| Record::WillDue { client_id, at_ms });
            }
        }
        let will_at = due_ms.map(|due_ms| self.journal.time(due_ms));
        let ends_at_ms = at_ms.saturating_add(u64::from(expiry_s) * 1000);
        let expires_at = (expiry_s != u32::MAX).then(|| self.journal.time(ends_at_ms));
        let session = self.sessions.at_mut(key);
        session.will = kept.will.as_deref().map(|will| Box::new(recalled_will(will)));
        (session.will_at, session.expires_at) = (will_at, expires_at);
        if let Some(at) = will_at {
            self.timers.arm(at, Timer::WillDue(key));
        }
        if let Some(at) = expires_at {
            self.timers.arm(at, Timer::SessionEnds(key));
        }
    }

    fn recover_retained(&mut self, state: &State, window: &mut Window) -> Result<(), String> {
        for (topic, kept) in state.retained() {
            // Who subscribes from now on asks the homes, though nobody has published anything.
            self.retained.note_recovered();
            if self.home_of(topic) != self.id {
                continue;
            }
            let record = state.recall(kept.message, window)?;
            let Some(message) = record.and_then(|it| self.recalled_message(&it)) else { continue };
            let author = kept.author[0].as_deref().map(|client_id| {
                let listener = self.listener_named(kept.author[2].as_deref().unwrap_or_default());
                Arc::new(Author::new(owner(kept.author[1].as_deref()), client_id, listener))
            });
            self.memory.charge(message.bytes());
            self.retained.restore(topic, message, author);
        }
        // The rules may have changed while nothing ran.
        self.forget_denied_retained();
        Ok(())
    }

    /// The listener of this name; the first one, if it is there no longer.
    fn listener_named(&self, name: &str) -> ListenerId {
        if name == ListenerId::INSIDE_NAME {
            return ListenerId::INSIDE;
        }
        let found = self.settings.listeners.iter().position(|listener| listener.name == name);
        ListenerId(found.and_then(|at| u16::try_from(at).ok()).unwrap_or_default())
    }

    fn recalled_message(&self, kept: &Record<'_>) -> Option<Application> {
        let Record::Message { topic, properties, payload, qos, retain, expires_at_ms, .. } = kept
        else {
            return None;
        };
        let shared;
        let payload = if payload.len() >= SHARED_PAYLOAD_BYTES_MIN {
            shared = Rc::new(Bytes::copy_from_slice(payload));
            Payload::Shared(&shared)
        } else {
            Payload::Inline(payload)
        };
        let expires_at = expires_at_ms.map(|ms| self.journal.time(ms));
        let (qos, retain) = (*qos, *retain);
        let message = ApplicationRef { topic, properties, payload, qos, retain, expires_at };
        Some(message.to_owned())
    }
}

impl Recalled {
    fn message(
        &mut self,
        shard: &Shard,
        state: &State,
        number: u64,
    ) -> Result<Option<Rc<Application>>, String> {
        let is_shared = state.is_shared(number);
        if is_shared && let Some(known) = self.messages.get(&number).and_then(Weak::upgrade) {
            return Ok(Some(known));
        }
        let record = state.recall(number, &mut self.window)?;
        let message = record.and_then(|record| shard.recalled_message(&record)).map(Rc::new);
        if let Some(message) = message.as_ref().filter(|_| is_shared) {
            if self.messages.len() >= REMEMBERED_MAX {
                self.messages.retain(|_, message| message.strong_count() > 0);
            }
            self.messages.insert(number, Rc::downgrade(message));
        }
        Ok(message)
    }

    fn delivery(
        &mut self,
        shard: &Shard,
        state: &State,
        entry: &Entry,
    ) -> Result<Option<Delivery>, String> {
        let Some(message) = self.message(shard, state, entry.message)? else { return Ok(None) };
        let mut delivery = Delivery::new(message, entry.qos);
        delivery.retain = entry.retain;
        let share = entry.share.as_deref().and_then(share_origin).map(Rc::new);
        delivery.matched = Matched::new(&entry.identifiers, share);
        delivery.entry = entry.entry;
        Ok(Some(delivery))
    }
}

fn share_origin(text: &str) -> Option<ShareOrigin> {
    let filter = TopicFilter::new(text).ok()?;
    Some(ShareOrigin { pattern: filter.pattern().into(), group: filter.share()?.into() })
}

/// To whom a session or a message belongs. What somebody vouched for when the client came is not
/// kept: the access list decides until it comes again.
fn owner(user: Option<&str>) -> Identity {
    match user {
        // It is none that a client could have.
        Some(Identity::BRIDGE) => Identity::bridge(None),
        _ => Identity { user_name: user.map(Into::into), ..Identity::anonymous() },
    }
}

fn recalled_will(will: &WillState) -> Will {
    let message = ApplicationRef {
        topic: &will.topic,
        properties: &will.properties,
        payload: Payload::Inline(&will.payload),
        qos: will.qos,
        retain: will.retain,
        expires_at: None,
    };
    Will {
        message: Rc::new(message.to_owned()),
        delay_s: will.delay_s,
        message_expiry_s: will.message_expiry_s,
    }
}
