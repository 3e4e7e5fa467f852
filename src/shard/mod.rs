//! The pure core: one shard of the broker, as a function.
//!
//! [`Shard::handle`] is the only way anything changes. There is no socket, clock, randomness,
//! thread or lock inside: time and a seed are arguments, bytes to write wait in outboxes, messages
//! to other shards wait in lanes, and what else is to be done stands in [`Effects`].
//!
//! Each file holds what happens at one occasion, as methods of [`Shard`]:
//!
//! | occasion | file |
//! |---|---|
//! | CONNECT, finding the home, hand-over | `connect`, `place`, `registrar` |
//! | who the client is: login, AUTH | `authenticate`, `reauthenticate` |
//! | what it may do; the rules change | `rights`, `reload` |
//! | the session begins or goes on | `establish` |
//! | the connection or the session ends | `leave`, `wills` |
//! | PUBLISH comes; it goes to all who want it | `publish`, `spread` |
//! | a message goes to a session | `deliver`, `refill`, `spill` |
//! | PUBACK, PUBREC, PUBREL, PUBCOMP | `acknowledge` |
//! | SUBSCRIBE, UNSUBSCRIBE | `subscribe`, `unsubscribe`, `interest` |
//! | what outlives the broker: recorded, promised, taken up again | `journal`, `record`, `promise`, `recover` |
//! | the store does not work, or falls behind | `trouble`, `grouping` |
//! | retained messages are kept and replayed | `retain`, `room`, `replay` |
//! | somebody is too slow or too fast, or memory runs out | `pressure`, `pace`, `memory` |
//! | the broker says how it is | `survey`, `announce` |

mod acknowledge;
mod announce;
mod audit;
mod authenticate;
mod connect;
mod connection;
mod deliver;
mod effect;
mod establish;
mod event;
mod grouping;
mod interest;
mod journal;
mod lanes;
mod leave;
mod memory;
mod message;
mod metrics;
mod pace;
mod phase;
mod place;
mod pressure;
mod promise;
mod publish;
mod reauthenticate;
mod record;
mod recover;
mod refill;
mod registrar;
mod reload;
mod replay;
mod respond;
mod retain;
mod rights;
mod room;
mod sending;
mod sessions;
mod share;
mod spill;
mod spread;
mod subscribe;
mod survey;
mod timers;
mod trouble;
mod unsubscribe;
mod wills;

use std::{rc::Rc, sync::Arc};

use ahash::RandomState;

pub use self::{
    announce::Announcement,
    audit::Audit,
    effect::{Close, Effects, Login, Notice, NoticeLevel, Persist},
    event::{CloseCause, Event},
    lanes::Lanes,
    message::{HandOver, Interest, Message, RetainedReply},
    metrics::{DropReason, Metrics},
    place::Admission,
    replay::ReplayId,
    spill::Spilled,
    survey::{Report, SLOWEST_MAX, SlowSession, Survey},
};
pub use crate::session::{
    AcceptOrder, ConnectionId, ListenerId, Outbox, PeerAddress, ShardId, Spill, Time,
};
use crate::{
    access::{Access, Nonces},
    config::Settings,
    router::{Frames, Routes},
    session::{Buffers, KeptMessages},
    topic::Subscriptions,
};
use connection::{Connection, Connections, Stage};
use sessions::Sessions;

/// One call of [`Shard::handle`]: its time, and where its effects go.
struct Turn<'a> {
    now: Time,
    effects: &'a mut Effects,
}

/// One shard of the broker.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    shards: usize,
    settings: Rc<Settings>,
    /// Who may do what; all shards share it.
    access: Arc<Access>,
    rights: rights::SessionRights,
    nonces: Nonces,
    /// Places client ids and topics; the same for all shards of a broker.
    placement: RandomState,
    connections: Connections,
    sessions: Sessions,
    registrar: registrar::Registrar,
    subscriptions: Subscriptions,
    interest: interest::InterestState,
    journal: journal::Journal,
    chunks: spill::Chunks,
    routes: Routes,
    frames: Frames,
    retained: retain::RetainedHome,
    replays: replay::Replays,
    /// What the broker said of itself last.
    announced: Arc<[Announcement]>,
    lanes: Lanes,
    timers: timers::Timers,
    buffers: Buffers,
    kept: KeptMessages,
    memory: memory::Account,
    rates: pace::PublishRates,
    /// About what all subscriptions of the sessions here take.
    subscription_bytes: usize,
    metrics: Metrics,
    client_ids: connect::ClientIds,
    /// Connections that are paused because the memory budget is used up.
    memory_paused: Vec<ConnectionId>,
    /// Numbers pressures, so that a late release is recognised.
    pressures: u64,
    /// Connections whose session's queue overflowed (policy `disconnect`); closed when the event
    /// has been dealt with, as their sessions may end with them.
    doomed: Vec<ConnectionId>,
    /// How far it is with an event.
    phase: phase::Phase,
    stop: leave::Stop,
}

