//! One client's state, without I/O: what outlives its network connection (session, queue, will)
//! and the bytes that wait for the connection (outbox).
//!
//! MQTT 5, section 4.1, lists what a session holds; [`Session`] has a field for each item.

mod alias;
mod application;
mod chunk;
mod delivery;
mod holds;
mod id;
mod kept;
mod order;
mod outbox;
mod peer;
mod pool;
mod pressure;
mod queue;
mod segments;
mod spare;
mod spilled;
mod state;
mod time;
mod will;

pub use alias::{IncomingAliases, OutgoingAliases, TopicField};
pub use application::{Application, ApplicationRef, Payload, SHARED_PAYLOAD_BYTES_MIN};
pub use delivery::{Delivery, Grant, Matched, ShareOrigin};
pub use id::{ConnectionId, FilterId, ListenerId, SessionKey, ShardId};
pub use kept::KeptMessages;
pub use order::AcceptOrder;
pub use outbox::{Buffers, Outbox};
pub use peer::{CertificateId, PeerAddress};
pub use pool::Pool;
pub use pressure::{Pressure, Publisher, grace_ms};
pub use queue::{Pushed, Queue, QueueLimits};
pub use spare::has_much_spare;
pub use spilled::Spill;
pub use state::{Arrears, HeldSubscription, Session};
pub use time::Time;
pub use will::Will;
