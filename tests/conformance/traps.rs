//! Conformance traps: what users reported of other brokers, named by the broker and its issue.

use std::num::{NonZeroU16, NonZeroU32};
use std::thread;
use std::time::{Duration, Instant};

use skein_protocol::{
    Connect, ConnectProperties, Disconnect, PacketType, Publish, PublishProperties, QoS,
    ReasonCode, Subscribe, SubscriptionOptions, Version, Will,
};

use crate::harness::{
    Case, Peer, RawConnect, block, connect, disconnect, each_shard_count, each_shard_count_v5,
    each_version, eventually, options, persistent, pubcomp, publish, publish_as, pubrec, pubrel,
    raw, raw_publish, sized, subscribe, will,
};

/// [MQTT-4.4.0-1], [MQTT-3.3.1-1]
#[test]
fn trap_bifromq_281_retransmitted_publish_has_dup_and_the_original_id() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let (mut peer, _) = case.resume(version, "peer");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        let mut other = case.connect(version, "other");
        let sent = [("one", QoS::AtLeastOnce), ("two", QoS::ExactlyOnce)];
        let mut ids = Vec::new();
        for (payload, qos) in sent {
            other.publish(&topic, payload.as_bytes(), qos);
            let message = peer.expect_message(&topic, payload.as_bytes());
            assert!(!message.publish().dup);
            ids.push(message.id());
        }
        for _ in 0..3 {
            peer.cut();
            (peer, _) = case.resume(version, "peer");
            for ((payload, qos), id) in sent.into_iter().zip(&ids) {
                let again = peer.expect_message(&topic, payload.as_bytes());
                let publish = again.publish();
                assert_eq!((again.id(), publish.dup, publish.qos), (*id, true, qos));
            }
        }
        case.forget("peer");
    });
}

/// [MQTT-4.3.3-6], [MQTT-4.4.0-1]
#[test]
fn trap_rmqtt_456_nanomq_2412_owed_pubrel_is_resent_and_never_restarted_from_publish() {
    each_shard_count(|case, version| {
        let (mut peer, _, id) = past_pubrec(case, version, None);
        for _ in 0..3 {
            peer.cut();
            (peer, _) = case.resume(version, "peer");
            peer.expect(&pubrel(id));
            peer.expect_nothing();
        }
        peer.send(&pubcomp(id));
        peer.expect_nothing();
        peer.cut();
        (peer, _) = case.resume(version, "peer");
        peer.expect_nothing();
        case.forget("peer");
    });
}

/// A subscriber, its topic, and the identifier of a QoS 2 message for which it has sent PUBREC and
/// received PUBREL.
fn past_pubrec(case: &Case, version: Version, expiry_s: Option<u32>) -> (Peer, String, u16) {
    let topic = case.name("topic");
    let (mut peer, _) = case.resume(version, "peer");
    peer.subscribe(&topic, QoS::ExactlyOnce);
    let mut other = case.connect(version, "other");
    let properties = PublishProperties { message_expiry_s: expiry_s, ..Default::default() };
    let qos = QoS::ExactlyOnce;
    other.say(&Publish { qos, properties, ..publish(&topic, b"two") });
    let id = peer.expect_message(&topic, b"two").id();
    peer.send(&pubrec(id));
    peer.expect(&pubrel(id));
    (peer, topic, id)
}

/// [MQTT-4.3.3-7]: a message that was sent has not expired any more, before PUBREC and after.
#[test]
fn trap_mosquitto_3744_rmqtt_513_expiry_does_not_break_a_qos_2_exchange() {
    let case = Case::new();
    let (peer, topic, id) = past_pubrec(&case, Version::V5, Some(1));
    peer.leave();
    let mut other = case.connect(Version::V5, "other");
    let properties = PublishProperties { message_expiry_s: Some(1), ..Default::default() };
    let qos = QoS::ExactlyOnce;
    other.say(&Publish { qos, properties, ..publish(&topic, b"never sent") });
    thread::sleep(Duration::from_millis(1_150));
    let (mut peer, _) = case.resume(Version::V5, "peer");
    peer.expect(&pubrel(id));
    peer.send(&pubcomp(id));
    peer.expect_nothing();
    case.forget("peer");
}

