//! Watches a server: the round trip of each ping, and every loss of the connection.
//!
//! `cargo run -p skein-client --example ping_monitor -- mqtt://127.0.0.1`

use std::thread;
use std::time::Duration;

use skein_client::session::Event;
use skein_client::{Client, Result};

/// The shortest keep alive there is.
const INTERVAL: Duration = Duration::from_secs(1);

fn main() -> Result<()> {
    let server = std::env::args().nth(1).unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let report = |event: &Event| match event {
        Event::Connected { server, .. } => println!("up: MQTT {}", server.version),
        Event::Lost { why, .. } => println!("down: {why}"),
        Event::Failed { why, .. } => println!("still down: {why}"),
        _ => {}
    };
    let client = Client::builder(&server).keep_alive(INTERVAL).on_event(report).start()?;
    loop {
        thread::sleep(INTERVAL);
        if let Some(round_trip) = client.statistics().session.round_trip {
            println!("ping {round_trip:?}");
        }
    }
}
