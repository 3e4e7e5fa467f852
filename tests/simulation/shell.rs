//! A shell without sockets: one shard of the broker with its turn as `src/net` takes it, every
//! amount and every order within it drawn.

mod ending;
mod inbound;
mod login;
mod outbound;
mod spill;
mod tell;

use std::{collections::VecDeque, sync::Arc};

use skein::{
    record::{Record, state::State},
    session::{ConnectionId, ListenerId, PeerAddress, ShardId},
    shard::{Effects, Event, Login, Message, Shard},
};

use crate::{
    lane::{Parcel, Rings},
    link::{End, LinkId},
    oracle::violated,
    scene::Scene,
};

/// One socket of a shard.
#[derive(Debug)]
struct Socket {
    id: ConnectionId,
    link: LinkId,
    /// Bytes that were read but not cut.
    unread: Vec<u8>,
    /// It is looked at in this turn or the next.
    is_queued: bool,
    /// The kernel may have more.
    is_readable: bool,
    /// In which turn it was looked at last, if the core did not want what waits here.
    refused_in: Option<u64>,
    /// Something waits to be written.
    is_dirty: bool,
    /// The core has forgotten it.
    is_closing: bool,
    /// The message of a PUBLISH that the core was given and has put off.
    waiting: Option<usize>,
}

/// One shard and what is around it.
pub(crate) struct Node {
    index: usize,
    pub(crate) shard: Shard,
    effects: Effects,
    /// How many of the effects' closes the oracle has heard of.
    closes_told: usize,
    sockets: Vec<Option<Socket>>,
    serial: u64,
    turns: u64,
    /// Dealt by the acceptor, not opened yet.
    dealt: VecDeque<LinkId>,
    /// Logins that nobody has looked at.
    logins: Vec<Login>,
    /// Where parts of long queues lie.
    chunks: spill::Chunks,
    /// The broker stops: the shard is to hear of it.
    is_told_to_stop: bool,
    /// It has heard of it.
    is_stopping: bool,
    has_ended: bool,
    /// The book it goes by, where there are rules.
    pub(crate) book: usize,
}

impl Node {
    pub(crate) fn new(index: usize, shard: Shard, book: usize, seed: u64) -> Self {
        Self {
            index,
            shard,
            effects: Effects::default(),
            closes_told: 0,
            sockets: Vec::new(),
            serial: 0,
            turns: 0,
            dealt: VecDeque::new(),
            logins: Vec::new(),
            chunks: spill::Chunks::new(seed.wrapping_add(index as u64)),
            is_told_to_stop: false,
            is_stopping: false,
            has_ended: false,
            book,
        }
    }

    /// Its number.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The acceptor deals a socket.
    pub(crate) fn deal(&mut self, link: LinkId) {
        self.dealt.push_back(link);
    }

    /// One turn; a `full` one leaves nothing for the next. True if anything happened.
    pub(crate) fn turn(&mut self, scene: &mut Scene, rings: &mut Rings, full: bool) -> bool {
        self.turns += 1;
        let mut happened = false;
        if full || scene.draw.chance(3, 4) {
            happened |= self.open_dealt(scene);
            happened |= self.hear_of_stop(scene);
            happened |= self.take_parcels(scene, rings, full);
        }
        if full || scene.draw.chance(3, 4) {
            happened |= self.read_ready(scene, full);
        }
        happened |= self.answer_logins(scene, full);
        happened |= self.hear_store(scene, full);
        happened |= self.hear_disk(scene, full);
        if full || scene.draw.chance(7, 8) {
            happened |= self.tick(scene);
        }
        happened |= self.seal(scene);
        if full || scene.draw.chance(3, 4) {
            happened |= self.flush(scene, full);
        }
        happened |= self.obey_closes(scene);
        self.obey_resumes();
        if full || scene.draw.chance(3, 4) {
            happened |= self.send_parcels(scene, rings, full);
        }
        self.obey_resumes();
        happened
    }