/// [MQTT-4.3.3-10]: not 0x91, and not a second message; also on the next connection.
#[test]
fn trap_flashmq_171_rmqtt_456_duplicate_qos_2_publish_gets_pubrec_again() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::ExactlyOnce);
        let message = publish_as(QoS::ExactlyOnce, 11, &topic, b"once");
        let again = Publish { dup: true, ..message.clone() };
        let (mut peer, _) = case.resume(version, "peer");
        peer.send(&message);
        peer.expect_ack(PacketType::PubRec, 11, 0);
        for _ in 0..2 {
            peer.send(&again);
            peer.expect_ack(PacketType::PubRec, 11, 0);
            peer.cut();
            (peer, _) = case.resume(version, "peer");
        }
        peer.send(&again);
        peer.expect_ack(PacketType::PubRec, 11, 0);
        peer.send(&pubrel(11));
        peer.expect_ack(PacketType::PubComp, 11, 0);
        let once = watcher.expect_message(&topic, b"once");
        watcher.acknowledge(&once);
        watcher.expect_nothing();
        case.forget("peer");
    });
}

/// [MQTT-4.3.3-4], 3.6.2.1: the PUBREL is still owed, so it is no error.
#[test]
fn trap_bifromq_281_pubrec_again_for_an_owed_pubrel_gets_0x00() {
    each_shard_count(|case, version| {
        let (mut peer, _, id) = past_pubrec(case, version, None);
        peer.send(&pubrec(id));
        peer.expect_ack(PacketType::PubRel, id, 0);
        peer.cut();
        let (mut peer, _) = case.resume(version, "peer");
        peer.expect_ack(PacketType::PubRel, id, 0);
        peer.send(&pubrec(id));
        peer.expect_ack(PacketType::PubRel, id, 0);
        peer.send(&pubcomp(id));
        peer.expect_nothing();
        case.forget("peer");
    });
}

/// 3.7.2.1: PUBREL again on a session that was resumed: the PUBCOMP was lost with the connection.
#[test]
fn trap_bifromq_281_pubrel_again_after_a_resume_gets_0x00() {
    each_shard_count(|case, version| {
        let topic = case.name("nobody");
        let (mut peer, _) = case.resume(version, "peer");
        peer.publish(&topic, b"x", QoS::ExactlyOnce);
        let id = 1;
        peer.cut();
        let (mut peer, _) = case.resume(version, "peer");
        peer.send(&pubrel(id));
        peer.expect_ack(PacketType::PubComp, id, 0);
        case.forget("peer");
    });
}

/// [MQTT-4.9.0-1], [MQTT-4.9.0-2], [MQTT-3.3.4-9]: what an earlier connection left unfinished does
/// not use up the quota of this one, which is what this CONNECT says.
#[test]
fn trap_flashmq_173_send_quota_is_reset_by_each_connection() {
    each_shard_count_v5(|case| {
        let (client_id, topic) = (case.name("peer"), case.name("topic"));
        let with_maximum = |maximum| {
            let mut connect = persistent(Version::V5, &client_id, 60);
            connect.properties.receive_maximum = NonZeroU16::new(maximum);
            connect
        };
        let (mut peer, _) = case.connect_as(&with_maximum(3));
        peer.subscribe(&topic, QoS::AtLeastOnce);
        let mut other = case.connect(Version::V5, "other");
        for n in 0..8 {
            other.publish(&topic, &[b'0' + n], QoS::AtLeastOnce);
        }
        for n in 0..3 {
            peer.expect_message(&topic, &[b'0' + n]);
        }
        peer.expect_silence(Duration::from_millis(20));
        // Twice with nothing acknowledged, with less and with more; then all of it.
        for maximum in [2, 5] {
            peer.cut();
            (peer, _) = case.connect_as(&with_maximum(maximum));
            for n in 0..maximum as u8 {
                peer.expect_message(&topic, &[b'0' + n]);
            }
            peer.expect_silence(Duration::from_millis(20));
        }
        peer.cut();
        (peer, _) = case.connect_as(&with_maximum(1));
        for n in 0..8 {
            let message = peer.expect_message(&topic, &[b'0' + n]);
            peer.expect_nothing();
            peer.acknowledge(&message);
        }
        peer.expect_nothing();
        case.forget("peer");
    });
}

