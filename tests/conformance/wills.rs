//! Promises about wills.

use std::thread;
use std::time::{Duration, Instant};

use skein_protocol::{
    Connect, PayloadFormat, QoS, TopicName, UserProperties, Version, Will, WillProperties,
};

use crate::harness::{
    Case, connect, each_shard_count, each_shard_count_v5, each_version, persistent, will,
};

/// [MQTT-3.1.2-7], [MQTT-3.1.2-8], [MQTT-3.1.2-14], [MQTT-3.1.2-15], [MQTT-3.1.2-16 of 3.1.1],
/// [MQTT-3.1.2-17 of 3.1.1]
#[test]
fn a_will_has_its_qos_and_its_retain_flag() {
    each_shard_count(|case, version| {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for retain in [false, true] {
                let (client_id, topic) = (case.name("peer"), case.name(&format!("{qos}{retain}")));
                let mut watcher = case.connect(version, "watcher");
                watcher.subscribe(&topic, QoS::ExactlyOnce);
                let last = Will { qos, retain, ..will(&topic, b"gone") };
                let (peer, _) =
                    case.connect_as(&Connect { will: Some(last), ..connect(version, &client_id) });
                peer.cut();
                let message = watcher.expect_message(&topic, b"gone");
                assert_eq!((message.publish().qos, message.publish().retain), (qos, false));
                watcher.acknowledge(&message);
                let mut late = case.connect(version, "late");
                late.subscribe(&topic, QoS::ExactlyOnce);
                if retain {
                    let kept = late.expect_message(&topic, b"gone");
                    assert!(kept.publish().retain);
                    late.acknowledge(&kept);
                    late.publish_retained(&topic, b"");
                } else {
                    late.expect_silence(Duration::from_millis(20));
                }
            }
        }
    });
}

/// [MQTT-3.1.3-10], 3.1.3.2: a will is a message with everything that a message may have.
#[test]
fn a_will_has_all_its_properties() {
    each_shard_count_v5(|case| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let answers = case.name("answers");
        let pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", "")];
        let properties = WillProperties {
            payload_format: Some(PayloadFormat::Utf8),
            message_expiry_s: Some(30),
            content_type: Some("text/plain"),
            response_topic: TopicName::new(&answers).ok(),
            correlation_data: Some(&[0, 1, 0xFF]),
            delay_interval_s: Some(1),
            user_properties: UserProperties::from_pairs(&pairs),
        };
        let last = Will { properties: properties.clone(), ..will(&topic, "göne".as_bytes()) };
        let mut watcher = case.connect(Version::V5, "watcher");
        watcher.subscribe(&topic, QoS::AtLeastOnce);
        let with_will = Connect { will: Some(last), ..persistent(Version::V5, &client_id, 60) };
        let (peer, _) = case.connect_as(&with_will);
        let cut_at = Instant::now();
        peer.cut();
        let message = watcher.expect_message(&topic, "göne".as_bytes());
        let took_ms = cut_at.elapsed().as_millis();
        assert!((990..1_700).contains(&took_ms), "{took_ms} ms");
        let publish = message.publish();
        assert_eq!(publish.properties.payload_format, properties.payload_format);
        // The time of the message begins when it is published.
        assert_eq!(publish.properties.message_expiry_s, Some(30));
        assert_eq!(publish.properties.content_type, properties.content_type);
        let response_topic = publish.properties.response_topic;
        assert_eq!(response_topic.map(TopicName::as_str), Some(answers.as_str()));
        assert_eq!(publish.properties.correlation_data, properties.correlation_data);
        let came: Vec<_> = publish.properties.user_properties.iter().collect();
        assert_eq!(came, pairs);
        watcher.acknowledge(&message);
        case.forget("peer");
        watcher.expect_nothing();
    });
}

/// [MQTT-3.1.3-9]: who is back before the delay is over was never gone.
#[test]
fn a_resume_before_the_delay_is_over_takes_the_will_back() {
    each_shard_count_v5(|case| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let delayed = |payload| {
            let mut last = will(&topic, payload);
            last.properties.delay_interval_s = Some(1);
            Connect { will: Some(last), ..persistent(Version::V5, &client_id, 60) }
        };
        let mut watcher = case.connect(Version::V5, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let (peer, _) = case.connect_as(&delayed(b"first"));
        peer.cut();
        let (peer, session_present) = case.connect_as(&delayed(b"second"));
        assert!(session_present);
        watcher.expect_silence(Duration::from_millis(1_200));
        // Each connection has the will of its own CONNECT.
        peer.cut();
        watcher.expect_message(&topic, b"second");
        let (peer, _) = case.connect_as(&delayed(b"third"));
        peer.cut();
        let (_peer, _) = case.connect_as(&persistent(Version::V5, &client_id, 60));
        watcher.expect_silence(Duration::from_millis(1_200));
        case.forget("peer");
    });
}

