//! Nothing is lost, and QoS 2 comes once, while a broker ends and starts again under load.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use skein_client::{Client, QoS, Subscription};

use crate::broker::{Broker, Kind, PATIENCE};
use crate::cutter::Cutter;

/// How many messages of each QoS.
pub(crate) const MESSAGES: usize = 2_000;
/// How often a broker ends.
const RESTARTS: usize = 3;

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

/// What has come, by topic and number, and how often. Waits until all have, and a little longer.
fn await_all(messages: &Subscription) -> BTreeMap<(String, usize), usize> {
    let mut came: BTreeMap<(String, usize), usize> = BTreeMap::new();
    let deadline = Instant::now() + 3 * PATIENCE;
    let mut last = Instant::now();
    while came.len() < 2 * MESSAGES || last.elapsed() < Duration::from_secs(1) {
        assert!(Instant::now() < deadline, "{} have not come", missing(&came));
        let Some(message) = messages.receive_for(Duration::from_millis(100)) else { continue };
        last = Instant::now();
        let number = message.text().ok().and_then(|text| text.parse().ok()).expect("a number");
        *came.entry((message.topic().to_owned(), number)).or_default() += 1;
    }
    came
}

/// Checks that every number has come, those of QoS 2 once.
pub(crate) fn assert_all_came(messages: &Subscription) {
    let came = await_all(messages);
    let is_twice = |topic: &str, count: usize| topic.ends_with('2') && count > 1;
    let twice: Vec<_> =
        came.iter().filter(|((topic, _), count)| is_twice(topic, **count)).collect();
    assert!(twice.is_empty(), "QoS 2 comes once: {twice:?}");
}

/// As [`assert_all_came`], of what another broker has brought over links that end at any time.
///
/// Mosquitto 2.0 sends messages again for which it has already sent PUBREL, against [MQTT-4.3.3-6]: after
/// its own end, and when a connection ends while it is being made, as it then takes a step back for the
/// second time. Nobody can tell those from new ones.
fn assert_all_came_from(kind: Kind, messages: &Subscription) {
    match kind {
        Kind::Skein => assert_all_came(messages),
        Kind::Mosquitto => drop(await_all(messages)),
    }
}

/// Which numbers have not come, for who looks for the reason.
fn missing(came: &BTreeMap<(String, usize), usize>) -> String {
    let gone = |name: &str| {
        let has =
            |number: usize| came.keys().any(|(topic, it)| topic.ends_with(name) && *it == number);
        (0..MESSAGES).filter(|number| !has(*number)).collect::<Vec<_>>()
    };
    let [once, exactly] = ["1", "2"].map(gone);
    format!("{once:?} of QoS 1 and {exactly:?} of QoS 2")
}

const TOPICS: &str = "topics = [{ filter = \"out/#\", direction = \"out\", qos = 2 }, \
                      { filter = \"in/#\", direction = \"in\", qos = 2 }]";
/// While the other broker is away, its messages wait in the bridge's session.
const ROOM: &str = "[limits]\nqueue_messages_max = 100000\n";

/// Ends and starts a broker some times, while there is load.
fn restart(broker: &mut Broker) {
    for _ in 0..RESTARTS {
        thread::sleep(Duration::from_millis(150));
        broker.stop();
        thread::sleep(Duration::from_millis(100));
        broker.start();
    }
}

pub(crate) fn outward(kind: Kind) {
    let mut remote = Broker::remote(kind);
    let local = Broker::skein(&format!("{ROOM}{}", remote.bridge("b", TOPICS)));
    local.await_state("b", "1");
    let there = remote.lasting_client("there");
    let messages = remote.listen(&there, "out/#");
    let here = local.lasting_client("here");
    let load = thread::spawn(move || publish_all(&here, "out/"));
    restart(&mut remote);
    load.join().expect("everything was published");
    assert_all_came(&messages);
}

pub(crate) fn inward(kind: Kind) {
    let mut remote = Broker::remote(kind);
    let local = Broker::skein(&remote.bridge("b", TOPICS));
    local.await_state("b", "1");
    let here = local.lasting_client("here");
    let messages = local.listen(&here, "in/#");
    let there = remote.lasting_client("there");
    let load = thread::spawn(move || publish_all(&there, "in/"));
    restart(&mut remote);
    load.join().expect("everything was published");
    assert_all_came_from(kind, &messages);
}

/// The link breaks again and again, under load in both directions.
pub(crate) fn broken_links(kind: Kind) {
    let remote = Broker::remote(kind);
    let cutter = Cutter::before(remote.port);
    let bridge =
        remote.bridge("b", TOPICS).replace(&remote.port.to_string(), &cutter.port.to_string());
    let local = Broker::skein(&format!("{ROOM}{bridge}"));
    local.await_state("b", "1");
    let (here, there) = (local.lasting_client("here"), remote.lasting_client("there"));
    let (inward, outward) = (local.listen(&here, "in/#"), remote.listen(&there, "out/#"));
    let load = [(local.lasting_client("out"), "out/"), (remote.lasting_client("in"), "in/")]
        .map(|(client, prefix)| thread::spawn(move || publish_all(&client, prefix)));
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(100));
        cutter.cut();
    }
    for load in load {
        load.join().expect("everything was published");
    }
    assert_all_came(&outward);
    assert_all_came_from(kind, &inward);
}

