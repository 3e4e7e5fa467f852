//! Bridges by TLS, and what they may do in their own broker.

use std::fs;
use std::time::Duration;

use skein_client::{QoS, Subscription};
use skein_test_authority::Certificates;

use crate::broker::{Broker, Kind, PATIENCE, free_port, until};

const TOPICS: &str = "topics = [{ filter = \"out/#\", direction = \"out\", qos = 1 }, \
                      { filter = \"in/#\", direction = \"in\", qos = 1 }]";

/// A broker with a listener that wants certificates, and its port.
fn strict(kind: Kind, files: &Certificates) -> (Broker, u16) {
    let (mut broker, port) = (Broker::new(kind), free_port());
    let [ca, certificate, key] =
        ["ca.pem", "localhost.pem", "localhost.key"].map(|name| files.text(name));
    broker.configure(&match kind {
        Kind::Skein => format!(
            "[[listener]]\naddress = \"127.0.0.1:{port}\"\n[listener.tls]\n\
             certificate = \"{certificate}\"\nkey = \"{key}\"\n\
             client_certificates = \"required\"\nclient_ca = \"{ca}\"\n"
        ),
        Kind::Mosquitto => format!(
            "listener {port} 127.0.0.1\ncafile {ca}\ncertfile {certificate}\nkeyfile {key}\n\
             require_certificate true\n"
        ),
    });
    broker.start();
    (broker, port)
}

/// The section of a bridge to such a listener.
fn section(port: u16, tls: &str) -> String {
    format!(
        "[bridge.b]\naddresses = [\"mqtts://127.0.0.1:{port}\"]\nclient_id = \"b\"\n\
         restart_min_ms = 50\nrestart_max_ms = 200\n{TOPICS}\n\
         tls = {{ server_name = \"localhost\", {tls} }}\n"
    )
}

fn next(messages: &Subscription) -> String {
    messages.receive_for(PATIENCE).expect("a message comes").topic().to_owned()
}

pub(crate) fn tls(kind: Kind) {
    let files = Certificates::new("bridge");
    let (remote, port) = strict(kind, &files);
    let [ca, certificate, key] =
        ["ca.pem", "bridge.pem", "bridge.key"].map(|name| files.text(name));
    let own = format!("certificate = \"{certificate}\", key = \"{key}\"");
    let local = Broker::skein(&section(port, &format!("ca = \"{ca}\", {own}")));
    local.await_state("b", "1");
    let (here, there) = (local.client("here"), remote.client("there"));
    let (at_home, away) = (local.listen(&here, "in/#"), remote.listen(&there, "out/#"));
    here.publish("out/a", "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
    there.publish("in/a", "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
    assert_eq!((next(&away), next(&at_home)), ("out/a".to_owned(), "in/a".to_owned()));

    // A broker that an authority vouches for whom nobody here knows is not connected to.
    let stranger = Certificates::new("bridge");
    let wrong = section(port, &format!("ca = \"{}\", {own}", stranger.text("ca.pem")));
    says(&wrong, &["bridge b: not connected: ", "certificate"]);
    // Neither is one that wants to know who the bridge is, where that is not told.
    says(&section(port, &format!("ca = \"{ca}\"")), &["bridge b: not connected: "]);
    // Nor one whose certificate is for another name.
    let named = section(port, &format!("ca = \"{ca}\", {own}")).replace("localhost", "hub.example");
    says(&named, &["bridge b: not connected: ", "certificate", "hub.example"]);
}

/// A broker with this bridge says all of this in one line, and does not connect.
fn says(bridge: &str, words: &[&str]) {
    let broker = Broker::skein(bridge);
    until("it says why", || {
        broker.log().lines().any(|line| words.iter().all(|word| line.contains(word)))
    });
    assert!(!broker.log().contains("bridge b: connected"), "{}", broker.log());
}

/// What `local_user` may not publish or receive stays where it is, and holds nothing up.
pub(crate) fn rights(_: Kind) {
    let remote = Broker::remote(Kind::Skein);
    let local = Broker::new(Kind::Skein);
    let list = "topic readwrite #\ntopic read $SYS/#\n\
                user bridge\ntopic read out/open\ntopic write in/open\n\
                topic write $SYS/broker/connection/b/state\n";
    fs::write(local.path("acl"), list).expect("room for a file");
    let keys = format!("local_user = \"bridge\"\n{TOPICS}");
    let access = format!("[access]\nacl_file = \"{}\"\n", local.path("acl").display());
    local.configure(&format!("{access}{}", remote.bridge("b", &keys)));
    let mut local = local;
    local.start();
    local.await_state("b", "1");
    let (here, there) = (local.client("here"), remote.client("there"));
    let (at_home, away) = (local.listen(&here, "in/#"), remote.listen(&there, "out/#"));
    for name in ["secret", "open"] {
        for (client, way) in [(&here, "out"), (&there, "in")] {
            let topic = format!("{way}/{name}");
            client.publish(topic, "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
        }
    }
    assert_eq!((next(&away), next(&at_home)), ("out/open".to_owned(), "in/open".to_owned()));
    assert!(away.try_receive().is_none() && at_home.try_receive().is_none());
    assert!(local.log().contains("\"in/secret\" was left behind"), "{}", local.log());
}

/// With `clean_start`, what waits at the other broker is forgotten when this one starts.
pub(crate) fn clean_start(kind: Kind) {
    let remote = Broker::remote(kind);
    let mut local = Broker::skein(&remote.bridge("b", &format!("clean_start = true\n{TOPICS}")));
    local.await_state("b", "1");
    local.stop();
    let there = remote.client("there");
    there.publish("in/old", "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
    local.start();
    local.await_state("b", "1");
    let here = local.client("here");
    let at_home = local.listen(&here, "in/#");
    there.publish("in/new", "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
    assert_eq!(next(&at_home), "in/new");
    assert!(at_home.receive_for(Duration::from_millis(300)).is_none());
}
