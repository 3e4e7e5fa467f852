//! Publishes readings as JSON and reads them back, beside one that is none.
//!
//! `cargo run --release -p skein-client --features json --example json -- mqtt://127.0.0.1`

use serde::{Deserialize, Serialize};
use skein_client::{Client, QoS, Result, format};

#[derive(Debug, Deserialize, Serialize)]
struct Reading {
    room: String,
    celsius: f64,
}

fn main() -> Result<()> {
    let server = std::env::args().nth(1).unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let client = Client::connect(&server)?;
    let readings = client.subscribe("example/readings").qos(QoS::AtLeastOnce).wait()?;
    for (room, celsius) in [("hall", 21.5), ("cellar", 12.0)] {
        let reading = Reading { room: room.into(), celsius };
        client.publish_as("example/readings", format::JSON, &reading)?.wait()?;
    }
    let not_json = client.publish("example/readings", "warm").content_type(format::JSON);
    not_json.qos(QoS::AtLeastOnce).wait()?;
    for _ in 0..3 {
        let Some(message) = readings.receive()? else { break };
        match message.decode::<Reading>() {
            Ok(reading) => println!("{} {}", reading.room, reading.celsius),
            Err(error) => println!("{error}"),
        }
    }
    client.close()
}
