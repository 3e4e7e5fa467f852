//! Promises about what CONNECT and CONNACK agree on: sizes, windows, aliases, and what there is.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use skein_protocol::{
    Connect, Packet, PacketType, Publish, PublishProperties, QoS, Subscribe, TopicName, Version,
};

use crate::harness::{
    Case, Peer, connect, each_shard_count_v5, each_version, options, persistent, publish,
    publish_as, raw_publish, subscribe, will,
};

/// [MQTT-3.1.2-24], 3.2.2.3.6: what the broker takes is in its CONNACK, what the client takes in
/// its CONNECT; the largest packet of each way passes.
#[test]
fn the_largest_packet_passes_both_ways() {
    let case = Case::with_settings("[limits]\npacket_bytes_max = 70000");
    let (client_id, topic) = (case.name("peer"), case.name("topic"));
    let mut hello = connect(Version::V5, &client_id);
    hello.properties.maximum_packet_size = NonZeroU32::new(70_000);
    let mut peer = case.open(Version::V5);
    peer.send(&hello);
    let connack = peer.receive();
    assert_eq!(connack.connack().properties.maximum_packet_size, NonZeroU32::new(70_000));
    peer.subscribe(&topic, QoS::AtMostOnce);
    let payload = vec![b'x'; 70_000 - 1 - 3 - 2 - topic.len() - 1];
    let message = publish(&topic, &payload);
    peer.send(&message);
    let came = peer.expect_message(&topic, &payload);
    assert_eq!(came.bytes.len(), 70_000);
    let too_large = [&payload[..], b"y"].concat();
    peer.send(&publish(&topic, &too_large));
    peer.expect_closed_with(0x95);
}

/// [MQTT-2.2.1-4], [MQTT-3.3.4-9], [MQTT-3.3.4-10], [MQTT-4.9.0-2], [MQTT-4.9.0-3]: the client's
/// Receive Maximum holds for QoS 1 and 2 together; QoS 0 and everything else passes by.
#[test]
fn the_receive_maximum_of_the_client_is_kept() {
    each_shard_count_v5(|case| {
        let (client_id, topic) = (case.name("peer"), case.name("topic"));
        let mut hello = connect(Version::V5, &client_id);
        hello.properties.receive_maximum = NonZeroU16::new(2);
        let (mut peer, _) = case.connect_as(&hello);
        peer.subscribe(&topic, QoS::ExactlyOnce);
        let mut other = case.connect(Version::V5, "other");
        for n in 0..6_u8 {
            let qos = if n % 2 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            other.publish(&topic, &[n], qos);
        }
        let two = peer.expect_message(&topic, &[0]);
        let one = peer.expect_message(&topic, &[1]);
        other.publish(&topic, b"zero", QoS::AtMostOnce);
        peer.expect_message(&topic, b"zero");
        peer.expect_nothing();
        // PUBREC gives nothing back, PUBCOMP and PUBACK do.
        peer.send(&crate::harness::pubrec(two.id()));
        peer.expect_ack(PacketType::PubRel, two.id(), 0);
        peer.expect_nothing();
        peer.send(&crate::harness::pubcomp(two.id()));
        let next = peer.expect_message(&topic, &[2]);
        peer.expect_nothing();
        peer.acknowledge(&one);
        let after = peer.expect_message(&topic, &[3]);
        peer.acknowledge(&next);
        let fifth = peer.expect_message(&topic, &[4]);
        peer.acknowledge(&after);
        let last = peer.expect_message(&topic, &[5]);
        peer.acknowledge(&fifth);
        peer.acknowledge(&last);
        peer.expect_nothing();
    });
}

