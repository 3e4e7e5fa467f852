//! Section F: what two clients see of each other.

use std::num::{NonZeroU16, NonZeroU32};
use std::thread;
use std::time::{Duration, Instant};

use skein_protocol::{Connect, ConnectProperties, Packet, PacketType, Publish, QoS, Version};

use crate::harness::{
    Peer, connect, disconnect, each_shard_count, each_shard_count_v5, each_version, ping, puback,
    pubcomp, publish, publish_as, pubrec, pubrel,
};

/// [MQTT-4.3.3-10], [MQTT-4.3.3-2 of 3.1.1]: also when the connection was cut in between.
#[test]
fn f01_qos_2_again_before_pubrel_is_delivered_once() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let message = publish_as(QoS::ExactlyOnce, 3, &topic, b"once");
        let again = Publish { dup: true, ..message.clone() };
        let (mut peer, _) = case.resume(version, "peer");
        peer.send(&message);
        peer.expect_ack(PacketType::PubRec, 3, 0);
        peer.send(&again);
        peer.expect_ack(PacketType::PubRec, 3, 0);
        peer.cut();
        let (mut peer, session_present) = case.resume(version, "peer");
        assert!(session_present);
        peer.send(&again);
        peer.expect_ack(PacketType::PubRec, 3, 0);
        peer.send(&pubrel(3));
        peer.expect_ack(PacketType::PubComp, 3, 0);
        // Again, as if the answer had been lost: no error on a session that was resumed (3.7.2.1).
        peer.send(&pubrel(3));
        peer.expect_ack(PacketType::PubComp, 3, 0);
        // The identifier is free: a new message.
        peer.send(&publish_as(QoS::ExactlyOnce, 3, &topic, b"another"));
        peer.expect_ack(PacketType::PubRec, 3, 0);
        watcher.expect_message(&topic, b"once");
        watcher.expect_message(&topic, b"another");
        watcher.expect_nothing();
        case.forget("peer");
    });
}

/// [MQTT-4.7.2-1], [MQTT-4.7.2-1 of 3.1.1]
#[test]
fn f02_leading_wildcards_do_not_match_topics_with_a_dollar() {
    each_shard_count(|case, version| {
        let prefix = case.name("x");
        let topic = format!("$ours/{prefix}");
        let mut watcher = case.connect(version, "watcher");
        for filter in ["#", "+/#", "+/+/+", &format!("+/{prefix}"), &format!("{prefix}/end")] {
            watcher.subscribe(filter, QoS::AtMostOnce);
        }
        let mut named = case.connect(version, "named");
        named.subscribe(&format!("$ours/{prefix}"), QoS::AtMostOnce);
        let mut under = case.connect(version, "under");
        under.subscribe("$ours/#", QoS::AtMostOnce);
        let mut peer = case.connect(version, "peer");
        peer.publish(&topic, b"hidden", QoS::AtLeastOnce);
        peer.publish(&format!("{prefix}/end"), b"end", QoS::AtLeastOnce);
        named.expect_message(&topic, b"hidden");
        assert!(heard_ours(&mut under, &topic));
        // Others publish too, but nothing under a dollar comes before the end.
        loop {
            let message = watcher.receive();
            let publish = message.publish();
            let topic = publish.topic.expect("no alias was allowed").as_str();
            assert!(!topic.starts_with('$'), "{topic}");
            if topic == format!("{prefix}/end") {
                break;
            }
        }
    });
}

/// Whether the message comes; those of the other versions and shard counts may come before.
fn heard_ours(peer: &mut Peer, topic: &str) -> bool {
    loop {
        let message = peer.receive();
        if message.publish().topic.is_some_and(|came| came.as_str() == topic) {
            return true;
        }
    }
}

/// [MQTT-3.1.4-3], [MQTT-3.1.4-2 of 3.1.1]: whatever shard the new connection comes to.
#[test]
fn f03_takeover_closes_the_old_link() {
    each_shard_count(|case, version| {
        let mut live = case.connect(version, "peer");
        for _ in 0..10 {
            let mut next = case.connect(version, "peer");
            live.expect_closed_with(0x8E);
            next.expect_nothing();
            live = next;
        }
    });
}

/// [MQTT-3.1.2-22], [MQTT-3.1.2-24 of 3.1.1]: after one and a half times the keep alive, and at
/// most half a second more; any packet puts it off.
#[test]
fn f04_silence_is_ended_after_one_and_a_half_keep_alives() {
    each_version(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let connect = Connect {
            keep_alive_s: 1,
            will: Some(crate::harness::will(&topic, b"silent")),
            ..connect(version, &client_id)
        };
        let (mut peer, _) = case.connect_as(&connect);
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(700));
            peer.send(&ping());
            peer.expect(&Packet::PingResp);
        }
        let heard_at = Instant::now();
        peer.expect_closed_with(0x8D);
        let silence = heard_at.elapsed();
        let (least, most) = (Duration::from_millis(1_450), Duration::from_millis(2_100));
        assert!(silence >= least && silence <= most, "{silence:?}");
        watcher.expect_message(&topic, b"silent");
    });
}

/// [MQTT-3.1.2-22]: a keep alive of 0 turns the check off, and half a packet is not a packet.
#[test]
fn f04_half_a_packet_does_not_keep_alive_and_zero_needs_none() {
    each_version(|case, version| {
        let (client_id, other_id) = (case.name("peer"), case.name("patient"));
        let (mut patient, _) = case.connect_as(&connect(version, &other_id));
        let (mut peer, _) =
            case.connect_as(&Connect { keep_alive_s: 1, ..connect(version, &client_id) });
        let started = Instant::now();
        for byte in [0x30, 0x7F, 0x00, 0x05, b'a'] {
            peer.send(&[byte]);
            thread::sleep(Duration::from_millis(250));
        }
        peer.expect_closed_with(0x8D);
        assert!(started.elapsed() < Duration::from_millis(3_300), "{:?}", started.elapsed());
        patient.expect_nothing();
    });
}

