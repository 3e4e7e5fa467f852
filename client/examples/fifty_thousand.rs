//! Fifty thousand clients on one thread; each subscribes to a topic of its own and publishes to it
//! once. Both ends need as many descriptors: `ulimit -n 60000`.
//!
//! `cargo run --release -p skein-client --example fifty_thousand -- mqtt://127.0.0.1 50000`

use std::time::{Duration, Instant};

use skein_client::reactor::{Happening, Reactor};
use skein_client::session::{Event, Outcome, Subscribe};
use skein_client::{Options, Publish, QoS, ReasonCode, Result, SubscriptionOptions};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let count: usize = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(50_000);
    let mut reactor = Reactor::new()?;
    for number in 0..count {
        let client_id = format!("fifty-{number}");
        reactor.add(Options { client_id, ..Options::new([server.as_str()]) })?;
    }
    let (started, mut connected, mut heard) = (Instant::now(), 0, 0);
    reactor.run(|seat, happening| match happening {
        Happening::Event(Event::Connected { .. }) => {
            connected += 1;
            if connected == count {
                println!("{count} connected after {:?}", started.elapsed());
            }
            let topic = format!("fifty/{}", seat.session().client_id());
            let options = SubscriptionOptions::with_qos(QoS::AtLeastOnce);
            let _ = seat.subscribe(Subscribe::new(topic, options));
        }
        Happening::Completed(_, Ok(Outcome::Subscribed(_))) => {
            let topic = format!("fifty/{}", seat.session().client_id());
            let _ = seat.publish(Publish::new(topic, "x").qos(QoS::AtLeastOnce));
        }
        Happening::Message(message) => {
            if let Some(delivery) = message.delivery() {
                seat.acknowledge(delivery, ReasonCode::Success);
            }
            heard += 1;
            if heard == count {
                println!("{count} messages there and back after {:?}", started.elapsed());
            }
            seat.close(Duration::from_secs(5));
        }
        Happening::Event(Event::Failed { why, .. }) => eprintln!("{why}"),
        _ => {}
    })
}