/// 3.3.2.3.4, [MQTT-3.3.2-12], [MQTT-3.3.2-7]: an alias is a connection's, and may be set anew.
#[test]
fn aliases_of_the_client_stand_for_its_topics() {
    each_shard_count_v5(|case| {
        let (one, two) = (case.name("one"), case.name("two"));
        let mut watcher = case.connect(Version::V5, "watcher");
        watcher.subscribe(&case.name("+"), QoS::AtMostOnce);
        let (mut peer, _) = case.resume(Version::V5, "peer");
        let alias = |n: u8| [0x23, 0, n];
        for (topic, number, expected) in [
            (&*one, 1, &one),
            ("", 1, &one),
            (&two, 2, &two),
            ("", 1, &one),
            (&two, 1, &two),
            ("", 1, &two),
        ] {
            peer.send(&raw_publish(topic, &alias(number), b"x"));
            let message = watcher.expect_message(expected, b"x");
            assert_eq!(message.publish().properties.topic_alias, None, "it is not forwarded");
        }
        peer.leave();
        let (mut peer, _) = case.resume(Version::V5, "peer");
        peer.send(&raw_publish("", &alias(1), b"x"));
        peer.expect_closed_with(0x82);
        case.forget("peer");
    });
}

/// [MQTT-3.1.2-26], [MQTT-3.1.2-27], [MQTT-3.3.2-11]: towards a client that allows aliases each topic
/// is sent once in full, and no alias is above its maximum; towards one that does not, none.
#[test]
fn aliases_of_the_broker_are_introduced_and_kept_to_the_maximum() {
    each_shard_count_v5(|case| {
        let client_id = case.name("peer");
        let topics: Vec<String> = (0..5).map(|n| case.name(&format!("{n}"))).collect();
        let mut other = case.connect(Version::V5, "other");
        for maximum in [3, 0] {
            let mut hello = connect(Version::V5, &client_id);
            hello.properties.topic_alias_maximum = Some(maximum);
            let (mut peer, _) = case.connect_as(&hello);
            peer.subscribe(&case.name("+"), QoS::AtMostOnce);
            let mut known = std::collections::BTreeMap::new();
            let mut in_full = 0;
            for round in 0..4 {
                for topic in &topics {
                    other.publish(topic, &[round], QoS::AtMostOnce);
                    let message = peer.receive();
                    let publish = message.publish();
                    let alias = publish.properties.topic_alias.map_or(0, NonZeroU16::get);
                    assert!(alias <= maximum);
                    if let Some(name) = publish.topic {
                        in_full += 1;
                        known.insert(alias, name.to_string());
                    }
                    let named = publish.topic.map(|name| name.to_string());
                    assert_eq!(named.as_ref().or(known.get(&alias)), Some(topic));
                }
            }
            assert!(if maximum == 0 { in_full == 20 } else { in_full < 20 }, "{in_full} of 20");
        }
    });
}

/// 3.1.2.11.5: aliases end with the connection: what comes again has its topic in full.
#[test]
fn resent_messages_name_their_topic_again() {
    let case = Case::new();
    let (client_id, topic) = (case.name("peer"), case.name("topic"));
    let mut hello = persistent(Version::V5, &client_id, 60);
    hello.properties.topic_alias_maximum = Some(5);
    let (mut peer, _) = case.connect_as(&hello);
    peer.subscribe(&topic, QoS::AtLeastOnce);
    let mut other = case.connect(Version::V5, "other");
    for n in 0..3_u8 {
        other.publish(&topic, &[n], QoS::AtLeastOnce);
        assert_eq!(peer.receive().publish().payload, [n]);
    }
    peer.leave();
    hello.properties.topic_alias_maximum = None;
    let (mut peer, _) = case.connect_as(&hello);
    for n in 0..3_u8 {
        let message = peer.expect_message(&topic, &[n]);
        peer.acknowledge(&message);
    }
    case.forget("peer");
}

