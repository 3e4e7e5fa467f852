#![forbid(unsafe_code)]
//! An MQTT client: 3.1, 3.1.1 and 5.0, with or without I/O.

mod client;
mod driver;
mod error;
mod hooks;
mod message;
mod options;
pub mod reactor;
pub mod router;
mod scram;
pub mod session;
pub mod test;
pub mod transport;
mod will;

pub use client::{
    Builder, Client, Context, Group, Handling, Publishing, PublishingFuture, Replying, Requesting,
    Route, Subscribing, Subscription,
};
pub use driver::{ClientStatistics, Overflow, Received, Ticket};
pub use error::{Error, Feature, Operation, Result};
pub use hooks::Hooks;
pub use message::{Delivery, Message, Properties, Publish};
pub use options::{
    Backoff, Login, Offline, Options, QueueOptions, SessionLoss, Verdict, Versions, WhenFull,
};
pub use scram::Scram;
pub use skein_protocol::{
    PacketId, PayloadFormat, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version,
};
pub use will::Will;
