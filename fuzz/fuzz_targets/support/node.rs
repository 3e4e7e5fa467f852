//! A shard with its clients in one thread: bytes go in as the shell would cut them, and what the
//! shard writes is kept for each connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use skein::access::Access;
use skein::config::Settings;
use skein::session::{AcceptOrder, ConnectionId, ListenerId, Outbox, PeerAddress, ShardId, Time};
use skein::shard::{Audit, CloseCause, Effects, Event, Shard};
use skein_protocol::Frame;

pub struct Node {
    shard: Shard,
    now: Time,
    order: AcceptOrder,
    serial: u64,
    links: BTreeMap<ConnectionId, Link>,
}

/// One connection, as its client sees it.
#[derive(Default)]
struct Link {
    unread: Vec<u8>,
    written: Vec<u8>,
    is_closed: bool,
}

impl Node {
    pub fn new() -> Self {
        let settings = Settings { shards: 1, ..Settings::default() };
        let access = Arc::new(Access::new(Vec::new(), &settings.access));
        Self {
            shard: Shard::new(ShardId::new(0), 1, settings, access, [1, 2, 3, 4]),
            now: Time::from_millis(1_000),
            order: AcceptOrder::default(),
            serial: 0,
            links: BTreeMap::new(),
        }
    }

    pub fn open(&mut self) -> ConnectionId {
        self.serial += 1;
        self.order = self.order.next(self.now.as_millis() * 1_000);
        let id = ConnectionId::new(self.serial as usize, self.serial);
        self.links.insert(id, Link::default());
        let (peer, listener) = (PeerAddress::new("fuzz"), ListenerId(0));
        self.handle(Event::Opened { connection: id, peer, listener, order: self.order });
        id
    }

    /// These bytes come, until nothing moves any more. What is left unread waits for more.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&id) {
            link.unread.extend_from_slice(bytes);
        }
        self.settle();
    }

    /// The client is gone without a word.
    pub fn cut(&mut self, id: ConnectionId) {
        if self.is_open(id) {
            self.handle(Event::Closed { connection: id, cause: CloseCause::EndOfStream });
            self.settle();
        }
    }

    pub fn wait_ms(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.handle(Event::Tick);
            self.settle();
        }
        self.now = end;
    }

    pub fn is_open(&self, id: ConnectionId) -> bool {
        self.links.get(&id).is_some_and(|link| !link.is_closed)
    }

    /// All that the client has been sent since it was asked for.
    pub fn take_written(&mut self, id: ConnectionId) -> Vec<u8> {
        self.links.get_mut(&id).map(|link| std::mem::take(&mut link.written)).unwrap_or_default()
    }

    pub fn audit(&self) -> Audit {
        self.shard.audit()
    }

    fn settle(&mut self) {
        loop {
            let ids: Vec<ConnectionId> = self.links.keys().copied().collect();
            let mut has_moved = false;
            for id in ids {
                has_moved |= self.read(id);
                has_moved |= self.flush(id);
            }
            if self.shard.next_deadline().is_some_and(|due| due <= self.now) {
                self.handle(Event::Tick);
                has_moved = true;
            }
            if !has_moved {
                return;
            }
        }
    }

    fn read(&mut self, id: ConnectionId) -> bool {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.is_closed) else {
            return false;
        };
        let unread = std::mem::take(&mut link.unread);
        let mut start = 0;
        while let Some(bytes_max) = self.shard.next_packet_bytes_max(id) {
            match Frame::decode(&unread[start..], bytes_max) {
                Ok(Some((frame, size))) => {
                    self.handle(Event::Packet { connection: id, frame });
                    start += size;
                }
                Ok(None) => break,
                Err(error) => {
                    self.handle(Event::Malformed { connection: id, error });
                    start = unread.len();
                }
            }
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.unread = unread[start..].to_vec();
        }
        start > 0
    }

    fn flush(&mut self, id: ConnectionId) -> bool {
        let Some(outbox) = self.shard.outbox(id) else { return false };
        let bytes = drain(outbox);
        if bytes.is_empty() {
            return false;
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.written.extend_from_slice(&bytes);
        }
        self.handle(Event::Flushed { connection: id, written: bytes.len() });
        true
    }

    fn handle(&mut self, event: Event<'_>) {
        let mut effects = Effects::default();
        self.shard.handle(event, self.now, &mut effects);
        for mut close in effects.closes {
            if let Some(link) = self.links.get_mut(&close.connection) {
                link.written.append(&mut drain(&mut close.rest));
                link.is_closed = true;
            }
        }
    }
}

/// All bytes that wait.
fn drain(outbox: &mut Outbox) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !outbox.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let count = outbox.slices(&mut slices);
        let before = bytes.len();
        for slice in &slices[..count] {
            bytes.extend_from_slice(slice);
        }
        let taken = bytes.len() - before;
        outbox.advance(taken);
    }
    bytes
}