/// [MQTT-3.2.2-9], [MQTT-3.2.2-10], [MQTT-3.2.2-11], [MQTT-3.2.2-12]
#[test]
fn a_lower_maximum_qos_is_told_and_kept() {
    let case = Case::with_settings("[limits]\nmaximum_qos = 1");
    let (client_id, topic) = (case.name("peer"), case.name("topic"));
    let mut peer = case.open(Version::V5);
    peer.send(&connect(Version::V5, &client_id));
    let connack = peer.receive();
    assert_eq!(connack.connack().properties.maximum_qos, Some(QoS::AtLeastOnce));
    peer.send(&subscribe(1, &[(&topic, options(QoS::ExactlyOnce))]));
    peer.expect_suback(1, &[1]);
    peer.publish(&topic, b"x", QoS::AtLeastOnce);
    let message = peer.expect_message(&topic, b"x");
    peer.acknowledge(&message);
    peer.send(&publish_as(QoS::ExactlyOnce, 9, &topic, b"x"));
    peer.expect_closed_with(0x9B);
    let mut last = will(&topic, b"gone");
    last.qos = QoS::ExactlyOnce;
    let mut peer = case.open(Version::V5);
    peer.send(&Connect { will: Some(last), ..connect(Version::V5, &client_id) });
    peer.expect_refused(0x9B, 0);
}

/// 3.2.2.3.11, 3.2.2.3.12, 3.2.2.3.13, 3.2.2.3.8: what there is not is told, and refused by its own
/// reason code.
#[test]
fn what_is_not_available_is_told_and_refused() {
    let case = Case::with_settings(
        "[limits]\nwildcard_subscription_available = false\n\
         shared_subscription_available = false\n\
         subscription_identifiers_available = false\ntopic_alias_maximum = 0",
    );
    let client_id = case.name("peer");
    let mut peer = case.open(Version::V5);
    peer.send(&connect(Version::V5, &client_id));
    let connack = peer.receive();
    let told = connack.connack().properties;
    assert_eq!(told.wildcard_subscription_available, Some(false));
    assert_eq!(told.shared_subscription_available, Some(false));
    assert_eq!(told.subscription_identifiers_available, Some(false));
    assert_eq!(told.topic_alias_maximum, None);
    let filters =
        ["a/+", "#", "$share/g/a", "plain"].map(|filter| (filter, options(QoS::AtLeastOnce)));
    peer.send(&subscribe(1, &filters));
    peer.expect_suback(1, &[0xA2, 0xA2, 0x9E, 1]);
    let plain = subscribe(2, &[("plain", options(QoS::AtMostOnce))]);
    peer.send(&Subscribe { identifier: NonZeroU32::new(1), ..plain });
    peer.expect_closed_with(0xA1);
    let mut peer = case.connect(Version::V5, "peer");
    peer.send(&raw_publish("a", &[0x23, 0, 1], b"x"));
    peer.expect_closed_with(0x94);
}

/// 3.2.2.3: with everything on, a CONNACK says so by leaving it out.
#[test]
fn what_is_available_is_not_denied() {
    let case = Case::new();
    let client_id = case.name("peer");
    let mut peer = case.open(Version::V5);
    peer.send(&persistent(Version::V5, &client_id, 77));
    let connack = peer.receive();
    let told = connack.connack().properties;
    for denied in [
        told.retain_available,
        told.wildcard_subscription_available,
        told.shared_subscription_available,
        told.subscription_identifiers_available,
    ] {
        assert_ne!(denied, Some(false));
    }
    assert_eq!((told.maximum_qos, told.assigned_client_id), (None, None));
    assert!([None, Some(77)].contains(&told.session_expiry_s));
    assert_eq!(told.server_keep_alive_s, None);
    peer.leave();
    case.forget("peer");
}

