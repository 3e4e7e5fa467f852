//! From one publish to its receivers: local sessions, and shards to tell.
//!
//! * [`route`]: who gets a topic, remembered until subscriptions change.
//! * [`frame`]: the bytes of an outgoing PUBLISH, encoded once per shape.
//! * [`batch`]: the publishes of one turn for one other shard.

pub mod batch;
pub mod frame;
pub mod route;

pub use batch::{Batch, Room, Routed};
pub use frame::{Envelope, Frame, Frames, Shape};
pub use route::{Own, Receiver, Route, Routes};
