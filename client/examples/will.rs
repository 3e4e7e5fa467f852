//! Keeps a retained state "here", which becomes "gone" ten seconds after this was killed: time
//! enough to be started again without anybody noticing.
//!
//! `cargo run -p skein-client --example will -- mqtt://127.0.0.1`

use std::time::Duration;

use skein_client::{Client, QoS, Result, Will};

fn main() -> Result<()> {
    let server = std::env::args().nth(1).unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let gone = Will::new("demo/state", "gone").qos(QoS::AtLeastOnce).retain();
    let client = Client::builder(&server)
        .client_id("demo-will")
        .keep_session(Duration::from_secs(60))
        .will(gone.delay(Duration::from_secs(10)))
        .connect()?;
    client.publish("demo/state", "here").qos(QoS::AtLeastOnce).retain().wait()?;
    println!("kill me, and look at demo/state; Enter leaves in order");
    let _ = std::io::stdin().read_line(&mut String::new());
    client.publish("demo/state", "left").qos(QoS::AtLeastOnce).retain().wait()?;
    client.close()
}
