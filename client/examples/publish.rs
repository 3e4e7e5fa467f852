//! Publishes its standard input, a message for each line, and waits for every acknowledgement.
//!
//! `cargo run -p skein-client --example publish -- mqtt://127.0.0.1 TOPIC < FILE`

use std::io::stdin;

use skein_client::{Client, QoS, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let topic = arguments.next().unwrap_or_else(|| "demo/lines".into());
    let client = Client::connect(&server)?;
    // Handed in one after the other, so that many are on their way at once.
    let mut tickets = Vec::new();
    for line in stdin().lines().map_while(Result::ok) {
        tickets.push(client.publish(topic.as_str(), line).qos(QoS::AtLeastOnce).send()?);
    }
    for ticket in tickets {
        ticket.wait()?;
    }
    client.close()
}
