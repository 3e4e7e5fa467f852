//! The network: one connection as two streams of bytes, and a note of each packet in them.

use std::collections::VecDeque;

use skein::{
    session::ConnectionId,
    shard::{AcceptOrder, Time},
};

use crate::oracle::At;

/// One connection, by number; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) usize);

/// How one direction of a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    /// Nothing follows what is in the stream.
    Closed,
    /// The link is broken: what was in the stream is gone.
    Reset,
}

/// Who made the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Client(usize),
    Hostile,
}

/// What the oracle is to know of a CONNECT.
#[derive(Clone, Debug)]
pub(crate) struct ConnectFacts {
    /// The client id; empty if the broker is to choose.
    pub(crate) name: String,
    pub(crate) is_v5: bool,
    pub(crate) clean_start: bool,
    pub(crate) expiry_s: u32,
    pub(crate) keep_alive_s: u16,
    pub(crate) receive_maximum: usize,
    pub(crate) packet_bytes_max: usize,
    pub(crate) alias_max: u16,
    pub(crate) will: Option<WillFacts>,
    /// As whom it logs in, by number; `None` for nobody.
    pub(crate) user: Option<usize>,
}

/// What the oracle is to know of a will.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WillFacts {
    pub(crate) message: usize,
    pub(crate) delay_s: u32,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterFacts {
    /// Its number in the alphabet.
    pub(crate) filter: usize,
    pub(crate) qos: u8,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) retain_handling: u8,
    pub(crate) identifier: Option<u32>,
}

/// What one packet of a model client says, as the oracle is to understand it.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Connect,
    /// A message by its number in the ledger.
    Publish(usize),
    /// PUBACK, PUBREC that refuses, PUBCOMP.
    Finished(u16),
    /// PUBREC.
    Received(u16),
    /// PUBREL, for this message.
    PubRel(usize),
    Subscribe(u16, Vec<FilterFacts>),
    Unsubscribe(Vec<usize>),
    Ping,
    /// Whether the will is published, and the new session expiry.
    Disconnect(bool, Option<u32>),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) owner: Owner,
    pub(crate) facts: Option<ConnectFacts>,
    /// Bytes on their way to the broker.
    pub(crate) up: VecDeque<u8>,
    pub(crate) up_end: End,
    /// Something about the upward stream changed that the kernel would report.
    pub(crate) has_news: bool,
    /// Bytes on their way to the client.
    pub(crate) down: VecDeque<u8>,
    pub(crate) down_end: End,
    /// The client has left: whatever is written to it vanishes.
    pub(crate) is_abandoned: bool,
    /// The broker's last words did not all get through.
    pub(crate) is_cut_short: bool,
    /// The listener it comes through.
    pub(crate) listener: u16,
    /// Whether that listener promises anything that a crash does not take.
    pub(crate) keeps: bool,
    /// By which book the broker writes to it, each from so many bytes on.
    pub(crate) books: Vec<(u64, usize)>,
    /// Bytes written to the client so far.
    pub(crate) down_total: u64,
    /// When the identity ends with which its client came in.
    pub(crate) expires_at: Option<Time>,
    /// Bytes written by the client so far.
    written: u64,
    /// Bytes that the core has taken as packets.
    taken: u64,
    /// Where each packet ends, and what it says; a hostile one says nothing.
    said: VecDeque<(u64, Said)>,
    /// Its socket: the shard and the id there. None before it is opened, between shards and after
    /// its end.
    pub(crate) socket: Option<(usize, ConnectionId)>,
    /// The core has forgotten it.
    pub(crate) is_over: bool,
    /// When the acceptor took it, and its place then.
    pub(crate) accepted: Option<(AcceptOrder, At)>,
    /// When the core was given its CONNECT.
    pub(crate) connect_read: Option<At>,
    /// A part of its session's queue can not be read.
    pub(crate) is_unreadable: bool,
    /// The core has refused it, as a newer one came before it.
    pub(crate) is_overtaken: bool,
    /// It was there when the broker began to stop.
    pub(crate) is_stopped: bool,
    /// In which step the core established it, and forgot it.
    pub(crate) established_step: Option<u64>,
    pub(crate) closed_step: Option<u64>,
    /// It goes on with an earlier session.
    pub(crate) is_resumed: bool,
    /// The oracle's session, once the core has established it.
    pub(crate) session: Option<usize>,
    /// When the core last took a packet of it.
    pub(crate) heard_at: Time,
}

impl Link {
    pub(crate) fn new(owner: Owner) -> Self {
        Self {
            owner,
            facts: None,
            up: VecDeque::new(),
            up_end: End::Open,
            has_news: false,
            down: VecDeque::new(),
            down_end: End::Open,
            is_abandoned: false,
            is_cut_short: false,
            listener: 0,
            keeps: true,
            books: Vec::new(),
            down_total: 0,
            expires_at: None,
            written: 0,
            taken: 0,
            said: VecDeque::new(),
            socket: None,
            is_over: false,
            accepted: None,
            connect_read: None,
            is_unreadable: false,
            is_overtaken: false,
            is_stopped: false,
            established_step: None,
            closed_step: None,
            is_resumed: false,
            session: None,
            heard_at: Time::from_millis(0),
        }
    }

    /// In which step the acceptor took it.
    pub(crate) fn accepted_step(&self) -> Option<u64> {
        self.accepted.map(|(_, at)| at.step)
    }

    /// The book by which the byte at this place was written.
    pub(crate) fn book_at(&self, place: u64) -> usize {
        let before = self.books.iter().take_while(|(from, _)| *from <= place);
        before.last().map_or(0, |(_, book)| *book)
    }

    /// The client writes one packet.
    pub(crate) fn say(&mut self, bytes: &[u8], said: Said) {
        self.write(bytes);
        self.said.push_back((self.written, said));
    }

    /// The client writes bytes that mean nothing.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.up_end == End::Open && self.down_end != End::Reset {
            self.up.extend(bytes);
            self.has_news = true;
        }
        self.written += bytes.len() as u64;
    }

    /// The core is given one packet of this many bytes: what it says.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Said> {
        self.taken += bytes as u64;
        let (end, _) = self.said.front()?;
        if *end != self.taken {
            return None;
        }
        self.said.pop_front().map(|(_, said)| said)
    }

    /// The client writes no more; what is in the stream still arrives.
    pub(crate) fn finish(&mut self) {
        if self.up_end == End::Open {
            self.up_end = End::Closed;
            self.has_news = true;
        }
    }

    /// The link breaks: nothing that is in it arrives.
    pub(crate) fn reset(&mut self) {
        self.up.clear();
        self.down.clear();
        self.up_end = End::Reset;
        self.down_end = End::Reset;
        self.is_cut_short = true;
        self.has_news = true;
    }
}
