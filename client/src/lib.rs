#![forbid(unsafe_code)]
//! An MQTT client: 3.1, 3.1.1 and 5.0, with or without I/O.

mod error;
mod message;
mod options;
mod scram;
pub mod session;
pub mod test;
mod will;

pub use error::{Error, Feature, Operation, Result};
pub use message::{Delivery, Message, Properties, Publish};
pub use options::{
    Backoff, Login, Offline, Options, QueueOptions, SessionLoss, Verdict, Versions, WhenFull,
};
pub use scram::Scram;
pub use skein_protocol::{
    PacketId, PayloadFormat, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version,
};
pub use will::Will;