    /// The broker begins with what the log holds.
    pub(crate) fn recover(&mut self, state: &Arc<State>, unix_ms: u64, scene: &mut Scene) {
        self.handle(Event::Recovered { state: Arc::clone(state), unix_ms }, scene);
    }

    /// Hears what has become of its batches.
    fn hear_store(&mut self, scene: &mut Scene, full: bool) -> bool {
        let mut happened = false;
        loop {
            let Scene { store, step, .. } = scene;
            let answer = store.as_mut().and_then(|it| it.next_answer(self.index, *step, full));
            let Some(event) = answer else { return happened };
            scene.log.note(|| format!("shard {} hears {event:?}", self.index));
            scene.oracle.on_store(self.index, matches!(event, Event::StoreFailed { .. }));
            self.handle(event, scene);
            happened = true;
        }
    }

    /// What was recorded in the turn goes to the store.
    fn seal(&mut self, scene: &mut Scene) -> bool {
        self.shard.seal(scene.clock(scene.now), &mut self.effects);
        let happened = !self.effects.persists.is_empty();
        for persist in self.effects.persists.drain(..) {
            scene.log.note(|| {
                let records = persist.batch.records().map(Record::decode);
                let records: Vec<_> = records.collect();
                let (ticket, groups) = (persist.ticket, &persist.groups);
                format!("shard {} seals {ticket} {groups:?}: {records:?}", self.index)
            });
            match &mut scene.store {
                Some(store) => store.hand_over(self.index, persist),
                None => violated!("without a store nothing is recorded", "{persist:?}"),
            }
        }
        happened
    }

    fn handle(&mut self, event: Event<'_>, scene: &mut Scene) {
        scene.step += 1;
        let resumed = self.shard.metrics().sessions_resumed;
        self.shard.handle(event, scene.clock(scene.now), &mut self.effects);
        self.logins.append(&mut self.effects.logins);
        self.chunks.ask(&mut self.effects.spills);
        let is_resumed = self.shard.metrics().sessions_resumed > resumed;
        self.tell(is_resumed, scene);
    }

    fn open_dealt(&mut self, scene: &mut Scene) -> bool {
        let mut happened = false;
        while let Some(link) = self.dealt.pop_front() {
            let connection = self.admit(link, Vec::new(), scene);
            let peer = PeerAddress::new("sim");
            scene.log.note(|| format!("shard {} opens {link:?}", self.index));
            let (listener, accepted) = (scene.link(link).listener, scene.link(link).accepted);
            let listener = ListenerId(listener);
            let order = accepted.map(|(order, _)| order).unwrap_or_default();
            self.handle(Event::Opened { connection, peer, listener, order }, scene);
            happened = true;
        }
        happened
    }

    /// Gives a socket a slot, perhaps one that was used before.
    fn admit(&mut self, link: LinkId, unread: Vec<u8>, scene: &mut Scene) -> ConnectionId {
        let free = self.sockets.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        self.serial += 1;
        let id = ConnectionId::new(slot, self.serial);
        self.sockets[slot] = Some(Socket {
            id,
            link,
            unread,
            is_queued: true,
            is_readable: true,
            refused_in: None,
            is_dirty: false,
            is_closing: false,
            waiting: None,
        });
        scene.links[link.0].socket = Some((self.index, id));
        scene.links[link.0].books = vec![(0, self.book)];
        id
    }

    fn take_parcels(&mut self, scene: &mut Scene, rings: &mut Rings, full: bool) -> bool {
        let mut happened = false;
        let shards = scene.plan.shards;
        let first = scene.draw.below(shards);
        for from in (0..shards).map(|offset| (first + offset) % shards) {
            let waiting = rings.waiting(from, self.index);
            // What is in the ring is seen in order, but not all at once.
            let seen = match full {
                true => waiting,
                false if rings.stands_still(from, self.index, scene) => 0,
                false => scene.draw.some_of(waiting),
            };
            for _ in 0..seen {
                let Some(parcel) = rings.pop(from, self.index) else { break };
                self.take_parcel(from, parcel, scene);
                happened = true;
            }
        }
        happened
    }

