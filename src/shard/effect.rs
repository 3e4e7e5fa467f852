//! What the shell is asked to do after an event. Bytes wait in the outboxes, messages for other
//! shards in the lanes; the rest stands here.

use crate::access::provider::Work;
use crate::record::{Batch, Durability, Group};
use crate::session::{ConnectionId, ListenerId, Outbox, Spill};

/// How loud a line in the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeLevel {
    /// For those who look for one client.
    Debug,
    /// The ordinary course: connects, disconnects.
    Info,
    /// A peer broke a rule, or something had to be dropped.
    Warning,
}

/// A line for the log. The shell prints it, at most so many of one kind each second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub level: NoticeLevel,
    /// What kind of line it is; the key of the rate limit.
    pub kind: &'static str,
    /// The connection it is about.
    pub connection: Option<ConnectionId>,
    /// The client id it is about, as the client chose it: the shell escapes it.
    pub client: Option<Box<str>>,
    /// What happened.
    pub text: String,
}

/// A connection that the core has forgotten. No further event may name it.
#[derive(Debug)]
pub struct Close {
    /// Which connection.
    pub connection: ConnectionId,
    /// What is still to be written, for a bounded time.
    pub rest: Outbox,
}

/// A question about a client that logs in. The answer is an
/// [`Event::Authenticated`](super::Event::Authenticated), whenever it is known.
#[derive(Debug)]
pub struct Login {
    /// The connection, which is not read meanwhile unless it is live already.
    pub connection: ConnectionId,
    /// The listener it came through.
    pub listener: ListenerId,
    /// The question.
    pub work: Work,
}

/// Records for the store. The answer is an [`Event::Durable`](super::Event::Durable), whenever they
/// are safe.
#[derive(Clone, Debug)]
pub struct Persist {
    /// This shard's count of its batches: each is one more than the one before.
    pub ticket: u64,
    /// The records; none, if somebody waits for what other shards record.
    pub batch: Batch,
    /// When it is to be answered.
    pub durability: Durability,
    /// Batches of other shards without which it must not be there after a crash.
    pub groups: Vec<Group>,
}

/// Everything the shell is asked to do.
#[derive(Debug, Default)]
pub struct Effects {
    /// Connections whose outbox has something to write again; flush each once.
    pub dirty: Vec<ConnectionId>,
    /// Connections to write out and close.
    pub closes: Vec<Close>,
    /// Connections that may be read again: their buffered bytes are to be looked at even if the
    /// socket shows nothing new.
    pub resumes: Vec<ConnectionId>,
    /// Clients to find out about.
    pub logins: Vec<Login>,
    /// Batches for the store, in order. They are handed over before anything is flushed.
    pub persists: Vec<Persist>,
    /// What is to be done with parts of long queues, in order. Each but
    /// [`Spill::Forget`] is answered by an [`Event::Spilled`](super::Event::Spilled).
    pub spills: Vec<Spill>,
    /// Lines for the log.
    pub notices: Vec<Notice>,
}
