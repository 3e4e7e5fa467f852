//! Fifty thousand clients on one thread; each subscribes to a topic of its own and publishes to it
//! once. Then they stay for a moment, idle, and what they take in memory is told.
//!
//! `cargo run --release -p skein-client --example fifty_thousand -- mqtt://127.0.0.1 50000`
//!
//! Both ends need a descriptor for each client. The example takes as many as the system gives it;
//! where that is too few (`ulimit -Hn`), it says so and goes on with fewer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use skein_client::reactor::{Happening, Reactor, Seat};
use skein_client::session::{Event, Outcome, Subscribe};
use skein_client::transport::{Address, Dial};
use skein_client::{Options, Publish, QoS, ReasonCode, Result, SubscriptionOptions};

/// One address of this machine has some 28,000 ports; the system looks long for the last ones.
const CLIENTS_OF_ADDRESS: usize = 10_000;
/// What the process has open besides.
const OTHER_FILES: usize = 64;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "mqtt://127.0.0.1".into());
    let wanted = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(50_000);
    let count = wanted.min(open_files().saturating_sub(OTHER_FILES));
    if count < wanted {
        println!("this process may have {count} clients, not {wanted}: see `ulimit -Hn`");
    }
    let before = resident_kib();
    let mut reactor = Reactor::new()?;
    let is_local = Address::parse(&server)?.host.starts_with("127.");
    for number in 0..count {
        let client_id = format!("fifty-{}-{number}", std::process::id());
        let options = Options { client_id, ..Options::new([server.as_str()]) };
        if is_local {
            reactor.add_with_dialer(options, Arc::new(dial_from(number)))?;
        } else {
            reactor.add(options)?;
        }
    }
    run(&mut reactor, count, before)
}

fn run(reactor: &mut Reactor, count: usize, before: usize) -> Result<()> {
    let (started, mut connected, mut heard) = (Instant::now(), 0, 0);
    let mut handle = |seat: &mut Seat<'_>, happening| match happening {
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
                let bytes = resident_kib().saturating_sub(before) * 1024;
                println!("{} bytes of this process for each client", bytes / count);
            }
        }
        Happening::Event(Event::Failed { why, .. }) => eprintln!("{why}"),
        _ => {}
    };
    let mut last = started;
    while last.elapsed() < Duration::from_secs(5) {
        reactor.turn(Some(Duration::from_secs(1)), &mut |seat: &mut Seat<'_>, happening| {
            last = Instant::now();
            handle(seat, happening);
        })?;
    }
    let ids: Vec<_> = reactor.ids().collect();
    for id in ids {
        if let Some(mut seat) = reactor.seat(id) {
            seat.close(Duration::from_secs(5));
        }
    }
    reactor.run(handle)?;
    reactor.linger();
    Ok(())
}

/// Opens links from another address of this machine for each 10,000 clients, and from others than
/// another process of this example.
fn dial_from(number: usize) -> Dial {
    let [.., second, third] = std::process::id().to_be_bytes();
    let host = u8::try_from(1 + number / CLIENTS_OF_ADDRESS).unwrap_or(1);
    Dial::default().bind(IpAddr::V4(Ipv4Addr::new(127, second, third, host)))
}

/// How many files the process may have open, after asking for as many as it may ask for.
fn open_files() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What the system refuses is seen in what it says next.
    let _ = setrlimit(Resource::Nofile, limit);
    let current = getrlimit(Resource::Nofile).current;
    current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

/// The memory of this process, in KiB; 0 where nobody tells.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
