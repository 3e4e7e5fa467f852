//! Nothing is lost, and QoS 2 comes once, while a broker ends and starts again under load.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use skein_client::{Client, QoS, Subscription};

use crate::broker::{Broker, Kind, PATIENCE};

/// How many messages of each QoS.
pub(crate) const MESSAGES: usize = 2_000;

/// Publishes numbered messages of QoS 1 and 2 in turn, a little at a time, below these topics.
pub(crate) fn publish_all(client: &Client, prefix: &str) {
    let mut tickets = Vec::new();
    for number in 0..MESSAGES {
        for (name, qos) in [("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce)] {
            let publishing = client.publish(format!("{prefix}{name}"), number.to_string());
            tickets.push(publishing.qos(qos).send().expect("there is room"));
        }
        if number % 10 == 0 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    for mut ticket in tickets {
        ticket.wait_for(PATIENCE).expect("it is acknowledged");
    }
}

/// Checks that every number has come, those of QoS 2 once.
pub(crate) fn assert_all_came(messages: &Subscription) {
    let mut came: BTreeMap<(String, usize), usize> = BTreeMap::new();
    let deadline = Instant::now() + 3 * PATIENCE;
    let mut last = Instant::now();
    while came.len() < 2 * MESSAGES || last.elapsed() < Duration::from_secs(1) {
        assert!(Instant::now() < deadline, "{} of {} have come", came.len(), 2 * MESSAGES);
        let Some(message) = messages.receive_for(Duration::from_millis(100)) else { continue };
        last = Instant::now();
        let number = message.text().ok().and_then(|text| text.parse().ok()).expect("a number");
        *came.entry((message.topic().to_owned(), number)).or_default() += 1;
    }
    let twice = came.iter().filter(|((topic, _), count)| topic.ends_with('2') && **count > 1);
    assert_eq!(twice.count(), 0, "QoS 2 comes once");
}

const TOPICS: &str = "topics = [{ filter = \"out/#\", direction = \"out\", qos = 2 }, \
                      { filter = \"in/#\", direction = \"in\", qos = 2 }]";

pub(crate) fn outward(kind: Kind) {
    let mut remote = Broker::remote(kind);
    let local = Broker::skein(&remote.bridge("b", TOPICS));
    local.await_state("b", "1");
    let there = remote.client("there");
    let messages = remote.listen(&there, "out/#");
    let here = local.client("here");
    let load = thread::spawn(move || publish_all(&here, "out/"));
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(150));
        remote.stop();
        thread::sleep(Duration::from_millis(100));
        remote.start();
    }
    load.join().expect("everything was published");
    assert_all_came(&messages);
}

pub(crate) fn inward(kind: Kind) {
    let mut remote = Broker::remote(kind);
    let local = Broker::skein(&remote.bridge("b", TOPICS));
    local.await_state("b", "1");
    let here = local.client("here");
    let messages = local.listen(&here, "in/#");
    let there = remote.client("there");
    let load = thread::spawn(move || publish_all(&there, "in/"));
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(150));
        remote.stop();
        thread::sleep(Duration::from_millis(100));
        remote.start();
    }
    load.join().expect("everything was published");
    assert_all_came(&messages);
}

/// Our own broker is away while the other one is published to: what waits there comes once it is back,
/// after everything that was on its way when it ended.
pub(crate) fn own(kind: Kind) {
    let remote = Broker::remote(kind);
    let mut local = Broker::skein(&remote.bridge("b", TOPICS));
    local.await_state("b", "1");
    local.stop();
    publish_all(&remote.client("there"), "in/");
    // The next process subscribes before the bridge brings anything: it is told of the bridge later.
    local.configure("");
    local.start();
    let here = local.client("here");
    let messages = local.listen(&here, "in/#");
    local.configure(&remote.bridge("b", TOPICS));
    local.signal("-HUP");
    assert_all_came(&messages);
}
