//! CONNECT and what may come before it (3.1).

use skein_protocol::{Packet, Version};

use crate::{
    broker::Broker,
    packets::{lasting, publish, subscribe, v3, v5, with_keep_alive, with_packet_bytes_max},
};

/// [MQTT-3.1.0-1]
#[test]
fn the_first_packet_is_connect() {
    let mut broker = Broker::new(1);
    let peer = broker.open(0);
    broker.send(peer, publish(0, "a", "x"));
    broker.expect_nothing(peer);
    assert!(broker.is_closed(peer));
}

/// [MQTT-3.1.0-2]
#[test]
fn a_second_connect_ends_the_connection() {
    let mut broker = Broker::new(1);
    let peer = broker.connect(0, v5("client"));
    broker.ask(peer, Packet::Connect(v5("client")), ["DISCONNECT 0x82"]);
    assert!(broker.is_closed(peer));
    broker.expect_empty();
}

#[test]
fn a_socket_that_says_nothing_is_closed_after_connect_timeout_ms() {
    let mut broker = Broker::new(1);
    let peer = broker.open(0);
    broker.wait_ms(9_999);
    assert!(!broker.is_closed(peer));
    broker.wait_ms(1);
    assert!(broker.is_closed(peer));
    broker.expect_empty();
}

/// [MQTT-3.1.3-8] of 3.1.1; [MQTT-3.1.3-6]
#[test]
fn an_empty_client_id_is_assigned_where_the_version_allows_it() {
    let mut broker = Broker::new(3);
    for (connect, answer) in [
        (v5(""), "CONNACK 0x00"),
        (lasting("", 60), "CONNACK 0x00"),
        (v3("", true), "CONNACK 0x00"),
        (v3("", false), "CONNACK 0x85"),
    ] {
        let peer = broker.dial(1, connect);
        broker.expect(peer, [answer]);
    }
    assert_eq!(broker.audit(1).sessions.len(), 3, "each id is another");
}

/// [MQTT-3.1.2-22]: one and a half keep-alive intervals.
#[test]
fn a_silent_client_is_closed_and_one_that_speaks_is_not() {
    let mut broker = Broker::new(1);
    let silent = broker.connect(0, with_keep_alive(v5("silent"), 10));
    let speaking = broker.connect(0, with_keep_alive(v5("speaking"), 10));
    broker.wait_ms(14_000);
    broker.ask(speaking, Packet::PingReq, ["PINGRESP"]);
    broker.wait_ms(999);
    assert!(!broker.is_closed(silent));
    broker.wait_ms(1);
    broker.expect(silent, ["DISCONNECT 0x8D"]);
    broker.wait_ms(13_999);
    assert!(broker.is_closed(silent) && !broker.is_closed(speaking));
    broker.wait_ms(1);
    assert!(broker.is_closed(speaking));
}

#[test]
fn without_a_keep_alive_nobody_is_too_silent() {
    let mut broker = Broker::new(1);
    let peer = broker.connect(0, v5("client"));
    broker.wait_ms(100_000_000);
    assert!(!broker.is_closed(peer));
}

/// [MQTT-3.1.2-24]: a refusal too keeps to the client's Maximum Packet Size.
#[test]
fn a_connack_is_never_longer_than_the_client_takes() {
    let mut broker = Broker::new(1);
    let peer = broker.dial(0, with_packet_bytes_max(v5("client"), 5));
    broker.expect(peer, ["CONNACK 0x95"]);
    assert!(broker.is_closed(peer));
}

/// [MQTT-3.1.2-24]
#[test]
fn a_suback_longer_than_the_client_takes_ends_the_connection() {
    let mut broker = Broker::new(2);
    let peer = broker.connect(0, with_packet_bytes_max(v5("client"), 40));
    let filters: Vec<String> = (0..50).map(|number| format!("a/{number}")).collect();
    broker.ask(peer, crate::packets::subscribe_all(1, &filters), ["DISCONNECT 0x95"]);
    assert!(broker.is_closed(peer));
}

#[test]
fn sessions_max_refuses_new_sessions_and_lets_old_ones_resume() {
    let mut broker = Broker::with(1, |settings| settings.limits.sessions_max = 1);
    let first = broker.connect(0, lasting("first", 60));
    let second = broker.dial(0, v5("second"));
    broker.expect(second, ["CONNACK 0x97"]);
    broker.cut(first);
    let first = broker.dial(0, lasting("first", 60));
    broker.expect(first, ["CONNACK present 0x00"]);
    assert_eq!(broker.audit(0).registered, 1, "the refused one is not registered");
}

/// A 3.1.1 client is closed without a word where MQTT 5 is told why.
#[test]
fn before_5_there_is_no_disconnect_from_the_server() {
    let mut broker = Broker::new(1);
    let peer = broker.connect(0, v3("client", true));
    assert_eq!(broker.version(peer), Version::V3_1_1);
    broker.ask(peer, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    broker.shut_down();
    broker.expect_nothing(peer);
    assert!(broker.is_closed(peer));
}

/// [MQTT-3.14.0-1]: whoever has no CONNACK yet gets no DISCONNECT.
#[test]
fn at_shut_down_everybody_is_told_0x8b_and_nobody_comes_in() {
    let mut broker = Broker::new(2);
    let peer = broker.connect(0, v5("client"));
    let early = broker.open(0);
    broker.shut_down();
    broker.expect(peer, ["DISCONNECT 0x8B"]);
    broker.expect_nothing(early);
    let late = broker.open(1);
    assert!(broker.is_closed(early) && broker.is_closed(late));
    broker.expect_empty();
}
