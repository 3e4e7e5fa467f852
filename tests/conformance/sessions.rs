//! Promises about sessions: how they begin, go on, are taken over and end.

use std::thread;
use std::time::Duration;

use skein_protocol::{
    Connect, ConnectProperties, Disconnect, DisconnectProperties, Packet, QoS, ReasonCode, Version,
};

use crate::harness::{
    Case, Peer, connect, disconnect, each_shard_count, each_shard_count_v5, each_version,
    persistent, publish, publish_as, unsubscribe,
};

fn leave_with_expiry(mut peer: Peer, session_expiry_s: u32) {
    let session_expiry_s = Some(session_expiry_s);
    let properties = DisconnectProperties { session_expiry_s, ..Default::default() };
    peer.send(&Disconnect { reason: ReasonCode::Success, properties });
    peer.expect_closed();
}

/// [MQTT-3.1.2-5], [MQTT-3.2.2-3], [MQTT-3.1.2-4 of 3.1.1], [MQTT-3.2.2-2 of 3.1.1]: subscriptions
/// and what waited for them are there again.
#[test]
fn a_session_is_resumed_with_its_subscriptions_and_messages() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let (mut peer, session_present) = case.resume(version, "peer");
        assert!(!session_present);
        peer.subscribe(&topic, QoS::ExactlyOnce);
        peer.leave();
        let mut other = case.connect(version, "other");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            other.publish(&topic, format!("offline {qos}").as_bytes(), qos);
        }
        let (mut peer, session_present) = case.resume(version, "peer");
        assert!(session_present);
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let message = peer.expect_message(&topic, format!("offline {qos}").as_bytes());
            assert_eq!((message.publish().qos, message.publish().dup), (qos, false));
            peer.acknowledge(&message);
        }
        other.publish(&topic, b"online", QoS::AtMostOnce);
        peer.expect_message(&topic, b"online");
        case.forget("peer");
    });
}

/// [MQTT-3.1.2-4], [MQTT-3.2.2-2], [MQTT-3.1.2-6 of 3.1.1], [MQTT-3.2.2-1 of 3.1.1]
#[test]
fn a_clean_start_ends_the_session_that_was() {
    each_shard_count(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("topic"));
        let (mut peer, _) = case.resume(version, "peer");
        peer.subscribe(&topic, QoS::AtLeastOnce);
        peer.leave();
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"for the one before", QoS::AtLeastOnce);
        let clean = Connect { clean_start: true, ..persistent(version, &client_id, 60) };
        let (mut peer, session_present) = case.connect_as(&clean);
        assert!(!session_present);
        other.publish(&topic, b"nobody asked", QoS::AtLeastOnce);
        peer.expect_nothing();
        case.forget("peer");
    });
}

/// [MQTT-3.1.2-6 of 3.1.1], 3.1.2.11.2: without an expiry the session ends with its connection.
#[test]
fn a_session_without_expiry_ends_with_its_connection() {
    each_shard_count(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("topic"));
        let mut peer = case.connect(version, "peer");
        peer.subscribe(&topic, QoS::AtLeastOnce);
        peer.leave();
        let again = Connect { clean_start: false, ..connect(version, &client_id) };
        let (peer, session_present) = case.connect_as(&again);
        assert!(!session_present);
        peer.leave();
        case.forget("peer");
    });
}

/// [MQTT-3.1.4-3], [MQTT-3.2.2-3], [MQTT-3.1.4-2 of 3.1.1]: the new connection has the session, the
/// old one hears why; what was on its way comes again.
#[test]
fn a_takeover_moves_the_session_to_the_new_connection() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let (mut old, _) = case.resume(version, "peer");
        old.subscribe(&topic, QoS::AtLeastOnce);
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"unacknowledged", QoS::AtLeastOnce);
        let first = old.expect_message(&topic, b"unacknowledged");
        let (mut new, session_present) = case.resume(version, "peer");
        assert!(session_present);
        let again = new.expect_message(&topic, b"unacknowledged");
        assert_eq!((again.id(), again.publish().dup), (first.id(), true));
        new.acknowledge(&again);
        old.expect_closed_with(0x8E);
        other.publish(&topic, b"next", QoS::AtLeastOnce);
        let next = new.expect_message(&topic, b"next");
        new.acknowledge(&next);
        new.expect_nothing();
        case.forget("peer");
    });
}

/// [MQTT-3.1.2-23], 3.14.2.2.2: shorter, down to none, and longer.
#[test]
fn disconnect_changes_the_session_expiry() {
    let case = Case::new();
    let mut watcher = case.connect(Version::V5, "watcher");
    watcher.subscribe(&case.name("will"), QoS::AtMostOnce);
    let start = |client: &str, expiry_s| {
        let client_id = case.name(client);
        case.connect_as(&persistent(Version::V5, &client_id, expiry_s)).0
    };
    leave_with_expiry(start("none", 60), 0);
    leave_with_expiry(start("shorter", 60), 1);
    leave_with_expiry(start("longer", 1), 60);
    start("as-it-was", 1).leave();
    let is_present = |client: &str| {
        let (peer, session_present) = case.resume(Version::V5, client);
        leave_with_expiry(peer, 0);
        session_present
    };
    assert!(!is_present("none"));
    thread::sleep(Duration::from_millis(1_200));
    assert!(!is_present("shorter"));
    assert!(!is_present("as-it-was"));
    assert!(is_present("longer"));
}