/// [MQTT-3.8.3-3], 3.8.3.1: not one's own messages, but those of others.
#[test]
fn no_local_leaves_out_ones_own_messages() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let no_local =
            skein_protocol::SubscriptionOptions { no_local: true, ..options(QoS::AtLeastOnce) };
        let (mut peer, _) = case.resume(Version::V5, "peer");
        peer.send(&subscribe(1, &[(&topic, no_local)]));
        peer.expect_suback(1, &[1]);
        peer.publish(&topic, b"mine", QoS::AtLeastOnce);
        let mut other = case.connect(Version::V5, "other");
        other.publish(&topic, b"yours", QoS::AtLeastOnce);
        let message = peer.expect_message(&topic, b"yours");
        peer.acknowledge(&message);
        // Another filter of the same client does want them.
        peer.subscribe(&case.name("+"), QoS::AtMostOnce);
        peer.publish(&topic, b"mine", QoS::AtLeastOnce);
        let message = peer.expect_message(&topic, b"mine");
        assert_eq!(message.publish().qos, QoS::AtMostOnce);
        peer.expect_nothing();
        peer.leave();
        case.forget("peer");
    });
}

/// [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-4]: one copy, the highest QoS, all
/// identifiers; an identifier that is set anew replaces the old one.
#[test]
fn overlapping_subscriptions_get_one_copy_with_all_identifiers() {
    each_shard_count_v5(|case| {
        let topic = case.name("a/b");
        let mut peer = case.connect(Version::V5, "peer");
        let ask = |peer: &mut Peer, filter: &str, qos, identifier| {
            let plain = subscribe(1, &[(filter, options(qos))]);
            peer.send(&Subscribe { identifier: NonZeroU32::new(identifier), ..plain });
            peer.expect_suback(1, &[qos as u8]);
        };
        ask(&mut peer, &case.name("a/+"), QoS::AtMostOnce, 3);
        ask(&mut peer, &case.name("#"), QoS::ExactlyOnce, 200);
        ask(&mut peer, &case.name("+/b"), QoS::AtLeastOnce, 0);
        let mut other = case.connect(Version::V5, "other");
        let mut expect = |peer: &mut Peer, qos, expected: &[u32]| {
            other.publish(&topic, b"x", QoS::ExactlyOnce);
            let message = peer.expect_message(&topic, b"x");
            let mut came: Vec<u32> =
                message.publish().properties.subscription_identifiers.iter().collect();
            came.sort_unstable();
            assert_eq!((message.publish().qos, &*came), (qos, expected));
            peer.acknowledge(&message);
            peer.expect_nothing();
        };
        expect(&mut peer, QoS::ExactlyOnce, &[3, 200]);
        ask(&mut peer, &case.name("#"), QoS::AtLeastOnce, 7);
        expect(&mut peer, QoS::AtLeastOnce, &[3, 7]);
        ask(&mut peer, &case.name("a/+"), QoS::AtMostOnce, 0);
        expect(&mut peer, QoS::AtLeastOnce, &[7]);
    });
}

/// [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-18],
/// [MQTT-3.3.2-20]: request and response, and all else a message may say.
#[test]
fn properties_of_a_message_are_passed_on_unaltered_and_in_order() {
    each_shard_count_v5(|case| {
        let (topic, answers) = (case.name("topic"), case.name("answers"));
        let pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("ä", "ö")];
        let properties = PublishProperties {
            payload_format: Some(skein_protocol::PayloadFormat::Utf8),
            content_type: Some("text/plain"),
            response_topic: TopicName::new(&answers).ok(),
            correlation_data: Some(&[0xFF, 0, 1]),
            user_properties: skein_protocol::UserProperties::from_pairs(&pairs),
            ..PublishProperties::default()
        };
        let mut requester = case.connect(Version::V5, "requester");
        requester.subscribe(&answers, QoS::AtLeastOnce);
        let mut responder = case.connect(Version::V5, "responder");
        responder.subscribe(&topic, QoS::ExactlyOnce);
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let properties = properties.clone();
            requester.say(&Publish { qos, properties, ..publish(&topic, b"question") });
            let request = responder.expect_message(&topic, b"question");
            let came = request.publish().properties;
            assert_eq!(came.payload_format, Some(skein_protocol::PayloadFormat::Utf8));
            assert_eq!(came.content_type, Some("text/plain"));
            assert_eq!(came.correlation_data, Some(&[0xFF, 0, 1][..]));
            assert_eq!(came.user_properties.iter().collect::<Vec<_>>(), pairs);
            assert_eq!(came.message_expiry_s, None);
            responder.acknowledge(&request);
            let to = came.response_topic.expect("it was asked for").to_string();
            responder.publish(&to, b"answer", QoS::AtLeastOnce);
            let answer = requester.expect_message(&answers, b"answer");
            requester.acknowledge(&answer);
        }
    });
}

