//! A whole broker in one thread: the shards, a shell without sockets, a clock that stands still.

mod announced;
mod chunks;
mod ending;
pub(crate) mod logins;
mod peer;
mod store;

use std::{collections::BTreeSet, sync::Arc};

use skein::{
    access::Access,
    config::{Overflow, Settings},
    record::state::State,
    shard::{
        AcceptOrder, Audit, CloseCause, ConnectionId, Effects, Event, HandOver, ListenerId,
        Message, Metrics, PeerAddress, Shard, ShardId, Time,
    },
};
use skein_protocol::{Connect, Frame, Packet, Version};

use chunks::Chunks;
use logins::Logins;
use peer::State as Client;
use store::Store;

/// The start of the clock, milliseconds since 1970.
const UNIX_MS: u64 = 1_700_000_000_000;

/// One client's network connection, by its number in the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(usize);

/// Shards, lanes and connections. Whatever a test does, all lanes deliver and all outboxes are
/// read until nothing moves any more, but for what the test holds.
pub(crate) struct Broker {
    shards: Vec<Shard>,
    peers: Vec<Client>,
    now: Time,
    held: BTreeSet<(usize, usize)>,
    /// The shards of a broker that stops that have ended.
    ended: Option<Vec<usize>>,
    serial: u64,
    /// The place of the socket that was accepted last.
    order: AcceptOrder,
    /// Sockets that are handed over do not arrive.
    pub(crate) loses_sockets: bool,
    /// The listener that further sockets come through.
    pub(crate) listener: u16,
    pub(crate) logins: Logins,
    settings: Settings,
    access: Arc<Access>,
    /// Where what outlives the broker goes, if it has a store. With CORE_STORE=1 in the environment
    /// all have one, and nothing else may change.
    store: Option<Store>,
    /// Where parts of long queues lie.
    pub(crate) chunks: Chunks,
    /// What the log says, by kind.
    notices: Vec<(&'static str, String)>,
}

impl Broker {
    /// A broker with the default settings.
    pub(crate) fn new(shards: usize) -> Self {
        Self::with(shards, |_| {})
    }

    /// A broker with other settings.
    pub(crate) fn with(shards: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let access = Arc::new(Access::new(Vec::new(), &settings.access));
        let mut broker = Self {
            shards: Vec::new(),
            settings,
            access,
            store: None,
            chunks: Chunks::default(),
            peers: Vec::new(),
            now: Time::from_millis(1_000_000),
            held: BTreeSet::new(),
            ended: None,
            serial: 0,
            order: AcceptOrder::default(),
            loses_sockets: false,
            listener: 0,
            logins: Logins::default(),
            notices: Vec::new(),
        };
        broker.make_shards(shards);
        if std::env::var_os("CORE_STORE").is_some() {
            broker.add_store();
        }
        broker
    }

    fn make_shards(&mut self, shards: usize) {
        let shard = |index| {
            let (settings, access) = (self.settings.clone(), Arc::clone(&self.access));
            Shard::new(ShardId::new(index), shards, settings, access, [1, 2, 3, 4])
        };
        self.shards = (0..shards).map(shard).collect();
    }

    /// A broker with a store that is empty.
    pub(crate) fn durable(shards: usize) -> Self {
        Self::durable_with(shards, |_| {})
    }

    /// A broker with a store that is empty, and other settings.
    pub(crate) fn durable_with(shards: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let mut broker = Self::with(shards, change);
        if broker.store.is_none() {
            broker.add_store();
        }
        broker
    }

    fn add_store(&mut self) {
        self.store = Some(Store::default());
        self.recover(&Arc::default());
        self.settle();
    }