/// 3.1.2.11.2: 0xFFFFFFFF is for ever, and the clock starts anew with each connection's end.
#[test]
fn a_resume_before_the_expiry_stops_its_clock() {
    let case = Case::new();
    let client_id = case.name("peer");
    let brief = persistent(Version::V5, &client_id, 1);
    let (peer, _) = case.connect_as(&brief);
    peer.leave();
    thread::sleep(Duration::from_millis(600));
    let (mut peer, session_present) = case.connect_as(&brief);
    assert!(session_present);
    thread::sleep(Duration::from_millis(600));
    peer.expect_nothing();
    peer.leave();
    thread::sleep(Duration::from_millis(600));
    let (peer, session_present) = case.connect_as(&persistent(Version::V5, &client_id, u32::MAX));
    assert!(session_present);
    leave_with_expiry(peer, 0);
}

/// [MQTT-3.1.2-23]: what MQTT 3.1.1 cannot ask for, the settings say.
#[test]
fn sessions_of_3_1_1_expire_by_the_settings() {
    let case = Case::with_settings("[limits]\nsession_expiry_v3_s = 1");
    let (peer, _) = case.resume(Version::V3_1_1, "peer");
    peer.leave();
    let (peer, session_present) = case.resume(Version::V3_1_1, "peer");
    assert!(session_present);
    peer.leave();
    thread::sleep(Duration::from_millis(1_200));
    let (_peer, session_present) = case.resume(Version::V3_1_1, "peer");
    assert!(!session_present);
    case.forget("peer");
}

/// A client may come back in another version: the session is its client id's.
#[test]
fn a_session_goes_on_in_another_version() {
    each_shard_count(|case, version| {
        let other_version = if version == Version::V5 { Version::V3_1_1 } else { Version::V5 };
        let topic = case.name("topic");
        let (mut peer, _) = case.resume(version, "peer");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        let mut publisher = case.connect(version, "publisher");
        publisher.publish(&topic, b"sent", QoS::ExactlyOnce);
        let sent = peer.expect_message(&topic, b"sent");
        peer.leave();
        publisher.publish(&topic, b"queued", QoS::AtLeastOnce);
        let (mut peer, session_present) = case.resume(other_version, "peer");
        assert!(session_present);
        let again = peer.expect_message(&topic, b"sent");
        assert_eq!(again.id(), sent.id());
        peer.acknowledge(&again);
        let queued = peer.expect_message(&topic, b"queued");
        peer.acknowledge(&queued);
        peer.expect_nothing();
        case.forget("peer");
    });
}

/// [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16]: the id that was assigned is the client's, from
/// any shard.
#[test]
fn an_assigned_client_id_can_be_used_to_come_back() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let mut peer = case.open(Version::V5);
        peer.send(&persistent(Version::V5, "", 60));
        let connack = peer.receive();
        let assigned = connack.connack().properties.assigned_client_id.expect("one is assigned");
        peer.subscribe(&topic, QoS::AtLeastOnce);
        peer.leave();
        let (mut peer, session_present) = case.connect_as(&persistent(Version::V5, assigned, 60));
        assert!(session_present);
        peer.publish(&topic, b"mine", QoS::AtMostOnce);
        peer.expect_message(&topic, b"mine");
        leave_with_expiry(peer, 0);
    });
}

/// MQTT 3.1: another protocol name, and else what 3.1.1 does.
#[test]
fn version_3_1_is_spoken() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let client_id = case.name("old");
        let with_password = Connect {
            user_name: Some("user"),
            password: Some(b"word"),
            will: Some(crate::harness::will(&topic, b"will")),
            ..connect(Version::V3_1, &client_id)
        };
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::ExactlyOnce);
        let (mut old, _) = case.connect_as(&with_password);
        old.subscribe(&topic, QoS::ExactlyOnce);
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            old.publish(&topic, b"both ways", qos);
            let own = old.expect_message(&topic, b"both ways");
            old.acknowledge(&own);
            let message = watcher.expect_message(&topic, b"both ways");
            assert_eq!(message.publish().qos, qos);
            watcher.acknowledge(&message);
        }
        old.send(&unsubscribe(9, &[&topic]));
        old.expect_unsuback(9, &[]);
        old.expect_nothing();
        old.cut();
        let will = watcher.expect_message(&topic, b"will");
        watcher.acknowledge(&will);
        let mut nameless = case.open(Version::V3_1);
        nameless.send(&connect(Version::V3_1, ""));
        nameless.expect_refused(0x85, 0x02);
    });
}

