//! What goes over a bridge, and how it looks on the other side.

use std::time::Duration;

use skein_client::{Client, Publish, QoS, Received, Subscription};

use crate::broker::{Broker, Kind, PATIENCE};

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
/// How long a message may still come that must not.
const QUIET: Duration = Duration::from_millis(500);

/// Each topic of these is a bridge's own QoS, so that a message has the lower of the two.
fn topics() -> String {
    let topic = |direction: &str, qos: usize| {
        format!(
            "{{ filter = \"{qos}/#\", direction = \"{direction}\", qos = {qos}, \
             local_prefix = \"here/{direction}/\", remote_prefix = \"there/{direction}/\" }}"
        )
    };
    let all: Vec<String> =
        ["out", "in"].iter().flat_map(|way| (0..3).map(move |qos| topic(way, qos))).collect();
    format!("topics = [{}]", all.join(", "))
}

fn next(subscription: &Subscription) -> Received {
    subscription.receive_for(PATIENCE).expect("a message comes")
}

fn publish(client: &Client, publish: Publish) {
    client.publish_message(publish).wait().expect("the broker takes it");
}

fn carries(kind: Kind, keys: &str) {
    let remote = Broker::remote(kind);
    let local = Broker::skein(&remote.bridge("b", &format!("{keys}\n{}", topics())));
    local.await_state("b", "1");
    let (here, there) = (local.client("here"), remote.client("there"));
    let arrived_there = remote.listen(&there, "there/#");
    let arrived_here = local.listen(&here, "here/in/#");
    for qos in QOS {
        for highest in QOS {
            let level = highest as u8;
            let text = format!("{qos}{highest}");
            publish(&here, Publish::new(format!("here/out/{level}/a/b"), text.clone()).qos(qos));
            let message = next(&arrived_there);
            assert_eq!(message.topic(), format!("there/out/{level}/a/b"));
            assert_eq!(message.payload().as_ref(), text.as_bytes());
            assert_eq!(message.qos(), qos.min(highest), "{qos} over {highest}");
            publish(&there, Publish::new(format!("there/in/{level}/c"), text.clone()).qos(qos));
            // The client sees what it has published there itself, as well.
            assert_eq!(next(&arrived_there).topic(), format!("there/in/{level}/c"));
            let message = next(&arrived_here);
            assert_eq!(message.topic(), format!("here/in/{level}/c"));
            assert_eq!(message.payload().as_ref(), text.as_bytes());
            assert_eq!(message.qos(), qos.min(highest), "{qos} over {highest}");
        }
    }
    publish(&here, Publish::new("elsewhere/out/0/a", "x"));
    publish(&there, Publish::new("there/in/3/a", "x"));
    assert_eq!(next(&arrived_there).topic(), "there/in/3/a");
    assert!(arrived_there.receive_for(QUIET).is_none() && arrived_here.try_receive().is_none());
}

pub(crate) fn both_directions(kind: Kind) {
    carries(kind, "");
}

pub(crate) fn before_v5(kind: Kind) {
    carries(kind, "version = \"3.1.1\"");
}

/// Retained at one broker is retained at the other, and a message of one's own properties has them.
pub(crate) fn retained(kind: Kind) {
    let remote = Broker::remote(kind);
    let there = remote.client("there");
    publish(&there, Publish::new("r/in", "old").qos(QoS::AtLeastOnce).retain());
    let topics = "topics = [{ filter = \"r/in\", direction = \"in\", qos = 1 }, \
                  { filter = \"r/out\", direction = \"out\", qos = 1 }]";
    let local = Broker::skein(&remote.bridge("b", topics));
    local.await_state("b", "1");
    let here = local.client("here");
    let first = next(&local.listen(&here, "r/in"));
    assert_eq!((first.payload().as_ref(), first.is_retained()), (&b"old"[..], true));
    let out =
        Publish::new("r/out", "new").qos(QoS::AtLeastOnce).retain().content_type("text/plain");
    publish(&here, out.user_property("k", "v"));
    crate::broker::until("it is retained there", || {
        let late = remote.client("late");
        let found = remote.listen(&late, "r/out").receive_for(Duration::from_millis(200));
        found.is_some_and(|it| it.is_retained() && it.content_type() == Some("text/plain"))
    });
    // An empty one deletes the retained message, on both sides.
    publish(&there, Publish::new("r/in", "").qos(QoS::AtLeastOnce).retain());
    crate::broker::until("it is deleted here", || {
        let late = local.client("late");
        local.listen(&late, "r/in").receive_for(Duration::from_millis(200)).is_none()
    });
}

