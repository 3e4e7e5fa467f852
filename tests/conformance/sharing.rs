//! Promises about shared subscriptions (4.8.2).

use std::collections::BTreeMap;
use std::time::Duration;

use skein_protocol::{Ack, Packet, QoS, ReasonCode, Version};

use crate::harness::{Case, Heard, Peer, each_shard_count, each_shard_count_v5, unsubscribe};

/// What each member gets until it is silent: payloads with their counts.
fn collect(members: &mut [Peer]) -> Vec<BTreeMap<Vec<u8>, usize>> {
    let mut all = Vec::new();
    for member in members {
        let mut came = BTreeMap::new();
        while let Heard::Packet(message) = member.hear(Duration::from_millis(40)) {
            *came.entry(message.publish().payload.to_vec()).or_default() += 1;
            member.acknowledge(&message);
        }
        all.push(came);
    }
    all
}

fn members(case: &Case, version: Version, filter: &str, qos: QoS) -> Vec<Peer> {
    (0..4)
        .map(|n| {
            let mut member = case.connect(version, &format!("member-{n}"));
            member.subscribe(filter, qos);
            member
        })
        .collect()
}

/// 4.8.2: one member gets each message, and no member is forgotten.
#[test]
fn each_message_goes_to_one_member() {
    each_shard_count(|case, version| {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let topic = case.name("topic");
            let filter = format!("$share/group/{topic}");
            let mut members = members(case, version, &filter, qos);
            let mut other = case.connect(version, "other");
            for n in 0..80_u8 {
                other.publish(&topic, &[n], qos);
            }
            let shares = collect(&mut members);
            let mut all = BTreeMap::new();
            for share in &shares {
                assert!(!share.is_empty(), "a member got nothing of 80 messages");
                for (payload, count) in share {
                    *all.entry(payload.clone()).or_insert(0) += count;
                }
            }
            assert_eq!(all, (0..80_u8).map(|n| (vec![n], 1)).collect());
        }
    });
}

/// 4.8.2: two groups of one filter, and who is not shared, get a copy each.
#[test]
fn each_group_and_each_plain_subscriber_gets_a_copy() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut peers = Vec::new();
        for (client, filter) in [
            ("one", format!("$share/one/{topic}")),
            ("two", format!("$share/two/{topic}")),
            ("wide", format!("$share/one/{}", case.name("#"))),
            ("plain", topic.clone()),
        ] {
            let mut peer = case.connect(version, client);
            peer.subscribe(&filter, QoS::AtLeastOnce);
            peers.push(peer);
        }
        let mut other = case.connect(version, "other");
        for n in 0..10_u8 {
            other.publish(&topic, &[n], QoS::AtLeastOnce);
            for peer in &mut peers {
                let message = peer.expect_message(&topic, &[n]);
                peer.acknowledge(&message);
            }
        }
        for peer in &mut peers {
            peer.expect_nothing();
        }
    });
}

/// 4.8.2: a share and a subscription of one's own are two subscriptions.
#[test]
fn a_client_may_be_member_and_subscriber() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        peer.subscribe(&topic, QoS::AtMostOnce);
        peer.subscribe(&format!("$share/group/{topic}"), QoS::AtLeastOnce);
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"twice", QoS::AtLeastOnce);
        let mut levels: Vec<QoS> = (0..2)
            .map(|_| {
                let message = peer.expect_message(&topic, b"twice");
                peer.acknowledge(&message);
                message.publish().qos
            })
            .collect();
        levels.sort();
        assert_eq!(levels, [QoS::AtMostOnce, QoS::AtLeastOnce]);
        peer.send(&unsubscribe(9, &[&topic]));
        peer.expect_unsuback(9, &[0]);
        other.publish(&topic, b"once", QoS::AtLeastOnce);
        let message = peer.expect_message(&topic, b"once");
        assert_eq!(message.publish().qos, QoS::AtLeastOnce);
        peer.acknowledge(&message);
        peer.expect_nothing();
    });
}

/// 4.8.2: no retained messages when a share is joined.
#[test]
fn joining_a_share_sends_no_retained_messages() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        peer.publish_retained(&topic, b"kept");
        peer.subscribe(&format!("$share/group/{topic}"), QoS::AtLeastOnce);
        peer.expect_silence(Duration::from_millis(30));
        peer.publish_retained(&topic, b"");
        let live = peer.expect_message(&topic, b"");
        assert!(!live.publish().retain);
        peer.acknowledge(&live);
    });
}

