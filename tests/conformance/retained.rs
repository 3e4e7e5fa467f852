//! Promises about retained messages.

use std::thread;
use std::time::Duration;

use skein_protocol::{
    Publish, PublishProperties, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version,
};

use crate::harness::{
    Case, Peer, each_shard_count, each_shard_count_v5, options, publish, subscribe, unsubscribe,
};

/// Long enough for what an idle broker would have sent.
const WHILE: Duration = Duration::from_millis(30);

fn subscribe_as(peer: &mut Peer, filter: &str, options: SubscriptionOptions) {
    let id = peer.next_id();
    peer.send(&subscribe(id, &[(filter, options)]));
    peer.expect_suback(id, &[options.qos as u8]);
}

/// [MQTT-3.3.1-5], [MQTT-3.3.1-8], [MQTT-3.3.1-5 of 3.1.1], [MQTT-3.3.1-6 of 3.1.1],
/// [MQTT-3.3.1-8 of 3.1.1], [MQTT-3.3.1-9 of 3.1.1]: the last one of each topic is kept, with its
/// QoS; to who was there it is a message like any other.
#[test]
fn the_last_retained_message_of_a_topic_is_kept() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        for (payload, qos) in [("first", QoS::AtMostOnce), ("second", QoS::ExactlyOnce)] {
            let kept = Publish { qos, retain: true, ..publish(&topic, payload.as_bytes()) };
            peer.say(&kept);
            let live = peer.expect_message(&topic, payload.as_bytes());
            assert!(!live.publish().retain);
            peer.acknowledge(&live);
        }
        peer.publish(&topic, b"not retained", QoS::AtMostOnce);
        peer.expect_message(&topic, b"not retained");
        let mut late = case.connect(version, "late");
        late.subscribe(&topic, QoS::ExactlyOnce);
        let message = late.expect_message(&topic, b"second");
        assert_eq!((message.publish().retain, message.publish().qos), (true, QoS::ExactlyOnce));
        late.acknowledge(&message);
        late.publish_retained(&topic, b"");
    });
}

/// [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]
#[test]
fn retain_handling_says_when_retained_messages_are_sent() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let mut other = case.connect(Version::V5, "other");
        other.publish_retained(&topic, b"kept");
        let with =
            |retain_handling| SubscriptionOptions { retain_handling, ..options(QoS::AtMostOnce) };
        let mut peer = case.connect(Version::V5, "peer");
        subscribe_as(&mut peer, &topic, with(RetainHandling::DoNotSend));
        peer.expect_silence(WHILE);
        subscribe_as(&mut peer, &topic, with(RetainHandling::SendIfNew));
        peer.expect_silence(WHILE);
        for _ in 0..2 {
            subscribe_as(&mut peer, &topic, with(RetainHandling::SendAtSubscribe));
            peer.expect_message(&topic, b"kept");
        }
        peer.send(&unsubscribe(9, &[&topic]));
        peer.expect_unsuback(9, &[0]);
        subscribe_as(&mut peer, &topic, with(RetainHandling::SendIfNew));
        peer.expect_message(&topic, b"kept");
        subscribe_as(&mut peer, &topic, with(RetainHandling::SendIfNew));
        peer.expect_silence(WHILE);
        other.publish_retained(&topic, b"");
    });
}

/// [MQTT-3.8.4-3 of 3.1.1], [MQTT-3.8.4-4]: every SUBSCRIBE is answered with what is retained.
#[test]
fn subscribing_again_sends_the_retained_messages_again() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        peer.publish_retained(&topic, b"kept");
        for _ in 0..3 {
            peer.subscribe(&topic, QoS::AtMostOnce);
            peer.expect_message(&topic, b"kept");
        }
        peer.publish_retained(&topic, b"");
    });
}