/// [MQTT-3.1.2-8], 3.1.4: a clean start ends the session, so that its will is due at once.
#[test]
fn a_clean_start_publishes_a_delayed_will_at_once() {
    each_shard_count_v5(|case| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let mut watcher = case.connect(Version::V5, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let mut last = will(&topic, b"gone");
        last.properties.delay_interval_s = Some(60);
        let with_will = Connect { will: Some(last), ..persistent(Version::V5, &client_id, 60) };
        let (peer, _) = case.connect_as(&with_will);
        peer.cut();
        let clean = case.connect(Version::V5, "peer");
        watcher.expect_message(&topic, b"gone");
        // A takeover by a clean start is an end as well.
        drop(clean);
        let (mut old, _) = case.connect_as(&with_will);
        let mut new = case.connect(Version::V5, "peer");
        old.expect_closed_with(0x8E);
        watcher.expect_message(&topic, b"gone");
        new.expect_nothing();
    });
}

/// [MQTT-3.1.2-8], [MQTT-3.1.2-8 of 3.1.1]: a takeover is an end without DISCONNECT.
#[test]
fn a_takeover_publishes_the_will() {
    each_shard_count(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let with_will =
            Connect { will: Some(will(&topic, b"gone")), ..connect(version, &client_id) };
        let (mut old, _) = case.connect_as(&with_will);
        let mut new = case.connect(version, "peer");
        old.expect_closed_with(0x8E);
        watcher.expect_message(&topic, b"gone");
        new.expect_nothing();
        watcher.expect_nothing();
    });
}

/// [MQTT-3.1.2-10], [MQTT-3.14.4-3], [MQTT-3.1.2-10 of 3.1.1], [MQTT-3.14.4-3 of 3.1.1]
#[test]
fn a_normal_disconnect_deletes_the_will() {
    each_shard_count(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let with_will =
            Connect { will: Some(will(&topic, b"never")), ..persistent(version, &client_id, 60) };
        let (peer, _) = case.connect_as(&with_will);
        peer.leave();
        case.forget("peer");
        watcher.expect_silence(Duration::from_millis(30));
    });
}

/// 3.1.2.5: a will may have an empty payload, which deletes what is retained.
#[test]
fn a_retained_will_without_payload_deletes() {
    each_version(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let mut watcher = case.connect(version, "watcher");
        watcher.publish_retained(&topic, b"kept");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        watcher.expect_message(&topic, b"kept");
        let last = Will { retain: true, ..will(&topic, b"") };
        let (peer, _) =
            case.connect_as(&Connect { will: Some(last), ..connect(version, &client_id) });
        peer.cut();
        watcher.expect_message(&topic, b"");
        let mut late = case.connect(version, "late");
        late.subscribe(&topic, QoS::AtMostOnce);
        late.expect_silence(Duration::from_millis(30));
    });
}

/// [MQTT-3.3.2-5]: a will's message expires for those who were away.
#[test]
fn a_will_expires_like_any_message() {
    let case = Case::new();
    let (client_id, topic) = (case.name("peer"), case.name("will"));
    let (mut sleeper, _) = case.resume(Version::V5, "sleeper");
    sleeper.subscribe(&topic, QoS::AtLeastOnce);
    sleeper.leave();
    let mut watcher = case.connect(Version::V5, "watcher");
    watcher.subscribe(&topic, QoS::AtMostOnce);
    let mut last = will(&topic, b"gone");
    last.properties.message_expiry_s = Some(1);
    let (peer, _) =
        case.connect_as(&Connect { will: Some(last), ..connect(Version::V5, &client_id) });
    peer.cut();
    watcher.expect_message(&topic, b"gone");
    thread::sleep(Duration::from_millis(1_150));
    let (mut sleeper, _) = case.resume(Version::V5, "sleeper");
    sleeper.expect_nothing();
    case.forget("sleeper");
}