/// MQTT 3.1, 3.3: clean session 0 keeps the session.
#[test]
fn version_3_1_sessions_are_resumed() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let (mut peer, _) = case.resume(Version::V3_1, "old");
        peer.subscribe(&topic, QoS::AtLeastOnce);
        peer.leave();
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"offline", QoS::AtLeastOnce);
        let (mut peer, session_present) = case.resume(Version::V3_1, "old");
        assert!(!session_present, "its CONNACK has no such flag");
        let message = peer.expect_message(&topic, b"offline");
        peer.acknowledge(&message);
        case.forget("old");
    });
}

/// [MQTT-4.1.0-1]: a subscription and identifiers of QoS 2 live as long as the
/// session, whatever connections it had.
#[test]
fn a_session_outlives_many_connections() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let (mut peer, _) = case.resume(version, "peer");
        peer.subscribe(&topic, QoS::AtLeastOnce);
        peer.send(&publish_as(QoS::ExactlyOnce, 77, &case.name("nobody"), b"held"));
        peer.expect_ack(skein_protocol::PacketType::PubRec, 77, 0x10);
        let mut other = case.connect(version, "other");
        for round in 0..10 {
            peer.leave();
            other.publish(&topic, &[round], QoS::AtLeastOnce);
            let resumed = case.resume(version, "peer");
            assert!(resumed.1);
            peer = resumed.0;
            let message = peer.expect_message(&topic, &[round]);
            peer.acknowledge(&message);
        }
        peer.send(&crate::harness::pubrel(77));
        peer.expect_ack(skein_protocol::PacketType::PubComp, 77, 0);
        case.forget("peer");
    });
}

/// What was said in one breath is done in its order: CONNECT, SUBSCRIBE, PUBLISH, DISCONNECT.
#[test]
fn a_client_need_not_wait_for_connack() {
    each_shard_count(|case, version| {
        let (client_id, topic) = (case.name("hasty"), case.name("topic"));
        // The session lives elsewhere at first: its socket has to move with all that was read.
        for clean_start in [false, false, true] {
            let mut watcher = case.connect(version, "watcher");
            watcher.subscribe(&topic, QoS::AtMostOnce);
            let mut peer = case.open(version);
            let hello = Connect { clean_start, ..persistent(version, &client_id, 60) };
            let mut said = crate::harness::bytes(&hello, version);
            for n in 0..50_u8 {
                said.extend(crate::harness::bytes(&publish(&topic, &[n]), version));
            }
            said.extend(crate::harness::bytes(&disconnect(), version));
            peer.send(&said);
            peer.receive().connack();
            peer.expect_closed();
            for n in 0..50 {
                watcher.expect_message(&topic, &[n]);
            }
        }
        case.forget("hasty");
    });
}

/// [MQTT-3.2.2-21], [MQTT-3.1.2-21], [MQTT-3.1.2-22]: a client that is told keeps to it or goes.
#[test]
fn the_server_keep_alive_is_told_and_kept() {
    let case = Case::with_settings("[limits]\nkeep_alive_s_max = 1");
    for asked_s in [0, 600] {
        let client_id = case.name("peer");
        let mut peer = case.open(Version::V5);
        peer.send(&Connect { keep_alive_s: asked_s, ..connect(Version::V5, &client_id) });
        let connack = peer.receive();
        assert_eq!(connack.connack().properties.server_keep_alive_s, Some(1));
        let heard_at = std::time::Instant::now();
        peer.expect_closed_with(0x8D);
        let silence_ms = heard_at.elapsed().as_millis();
        assert!((1_450..2_100).contains(&silence_ms), "{silence_ms} ms");
    }
    // What is within the limit is as the client asked, and 3.1.1 cannot be told.
    let client_id = case.name("peer");
    let mut peer = case.open(Version::V5);
    peer.send(&Connect { keep_alive_s: 1, ..connect(Version::V5, &client_id) });
    let connack = peer.receive();
    assert_eq!(connack.connack().properties.server_keep_alive_s, None);
    let (mut old, _) = case.connect_as(&connect(Version::V3_1_1, &case.name("old")));
    thread::sleep(Duration::from_millis(1_700));
    old.expect_nothing();
}

/// [MQTT-3.1.2-28], 3.1.2.11.7: there is no response information to be had here.
#[test]
fn response_information_is_never_sent() {
    let case = Case::new();
    let client_id = case.name("peer");
    for asks in [None, Some(false), Some(true)] {
        let properties = ConnectProperties {
            request_response_information: asks,
            ..ConnectProperties::default()
        };
        let mut peer = case.open(Version::V5);
        peer.send(&Connect { properties, ..connect(Version::V5, &client_id) });
        let connack = peer.receive();
        assert_eq!(connack.connack().properties.response_information, None);
        peer.leave();
    }
}

/// [MQTT-3.12.4-1], [MQTT-3.12.4-1 of 3.1.1]
#[test]
fn pings_are_answered_in_order_with_the_rest() {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        for id in 1..=100 {
            peer.send(&publish_as(QoS::AtLeastOnce, id, &case.name("nobody"), b"x"));
            peer.send(&Packet::PingReq);
        }
        for id in 1..=100 {
            peer.expect_ack(skein_protocol::PacketType::PubAck, id, 0x10);
            peer.expect(&Packet::PingResp);
        }
    });
}