/// [MQTT-3.3.2-6], [MQTT-3.3.2-5]
#[test]
fn trap_rmqtt_513_expiry_of_a_retained_message_is_decremented() {
    let case = Case::new();
    let (lasting, brief) = (case.name("lasting"), case.name("brief"));
    let mut peer = case.connect(Version::V5, "peer");
    for (topic, seconds) in [(&lasting, 20), (&brief, 1)] {
        let properties =
            PublishProperties { message_expiry_s: Some(seconds), ..Default::default() };
        let kept = Publish { retain: true, properties, ..publish(topic, b"kept") };
        peer.say(&Publish { qos: QoS::AtLeastOnce, ..kept });
    }
    thread::sleep(Duration::from_millis(1_150));
    peer.subscribe(&lasting, QoS::AtMostOnce);
    let message = peer.expect_message(&lasting, b"kept");
    let left = message.publish().properties.message_expiry_s;
    assert!(left.is_some_and(|left| (16..=19).contains(&left)), "{left:?}");
    peer.subscribe(&brief, QoS::AtMostOnce);
    peer.expect_silence(Duration::from_millis(30));
    peer.publish_retained(&lasting, b"");
}

/// 3.3.1.3, [MQTT-3.3.1-12], [MQTT-3.3.1-13]
#[test]
fn trap_vernemq_2551_retain_as_published_is_kept_through_the_offline_queue() {
    each_shard_count_v5(|case| {
        let (topic, plain) = (case.name("topic"), case.name("plain"));
        let (mut peer, _) = case.resume(Version::V5, "peer");
        let as_published =
            SubscriptionOptions { retain_as_published: true, ..options(QoS::AtLeastOnce) };
        peer.send(&subscribe(1, &[(&topic, as_published), (&plain, options(QoS::AtLeastOnce))]));
        peer.expect_suback(1, &[1, 1]);
        peer.leave();
        let mut other = case.connect(Version::V5, "other");
        other.publish_retained(&topic, b"retained");
        other.publish(&topic, b"not retained", QoS::AtLeastOnce);
        other.publish_retained(&plain, b"retained");
        let (mut peer, _) = case.resume(Version::V5, "peer");
        let mut expect = |topic: &str, payload: &[u8], retain| {
            let message = peer.expect_message(topic, payload);
            assert_eq!(message.publish().retain, retain);
            peer.acknowledge(&message);
        };
        expect(&topic, b"retained", true);
        expect(&topic, b"not retained", false);
        expect(&plain, b"retained", false);
        other.publish_retained(&topic, b"");
        other.publish_retained(&plain, b"");
        case.forget("peer");
    });
}

/// [MQTT-3.1.2-23], [MQTT-4.1.0-2]: not before and, where it can be seen, not after: the will that
/// waits for the session's end says when.
#[test]
fn trap_tbmq_372_session_ends_at_the_granted_expiry() {
    let case = Case::with_settings("[limits]\nsession_expiry_s_max = 2");
    let topic = case.name("will");
    let mut watcher = case.connect(Version::V5, "watcher");
    watcher.subscribe(&topic, QoS::AtMostOnce);
    for (asked, granted) in [(1, 1), (9, 2)] {
        let client_id = case.name(&format!("peer-{asked}"));
        let mut with_will = persistent(Version::V5, &client_id, asked);
        let mut last = will(&topic, b"ended");
        last.properties.delay_interval_s = Some(60);
        with_will.will = Some(last);
        let mut peer = case.open(Version::V5);
        peer.send(&with_will);
        let connack = peer.receive();
        let told = connack.connack().properties.session_expiry_s.unwrap_or(asked);
        assert_eq!(told, granted);
        peer.cut();
        let cut_at = Instant::now();
        watcher.expect_message(&topic, b"ended");
        let took_ms = cut_at.elapsed().as_millis();
        let due_ms = u128::from(granted) * 1000;
        assert!((due_ms - 10..due_ms + 700).contains(&took_ms), "{took_ms} ms");
        let (_peer, session_present) = case.connect_as(&persistent(Version::V5, &client_id, 0));
        assert!(!session_present);
    }
}