    fn take_parcel(&mut self, from: usize, parcel: Parcel, scene: &mut Scene) {
        let from = ShardId::new(from);
        match parcel {
            Parcel::Message(message) => {
                scene.log.note(|| format!("shard {} hears {from}: {message:?}", self.index));
                let waiting = self.take_waiting(&message, scene);
                self.handle_publish(waiting, Event::Message { from, message }, scene);
            }
            Parcel::Moving { handed, link, unread } => {
                scene.log.note(|| format!("shard {} receives {link:?}", self.index));
                let connection = self.admit(link, unread, scene);
                self.handle(Event::Arrived { connection, from, handed }, scene);
            }
        }
    }

    fn tick(&mut self, scene: &mut Scene) -> bool {
        // What the log holds has its time when every shard has taken its part of it over.
        // Of a stop it is not known here from when on timers are left to the next start.
        if self.shard.is_recovered() && !self.is_stopping {
            scene.oracle.on_ticked(self.index, scene.now);
        }
        if self.shard.next_deadline().is_none_or(|deadline| deadline > scene.clock(scene.now)) {
            return false;
        }
        let ended = self.shard.metrics().sessions_ended;
        self.handle(Event::Tick, scene);
        // Until it has said goodbye, sessions end as ever.
        if self.is_stopping && self.shard.metrics().sessions_ended > ended {
            scene.oracle.on_ticked(self.index, scene.now);
        }
        let at = scene.at();
        scene.oracle.expire_sessions(at);
        true
    }

    fn send_parcels(&mut self, scene: &mut Scene, rings: &mut Rings, full: bool) -> bool {
        let mut happened = false;
        let own = self.index;
        for to in (0..scene.plan.shards).filter(|to| *to != own) {
            let mut budget = if full { usize::MAX } else { scene.draw.between(0, 8) };
            let mut has_sent = false;
            while budget > 0 && rings.has_room(self.index, to) {
                let Some(message) = self.shard.lanes().pop(ShardId::new(to)) else { break };
                let parcel = self.depart(message, scene);
                rings.push(self.index, to, parcel);
                has_sent = true;
                budget -= 1;
            }
            if has_sent {
                self.handle(Event::LaneMoved { to: ShardId::new(to) }, scene);
                happened = true;
            }
        }
        happened
    }

    /// A connection that moves takes its socket along, unless that died meanwhile.
    fn depart(&mut self, message: Message, scene: &mut Scene) -> Parcel {
        let Message::HandOver(handed) = message else { return Parcel::Message(message) };
        let slot = self.sockets.get_mut(handed.connection.slot());
        let Some(socket) = slot.and_then(|slot| slot.take_if(|s| s.id == handed.connection)) else {
            panic!("a connection that moves has a socket until it does");
        };
        let link = &mut scene.links[socket.link.0];
        link.socket = None;
        if link.up_end == End::Reset && scene.draw.chance(1, 2) {
            link.is_over = true;
            return Parcel::Message(Message::HandOver(handed));
        }
        Parcel::Moving { handed, link: socket.link, unread: socket.unread }
    }

    /// Whether nothing is left to do here: nothing to read, to write or to send.
    pub(crate) fn is_at_rest(&mut self, scene: &Scene) -> bool {
        let lanes = self.shard.lanes();
        let is_silent = (0..scene.plan.shards).all(|to| lanes.waiting(ShardId::new(to)) == 0);
        let is_written = self.sockets.iter().flatten().all(|socket| {
            let link = &scene.links[socket.link.0];
            // The end of a connection that is not read for a while is heard of later.
            let is_read = socket.unread.is_empty() && link.up.is_empty();
            is_read && link.up_end == End::Open && !socket.is_dirty
        });
        is_silent
            && is_written
            && self.dealt.is_empty()
            && self.logins.is_empty()
            && self.chunks.is_at_rest()
    }
}
