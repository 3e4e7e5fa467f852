//! Wills are published once, in time, or not at all (3.1.2.5, 3.1.3.2.2).

use crate::{
    broker::{Broker, Peer},
    packets::{disconnect, lasting, subscribe, v5, with_keep_alive, with_will},
};

const WILL: &str = "PUBLISH will the will";

/// A broker with somebody who waits for wills on another shard.
fn broker() -> (Broker, Peer) {
    let mut broker = Broker::new(2);
    let heir = broker.connect(1, v5("heir"));
    broker.ask(heir, subscribe(1, "will", 0), ["SUBACK #1 0x00"]);
    (broker, heir)
}

/// [MQTT-3.1.2-8]
#[test]
fn a_lost_connection_publishes_its_will_at_once() {
    let (mut broker, heir) = broker();
    let peer = broker.connect(0, with_will(v5("client"), "will", None));
    broker.cut(peer);
    broker.expect(heir, [WILL]);
}

/// [MQTT-3.1.2-10], [MQTT-3.14.4-3]
#[test]
fn a_clean_disconnect_deletes_the_will_and_0x04_publishes_it() {
    let (mut broker, heir) = broker();
    let peer = broker.connect(0, with_will(lasting("client", 10), "will", Some(1)));
    broker.send(peer, disconnect(0, None));
    broker.wait_ms(20_000);
    broker.expect_nothing(heir);
    let peer = broker.connect(0, with_will(v5("client"), "will", None));
    broker.send(peer, disconnect(4, None));
    broker.expect(heir, [WILL]);
}

/// [MQTT-3.1.3-9]
#[test]
fn a_will_waits_for_its_delay() {
    let (mut broker, heir) = broker();
    let peer = broker.connect(0, with_will(lasting("client", 60), "will", Some(10)));
    broker.cut(peer);
    broker.wait_ms(9_999);
    broker.expect_nothing(heir);
    broker.wait_ms(1);
    broker.expect(heir, [WILL]);
    broker.wait_ms(60_000);
    broker.expect_nothing(heir);
}

/// [MQTT-3.1.3-9]
#[test]
fn the_end_of_the_session_is_the_end_of_the_delay() {
    let (mut broker, heir) = broker();
    let peer = broker.connect(0, with_will(lasting("client", 10), "will", Some(60)));
    broker.cut(peer);
    broker.wait_ms(9_999);
    broker.expect_nothing(heir);
    broker.wait_ms(1);
    broker.expect(heir, [WILL]);
}

/// [MQTT-3.1.3-9]
#[test]
fn a_reconnect_before_the_delay_is_over_spares_the_will() {
    let (mut broker, heir) = broker();
    let peer = broker.connect(0, with_will(lasting("client", 60), "will", Some(10)));
    broker.cut(peer);
    broker.wait_ms(9_000);
    let peer = broker.connect(1, lasting("client", 60));
    broker.wait_ms(100_000);
    broker.cut(peer);
    broker.wait_ms(100_000);
    broker.expect_nothing(heir);
}

/// A clean start ends the session, and that publishes the will that waited.
#[test]
fn a_clean_start_over_a_session_publishes_its_pending_will_once() {
    let (mut broker, heir) = broker();
    let peer = broker.connect(0, with_will(lasting("client", 60), "will", Some(10)));
    broker.cut(peer);
    broker.expect_nothing(heir);
    let peer = broker.connect(1, v5("client"));
    broker.expect(heir, [WILL]);
    broker.cut(peer);
    broker.wait_ms(100_000);
    broker.expect_nothing(heir);
}

#[test]
fn a_takeover_publishes_a_will_without_delay_and_spares_one_with() {
    let (mut broker, heir) = broker();
    let first = broker.connect(0, with_will(lasting("client", 60), "will", None));
    let second = broker.connect(1, with_will(lasting("client", 60), "will", Some(10)));
    broker.expect(heir, [WILL]);
    let third = broker.connect(1, lasting("client", 60));
    broker.wait_ms(100_000);
    broker.expect_nothing(heir);
    assert!(broker.is_closed(first) && broker.is_closed(second) && !broker.is_closed(third));
}

#[test]
fn whoever_is_closed_by_the_broker_leaves_a_will() {
    let (mut broker, heir) = broker();
    let silent = with_keep_alive(with_will(v5("silent"), "will", None), 1);
    broker.connect(0, silent);
    broker.wait_ms(1_500);
    broker.expect(heir, [WILL]);
}

/// The expiry that DISCONNECT sets bounds the delay as well.
#[test]
fn disconnect_with_will_and_another_expiry_times_the_will_by_it() {
    let (mut broker, heir) = broker();
    let peer = broker.connect(0, with_will(lasting("client", 60), "will", Some(30)));
    broker.send(peer, disconnect(4, Some(5)));
    broker.wait_ms(4_999);
    broker.expect_nothing(heir);
    broker.wait_ms(1);
    broker.expect(heir, [WILL]);
    assert_eq!(broker.audit(0).sessions.len(), 0);
}

/// The will of a session that is subscribed to its topic itself, on its way out.
#[test]
fn a_will_for_oneself_leaves_nothing_behind() {
    let mut broker = Broker::new(2);
    let peer = broker.connect(0, with_will(lasting("client", 5), "will", Some(60)));
    broker.send(peer, subscribe(1, "will", 1));
    broker.send(peer, subscribe(2, "$share/g/will", 1));
    broker.cut(peer);
    broker.wait_ms(5_000);
    broker.expect_empty();
}