/// [MQTT-3.1.2-8], [MQTT-3.1.2-10], [MQTT-3.14.4-3]: only Normal disconnection deletes the will.
#[test]
fn trap_nanomq_2412_will_is_published_on_reset_and_on_disconnect_with_will() {
    each_shard_count(|case, version| {
        let (client_id, topic) = (case.name("peer"), case.name("will"));
        let mut watcher = case.connect(version, "watcher");
        watcher.subscribe(&topic, QoS::AtMostOnce);
        let with_will =
            |payload| Connect { will: Some(will(&topic, payload)), ..connect(version, &client_id) };
        let (peer, _) = case.connect_as(&with_will(b"reset"));
        peer.reset();
        watcher.expect_message(&topic, b"reset");
        let (peer, _) = case.connect_as(&with_will(b"cut"));
        peer.cut();
        watcher.expect_message(&topic, b"cut");
        let (peer, _) = case.connect_as(&with_will(b"never"));
        peer.leave();
        if version == Version::V5 {
            for reason in [ReasonCode::DisconnectWithWill, ReasonCode::UnspecifiedError] {
                let (mut peer, _) = case.connect_as(&with_will(b"told"));
                peer.send(&Disconnect::with_reason(reason));
                peer.expect_closed();
                watcher.expect_message(&topic, b"told");
            }
        }
        watcher.expect_silence(Duration::from_millis(20));
    });
}

/// [MQTT-3.1.2-25]: also while a window of one message is all there is.
#[test]
fn trap_rmqtt_513_one_oversized_queued_message_does_not_stall_the_queue() {
    each_shard_count_v5(|case| {
        let (client_id, topic) = (case.name("peer"), case.name("topic"));
        let (mut peer, _) = case.resume(Version::V5, "peer");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        peer.leave();
        let mut other = case.connect(Version::V5, "other");
        let large = vec![b'x'; 500];
        for payload in [&b"first"[..], &large, b"second", &large, &large, b"third"] {
            other.publish(&topic, payload, QoS::AtLeastOnce);
            other.publish(&topic, payload, QoS::ExactlyOnce);
        }
        let mut small = persistent(Version::V5, &client_id, 60);
        small.properties.maximum_packet_size = NonZeroU32::new(200);
        small.properties.receive_maximum = NonZeroU16::new(1);
        let (mut peer, _) = case.connect_as(&small);
        for payload in ["first", "second", "third"] {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let message = peer.expect_message(&topic, payload.as_bytes());
                assert_eq!(message.publish().qos, qos);
                peer.acknowledge(&message);
            }
        }
        peer.expect_nothing();
        case.forget("peer");
    });
}

/// [MQTT-3.1.2-24], [MQTT-4.3.3-3]: the same for what was already sent to a connection that took
/// larger packets.
#[test]
fn trap_rmqtt_513_one_oversized_resend_does_not_stall_the_queue() {
    let case = Case::new();
    let (client_id, topic) = (case.name("peer"), case.name("topic"));
    let (mut peer, _) = case.resume(Version::V5, "peer");
    peer.subscribe(&topic, QoS::ExactlyOnce);
    let mut other = case.connect(Version::V5, "other");
    let large = vec![b'x'; 500];
    let [too_large, _] = [&large[..], b"small"].map(|payload| {
        other.publish(&topic, payload, QoS::ExactlyOnce);
        peer.expect_message(&topic, payload).id()
    });
    peer.leave();
    let mut small = persistent(Version::V5, &client_id, 60);
    small.properties.maximum_packet_size = NonZeroU32::new(200);
    small.properties.receive_maximum = NonZeroU16::new(1);
    let (mut peer, _) = case.connect_as(&small);
    // The client may hold its packet id: it is released, and the window with it.
    peer.expect_ack(PacketType::PubRel, too_large, 0);
    peer.send(&pubcomp(too_large));
    let message = peer.expect_message(&topic, b"small");
    assert!(message.publish().dup);
    peer.acknowledge(&message);
    peer.expect_nothing();
    case.forget("peer");
}

