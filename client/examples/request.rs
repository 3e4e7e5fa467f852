//! A service that adds numbers, and who asks it.
//!
//! `cargo run -p skein-client --example request -- mqtt://127.0.0.1 1 2 3`

use std::time::Duration;

use skein_client::{Client, Context, QoS, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let numbers: Vec<String> = arguments.collect();
    let service = Client::connect(&server)?;
    let add = |cx: &Context| {
        let text = cx.text().unwrap_or_default();
        let sum: i64 = text.split(' ').filter_map(|number| number.parse::<i64>().ok()).sum();
        if let Err(error) = cx.reply(sum.to_string()) {
            eprintln!("cannot answer: {error}");
        }
    };
    drop(service.on("demo/add", add).qos(QoS::AtLeastOnce).wait()?);
    let client = Client::connect(&server)?;
    let request = client.request("demo/add", numbers.join(" ")).qos(QoS::AtLeastOnce);
    let response = request.timeout(Duration::from_secs(5)).wait()?;
    println!("{}", String::from_utf8_lossy(response.payload()));
    client.close()
}
