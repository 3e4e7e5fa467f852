//! The broker has started, and its store had kept sessions and retained messages: each shard takes
//! up those that have their home here, by the functions that change them live.
//!
//! ```text
//!   Recovered ─▶ sessions, subscriptions … ──interest, Message::Recovered──▶ other shards
//!                       timers stand still until all others have told theirs
//!   is_recovered: all others have applied ours
//! ```

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use bytes::Bytes;
use skein_protocol::{TopicFilter, qos::PacketId};

use super::{Message, Shard, ShardId, Turn, timers::Timer};
use crate::{
    access::{Author, Identity},
    record::{
        Durability, Record,
        state::{Entry, MessageState, SessionState, State, WillState},
    },
    session::{
        Application, ApplicationRef, Delivery, ListenerId, Matched, Payload,
        SHARED_PAYLOAD_BYTES_MIN, Session, SessionKey, ShareOrigin, Will,
    },
    topic::{ShardSet, Subscriber},
};

/// How far a shard is with taking up what the store had kept.
#[derive(Debug, Default)]
pub(super) struct Recovery {
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

/// The messages that were needed so far: all entries of a shard share one copy.
struct Recalled<'a> {
    state: &'a State,
    messages: BTreeMap<u64, Rc<Application>>,
}

impl Shard {
    /// Whether every other shard knows what the sessions here want that the store had kept. Only
    /// when all shards say so, connections may come. Means nothing before [`Event::Recovered`].
    ///
    /// [`Event::Recovered`]: super::Event::Recovered
    pub fn is_recovered(&self) -> bool {
        let recovery = &self.journal.recovery;
        !recovery.waits && self.interest.applied_everywhere(self.id) >= recovery.barrier
    }

    /// The first event of a broker with a store: recording begins.
    pub(super) fn on_recovered(&mut self, state: &Arc<State>, unix_ms: u64, turn: &mut Turn<'_>) {
        let entry_max = state.sessions().map(|(_, session)| session.entry_max).max();
        self.journal.begin(unix_ms, state.message_max(), entry_max.unwrap_or(0), self.shards);
        let mut recalled = Recalled { state, messages: BTreeMap::new() };
        for (client_id, kept) in state.sessions() {
            if self.registrar_of(client_id) == self.id {
                self.recover_session(client_id, kept, &mut recalled, turn);
            }
        }
        self.recover_retained(state);
        self.journal.recovery.barrier = self.interest.issued();
        for shard in self.others() {
            self.lanes.send(shard, Message::Recovered);
        }
        self.journal.recovery.waits = true;
        self.go_on_if_all_have_told(turn);
    }

    /// Another shard has told what its sessions want.
    pub(super) fn on_others_recovered(&mut self, from: ShardId, turn: &mut Turn<'_>) {
        self.journal.recovery.heard.insert(from);
        self.go_on_if_all_have_told(turn);
    }

    fn go_on_if_all_have_told(&mut self, turn: &mut Turn<'_>) {
        let recovery = &mut self.journal.recovery;
        if recovery.waits && recovery.heard.iter().count() + 1 == self.shards {
            recovery.waits = false;
            self.on_tick(turn);
        }
    }

    fn recover_session(
        &mut self,
        client_id: &str,
        kept: &SessionState,
        recalled: &mut Recalled<'_>,
        turn: &mut Turn<'_>,
    ) {
        let listener = self.listener_named(&kept.listener);
        let (_, epoch) = self.registrar.grant(client_id, self.id);
        let overflow = self.overflow_at(listener);
        let mut session = Session::new(client_id.into(), epoch, kept.version, overflow);
        session.listener = listener;
        session.expiry_s = kept.expiry_s;
        // Whatever its listener promises now: it is in the store until its client comes back.
        session.durability = Some(self.promise_of(listener).unwrap_or(Durability::Os));
        for number in &kept.held {
            PacketId::new(*number).map(|packet_id| session.receiver.restore(packet_id));
        }
        let mut bytes = 0;
        let mut flights: Vec<_> = kept.flights.iter().collect();
        flights.sort_by_key(|(_, flight)| flight.entry.entry);
        for (number, flight) in flights {
            let delivery = recalled.delivery(self, &flight.entry).filter(|_| !flight.is_received);
            bytes += delivery.as_ref().map_or(0, Delivery::bytes);
            PacketId::new(*number)
                .map(|packet_id| session.sender.restore(packet_id, flight.entry.qos, delivery));
        }
        self.memory.charge(bytes);
        let key = self.sessions.insert(session);
        for entry in &kept.queue {
            let Some(delivery) = recalled.delivery(self, entry) else { continue };
            self.memory.charge(delivery.bytes());
            self.sessions.at_mut(key).queue.push_unbounded(delivery);
            self.spill(key, turn);
        }
        self.restore_rights(key, owner(kept.owner.as_deref()));
        self.recover_subscriptions(key, kept);
        self.update_fullness(key);
        self.recover_deadlines(key, kept, recalled.state.connected_lost_at_ms());
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

    fn recover_retained(&mut self, state: &State) {
        for (topic, kept) in state.retained() {
            // Who subscribes from now on asks the homes, though nobody has published anything.
            self.retained.note_recovered();
            let Some(message) = state.message(kept.message) else { continue };
            if self.home_of(topic) != self.id {
                continue;
            }
            let message = self.recalled_message(message);
            let author = kept.author[0].as_deref().map(|client_id| {
                let listener = self.listener_named(kept.author[2].as_deref().unwrap_or_default());
                Arc::new(Author::new(owner(kept.author[1].as_deref()), client_id, listener))
            });
            self.memory.charge(message.bytes());
            self.retained.restore(topic, message, author);
        }
        // The rules may have changed while nothing ran.
        self.forget_denied_retained();
    }

    /// The listener of this name; the first one, if it is there no longer.
    fn listener_named(&self, name: &str) -> ListenerId {
        if name == ListenerId::INSIDE_NAME {
            return ListenerId::INSIDE;
        }
        let found = self.settings.listeners.iter().position(|listener| listener.name == name);
        ListenerId(found.and_then(|at| u16::try_from(at).ok()).unwrap_or_default())
    }

    fn recalled_message(&self, kept: &MessageState) -> Application {
        let shared;
        let payload = if kept.payload().len() >= SHARED_PAYLOAD_BYTES_MIN {
            shared = Rc::new(Bytes::copy_from_slice(kept.payload()));
            Payload::Shared(&shared)
        } else {
            Payload::Inline(kept.payload())
        };
        let message = ApplicationRef {
            topic: &kept.topic,
            properties: kept.properties(),
            payload,
            qos: kept.qos,
            retain: kept.retain,
            expires_at: kept.expires_at_ms.map(|ms| self.journal.time(ms)),
        };
        message.to_owned()
    }
}

impl Recalled<'_> {
    fn delivery(&mut self, shard: &Shard, entry: &Entry) -> Option<Delivery> {
        let found = self.messages.get(&entry.message).map(Rc::clone);
        let message = found.or_else(|| {
            let message = Rc::new(shard.recalled_message(self.state.message(entry.message)?));
            self.messages.insert(entry.message, Rc::clone(&message));
            Some(message)
        })?;
        let mut delivery = Delivery::new(message, entry.qos);
        delivery.retain = entry.retain;
        let share = entry.share.as_deref().and_then(share_origin).map(Rc::new);
        delivery.matched = Matched::new(&entry.identifiers, share);
        delivery.entry = entry.entry;
        Some(delivery)
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
