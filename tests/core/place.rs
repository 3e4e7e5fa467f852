//! Where a connection belongs (law 6): one home for each client id, whatever the lanes do.
//!
//! In these tests shard 2 is the registrar of the client id, so that every answer takes a lane.

use crate::{
    broker::Broker,
    packets::{lasting, publish, subscribe, v5},
};

/// Three shards, and a client id whose registrar is shard 2.
fn broker() -> (Broker, String) {
    let broker = Broker::new(3);
    let name = broker.name_on(2, "client");
    (broker, name)
}

fn sessions(broker: &Broker) -> usize {
    (0..3).map(|shard| broker.audit(shard).sessions.len()).sum()
}

fn registered(broker: &Broker) -> usize {
    (0..3).map(|shard| broker.audit(shard).registered).sum()
}

#[test]
fn law_6_a_new_client_stays_where_it_came_in() {
    for shard in 0..3 {
        let (mut broker, name) = broker();
        let peer = broker.connect(shard, v5(&name));
        assert_eq!(broker.shard_of(peer), shard);
        assert_eq!((sessions(&broker), registered(&broker)), (1, 1));
        broker.cut(peer);
        broker.expect_empty();
    }
}

#[test]
fn law_6_a_connection_moves_to_its_session_once_with_all_it_has_sent() {
    let (mut broker, name) = broker();
    let first = broker.connect(0, lasting(&name, 60));
    broker.ask(first, subscribe(1, "a", 0), ["SUBACK #1 0x00"]);
    broker.cut(first);

    let second = broker.open(1);
    broker.hold(1, 2);
    broker.send(second, skein_protocol::Packet::Connect(lasting(&name, 60)));
    broker.send(second, publish(0, "a", "sent before CONNACK"));
    broker.release(1, 2);
    assert_eq!(broker.shard_of(second), 0);
    broker.expect(second, ["CONNACK present 0x00", "PUBLISH a sent before CONNACK"]);
    assert_eq!((sessions(&broker), registered(&broker)), (1, 1));
}

/// [MQTT-3.1.4-3]
#[test]
fn two_connects_of_one_client_id_from_two_shards_make_one_session_in_either_order() {
    for (early, late) in [(0, 1), (1, 0)] {
        let (mut broker, name) = broker();
        broker.hold(0, 2);
        broker.hold(1, 2);
        let peers = [broker.dial(0, lasting(&name, 60)), broker.dial(1, lasting(&name, 60))];
        broker.release(early, 2);
        broker.expect(peers[early], ["CONNACK 0x00"]);
        broker.release(late, 2);
        broker.expect(peers[early], ["DISCONNECT 0x8E"]);
        broker.expect(peers[late], ["CONNACK present 0x00"]);
        assert!(broker.is_closed(peers[early]) && !broker.is_closed(peers[late]));
        assert_eq!((broker.shard_of(peers[late]), sessions(&broker)), (early, 1));
    }
}

/// Both were told before either moved.
#[test]
fn a_grant_and_a_move_that_cross_keep_the_order_of_the_registrar() {
    let (mut broker, name) = broker();
    broker.hold(2, 0);
    broker.hold(2, 1);
    let first = broker.dial(0, lasting(&name, 60));
    let second = broker.dial(1, lasting(&name, 60));
    // The second is sent on to shard 0 before the first knows of its grant.
    broker.release(2, 1);
    broker.expect_nothing(first);
    broker.release(2, 0);
    broker.expect(first, ["CONNACK 0x00", "DISCONNECT 0x8E"]);
    broker.expect(second, ["CONNACK present 0x00"]);
    assert_eq!((sessions(&broker), registered(&broker)), (1, 1));
}

#[test]
fn law_4_a_grant_for_a_connection_that_is_gone_is_given_back() {
    let (mut broker, name) = broker();
    broker.hold(2, 0);
    let peer = broker.dial(0, lasting(&name, 60));
    broker.cut(peer);
    broker.release(2, 0);
    assert_eq!(broker.metrics(0).late_replies, 1);
    broker.expect_empty();
}

