//! Prints the messages of a filter. Links may break and servers restart meanwhile.
//!
//! `cargo run -p skein-client --example subscribe -- mqtt://127.0.0.1 FILTER`

use skein_client::{Client, QoS, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let filter = arguments.next().unwrap_or_else(|| "demo/#".into());
    let client = Client::connect(&server)?;
    let messages = client.subscribe(&filter).qos(QoS::ExactlyOnce).wait()?;
    for message in messages.iter() {
        println!("{} {}", message.topic(), String::from_utf8_lossy(message.payload()));
    }
    Ok(())
}
