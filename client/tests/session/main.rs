//! What the pure core of the client promises, in simulated time: the test itself plays the server,
//! or a server in memory breaks links and forgets, from a seed. No sockets, no threads, no waiting.

mod authenticate;
mod connect;
mod publish;
mod random;
mod relay;
mod relay_steps;
mod restart;
mod resume;
mod subscribe;

use std::time::Duration;

use skein_client::{Options, PacketId};

/// Of a session that outlives its connection.
fn lasting() -> Options {
    Options { session_expiry_s: 600, ..Options::new(["mqtt://a"]) }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}