/// The late end of the old session must not undo the newer grant.
#[test]
fn law_4_a_late_release_does_not_undo_a_newer_grant() {
    let (mut broker, name) = broker();
    let first = broker.connect(0, v5(&name));
    broker.hold(0, 2);
    broker.cut(first);
    // The registrar does not know yet; it sends the second to a home that has forgotten.
    let second = broker.dial(1, v5(&name));
    broker.expect(second, ["CONNACK 0x00"]);
    broker.release(0, 2);
    assert_eq!((sessions(&broker), registered(&broker)), (1, 1));
    let third = broker.dial(1, v5(&name));
    broker.expect(third, ["CONNACK 0x00"]);
    broker.expect(second, ["DISCONNECT 0x8E"]);
    broker.cut(third);
    broker.expect_empty();
}

/// The release arrives first, while the connection is on its way to the registrar.
#[test]
fn a_session_that_ends_while_a_connection_moves_leaves_it_a_new_home() {
    let (mut broker, name) = broker();
    let first = broker.connect(0, v5(&name));
    broker.hold(1, 2);
    let second = broker.dial(1, v5(&name));
    broker.step(1, 2);
    broker.settle();
    broker.cut(first);
    broker.release(1, 2);
    broker.expect(second, ["CONNACK 0x00"]);
    assert_eq!((sessions(&broker), registered(&broker)), (1, 1));
    broker.cut(second);
    broker.expect_empty();
}

#[test]
fn a_hand_over_whose_socket_is_lost_gives_its_grant_back() {
    let (mut broker, name) = broker();
    let first = broker.connect(0, lasting(&name, 60));
    broker.cut(first);
    broker.loses_sockets = true;
    broker.dial(1, lasting(&name, 60));
    broker.loses_sockets = false;
    assert_eq!((sessions(&broker), registered(&broker)), (1, 1));
    let third = broker.dial(2, lasting(&name, 60));
    broker.expect(third, ["CONNACK present 0x00"]);
}

/// On the second leg: granted, and the home has forgotten the session meanwhile.
#[test]
fn a_grant_whose_socket_and_session_are_both_lost_leaves_nothing() {
    let (mut broker, name) = broker();
    let first = broker.connect(0, v5(&name));
    broker.hold(2, 0);
    let second = broker.dial(1, v5(&name));
    broker.cut(first);
    broker.cut(second);
    broker.release(2, 0);
    broker.expect_empty();
}

#[test]
fn a_move_for_a_connection_that_is_gone_is_late() {
    let (mut broker, name) = broker();
    let first = broker.connect(0, v5(&name));
    broker.hold(2, 1);
    let second = broker.dial(1, v5(&name));
    broker.cut(second);
    broker.release(2, 1);
    assert_eq!(broker.metrics(1).late_replies, 1);
    assert!(!broker.is_closed(first));
    broker.cut(first);
    broker.expect_empty();
}

#[test]
fn two_connects_of_one_client_id_on_one_shard_are_established_in_order() {
    let (mut broker, name) = broker();
    broker.hold(0, 2);
    let first = broker.dial(0, lasting(&name, 60));
    let second = broker.dial(0, lasting(&name, 60));
    broker.release(0, 2);
    broker.expect(first, ["CONNACK 0x00", "DISCONNECT 0x8E"]);
    broker.expect(second, ["CONNACK present 0x00"]);
}

/// Law 8: `connect_timeout_ms` holds while the registrar is asked.
#[test]
fn a_connection_that_waits_too_long_for_its_grant_is_closed() {
    let (mut broker, name) = broker();
    broker.hold(0, 2);
    let peer = broker.dial(0, v5(&name));
    broker.wait_ms(10_001);
    assert!(broker.is_closed(peer));
    broker.release(0, 2);
    broker.expect_empty();
}

#[test]
fn a_connection_that_arrives_while_the_broker_stops_is_refused() {
    let (mut broker, name) = broker();
    let first = broker.connect(0, lasting(&name, 60));
    broker.cut(first);
    broker.hold(2, 0);
    let second = broker.dial(1, lasting(&name, 60));
    broker.shut_down();
    broker.release(2, 0);
    broker.expect(second, ["CONNACK 0x88"]);
    assert!(broker.is_closed(second));
    assert_eq!(sessions(&broker), 1);
}