/// [MQTT-3.14.4-2], [MQTT-3.14.4-1 of 3.1.1]: the client closes; a broker that is left with an open
/// socket closes too.
#[test]
fn f05_disconnect_is_followed_by_a_close() {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        peer.send(&disconnect());
        peer.expect_closed();
    });
}

/// [MQTT-4.6.0-1], [MQTT-4.6.0-5], [MQTT-4.6.0-6 of 3.1.1], [MQTT-4.4.0-1], [MQTT-4.4.0-1 of
/// 3.1.1]: what was not acknowledged comes again in its order under its identifiers, and before
/// what is new.
#[test]
fn f06_order_and_identifiers_survive_a_resume() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let (mut peer, _) = case.resume(version, "peer");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        let mut other = case.connect(version, "other");
        let qos_of = |n: u16| if n.is_multiple_of(3) { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        for n in 0..20 {
            other.publish(&topic, n.to_string().as_bytes(), qos_of(n));
        }
        let ids: Vec<u16> = (0..20)
            .map(|n: u16| peer.expect_message(&topic, n.to_string().as_bytes()).id())
            .collect();
        // Some are done, some half.
        peer.send(&puback(ids[1]));
        peer.send(&pubrec(ids[3]));
        peer.expect(&pubrel(ids[3]));
        peer.send(&pubrec(ids[6]));
        peer.expect(&pubrel(ids[6]));
        peer.send(&pubcomp(ids[6]));
        peer.leave();
        for n in 20..30 {
            other.publish(&topic, n.to_string().as_bytes(), qos_of(n));
        }
        let (mut peer, session_present) = case.resume(version, "peer");
        assert!(session_present);
        for n in (0..30).filter(|n| ![1, 6].contains(n)) {
            if n == 3 {
                peer.expect(&pubrel(ids[3]));
                continue;
            }
            let message = peer.expect_message(&topic, n.to_string().as_bytes());
            assert_eq!(message.publish().dup, n < 20);
            assert_eq!(message.publish().qos, qos_of(n));
            if n < 20 {
                assert_eq!(message.id(), ids[usize::from(n)]);
            }
        }
        case.forget("peer");
    });
}

/// 4.8.2, [MQTT-4.8.2-4], [MQTT-4.8.2-5]: what a member has not acknowledged waits for its session;
/// when the session ends, what has QoS 1 goes to another member.
#[test]
fn f07_messages_of_a_dead_member_of_a_share_are_not_lost() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let filter = format!("$share/group/{topic}");
        let (mut first, _) = case.resume(Version::V5, "first");
        first.subscribe(&filter, QoS::AtLeastOnce);
        let mut other = case.connect(Version::V5, "other");
        for n in 0..5 {
            other.publish(&topic, &[n], QoS::AtLeastOnce);
        }
        for n in 0..5 {
            first.expect_message(&topic, &[n]);
        }
        first.cut();
        // Its session has them still.
        let (mut first, _) = case.resume(Version::V5, "first");
        for n in 0..5 {
            let message = first.expect_message(&topic, &[n]);
            assert!(message.publish().dup);
            if n == 0 {
                first.acknowledge(&message);
            }
        }
        first.expect_nothing();
        let mut second = case.connect(Version::V5, "second");
        second.subscribe(&filter, QoS::AtLeastOnce);
        first.cut();
        case.forget("first");
        for n in 1..5 {
            let message = second.expect_message(&topic, &[n]);
            second.acknowledge(&message);
        }
        second.expect_nothing();
    });
}

/// [MQTT-3.1.2-24], [MQTT-3.1.2-25]: what is too large for a client is not sent to it, as if it had
/// been acknowledged; what follows is.
#[test]
fn f08_message_above_the_maximum_packet_size_is_dropped_and_the_next_delivered() {
    each_shard_count_v5(|case| {
        let (client_id, topic) = (case.name("peer"), case.name("t"));
        let properties = ConnectProperties {
            maximum_packet_size: NonZeroU32::new(64),
            receive_maximum: NonZeroU16::new(1),
            session_expiry_s: Some(60),
            ..ConnectProperties::default()
        };
        let small = Connect { properties, ..connect(Version::V5, &client_id) };
        let (mut peer, _) = case.connect_as(&small);
        peer.subscribe(&topic, QoS::ExactlyOnce);
        let mut all = case.connect(Version::V5, "all");
        all.subscribe(&topic, QoS::AtMostOnce);
        let mut other = case.connect(Version::V5, "other");
        // 64 bytes in all: header, length, topic with its length, identifier, no properties.
        let room = 64 - 2 - 2 - topic.len() - 2 - 1;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let fits = vec![b'x'; if qos == QoS::AtMostOnce { room + 2 } else { room }];
            let too_large = [&fits[..], b"y"].concat();
            for payload in [&too_large, &fits, &too_large, &fits] {
                other.say(&Publish { qos, ..publish(&topic, payload) });
                all.expect_message(&topic, payload);
            }
            for _ in 0..2 {
                let message = peer.expect_message(&topic, &fits);
                assert_eq!((message.bytes.len(), message.publish().qos), (64, qos));
                peer.acknowledge(&message);
            }
        }
        peer.expect_nothing();
        case.forget("peer");
    });
}