/// [MQTT-3.8.4-1], [MQTT-3.8.4-2]: whoever publishes after the SUBACK reaches the subscription.
#[test]
fn trap_bifromq_281_subscription_is_live_at_suback() {
    each_shard_count(|case, version| {
        let mut publishers: Vec<Peer> =
            (0..6).map(|n| case.connect(version, &format!("publisher-{n}"))).collect();
        for round in 0..20 {
            let topic = case.name(&format!("topic-{round}"));
            let mut peer = case.connect(version, "peer");
            peer.subscribe(&topic, QoS::AtMostOnce);
            for publisher in &mut publishers {
                publisher.send(&publish(&topic, b"at once"));
            }
            for _ in 0..6 {
                peer.expect_message(&topic, b"at once");
            }
        }
    });
}

/// [MQTT-3.1.2-12], [MQTT-3.1.2-3]
#[test]
fn trap_mosquitto_3707_3708_will_qos_3_and_the_reserved_flag_get_connack_0x81() {
    let case = Case::new();
    for flags in [0x02 | 0x04 | 3 << 3, 0x02 | 0x01] {
        let mut wrong = RawConnect::new(Version::V5, &case.name("peer"));
        wrong.flags = flags;
        wrong.payload.extend([block(&[]), sized("will"), sized("gone")].concat());
        let mut peer = case.open(Version::V5);
        peer.send(&wrong);
        peer.expect_refused(0x81, 0);
    }
}

/// 2.2.2.2
#[test]
fn trap_mosquitto_3708_duplicate_properties_get_connack_0x82() {
    let case = Case::new();
    let properties = block(&[0x21, 0, 5, 0x21, 0, 5]);
    let mut peer = case.open(Version::V5);
    peer.send(&RawConnect { properties, ..RawConnect::new(Version::V5, &case.name("peer")) });
    peer.expect_refused(0x82, 0);
}

/// [MQTT-3.3.4-6]
#[test]
fn trap_mosquitto_3319_nanomq_626_subscription_identifier_from_a_client_is_an_error() {
    let case = Case::new();
    let mut peer = case.connect(Version::V5, "peer");
    peer.send(&raw_publish("a", &[0x0B, 7], b"x"));
    peer.expect_closed_with(0x82);
}

/// [MQTT-3.8.3-5]
#[test]
fn trap_nanomq_2336_subscribe_option_bits_6_and_7_are_an_error() {
    let case = Case::new();
    for bits in [0x40, 0x80] {
        let mut peer = case.connect(Version::V5, "peer");
        peer.send(&raw(0x82, &[&[0, 1, 0][..], &sized("a"), &[bits]].concat()));
        peer.expect_closed_with(0x81);
    }
}

/// [MQTT-3.3.2-14]: in a message and in a will.
#[test]
fn trap_nanomq_1782_response_topic_with_wildcards_is_an_error() {
    let case = Case::new();
    let response_topic = [&[0x08][..], &sized("answers/#")].concat();
    let mut peer = case.connect(Version::V5, "peer");
    peer.send(&raw_publish("a", &response_topic, b"x"));
    assert!(peer.receive().disconnect().reason.is_error());
    peer.expect_closed();
    let mut with_will = RawConnect::new(Version::V5, &case.name("peer"));
    with_will.flags |= 0x04;
    with_will.payload.extend([block(&response_topic), sized("will"), sized("gone")].concat());
    let mut peer = case.open(Version::V5);
    peer.send(&with_will);
    assert!(peer.receive().any_connack().reason.is_error());
    peer.expect_closed();
}

/// [MQTT-4.8.2-1], [MQTT-4.8.2-2]
#[test]
fn trap_mosquitto_3319_share_names_with_wildcards_or_without_a_letter_are_rejected() {
    each_version(|case, version| {
        for filter in ["$share/a+/x", "$share/a#/x", "$share//x", "$share/+/x", "$share/#"] {
            let mut peer = case.connect(version, "peer");
            let none = crate::harness::no_properties(version);
            peer.send(&raw(0x82, &[&[0, 1][..], none, &sized(filter), &[0]].concat()));
            peer.expect_closed_with(0x8F);
        }
    });
}

