//! One MQTT connection: what it sends and what it makes of what it receives. No policy: when to
//! publish is decided in [`drive`](crate::drive).

mod connection;
mod handshake;
mod in_flight;
mod link;
mod publisher;
mod subscriber;

pub(crate) use connection::Connection;
pub(crate) use handshake::{Accepted, Hello, check_suback, encode_subscribe};
pub(crate) use link::{Dialer, Link};
pub(crate) use publisher::{Publisher, topic_number};
pub(crate) use subscriber::Subscriber;
