//! Bridges that come, change and go while the broker runs, and those that cannot be.

use std::process::Command;
use std::thread;
use std::time::Duration;

use skein_client::QoS;

use crate::broker::{Broker, Kind, PATIENCE, until};
use crate::restarts::{assert_all_came, publish_all};

/// The two clients of a bridge are replaced under load, by ones that know nothing of what was on its
/// way: as after a restart, the brokers' sessions are all that is left.
pub(crate) fn changed_under_load(kind: Kind) {
    let remote = Broker::remote(kind);
    let keys = |prefix: &str, in_flight: u16| {
        let topics = format!(
            "in_flight_max = {in_flight}\ntopics = [{{ filter = \"out/#\", direction = \"out\", \
             qos = 2, remote_prefix = \"{prefix}\" }}]"
        );
        remote.bridge("b", &topics)
    };
    let local = Broker::skein(&keys("x/", 20));
    local.await_state("b", "1");
    let there = remote.client("there");
    let messages = remote.listen(&there, "x/#");
    let here = local.client("here");
    let load = thread::spawn(move || publish_all(&here, "out/"));
    for in_flight in [30, 40, 50] {
        thread::sleep(Duration::from_millis(150));
        local.configure(&keys("x/", in_flight));
        local.signal("-HUP");
    }
    load.join().expect("everything was published");
    assert_all_came(&messages);
}

/// A bridge has another name and the client identifier that it had: its sessions, and what waits in them,
/// are those of the new one.
pub(crate) fn renamed(_: Kind) {
    let remote = Broker::remote(Kind::Skein);
    let section = |name: &str| {
        let topics = "topics = [{ filter = \"out/#\", direction = \"out\", qos = 2 }]";
        remote.bridge("b", topics).replace("[bridge.b]", &format!("[bridge.{name}]"))
    };
    let local = Broker::skein(&section("one"));
    local.await_state("one", "1");
    let there = remote.client("there");
    let messages = remote.listen(&there, "out/#");
    let here = local.client("here");
    let load = thread::spawn(move || publish_all(&here, "out/"));
    for name in ["two", "three", "one"] {
        thread::sleep(Duration::from_millis(150));
        local.configure(&section(name));
        local.signal("-HUP");
    }
    load.join().expect("everything was published");
    assert_all_came(&messages);
}

pub(crate) fn reload(_: Kind) {
    let (first, second) = (Broker::remote(Kind::Skein), Broker::remote(Kind::Skein));
    let topics = |filter: &str| format!("topics = [{{ filter = \"{filter}\", qos = 1 }}]");
    let stays = first.bridge("stays", &topics("a/#"));
    let local = Broker::skein(&stays);
    local.await_state("stays", "1");
    let watcher = first.client("watcher");
    let states = first.listen(&watcher, "$SYS/broker/connection/stays/state");
    assert_eq!(states.receive_for(PATIENCE).expect("its state").payload().as_ref(), b"1");

    local.configure(&format!("{stays}{}", second.bridge("comes", &topics("b/#"))));
    local.signal("-HUP");
    local.await_state("comes", "1");
    let there = second.client("there");
    let messages = second.listen(&there, "#");
    let here = local.client("here");
    let publish = |topic: &'static str| {
        here.publish(topic, "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
    };
    publish("b/1");
    assert_eq!(messages.receive_for(PATIENCE).expect("it is bridged").topic(), "b/1");

    // Other topics: the old ones go there no longer.
    local.configure(&format!("{stays}{}", second.bridge("comes", &topics("c/#"))));
    local.signal("-HUP");
    until("the other topics go there", || {
        publish("c/1");
        messages.receive_for(Duration::from_millis(100)).is_some()
    });
    publish("b/2");
    publish("c/2");
    let mut topics_seen = Vec::new();
    while let Some(message) = messages.receive_for(Duration::from_millis(300)) {
        topics_seen.push(message.topic().to_owned());
    }
    assert!(topics_seen.contains(&"c/2".to_owned()), "{topics_seen:?}");
    assert!(!topics_seen.contains(&"b/2".to_owned()), "{topics_seen:?}");

    local.configure(&stays);
    local.signal("-HUP");
    local.await_state("comes", "0");
    publish("c/3");
    assert!(messages.receive_for(Duration::from_millis(500)).is_none(), "it is gone");
    assert!(states.try_receive().is_none(), "the other one was never disturbed");
}

pub(crate) fn wrong(_: Kind) {
    let broker = Broker::new(Kind::Skein);
    let check = |more: &str| {
        broker.configure(more);
        let file = broker.path("skein.toml");
        let output = Command::new(crate::skein()).arg("serve").arg("--config").arg(file).output();
        let output = output.expect("the program is there");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let topics = "topics = [{ filter = \"a\" }]";
    let long = broker.path("long");
    std::fs::write(&long, "x".repeat(70_000)).expect("room for a line");
    let long = format!("addresses = [\"a\"]\npassword_file = {long:?}");
    for (keys, words) in [
        (&*long, "skein.toml:6: bridge \"b\": password_file: it is longer than 65,535 bytes"),
        (
            "addresses = [\"a\"]\nuser = \"a\\u0000\"",
            "skein.toml:6: bridge \"b\": user: it has a character U+0000",
        ),
        ("adresses = [\"a\"]", "skein.toml:5: unknown key \"adresses\" in [bridge.NAME]"),
        ("addresses = [\"ftp://a\"]", "skein.toml:5: bridge \"b\": addresses"),
        (
            "addresses = [\"a\"]\npassword_file = \"/nowhere\"",
            "skein.toml:6: bridge \"b\": password_file",
        ),
        ("addresses = [\"a\"]\ntls = { ca = \"/nowhere\" }", "skein.toml"),
    ] {
        let said = check(&format!("[bridge.b]\n{keys}\n{topics}\n"));
        assert!(said.contains(words), "{said}");
    }
}