/// [MQTT-3.3.1-12], [MQTT-3.3.1-13], 3.3.1.3
#[test]
fn retain_as_published_keeps_the_flag_of_live_messages() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let mut peer = case.connect(Version::V5, "peer");
        let as_published =
            SubscriptionOptions { retain_as_published: true, ..options(QoS::AtMostOnce) };
        subscribe_as(&mut peer, &topic, as_published);
        let mut plain = case.connect(Version::V5, "plain");
        plain.subscribe(&topic, QoS::AtMostOnce);
        let mut other = case.connect(Version::V5, "other");
        for (payload, retain) in [(&b"kept"[..], true), (b"live", false), (b"", true)] {
            other.send(&Publish { retain, ..publish(&topic, payload) });
            assert_eq!(peer.expect_message(&topic, payload).publish().retain, retain);
            assert!(!plain.expect_message(&topic, payload).publish().retain);
        }
    });
}

/// [MQTT-3.3.1-9], [MQTT-3.3.1-6 of 3.1.1], 4.7.1: wildcards find what is retained below them, everything once, whatever
/// shard keeps it; none finds what begins with a dollar.
#[test]
fn wildcard_subscriptions_get_all_retained_messages_once() {
    each_shard_count(|case, version| {
        let mut other = case.connect(version, "other");
        let mut topics: Vec<String> =
            (0..300).map(|n| case.name(&format!("{}/{}", n % 10, n))).collect();
        for topic in &topics {
            other.publish_retained(topic, topic.as_bytes());
        }
        let mut peer = case.connect(version, "peer");
        peer.subscribe(&case.name("#"), QoS::AtLeastOnce);
        let mut came = Vec::new();
        for _ in 0..300 {
            let message = peer.receive();
            let publish = message.publish();
            assert!(publish.retain);
            let topic = publish.topic.expect("no alias was allowed").as_str();
            assert_eq!(publish.payload, topic.as_bytes());
            came.push(topic.to_owned());
            peer.acknowledge(&message);
        }
        came.sort();
        topics.sort();
        assert_eq!(came, topics);
        peer.expect_silence(WHILE);
        peer.subscribe(&case.name("7/+"), QoS::AtMostOnce);
        for _ in 0..30 {
            peer.receive().publish();
        }
        peer.expect_nothing();
        for topic in &topics {
            other.publish_retained(topic, b"");
        }
    });
}

/// 3.3.4, 4.9: what is retained comes as the client's window allows, and nothing is left out.
#[test]
fn retained_messages_are_paced_by_the_window() {
    each_shard_count_v5(|case| {
        let mut other = case.connect(Version::V5, "other");
        let topics: Vec<String> = (0..60).map(|n| case.name(&n.to_string())).collect();
        for topic in &topics {
            other.publish_retained(topic, &[b'x'; 2000]);
        }
        let client_id = case.name("peer");
        let mut connect = crate::harness::connect(Version::V5, &client_id);
        connect.properties.receive_maximum = std::num::NonZeroU16::new(2);
        let (mut peer, _) = case.connect_as(&connect);
        peer.subscribe(&case.name("+"), QoS::AtLeastOnce);
        let mut came = std::collections::BTreeSet::new();
        let mut open = std::collections::VecDeque::new();
        while came.len() < 60 {
            if open.len() == 2 {
                peer.expect_nothing();
                peer.acknowledge(&open.pop_front().expect("two are open"));
            }
            let message = peer.receive();
            came.insert(message.publish().topic.expect("no alias was allowed").to_string());
            open.push_back(message);
            if came.len() == 60 {
                break;
            }
        }
        for topic in &topics {
            other.publish_retained(topic, b"");
        }
    });
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6]: what has expired is not sent, and not kept for ever.
#[test]
fn retained_messages_expire() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let mut peer = case.connect(Version::V5, "peer");
        let properties = PublishProperties { message_expiry_s: Some(1), ..Default::default() };
        peer.send(&Publish { retain: true, properties, ..publish(&topic, b"brief") });
        peer.subscribe(&topic, QoS::AtMostOnce);
        let message = peer.expect_message(&topic, b"brief");
        assert_eq!(message.publish().properties.message_expiry_s, Some(1));
        thread::sleep(Duration::from_millis(1_150));
        peer.subscribe(&topic, QoS::AtMostOnce);
        peer.expect_silence(WHILE);
    });
}

