//! Another broker that a test plays: what it hears, and what becomes of it when it refuses or is slow.

use std::thread;
use std::time::Duration;

use skein_client::QoS;
use skein_protocol::{Ack, Packet, ReasonCode};

use crate::broker::{Broker, Kind, until};
use crate::peer::Peer;

const TOPICS: &str = "topics = [{ filter = \"a/#\", direction = \"out\", qos = 1 }]";

/// One message that the other broker has no room for.
pub(crate) fn no_room(_: Kind) {
    let mut refusals = 0;
    let peer = Peer::new(move |packet| {
        let Packet::Publish(publish) = packet else { return None };
        refusals += usize::from(publish.packet_id.is_some());
        let reason = if refusals > 2 { ReasonCode::Success } else { ReasonCode::QuotaExceeded };
        Some(vec![Packet::PubAck(Ack::with_reason(publish.packet_id?, reason))])
    });
    let local = Broker::skein(&peer.bridge(TOPICS));
    local.await_state("b", "1");
    local.client("here").publish("a/b", "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
    let sent = || peer.heard("PUBLISH topic=\"a/b\"").len();
    until("it is sent", || sent() > 0);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(sent(), 1, "the broker is asked again after half a second, and not before");
    until("it is sent until there is room", || sent() == 3);
}

/// Waits until the broker has said this about its bridge.
fn await_line(broker: &Broker, words: &str) {
    until(words, || broker.log().contains(&format!("bridge b: {words}")));
}

/// The other broker takes its time with a message; then the bridge has to say that it ends.
pub(crate) fn removed_while_busy(_: Kind) {
    let peer = Peer::new(|packet| {
        if let Packet::Publish(skein_protocol::Publish { packet_id: Some(_), .. }) = packet {
            thread::sleep(Duration::from_millis(500));
        }
        None
    });
    let local = Broker::skein(&peer.bridge(TOPICS));
    local.await_state("b", "1");
    local.client("here").publish("a/b", "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
    until("it is sent", || !peer.heard("PUBLISH topic=\"a/b\"").is_empty());
    local.configure("");
    local.signal("-HUP");
    await_line(&local, "removed");
    local.await_state("b", "0");
    until("the other one hears it as well", || {
        let heard = peer.heard("PUBLISH");
        let behind = heard.iter().skip_while(|line| !line.contains("a/b"));
        behind.skip(1).any(|line| line.contains("connection/b/state"))
    });
}

/// A bridge that is changed, and removed before it has gone over to that; the other way round it stays.
pub(crate) fn changed_and_removed(_: Kind) {
    for is_removed in [true, false] {
        // With a message that is not answered, the end takes its time.
        let peer = Peer::new(|packet| match packet {
            Packet::Publish(_) => Some(Vec::new()),
            _ => None,
        });
        let local = Broker::skein(&peer.bridge(TOPICS));
        local.await_state("b", "1");
        local.client("here").publish("a/b", "x").qos(QoS::AtLeastOnce).wait().expect("it is taken");
        until("it is sent", || !peer.heard("PUBLISH topic=\"a/b\"").is_empty());
        let (changed, removed) =
            (peer.bridge(&format!("keep_alive_s = 30\n{TOPICS}")), String::new());
        let mut steps = [("changed", changed), ("removed", removed)];
        if !is_removed {
            steps.reverse();
        }
        for (words, keys) in steps {
            local.configure(&keys);
            local.signal("-HUP");
            await_line(&local, words);
        }
        until("it leaves", || !peer.heard("DISCONNECT").is_empty());
        let last = peer.heard("DISCONNECT").remove(0);
        assert_eq!(last.contains("session_expiry_s=0"), is_removed, "{last}");
    }
}
