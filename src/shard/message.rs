//! What shards tell each other: values, in order, never references into another's memory (law 4).

use super::{place::Admission, replay::ReplayId};
use crate::{
    record::Group,
    router::Batch,
    session::{AcceptOrder, ConnectionId, ListenerId, PeerAddress},
    topic::ShareWeight,
};

/// One change of what the sending shard wants; only that shard may tell it (law 2).
#[derive(Clone, Debug)]
pub enum Interest {
    /// It has a first subscriber of this filter.
    Subscribed {
        /// The filter.
        pattern: Box<str>,
    },
    /// It has no subscriber of this filter any more.
    Unsubscribed {
        /// The filter.
        pattern: Box<str>,
    },
    /// Whether all its subscribers of this filter have full queues (policy `refuse`).
    Full {
        /// The filter.
        pattern: Box<str>,
        /// Whether all are full.
        is_full: bool,
    },
    /// Whether messages are recorded for a subscriber of this filter.
    Durable {
        /// The filter.
        pattern: Box<str>,
        /// Whether they are for any.
        is_durable: bool,
    },
    /// How many members it has in a share.
    Share {
        /// The filter.
        pattern: Box<str>,
        /// The share name.
        group: Box<str>,
        /// Its own key for the share, to be named when a member there is picked.
        key: u64,
        /// Its members.
        weight: ShareWeight,
    },
}

/// A connection on its way to the shard that owns its session. The socket and its unread bytes
/// travel beside it.
#[derive(Debug)]
pub struct HandOver {
    /// Its id in the sending shard.
    pub connection: ConnectionId,
    /// The client id; the registrar's key.
    pub client_id: Box<str>,
    /// The CONNECT packet, whole but for what proved who the client is.
    pub connect: Box<[u8]>,
    /// Where it comes from.
    pub peer: PeerAddress,
    /// The listener it came through.
    pub listener: ListenerId,
    /// Its place among all connections of the broker.
    pub order: AcceptOrder,
    /// Who the client is.
    pub admission: Box<Admission>,
    /// The registrar's grant; `None` on the way to the registrar.
    pub epoch: Option<u64>,
}

/// One retained message in a reply.
#[derive(Debug)]
pub struct RetainedReply {
    /// The request it answers.
    pub request: ReplayId,
    /// The messages, in topic order; each with its stamp.
    pub messages: Batch,
    /// Where to go on; `None` when this home has no more.
    pub resume_after: Option<Box<str>>,
}

/// One message between two shards.
#[derive(Debug)]
pub enum Message {
    /// The publishes of one turn, or what stood between two other messages of it.
    Publishes(Batch),
    /// What the sender told before, and what belongs to a group of it, belongs to this one.
    Part {
        /// The group.
        group: Group,
    },
    /// What the sender wants in place of its sessions that the store had kept is told.
    Recovered,
    /// What the sender wants. The receiver applies all, then answers a `barrier` that is not zero.
    Interest {
        /// The changes, in order.
        changes: Vec<Interest>,
        /// The number to answer.
        barrier: u64,
    },
    /// All interest up to this barrier is applied here.
    Applied {
        /// The highest barrier applied.
        barrier: u64,
        /// How many retained publishes its own publishers had made before.
        stamp: u64,
    },
    /// To a client id's registrar: where does this connection belong?
    Locate {
        /// The client id.
        client_id: Box<str>,
        /// The connection, in the sending shard.
        connection: ConnectionId,
    },
    /// From the registrar: the connection stays where it is; its shard is the home from now on.
    Granted {
        /// The client id.
        client_id: Box<str>,
        /// The connection.
        connection: ConnectionId,
        /// The grant; later grants for a client id have higher numbers.
        epoch: u64,
    },
    /// From the registrar: a session lives elsewhere; hand the connection to the registrar, which
    /// passes it on, so that all grants for a client id reach its home in order.
    MustMove {
        /// The connection.
        connection: ConnectionId,
    },
    /// A connection moves. Handled as such only when its socket was lost on the way.
    HandOver(Box<HandOver>),
    /// To the registrar: the session of this grant is over.
    Released {
        /// The client id.
        client_id: Box<str>,
        /// The grant.
        epoch: u64,
    },
    /// To a topic's home: the next retained messages of this filter.
    RetainedQuery {
        /// Names the request in the asking shard.
        request: ReplayId,
        /// The filter.
        pattern: Box<str>,
        /// Topics up to this one were sent before.
        after: Option<Box<str>>,
    },
    /// From a home: some retained messages.
    RetainedReply(RetainedReply),
    /// From a home: whether it retains no further topics.
    RetainedFull {
        /// Whether its share of the limits is used up.
        is_full: bool,
    },
    /// To a topic's home that retains no further topics: does this one need none?
    RoomQuery {
        /// The topic.
        topic: Box<str>,
        /// The publisher, which waits.
        connection: ConnectionId,
    },
    /// From a home.
    RoomReply {
        /// The publisher.
        connection: ConnectionId,
        /// Whether a message of the topic would be retained.
        has_room: bool,
    },
    /// Answer this once everything you sent me before is in the lane; being first in, first out,
    /// the lane then shows it to me first.
    Fence {
        /// Names the fence in the asking shard.
        fence: u64,
    },
    /// The answer to a fence.
    FenceReached {
        /// The fence.
        fence: u64,
    },
    /// The broker stops, and the sender has done what belongs to one more round of that: what it
    /// has told meanwhile is in the lane before this.
    Stopping,
    /// Read nothing more of this connection of yours until released.
    Pause {
        /// The connection.
        connection: ConnectionId,
        /// The pressure, by its number in the sending shard.
        pressure: u64,
    },
    /// The pressure is over for this connection.
    Release {
        /// The connection.
        connection: ConnectionId,
        /// The pressure.
        pressure: u64,
    },
}

impl Message {
    /// Bytes it is charged with while it waits for its lane.
    pub fn bytes(&self) -> usize {
        let content = match self {
            Self::Publishes(batch) => batch.bytes(),
            Self::Interest { changes, .. } => changes.iter().map(Interest::bytes).sum(),
            Self::HandOver(handed) => handed.connect.len() + handed.client_id.len(),
            Self::RetainedReply(reply) => reply.messages.bytes(),
            _ => 0,
        };
        size_of::<Self>() + content
    }
}

impl Interest {
    fn bytes(&self) -> usize {
        let text = match self {
            Self::Subscribed { pattern }
            | Self::Unsubscribed { pattern }
            | Self::Full { pattern, .. }
            | Self::Durable { pattern, .. } => pattern.len(),
            Self::Share { pattern, group, .. } => pattern.len() + group.len(),
        };
        size_of::<Self>() + text
    }
}