impl Shard {
    /// Shard `id` of `shards`. All shards of a broker get the same settings, the same rules and the
    /// same seed.
    ///
    /// # Panics
    /// When `shards` is zero or above [`ShardId::COUNT_MAX`], or `id` is not one of them.
    pub fn new(
        id: ShardId,
        shards: usize,
        settings: Settings,
        access: Arc<Access>,
        seed: [u64; 4],
    ) -> Self {
        assert!((1..=ShardId::COUNT_MAX).contains(&shards), "a broker has 1 to 64 shards");
        assert!(id.index() < shards, "a shard is one of its broker's");
        let [a, b, c, d] = seed;
        let placement = RandomState::with_seeds(a, b, c, d);
        let hasher = RandomState::with_seeds(d, c, b ^ id.index() as u64, a);
        Self {
            id,
            shards,
            access,
            rights: rights::SessionRights::default(),
            nonces: Nonces::new(seed, id.index()),
            connections: Connections::default(),
            sessions: Sessions::new(hasher.clone()),
            registrar: registrar::Registrar::new(hasher.clone()),
            subscriptions: Subscriptions::new(hasher.clone()),
            interest: interest::InterestState::new(shards),
            journal: journal::Journal::new(id),
            chunks: spill::Chunks::default(),
            routes: Routes::new(hasher.clone()),
            frames: Frames::default(),
            retained: retain::RetainedHome::new(shards, &settings.limits),
            replays: replay::Replays::default(),
            announced: Arc::from([]),
            lanes: Lanes::new(shards, lane_waiting_bytes_max(&settings, shards)),
            timers: timers::Timers::default(),
            subscription_bytes: 0,
            buffers: Buffers::default(),
            kept: KeptMessages::default(),
            memory: memory::Account::new(settings.limits.memory_bytes_max / shards),
            rates: pace::PublishRates::new(&settings.limits, &settings.listeners, shards),
            metrics: Metrics::default(),
            client_ids: connect::ClientIds::new(hasher),
            placement,
            settings: Rc::new(settings),
            memory_paused: Vec::new(),
            pressures: 0,
            doomed: Vec::new(),
            phase: phase::Phase::Idle,
            stop: leave::Stop::new(id, shards),
        }
    }

    /// Takes in one event. What follows from it stands in the outboxes, the lanes and `effects`.
    pub fn handle(&mut self, event: Event<'_>, now: Time, effects: &mut Effects) {
        let turn = &mut Turn { now, effects };
        self.phase = phase::Phase::Changing;
        match event {
            Event::Recovered { state, unix_ms } => self.on_recovered(&state, unix_ms, turn),
            Event::Durable { ticket } => self.on_durable(ticket, turn),
            Event::StoreFailed { is_disk_full } => self.on_store_failed(is_disk_full, turn),
            Event::Spilled { chunk, outcome } => self.on_spilled(chunk, outcome, turn),
            Event::Opened { connection, peer, listener, order } => {
                self.on_opened(connection, peer, listener, order, turn);
            }
            Event::Introduced { connection, source, certificates } => {
                self.on_introduced(connection, source, certificates);
            }
            Event::Authenticated { connection, outcome, expires_at } => {
                self.on_authenticated(connection, *outcome, expires_at, turn);
            }
            Event::AccessChanged { access } => self.on_access_changed(access, turn),
            Event::Packet { connection, frame } => self.on_packet(connection, frame, turn),
            Event::Malformed { connection, error } => self.on_malformed(connection, &error, turn),
            Event::Closed { connection, cause } => self.on_closed(connection, &cause, turn),
            Event::Flushed { connection, written } => self.on_flushed(connection, written, turn),
            Event::Arrived { connection, handed, .. } => {
                self.on_arrived(connection, *handed, turn);
            }
            Event::Message { from, message } => self.on_message(from, message, turn),
            Event::LaneMoved { to } => self.on_lane_moved(to, turn),
            Event::SettingsChanged { settings } => self.on_settings_changed(&settings, turn),
            Event::Announced { announced } => self.on_announced(announced, turn),
            Event::Tick => self.on_tick(turn),
            Event::ShutDown => self.on_shut_down(turn),
        }
        self.close_doomed(turn);
        self.phase = phase::Phase::Idle;
    }