/// [MQTT-3.3.4-3], [MQTT-3.8.4-4]
#[test]
fn trap_vernemq_1287_1294_subscription_identifiers_are_on_retained_and_shared_deliveries() {
    each_shard_count_v5(|case| {
        let (topic, queued) = (case.name("topic"), case.name("queued"));
        let shared = format!("$share/group/{topic}");
        let mut other = case.connect(Version::V5, "other");
        other.publish_retained(&topic, b"retained");
        let (mut peer, _) = case.resume(Version::V5, "peer");
        for (identifier, filter) in [(7, &topic), (268_435_455, &shared), (9, &queued)] {
            let plain = subscribe(1, &[(filter, options(QoS::AtLeastOnce))]);
            peer.send(&Subscribe { identifier: NonZeroU32::new(identifier), ..plain });
            peer.expect_suback(1, &[1]);
            if filter == &topic {
                assert_eq!(identifiers(&mut peer, &topic, b"retained"), [7]);
            }
        }
        other.publish(&topic, b"live", QoS::AtLeastOnce);
        let mut both =
            [identifiers(&mut peer, &topic, b"live"), identifiers(&mut peer, &topic, b"live")];
        both.sort();
        assert_eq!(both, [vec![7], vec![268_435_455]]);
        peer.leave();
        other.publish(&queued, b"later", QoS::AtLeastOnce);
        let (mut peer, _) = case.resume(Version::V5, "peer");
        assert_eq!(identifiers(&mut peer, &queued, b"later"), [9]);
        other.publish_retained(&topic, b"");
        peer.cut();
        case.forget("peer");
    });
}

/// The identifiers of the next message, which is this one.
fn identifiers(peer: &mut Peer, topic: &str, payload: &[u8]) -> Vec<u32> {
    let message = peer.expect_message(topic, payload);
    peer.acknowledge(&message);
    message.publish().properties.subscription_identifiers.iter().collect()
}

/// [MQTT-3.1.3-8 of 3.1.1], and [MQTT-3.1.3-6] of MQTT 5.0, by which a server that takes empty ids
/// takes them with either Clean Start; the client learns its id.
#[test]
fn trap_rmqtt_0_23_empty_client_id_without_clean_session() {
    each_version(|case, version| {
        let mut peer = case.open(version);
        peer.send(&persistent(version, "", 1));
        if version == Version::V3_1_1 {
            peer.expect_refused(0x85, 0x02);
        } else {
            let connack = peer.receive();
            assert!(connack.connack().properties.assigned_client_id.is_some());
        }
    });
}

/// [MQTT-3.2.2-13]
#[test]
fn trap_rmqtt_0_23_will_retain_where_retain_is_unavailable_gets_0x9a() {
    let case = Case::with_settings("[limits]\nretain_available = false");
    let client_id = case.name("peer");
    let retained = Will { retain: true, ..will("will", b"gone") };
    let mut peer = case.open(Version::V5);
    peer.send(&Connect { will: Some(retained), ..connect(Version::V5, &client_id) });
    peer.expect_refused(0x9A, 0);
    let properties = ConnectProperties::default();
    let mut peer = case.open(Version::V5);
    peer.send(&Connect { properties, ..connect(Version::V5, &client_id) });
    let connack = peer.receive();
    assert_eq!(connack.connack().properties.retain_available, Some(false));
    peer.send(&Publish { retain: true, ..publish("a", b"x") });
    peer.expect_closed_with(0x9A);
}

/// The process that all of this was said to still has what it should: nothing of those who left.
#[test]
fn trap_nanomq_1934_sessions_without_expiry_leave_nothing_behind() {
    each_version(|case, version| {
        let topic = case.name("topic");
        for _ in 0..50 {
            let mut peer = case.connect(version, "peer");
            peer.subscribe(&topic, QoS::AtLeastOnce);
            peer.send(&disconnect());
            peer.expect_closed();
        }
        let mut other = case.connect(Version::V5, "other");
        let gone = eventually(Duration::from_secs(1), || {
            let publish = Publish { qos: QoS::AtLeastOnce, ..publish(&topic, b"x") };
            other.say(&publish) == ReasonCode::NoMatchingSubscribers
        });
        assert!(gone);
    });
}