/// [MQTT-3.4.2-1], 3.4.2.1, 3.5.2.1, 3.11.3: what became of a message or a filter.
#[test]
fn acknowledgements_say_what_became_of_it() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let mut peer = case.connect(Version::V5, "peer");
        let say = |peer: &mut Peer, qos| {
            let reason = peer.say(&Publish { qos, ..publish(&topic, b"x") });
            reason as u8
        };
        assert_eq!(say(&mut peer, QoS::AtLeastOnce), 0x10);
        assert_eq!(say(&mut peer, QoS::ExactlyOnce), 0x10);
        let mut other = case.connect(Version::V5, "other");
        other.subscribe(&topic, QoS::AtMostOnce);
        assert_eq!(say(&mut peer, QoS::AtLeastOnce), 0);
        assert_eq!(say(&mut peer, QoS::ExactlyOnce), 0);
        for reason in [0, 0x11] {
            other.send(&crate::harness::unsubscribe(5, &[&topic, &case.name("never")]));
            other.expect_unsuback(5, &[reason, 0x11]);
        }
    });
}

/// [MQTT-3.8.4-8], [MQTT-3.8.4-6 of 3.1.1]: the lower one of both.
#[test]
fn a_message_is_delivered_with_the_lower_qos() {
    each_version(|case, version| {
        let all = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        let topic = case.name("topic");
        let mut peers = all.map(|granted| {
            let mut peer = case.connect(version, &format!("peer-{granted}"));
            peer.subscribe(&topic, granted);
            peer
        });
        let mut other = case.connect(version, "other");
        for sent in all {
            other.publish(&topic, b"x", sent);
            for (peer, granted) in peers.iter_mut().zip(all) {
                let message = peer.expect_message(&topic, b"x");
                assert_eq!(message.publish().qos, sent.min(granted));
                peer.acknowledge(&message);
            }
        }
    });
}

/// A client of one version gets what a client of the other says, without what it cannot read.
#[test]
fn messages_pass_between_the_versions() {
    let case = Case::new();
    let topic = case.name("topic");
    let versions = [Version::V3_1, Version::V3_1_1, Version::V5];
    let mut peers = versions.map(|version| {
        let mut peer = case.connect(version, &format!("peer-{version}"));
        peer.subscribe(&topic, QoS::ExactlyOnce);
        peer
    });
    for (version, properties) in [
        (Version::V3_1, PublishProperties::default()),
        (Version::V3_1_1, PublishProperties::default()),
        (Version::V5, PublishProperties { content_type: Some("t"), ..Default::default() }),
    ] {
        let mut other = case.connect(version, "other");
        let qos = QoS::ExactlyOnce;
        let payload = version.to_string();
        other.say(&Publish {
            qos,
            properties: properties.clone(),
            ..publish(&topic, payload.as_bytes())
        });
        for peer in &mut peers {
            let message = peer.expect_message(&topic, payload.as_bytes());
            let expected = if peer.version == Version::V5 { properties.content_type } else { None };
            assert_eq!(message.publish().properties.content_type, expected);
            peer.acknowledge(&message);
        }
    }
    for peer in &mut peers {
        peer.expect_silence(Duration::from_millis(20));
        peer.send(&Packet::PingReq);
        peer.expect(&Packet::PingResp);
    }
}