/// Our own broker is away while the other one is published to: what waits there comes once it is back.
pub(crate) fn own(kind: Kind) {
    let remote = Broker::remote(kind);
    let mut local = Broker::skein(&remote.bridge("b", TOPICS));
    local.await_state("b", "1");
    local.stop();
    publish_all(&remote.lasting_client("there"), "in/");
    // Somebody subscribes here before the bridge brings anything.
    local.configure("");
    local.start();
    let here = local.lasting_client("here");
    let messages = local.listen(&here, "in/#");
    local.configure(&remote.bridge("b", TOPICS));
    local.signal("-HUP");
    assert_all_came(&messages);
}

/// Which way messages go while our own broker ends and starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

/// Our own broker, which keeps what it has on the disk, ends and starts again under load.
fn restart_own(kind: Kind, way: Way, signal: &str) {
    let remote = Broker::remote(kind);
    let mut local = Broker::new(Kind::Skein);
    let store = format!("[store]\ndata_dir = \"{}\"\n", local.path("data").display());
    local.configure(&format!("{store}{ROOM}{}", remote.bridge("b", TOPICS)));
    local.start();
    local.await_state("b", "1");
    let (here, there) = (local.lasting_client("here"), remote.lasting_client("there"));
    let (messages, publisher, prefix) = match way {
        Way::Out => (remote.listen(&there, "out/#"), here, "out/"),
        Way::In => (local.listen(&here, "in/#"), there, "in/"),
    };
    let load = thread::spawn(move || {
        publish_all(&publisher, prefix);
        publisher
    });
    for _ in 0..RESTARTS {
        thread::sleep(Duration::from_millis(150));
        local.end(signal);
        thread::sleep(Duration::from_millis(100));
        local.start();
    }
    let _publisher = load.join().expect("everything was published");
    match way {
        Way::Out => assert_all_came(&messages),
        Way::In => assert_all_came_from(kind, &messages),
    }
}

pub(crate) fn own_outward(kind: Kind) {
    restart_own(kind, Way::Out, "-TERM");
}

pub(crate) fn own_inward(kind: Kind) {
    restart_own(kind, Way::In, "-TERM");
}

pub(crate) fn own_killed_outward(kind: Kind) {
    restart_own(kind, Way::Out, "-KILL");
}

pub(crate) fn own_killed_inward(kind: Kind) {
    restart_own(kind, Way::In, "-KILL");
}

/// The other broker is killed under load: one that keeps what it has acknowledged loses and doubles
/// nothing. Mosquitto writes its file now and then, and promises nothing then.
pub(crate) fn other_killed(kind: Kind) {
    let mut remote = Broker::remote(kind);
    let local = Broker::skein(&format!("{ROOM}{}", remote.bridge("b", TOPICS)));
    local.await_state("b", "1");
    let (here, there) = (local.lasting_client("here"), remote.lasting_client("there"));
    let (inward, outward) = (local.listen(&here, "in/#"), remote.listen(&there, "out/#"));
    let load = [(local.lasting_client("out"), "out/"), (remote.lasting_client("in"), "in/")]
        .map(|(client, prefix)| thread::spawn(move || publish_all(&client, prefix)));
    for _ in 0..RESTARTS {
        thread::sleep(Duration::from_millis(150));
        remote.end("-KILL");
        thread::sleep(Duration::from_millis(100));
        remote.start();
    }
    for load in load {
        load.join().expect("everything was published");
    }
    assert_all_came(&outward);
    assert_all_came(&inward);
}

/// What waits for a bridge is bounded by its own limits, and what does not fit is counted.
pub(crate) fn limits(_: Kind) {
    let mut remote = Broker::remote(Kind::Skein);
    let keys = "in_flight_max = 2\nqueue_messages_max = 5\n\
                topics = [{ filter = \"out/#\", qos = 1 }]";
    let local = Broker::skein(&remote.bridge("b", keys));
    local.await_state("b", "1");
    let (here, there) = (local.client("here"), remote.lasting_client("there"));
    let (own, away) = (local.listen(&here, "out/#"), remote.listen(&there, "out/#"));
    remote.stop();
    local.await_state("b", "0");
    for number in 0..20 {
        let publishing = here.publish("out/a", number.to_string()).qos(QoS::AtLeastOnce);
        publishing.wait().expect("it is taken");
    }
    remote.start();
    let numbers = |messages: &Subscription| {
        let texts = std::iter::from_fn(|| messages.receive_for(Duration::from_millis(500)));
        texts.map(|it| it.text().expect("a number").to_owned()).collect::<Vec<_>>()
    };
    local.await_state("b", "1");
    assert_eq!(
        numbers(&away),
        ["0", "1", "2", "3", "4", "5", "6"],
        "two on their way, five waited"
    );
    assert_eq!(numbers(&own).len(), 20, "it is the bridge's limit");
    local.signal("-USR1");
    crate::broker::until("they are counted", || local.log().contains("messages_dropped=13"));
}
