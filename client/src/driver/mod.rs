//! The thread behind a client, and what stands between it and the user's threads.
//!
//! The user's threads lock the session only to hand something in; the client's own thread locks it
//! to feed it and to take its effects out, and does with them what there is to do without the
//! lock. Callbacks and event handlers run on a third thread, so whatever they do, packets are read
//! and pings are answered.

mod dispatch;
mod inbox;
mod link;
mod received;
mod routes;
mod shared;
mod thread;
mod ticket;

pub(crate) use dispatch::{Dispatcher, Handler, Job};
pub(crate) use inbox::Inbox;
pub(crate) use routes::{Replies, Routes, Target, Waiting};
pub(crate) use shared::{Hooked, Shared};
pub(crate) use thread::{WAKER, spawn};
pub(crate) use ticket::Slot;

pub use inbox::Overflow;
pub use received::Received;
pub use shared::ClientStatistics;
pub use ticket::Ticket;