/// [MQTT-3.3.1-5]: a newer message without expiry replaces one with, and the other way round.
#[test]
fn a_newer_retained_message_has_its_own_expiry() {
    let case = Case::new();
    let (lasting, brief) = (case.name("lasting"), case.name("brief"));
    let mut peer = case.connect(Version::V5, "peer");
    let expiring = PublishProperties { message_expiry_s: Some(1), ..Default::default() };
    let none = PublishProperties::default();
    for (topic, before, after) in [(&lasting, &expiring, &none), (&brief, &none, &expiring)] {
        for properties in [before, after] {
            let kept = Publish { retain: true, ..publish(topic, b"kept") };
            peer.send(&Publish { properties: properties.clone(), ..kept });
        }
    }
    peer.expect_nothing();
    thread::sleep(Duration::from_millis(1_150));
    peer.subscribe(&lasting, QoS::AtMostOnce);
    let message = peer.expect_message(&lasting, b"kept");
    assert_eq!(message.publish().properties.message_expiry_s, None);
    peer.subscribe(&brief, QoS::AtMostOnce);
    peer.expect_silence(WHILE);
    peer.publish_retained(&lasting, b"");
}

/// 3.3.2.3: what is retained keeps its properties.
#[test]
fn retained_messages_keep_their_properties() {
    each_shard_count_v5(|case| {
        let topic = case.name("topic");
        let pairs = [("z", "1"), ("a", "2"), ("z", "3")];
        let properties = PublishProperties {
            content_type: Some("application/json"),
            correlation_data: Some(b"17"),
            user_properties: skein_protocol::UserProperties::from_pairs(&pairs),
            ..PublishProperties::default()
        };
        let mut other = case.connect(Version::V5, "other");
        let kept = Publish { retain: true, qos: QoS::AtLeastOnce, ..publish(&topic, b"{}") };
        other.say(&Publish { properties, ..kept });
        let mut peer = case.connect(Version::V5, "peer");
        peer.subscribe(&topic, QoS::AtLeastOnce);
        let message = peer.expect_message(&topic, b"{}");
        let publish = message.publish();
        assert_eq!(publish.properties.content_type, Some("application/json"));
        assert_eq!(publish.properties.correlation_data, Some(&b"17"[..]));
        let came: Vec<_> = publish.properties.user_properties.iter().collect();
        assert_eq!(came, pairs);
        // A client of MQTT 3.1.1 gets the message without them.
        let mut old = case.connect(Version::V3_1_1, "old");
        old.subscribe(&topic, QoS::AtLeastOnce);
        old.expect_message(&topic, b"{}");
        other.publish_retained(&topic, b"");
    });
}

/// 3.3.4.1 of the limits: what cannot be kept is delivered, and MQTT 5 is told.
#[test]
fn a_full_retained_store_refuses_new_topics_and_says_so() {
    let case = Case::with_settings("[limits]\nretained_messages_max = 2");
    let mut peer = case.connect(Version::V5, "peer");
    let say = |peer: &mut Peer, topic: &str, payload: &[u8]| {
        let kept = Publish { retain: true, qos: QoS::AtLeastOnce, ..publish(topic, payload) };
        peer.say(&kept)
    };
    let mut refused = Vec::new();
    for n in 0..20 {
        let topic = case.name(&n.to_string());
        if say(&mut peer, &topic, b"kept") == ReasonCode::QuotaExceeded {
            refused.push(topic);
        }
        thread::sleep(Duration::from_millis(2));
    }
    assert!(refused.len() >= 16, "{} of 20 refused", refused.len());
    let mut late = case.connect(Version::V5, "late");
    late.subscribe(&case.name("+"), QoS::AtMostOnce);
    let mut kept = 0;
    while let crate::harness::Heard::Packet(message) = late.hear(WHILE) {
        let topic = message.publish().topic.expect("no alias was allowed").to_string();
        assert!(!refused.contains(&topic));
        kept += 1;
    }
    assert!((1..=4).contains(&kept), "{kept} kept");
}