/// 4.8.2: who leaves gets no more, and the rest get all; the last one ends the group.
#[test]
fn leaving_members_are_passed_over() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let filter = format!("$share/group/{topic}");
        let mut members = members(case, Version::V5, &filter, QoS::AtLeastOnce);
        let mut other = case.connect(Version::V5, "other");
        while let Some(mut leaving) = members.pop() {
            leaving.send(&unsubscribe(9, &[&filter]));
            leaving.expect_unsuback(9, &[0]);
            for n in 0..12_u8 {
                other.publish(&topic, &[n], QoS::AtLeastOnce);
            }
            let came: usize =
                collect(&mut members).iter().map(|share| share.values().sum::<usize>()).sum();
            assert_eq!(came, if members.is_empty() { 0 } else { 12 });
            leaving.expect_nothing();
        }
    });
}

/// 4.8.2.2, [MQTT-4.8.2-3]: the QoS of a member's own subscription holds, and a message is not sent
/// with more than that.
#[test]
fn a_member_gets_at_most_its_own_qos() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut member = case.connect(version, "member");
        member.subscribe(&format!("$share/group/{topic}"), QoS::AtLeastOnce);
        let mut other = case.connect(version, "other");
        for (sent, came) in [
            (QoS::AtMostOnce, QoS::AtMostOnce),
            (QoS::AtLeastOnce, QoS::AtLeastOnce),
            (QoS::ExactlyOnce, QoS::AtLeastOnce),
        ] {
            other.publish(&topic, b"x", sent);
            let message = member.expect_message(&topic, b"x");
            assert_eq!(message.publish().qos, came);
            member.acknowledge(&message);
        }
    });
}

/// 4.8.2: while a member is away, those who are there get the messages.
#[test]
fn members_who_are_connected_come_first() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let filter = format!("$share/group/{topic}");
        let (mut away, _) = case.resume(Version::V5, "away");
        away.subscribe(&filter, QoS::AtLeastOnce);
        let mut here = case.connect(Version::V5, "here");
        here.subscribe(&filter, QoS::AtLeastOnce);
        away.leave();
        let mut other = case.connect(Version::V5, "other");
        // Other shards hear of it a moment later; what they sent before waits in its session.
        let mut came = 0;
        for n in 0..40_u8 {
            other.publish(&topic, &[n], QoS::AtLeastOnce);
        }
        while let Heard::Packet(message) = here.hear(Duration::from_millis(40)) {
            here.acknowledge(&message);
            came += 1;
        }
        let (mut away, _) = case.resume(Version::V5, "away");
        let mut waited = 0;
        while let Heard::Packet(message) = away.hear(Duration::from_millis(40)) {
            away.acknowledge(&message);
            waited += 1;
        }
        assert_eq!(came + waited, 40);
        assert!(waited <= 8, "{waited} of 40 went to who was away");
        away.leave();
        case.forget("away");
    });
}

/// 4.8.2: when all are away, the group's messages wait for one of them.
#[test]
fn messages_for_a_group_that_is_away_wait() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let filter = format!("$share/group/{topic}");
        for client in ["one", "two"] {
            let (mut peer, _) = case.resume(Version::V5, client);
            peer.subscribe(&filter, QoS::AtLeastOnce);
            peer.leave();
        }
        let mut other = case.connect(Version::V5, "other");
        for n in 0..20_u8 {
            other.publish(&topic, &[n], QoS::AtLeastOnce);
        }
        let mut back: Vec<Peer> =
            ["one", "two"].map(|client| case.resume(Version::V5, client).0).into();
        let came: usize =
            collect(&mut back).iter().map(|share| share.values().sum::<usize>()).sum();
        assert_eq!(came, 20);
        for peer in back {
            peer.leave();
        }
        case.forget("one");
        case.forget("two");
    });
}

/// [MQTT-4.8.2-6]: what a member refuses is not offered to another.
#[test]
fn what_a_member_refuses_is_not_offered_to_another() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let filter = format!("$share/group/{topic}");
        let mut members = members(case, Version::V5, &filter, QoS::ExactlyOnce);
        let mut other = case.connect(Version::V5, "other");
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            other.publish(&topic, b"unwanted", qos);
            let mut offered = 0;
            for member in &mut members {
                while let Heard::Packet(message) = member.hear(Duration::from_millis(30)) {
                    offered += 1;
                    let id = skein_protocol::PacketId::new(message.id()).expect("it has one");
                    let refusal = Ack::with_reason(id, ReasonCode::NotAuthorized);
                    member.send(&match qos {
                        QoS::ExactlyOnce => Packet::PubRec(refusal),
                        QoS::AtLeastOnce | QoS::AtMostOnce => Packet::PubAck(refusal),
                    });
                }
            }
            assert_eq!(offered, 1);
            for member in &mut members {
                member.expect_silence(Duration::from_millis(15));
            }
        }
    });
}