    /// Everything in memory is gone, and nobody is connected. The broker starts again from what
    /// was durable, after so many milliseconds, with so many shards.
    pub(crate) fn crash(&mut self, down_ms: u64, shards: usize) {
        let lost_at_ms = UNIX_MS + self.now.as_millis();
        let state = self.store().crash(lost_at_ms);
        for peer in &mut self.peers {
            (peer.is_closed, peer.shard) = (true, 0);
        }
        self.now = self.now.plus(down_ms);
        (self.ended, self.store().is_held) = (None, false);
        self.held.clear();
        self.chunks = Chunks::default();
        self.make_shards(shards);
        self.recover(&state);
        self.settle();
        assert!(self.shards.iter().all(Shard::is_recovered), "all know what was kept");
    }

    /// The configuration is read again, and has changed.
    pub(crate) fn reload(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        let settings = Arc::new(self.settings.clone());
        for shard in 0..self.shards.len() {
            self.handle(shard, Event::SettingsChanged { settings: Arc::clone(&settings) });
        }
        self.settle();
    }

    /// Why a broker with one shard can not begin with this.
    pub(crate) fn recovery_failure(&mut self, state: State) -> Option<String> {
        self.recover(&Arc::new(state));
        self.settle();
        assert!(!self.shards[0].is_recovered());
        self.shards[0].recovery_failure().map(str::to_owned)
    }

    /// As [`Broker::crash`], and what was only written is gone, too.
    pub(crate) fn cut_power(&mut self, shards: usize) {
        self.store().cut_power();
        self.crash(0, shards);
    }

    fn recover(&mut self, state: &Arc<State>) {
        for shard in 0..self.shards.len() {
            let state = Arc::clone(state);
            self.handle(shard, Event::Recovered { state, unix_ms: UNIX_MS });
        }
    }

    /// The store of a broker that has one.
    #[track_caller]
    pub(crate) fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("the broker has a store")
    }

    /// Nothing becomes durable from now on.
    pub(crate) fn hold_store(&mut self) {
        self.store().is_held = true;
    }

    /// What was handed over becomes durable, and so does what comes.
    pub(crate) fn release_store(&mut self) {
        self.store().is_held = false;
        self.settle();
    }

    /// What was handed over becomes durable, and nothing that comes.
    pub(crate) fn commit(&mut self) {
        self.release_store();
        self.hold_store();
    }

    /// The store fails.
    pub(crate) fn fail_store(&mut self, is_disk_full: bool) {
        self.hold_store();
        for shard in 0..self.shards.len() {
            self.handle(shard, Event::StoreFailed { is_disk_full });
        }
        self.settle();
    }

    /// The end of a turn: what was recorded goes to the store.
    fn seal(&mut self) -> bool {
        if self.store.is_none() {
            return false;
        }
        for shard in self.left() {
            let mut effects = Effects::default();
            self.shards[shard].seal(self.now, &mut effects);
            self.store().push(shard, effects.persists);
        }
        if self.store().is_held {
            return false;
        }
        let tickets = self.store().commit();
        for (shard, ticket) in &tickets {
            self.handle(*shard, Event::Durable { ticket: *ticket });
        }
        !tickets.is_empty()
    }

    /// A broker whose listener has this overflow policy and whose queues hold so many messages.
    pub(crate) fn with_queue(shards: usize, overflow: Overflow, messages_max: usize) -> Self {
        Self::with(shards, |settings| {
            settings.listeners[0].overflow = overflow;
            settings.limits.queue_messages_max = messages_max;
        })
    }

    /// A socket is dealt to a shard.
    pub(crate) fn open(&mut self, shard: usize) -> Peer {
        let peer = Peer(self.peers.len());
        let connection = self.next_connection();
        self.peers.push(Client::new(shard, connection));
        let address = PeerAddress::new(format!("peer-{}", peer.0));
        let listener = ListenerId(self.listener);
        self.order = self.order.next(self.now.as_millis() * 1000);
        let order = self.order;
        self.handle(shard, Event::Opened { connection, peer: address, listener, order });
        peer
    }

    /// A socket is dealt to a shard, and CONNECT sent; what follows is for the test to hear.
    pub(crate) fn dial(&mut self, shard: usize, connect: Connect<'_>) -> Peer {
        let peer = self.open(shard);
        self.peers[peer.0].version = connect.version;
        self.send(peer, Packet::Connect(connect));
        peer
    }