    fn on_message(&mut self, from: ShardId, message: Message, turn: &mut Turn<'_>) {
        match message {
            Message::Publishes(batch) => self.on_publishes(from, &batch, turn),
            Message::Part { group } => self.journal.take_part(from, group),
            Message::Recovered => self.on_others_recovered(from, turn),
            Message::Interest { changes, barrier } => {
                self.on_interest(from, changes, barrier, turn);
            }
            Message::Applied { barrier, stamp } => self.on_applied(from, barrier, stamp, turn),
            Message::Locate { client_id, connection } => {
                self.on_locate(from, client_id, connection, turn);
            }
            Message::Granted { client_id, connection, epoch } => {
                self.on_granted(connection, &client_id, epoch, turn);
            }
            Message::MustMove { connection } => self.on_must_move(from, connection),
            Message::HandOver(handed) => self.on_lost_on_the_way(&handed, turn),
            Message::Released { client_id, epoch } => {
                self.registrar.release(&client_id, epoch);
            }
            Message::RetainedQuery { request, pattern, after } => {
                self.on_retained_query(from, request, pattern, after, turn);
            }
            Message::RetainedReply(reply) => self.on_retained_reply(reply, turn),
            Message::RetainedFull { is_full } => self.retained.set_full(from, is_full),
            Message::RoomQuery { topic, connection } => {
                self.on_room_query(from, &topic, connection, turn);
            }
            Message::RoomReply { connection, has_room } => {
                self.on_room_reply(connection, has_room, turn);
            }
            Message::Fence { fence } => self.tell(from, Message::FenceReached { fence }, turn),
            Message::FenceReached { fence } => self.on_fence_reached(fence, turn),
            Message::Stopping => self.on_stopping(from, turn),
            Message::Pause { connection, pressure } => {
                self.on_pause(from, connection, pressure);
            }
            Message::Release { connection, pressure } => {
                self.on_release(from, connection, pressure, turn);
            }
        }
    }

    /// Sends a message to a shard, which may be this one.
    fn tell(&mut self, to: ShardId, message: Message, turn: &mut Turn<'_>) {
        if to == self.id {
            self.on_message(to, message, turn);
        } else {
            self.lanes.send(to, message);
        }
    }

    fn others(&self) -> impl Iterator<Item = ShardId> + Clone + use<> {
        let own = self.id.index();
        (0..self.shards).filter(move |index| *index != own).map(ShardId::new)
    }

    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        use timers::Timer;
        if self.journal.recovery.is_going_on() {
            self.go_on_recovering(turn);
            return;
        }
        while let Some(timer) = self.timers.pop_due(turn.now) {
            match timer {
                Timer::Connection(connection) => self.on_silence(connection, turn),
                Timer::IdentityEnds(connection) => self.on_identity_over(connection, turn),
                Timer::SessionEnds(session) => self.on_session_expired(session, turn),
                Timer::WillDue(session) => self.on_will_due(session, turn),
                Timer::GraceEnds(session) => self.on_grace_over(session, turn),
                Timer::QueueExpires(session) => self.on_queue_expired(session, turn),
                Timer::RetainedExpires => self.on_retained_expired(turn),
                Timer::RateAllows(connection) => self.on_rate_allows(connection, turn),
                Timer::JournalDue => self.on_journal_due(),
                Timer::MemoryPauseEnds => self.on_memory_pause_over(turn),
            }
        }
        self.pump_unfinished(turn);
    }

    /// When [`Event::Tick`] is wanted next: the start of all time means at once, after other work.
    pub fn next_deadline(&self) -> Option<Time> {
        let is_awaited = self.journal.is_awaited() || self.may_go_on_recovering();
        if self.replays.is_unfinished() || is_awaited {
            return Some(Time::default());
        }
        if self.journal.recovery.is_going_on() {
            // Whose time is over leaves a will to those who want it, which is not known yet.
            return None;
        }
        self.timers.next()
    }

    /// Whether another packet of this connection is taken now. The shell asks before it reads.
    #[inline]
    pub fn wants_packets(&self, connection: ConnectionId) -> bool {
        self.next_packet_bytes_max(connection).is_some()
    }

    /// The longest packet this connection may send now, in bytes with its header; `None` if none
    /// is taken now. The shell asks before it cuts a packet; what is not cut stays in its buffer,
    /// in order.
    #[inline]
    pub fn next_packet_bytes_max(&self, connection: ConnectionId) -> Option<usize> {
        let connection = self.connections.find(connection)?;
        let limits = &self.settings.limits;
        let reads = connection.outbox.len() <= limits.outbox_bytes_max;
        if !reads
            || connection.is_paused()
            || self.stop.has_begun()
            || self.journal.trouble.is_behind()
        {
            return None;
        }
        match connection.stage {
            Stage::Live(_) => Some(limits.packet_bytes_max),
            Stage::AwaitingConnect(_) | Stage::Authenticating(_) => {
                Some(limits.packet_bytes_before_connect_max.min(limits.packet_bytes_max))
            }
            Stage::AwaitingIdentity(_) | Stage::AwaitingGrant(_) => None,
        }
    }

    /// What waits to be written to a connection; `None` once it is closed or handed over.
    pub fn outbox(&mut self, connection: ConnectionId) -> Option<&mut Outbox> {
        self.connections.find_mut(connection).map(|connection| &mut connection.outbox)
    }

    /// What waits for the lanes to other shards.
    pub fn lanes(&mut self) -> &mut Lanes {
        &mut self.lanes
    }

    /// How many connections this shard has.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// What may wait behind one lane: the setting, or less where the lanes of all shards together
/// could bring more for one connection than its outbox holds, before the pause has reached them.
fn lane_waiting_bytes_max(settings: &Settings, shards: usize) -> usize {
    let limits = &settings.limits;
    limits.lane_waiting_bytes_max.min(limits.outbox_bytes_max / (2 * shards))
}
