//! Connects, says what the server is like, and leaves.
//!
//! `cargo run -p skein-client --example connect -- mqtt://127.0.0.1`

use skein_client::{Client, Result};

fn main() -> Result<()> {
    let server = std::env::args().nth(1).unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let client = Client::builder(&server)
        .on_event(|event| println!("{event:?}"))
        .tap(|direction, packet| println!("{direction} {packet}"))
        .connect()?;
    println!("connected as {:?}", client.client_id());
    client.close()
}