pub(crate) fn state(kind: Kind) {
    let mut remote = Broker::remote(kind);
    let topics = "topics = [{ filter = \"a\", direction = \"out\" }]";
    let mut local = Broker::skein(&remote.bridge("b", topics));
    local.await_state("b", "1");
    remote.await_state("b", "1");
    remote.stop();
    local.await_state("b", "0");
    remote.start();
    local.await_state("b", "1");
    remote.await_state("b", "1");
    local.stop();
    remote.await_state("b", "0");
    local.start();
    remote.await_state("b", "1");
    // Nobody is left to say it: the will does.
    local.end("-KILL");
    remote.await_state("b", "0");
}

pub(crate) fn addresses(_: Kind) {
    let nobody = Broker::new(Kind::Skein);
    let remote = Broker::remote(Kind::Skein);
    let keys = format!(
        "[bridge.b]\naddresses = [\"mqtt://127.0.0.1:{}\", \"mqtt://127.0.0.1:{}\"]\n\
         topics = [{{ filter = \"a\" }}]\n",
        nobody.port, remote.port
    );
    Broker::skein(&keys).await_state("b", "1");
}

/// What Mosquitto does where nothing is set: it asks for the private version of 3.1.1, is refused in a
/// way that it understands, and asks again without.
pub(crate) fn of_mosquitto(kind: Kind) {
    let skein = Broker::skein("");
    let mut mosquitto = Broker::new(kind);
    let port = skein.port;
    mosquitto.configure(&format!(
        "connection m\naddress 127.0.0.1:{port}\nremote_clientid m\ntopic a/# both 1\n\
         restart_timeout 1\n"
    ));
    mosquitto.start();
    skein.await_state("m", "1");
    let (here, there) = (skein.client("here"), mosquitto.client("there"));
    let (at_skein, at_mosquitto) = (skein.listen(&here, "a/#"), mosquitto.listen(&there, "a/#"));
    for client in [&here, &there] {
        publish(client, Publish::new("a/b", "x").qos(QoS::AtLeastOnce));
        assert_eq!(next(&at_skein).topic(), "a/b");
        assert_eq!(next(&at_mosquitto).topic(), "a/b");
    }
}

/// The block of a bridge as it stands in Mosquitto's own configuration.
pub(crate) fn configured(kind: Kind) {
    let remote = Broker::remote(kind);
    let mut local = Broker::new(Kind::Skein);
    let (own, port) = (local.port, remote.port);
    local.run_mosquitto_conf(&format!(
        "listener {own} 127.0.0.1\nallow_anonymous true\nconnection m\naddress 127.0.0.1:{port}\n\
         remote_clientid m\nrestart_timeout 1\ntopic a/# both 2 here/ there/\n"
    ));
    local.await_state("m", "1");
    let (here, there) = (local.client("here"), remote.client("there"));
    let at_skein = local.listen(&here, "here/#");
    let at_mosquitto = remote.listen(&there, "there/#");
    for (client, topic) in [(&here, "here/a/b"), (&there, "there/a/b")] {
        publish(client, Publish::new(topic, "x").qos(QoS::ExactlyOnce));
        assert_eq!(next(&at_skein).topic(), "here/a/b");
        assert_eq!(next(&at_mosquitto).topic(), "there/a/b");
    }
    assert!(at_skein.receive_for(QUIET).is_none() && at_mosquitto.try_receive().is_none());
}
