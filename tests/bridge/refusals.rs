//! Another broker that refuses, or does not answer.

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
        Some(Packet::PubAck(Ack::with_reason(publish.packet_id?, reason)))
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