    /// A client connects and is accepted.
    pub(crate) fn connect(&mut self, shard: usize, connect: Connect<'_>) -> Peer {
        let peer = self.dial(shard, connect);
        let heard = self.hear(peer);
        let is_accepted = heard.first().is_some_and(|line| line.ends_with("0x00"));
        assert!(is_accepted, "the client is accepted: {heard:?}");
        self.peers[peer.0].heard.splice(0..0, heard.into_iter().skip(1));
        peer
    }

    /// The client sends a packet, and everything that follows happens.
    #[expect(clippy::needless_pass_by_value, reason = "a test sends what it makes on the spot")]
    pub(crate) fn send(&mut self, peer: Peer, packet: Packet<'_>) {
        let state = &mut self.peers[peer.0];
        packet.encode(state.version, &mut state.unread);
        self.settle();
    }

    /// The client sends packets that are read in one turn, and everything that follows happens.
    pub(crate) fn send_all<'a>(
        &mut self,
        peer: Peer,
        packets: impl IntoIterator<Item = Packet<'a>>,
    ) {
        let state = &mut self.peers[peer.0];
        for packet in packets {
            packet.encode(state.version, &mut state.unread);
        }
        self.settle();
    }

    /// The client sends a packet and hears exactly these lines.
    pub(crate) fn ask<const N: usize>(&mut self, peer: Peer, packet: Packet<'_>, lines: [&str; N]) {
        self.send(peer, packet);
        self.expect(peer, lines);
    }

    /// What the client has received since it was last asked, a line for each packet.
    pub(crate) fn hear(&mut self, peer: Peer) -> Vec<String> {
        std::mem::take(&mut self.peers[peer.0].heard)
    }

    /// The client has received this before what it receives from now on.
    pub(crate) fn put_back(&mut self, peer: Peer, lines: impl Iterator<Item = String>) {
        self.peers[peer.0].heard.splice(0..0, lines);
    }

    /// The client has received exactly this since it was last asked.
    #[track_caller]
    pub(crate) fn expect<const N: usize>(&mut self, peer: Peer, lines: [&str; N]) {
        assert_eq!(self.hear(peer), lines);
    }

    /// The client has received nothing since it was last asked.
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self, peer: Peer) {
        self.expect(peer, []);
    }

    /// Whether the broker has closed the connection.
    pub(crate) fn is_closed(&self, peer: Peer) -> bool {
        self.peers[peer.0].is_closed
    }

    /// The shard where the connection is.
    pub(crate) fn shard_of(&self, peer: Peer) -> usize {
        self.peers[peer.0].shard
    }

    /// Whether the core takes packets of this connection.
    pub(crate) fn is_read(&self, peer: Peer) -> bool {
        let state = &self.peers[peer.0];
        self.shards[state.shard].wants_packets(state.connection)
    }

    /// The network connection breaks.
    pub(crate) fn cut(&mut self, peer: Peer) {
        let (shard, connection) = (self.peers[peer.0].shard, self.peers[peer.0].connection);
        self.peers[peer.0].is_closed = true;
        self.handle(shard, Event::Closed { connection, cause: CloseCause::EndOfStream });
        self.settle();
    }

    /// The client reads nothing from now on.
    pub(crate) fn stall(&mut self, peer: Peer) {
        self.peers[peer.0].is_stalled = true;
    }

    /// The client reads again.
    pub(crate) fn unstall(&mut self, peer: Peer) {
        self.peers[peer.0].is_stalled = false;
        self.settle();
    }

    /// A stalled client reads one piece of at most this many bytes.
    pub(crate) fn sip(&mut self, peer: Peer, bytes: usize) {
        self.flush(peer.0, bytes);
        self.settle();
    }

    /// Nothing is taken out of this lane from now on.
    pub(crate) fn hold(&mut self, from: usize, to: usize) {
        self.held.insert((from, to));
    }

    /// The lane delivers again.
    pub(crate) fn release(&mut self, from: usize, to: usize) {
        self.held.remove(&(from, to));
        self.settle();
    }

    /// All lanes deliver again.
    pub(crate) fn release_all(&mut self) {
        self.held.clear();
        self.settle();
    }

    /// How many bytes wait to be written to the client.
    pub(crate) fn outbox_bytes(&mut self, peer: Peer) -> usize {
        let (shard, connection) = (self.peers[peer.0].shard, self.peers[peer.0].connection);
        self.shards[shard].outbox(connection).map_or(0, |outbox| outbox.len())
    }

    /// A held lane delivers one message, and nothing else happens.
    pub(crate) fn step(&mut self, from: usize, to: usize) {
        assert!(self.deliver_one(from, to), "a message waits in the lane {from} → {to}");
    }

    /// Whether the shard asks to be called again at once.
    pub(crate) fn is_in_a_hurry(&self, shard: usize) -> bool {
        self.shards[shard].next_deadline() == Some(Time::default())
    }

    /// How many messages wait for a lane.
    pub(crate) fn waiting(&mut self, from: usize, to: usize) -> usize {
        self.shards[from].lanes().waiting(ShardId::new(to))
    }

    /// The clock goes on; timers fire on time.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        self.settle();
        while let Some(next) = self.shards.iter().filter_map(Shard::next_deadline).min()
            && next <= end
        {
            self.now = self.now.max(next);
            self.tick();
            self.settle();
        }
        self.now = end;
    }

    /// The clock goes on, and no timer fires.
    pub(crate) fn sleep_ms(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
    }

    /// Every timer that is due fires; nothing else happens.
    pub(crate) fn tick(&mut self) {
        for shard in 0..self.shards.len() {
            if self.shards[shard].next_deadline().is_some_and(|at| at <= self.now) {
                self.handle(shard, Event::Tick);
            }
        }
    }

    /// The broker stops.
    pub(crate) fn shut_down(&mut self) {
        for shard in 0..self.shards.len() {
            self.handle(shard, Event::ShutDown);
        }
        self.settle();
    }

    /// A look at one shard.
    pub(crate) fn audit(&self, shard: usize) -> Audit {
        self.shards[shard].audit()
    }

    /// The counters of one shard.
    pub(crate) fn metrics(&self, shard: usize) -> &Metrics {
        self.shards[shard].metrics()
    }

    /// Nothing is left of any client, and the memory accounts are what they should be.
    #[track_caller]
    pub(crate) fn expect_empty(&self) {
        for shard in &self.shards {
            assert_eq!(shard.audit(), Audit::default(), "shard {} holds nothing", shard.id());
        }
    }

    /// A text that the placement puts on this shard: a client id whose registrar, or a topic whose
    /// home, it is. Found by trying.
    pub(crate) fn name_on(&self, shard: usize, stem: &str) -> String {
        let shards = self.shards.len();
        let candidates = (0..).map(|number| format!("{stem}{number}"));
        let is_there = |name: &String| {
            // A publish with RETAIN shows the home of its topic.
            let mut probe = Self::new(shards);
            let publisher = probe.connect(0, crate::packets::v5("probe"));
            probe.send(publisher, crate::packets::retained(name, "x"));
            probe.audit(shard).retained.contains_key(name)
        };
        candidates.into_iter().find(is_there).expect("every shard is some text's place")
    }

    /// Everything moves that is not held, until nothing does.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut has_moved = false;
            for shard in 0..self.shards.len() {
                for other in 0..self.shards.len() {
                    let is_held = self.held.contains(&(shard, other));
                    has_moved |= !is_held && self.deliver_one(shard, other);
                }
            }
            for peer in 0..self.peers.len() {
                has_moved |= self.read(peer);
                has_moved |= !self.logins.are_held && self.answer_login();
                has_moved |= self.answer_chunk();
                has_moved |= self.seal();
                has_moved |= !self.peers[peer].is_stalled && self.flush(peer, usize::MAX);
            }
            has_moved |= self.answer_chunk();
            has_moved |= self.seal();
            let due = self.shards.iter().filter_map(Shard::next_deadline).min();
            if due == Some(Time::default()) {
                // The core asks to be called again at once.
                self.tick();
                has_moved = true;
            }
            self.end_shards();
            if !has_moved {
                return;
            }
        }
    }

    fn deliver_one(&mut self, from: usize, to: usize) -> bool {
        let Some(message) = self.shards[from].lanes().pop(ShardId::new(to)) else { return false };
        self.handle(from, Event::LaneMoved { to: ShardId::new(to) });
        match message {
            Message::HandOver(handed) if !self.loses_sockets => self.arrive(from, to, handed),
            _ if self.has_ended(to) => {}
            message => self.handle(to, Event::Message { from: ShardId::new(from), message }),
        }
        true
    }

    /// The socket travels with its hand-over.
    fn arrive(&mut self, from: usize, to: usize, handed: Box<HandOver>) {
        let old = handed.connection;
        let connection = self.next_connection();
        let peer = self.peers.iter_mut().find(|p| p.shard == from && p.connection == old);
        let peer = peer.expect("a connection that moves belongs to a peer");
        if peer.is_closed {
            // The peer hung up meanwhile: its socket is lost.
            let message = Message::HandOver(handed);
            self.handle(to, Event::Message { from: ShardId::new(from), message });
            return;
        }
        (peer.shard, peer.connection) = (to, connection);
        self.handle(to, Event::Arrived { connection, from: ShardId::new(from), handed });
    }

    /// The core takes the packets of one peer that it wants; true if it took one.
    fn read(&mut self, peer: usize) -> bool {
        let mut has_read = false;
        while !self.peers[peer].is_closed {
            let (shard, connection) = (self.peers[peer].shard, self.peers[peer].connection);
            let Some(bytes_max) = self.shards[shard].next_packet_bytes_max(connection) else {
                break;
            };
            let unread = std::mem::take(&mut self.peers[peer].unread);
            let used = match Frame::decode(&unread, bytes_max) {
                Ok(None) => 0,
                Ok(Some((frame, used))) => {
                    self.handle(shard, Event::Packet { connection, frame });
                    used
                }
                Err(error) => {
                    self.handle(shard, Event::Malformed { connection, error });
                    unread.len()
                }
            };
            self.peers[peer].unread = unread[used..].to_vec();
            if used == 0 {
                break;
            }
            has_read = true;
        }
        has_read
    }

    fn flush(&mut self, peer: usize, bytes_max: usize) -> bool {
        let state = &mut self.peers[peer];
        let (shard, connection) = (state.shard, state.connection);
        let Some(outbox) = self.shards[shard].outbox(connection) else { return false };
        let written = state.take(outbox, bytes_max);
        if written > 0 {
            self.handle(shard, Event::Flushed { connection, written });
        }
        written > 0
    }

    fn handle(&mut self, shard: usize, event: Event<'_>) {
        let mut effects = Effects::default();
        self.shards[shard].handle(event, self.now, &mut effects);
        self.logins.push(shard, effects.logins);
        self.chunks.push(shard, effects.spills);
        self.notices.extend(effects.notices.into_iter().map(|notice| (notice.kind, notice.text)));
        for mut close in effects.closes {
            let is_its = |p: &&mut Client| p.shard == shard && p.connection == close.connection;
            if let Some(state) = self.peers.iter_mut().find(is_its) {
                state.take(&mut close.rest, usize::MAX);
                state.is_closed = true;
            }
        }
    }

    fn next_connection(&mut self) -> ConnectionId {
        self.serial += 1;
        ConnectionId::new(self.serial as usize, self.serial)
    }

    /// What the peer speaks; for packets that a test makes itself.
    pub(crate) fn version(&self, peer: Peer) -> Version {
        self.peers[peer.0].version
    }
}

impl Drop for Broker {
    /// What was recorded in a test can be replayed, whatever the test looked at.
    fn drop(&mut self) {
        if let Some(store) = &self.store
            && !std::thread::panicking()
        {
            store.state();
        }
    }
}
