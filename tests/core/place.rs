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

/// [MQTT-3.1.4-3] Whichever comes first to the registrar, the one that was accepted last stays.
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
        if late == 1 {
            broker.expect(peers[0], ["DISCONNECT 0x8E"]);
            broker.expect(peers[1], ["CONNACK present 0x00"]);
        } else {
            broker.expect(peers[0], ["CONNACK 0x83"]);
            broker.expect_nothing(peers[1]);
        }
        assert!(broker.is_closed(peers[0]) && !broker.is_closed(peers[1]));
        assert_eq!((broker.shard_of(peers[1]), sessions(&broker)), (early, 1));
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

/// Connection A of a client leaves before its CONNACK, and B comes on another shard, gets there
/// first and goes on with the session.
fn overtake(broker: &mut Broker, name: &str) -> [crate::broker::Peer; 2] {
    let first = broker.connect(0, lasting(name, 5));
    broker.ask(first, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(first);
    broker.hold(1, 2);
    let older = broker.dial(1, v5(name));
    let newer = broker.dial(2, lasting(name, 5));
    broker.expect(newer, ["CONNACK present 0x00"]);
    [older, newer]
}

/// [MQTT-3.1.4-3], [MQTT-3.14.0-1] The older asks for a clean start, and its socket is not known to
/// be dead.
#[test]
fn a_connection_that_comes_after_a_newer_one_neither_ends_it_nor_its_session() {
    let (mut broker, name) = broker();
    let [older, newer] = overtake(&mut broker, &name);
    broker.release(1, 2);
    broker.expect(older, ["CONNACK 0x83"]);
    assert!(broker.is_closed(older) && !broker.is_closed(newer));
    assert_eq!(broker.metrics(0).connections_overtaken, 1);
    let publisher = broker.connect(1, v5("publisher"));
    broker.ask(publisher, publish(1, "a", "x"), ["PUBACK #1"]);
    broker.expect(newer, ["PUBLISH a x q1 #1"]);
}

#[test]
fn a_session_whose_newer_connection_has_gone_again_is_not_wiped_by_an_older_one() {
    let (mut broker, name) = broker();
    let [older, newer] = overtake(&mut broker, &name);
    broker.cut(newer);
    broker.release(1, 2);
    broker.expect(older, ["CONNACK 0x83"]);
    assert!(broker.is_closed(older));
    // The session took the grant of the refused one: its end is still known as the newest.
    let third = broker.dial(1, lasting(&name, 0));
    broker.expect(third, ["CONNACK present 0x00"]);
    broker.cut(third);
    broker.expect_empty();
}

#[test]
fn a_connection_that_comes_after_a_newer_one_whose_session_has_ended_is_accepted() {
    let (mut broker, name) = broker();
    let [older, newer] = overtake(&mut broker, &name);
    broker.cut(newer);
    broker.wait_ms(5_000);
    broker.release(1, 2);
    broker.expect(older, ["CONNACK 0x00"]);
    broker.cut(older);
    broker.expect_empty();
}

/// [MQTT-3.1.4-3] counts the CONNECTs, not the sockets: who opened its socket first and speaks much
/// later is the newer one.
#[test]
fn a_connection_that_was_silent_for_long_before_its_connect_is_not_an_older_one() {
    let (mut broker, name) = broker();
    let silent = broker.open(1);
    let first = broker.connect(0, lasting(&name, 60));
    broker.wait_ms(1_001);
    broker.send(silent, skein_protocol::Packet::Connect(lasting(&name, 60)));
    broker.expect(first, ["DISCONNECT 0x8E"]);
    broker.expect(silent, ["CONNACK present 0x00"]);
}

/// Its CONNECT may have waited unread while the other came.
#[test]
fn a_connection_whose_connect_is_read_soon_after_a_newer_one_is_older() {
    let (mut broker, name) = broker();
    let late = broker.open(1);
    let newer = broker.connect(0, lasting(&name, 60));
    broker.wait_ms(1_000);
    broker.send(late, skein_protocol::Packet::Connect(lasting(&name, 60)));
    broker.expect(late, ["CONNACK 0x83"]);
    assert!(broker.is_closed(late) && !broker.is_closed(newer));
}
