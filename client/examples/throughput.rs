//! How many messages a client publishes or receives in two seconds, and what each costs it.
//!
//! `cargo run --release -p skein-client --example throughput -- publish 1 mqtt://127.0.0.1`
//!
//! `publish` or `receive`, then the QoS. Whoever is to receive something needs a publisher beside it:
//! start `receive` first, then `publish` of the same QoS. QoS 1 has a hundred messages in flight.
//! The last line is what a comparison with another library wants: messages, seconds, seconds of
//! processor time. Messages have 64 bytes; MQTT is 3.1.1, which every library speaks.

use std::time::{Duration, Instant};

use skein_client::{Client, Overflow, QoS, Result, Ticket, Version};

const TOPIC: &str = "throughput";
const PAYLOAD: [u8; 64] = [b'x'; 64];
const IN_FLIGHT: u16 = 100;
const DURATION: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "publish".into());
    let qos = match arguments.next().as_deref() {
        None | Some("0") => QoS::AtMostOnce,
        Some("1") => QoS::AtLeastOnce,
        Some(_) => QoS::ExactlyOnce,
    };
    let server = arguments.next().unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let client = Client::builder(&server)
        .version(Version::V3_1_1)
        .options(|options| options.in_flight_max = IN_FLIGHT)
        .connect()?;
    match what.as_str() {
        "receive" => receive(&client, qos)?,
        _ => publish(&client, qos)?,
    }
    client.close()
}

fn publish(client: &Client, qos: QoS) -> Result<()> {
    let (started, spent) = (Instant::now(), processor_time());
    let mut count = 0_u64;
    let mut last: Option<Ticket<_>> = None;
    while started.elapsed() < DURATION {
        for _ in 0..100 {
            last = Some(client.publish(TOPIC, &PAYLOAD[..]).qos(qos).send()?);
        }
        count += 100;
    }
    // Acknowledgements come in order, so the last one is the last.
    last.map_or(Ok(()), |ticket| ticket.wait().map(drop))?;
    report(count, started.elapsed(), processor_time() - spent);
    Ok(())
}

fn receive(client: &Client, qos: QoS) -> Result<()> {
    let messages = client.subscribe(TOPIC).qos(qos).buffer(10_000, Overflow::Pause).wait()?;
    if messages.receive()?.is_none() {
        return Ok(());
    }
    let (started, spent) = (Instant::now(), processor_time());
    let mut count = 0;
    while started.elapsed() < DURATION && messages.receive_for(DURATION).is_some() {
        count += 1;
    }
    report(count, started.elapsed(), processor_time() - spent);
    Ok(())
}

fn report(count: u64, took: Duration, spent: Duration) {
    let per_message = spent.as_secs_f64() * 1e9 / count.max(1) as f64;
    println!(
        "{:.0} messages/s, {per_message:.0} ns of CPU each",
        count as f64 / took.as_secs_f64()
    );
    println!("{count} {:.3} {:.3}", took.as_secs_f64(), spent.as_secs_f64());
}

/// What all threads of this process have taken of the processor; nothing where nobody tells.
fn processor_time() -> Duration {
    /// Linux counts in hundredths of a second, on every machine.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in parentheses, and may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok());
    TICK * ticks.sum::<u32>()
}
