//! A chat: what is typed goes to everybody in the room.
//!
//! `cargo run -p skein-client --example chat -- mqtt://127.0.0.1 ROOM NAME`

use std::io::stdin;

use skein_client::{Client, QoS, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let room = arguments.next().unwrap_or_else(|| "lobby".into());
    let name = arguments.next().unwrap_or_else(|| "somebody".into());
    let client = Client::connect(&server)?;
    let show = |cx: &skein_client::Context| {
        println!("{}: {}", &cx["name"], String::from_utf8_lossy(cx.payload()));
    };
    let route = client.on(&format!("chat/{room}/{{name}}"), show).qos(QoS::AtLeastOnce);
    let route = route.no_local().wait()?;
    let topic = format!("chat/{room}/{name}");
    for line in stdin().lines().map_while(Result::ok) {
        client.publish(topic.as_str(), line).qos(QoS::AtLeastOnce).wait()?;
    }
    route.cancel();
    client.close()
}
