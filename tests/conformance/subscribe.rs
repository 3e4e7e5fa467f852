//! Section D: SUBSCRIBE and UNSUBSCRIBE.

use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

use skein_protocol::{
    Packet, QoS, Subscribe, SubscriptionOptions, TopicFilter, Unsubscribe, UserProperties, Version,
};

use crate::harness::{
    Case, each_shard_count, each_version, no_properties, options, packet_id, publish, raw, sized,
    subscribe, unsubscribe,
};

const SUBSCRIBE: u8 = 0x82;
const UNSUBSCRIBE: u8 = 0xA2;

/// A SUBSCRIBE of this filter with this options byte, in the shape of the version.
fn raw_subscribe(version: Version, filter: impl AsRef<[u8]>, options: u8) -> Vec<u8> {
    raw(SUBSCRIBE, &[&[0, 1][..], no_properties(version), &sized(filter), &[options]].concat())
}

fn raw_unsubscribe(version: Version, filter: impl AsRef<[u8]>) -> Vec<u8> {
    raw(UNSUBSCRIBE, &[&[0, 1][..], no_properties(version), &sized(filter)].concat())
}

/// A SUBSCRIBE with these properties (without their length), for MQTT 5.
fn subscribe_with(properties: &[u8]) -> Vec<u8> {
    let block = crate::harness::block(properties);
    raw(SUBSCRIBE, &[&[0, 1][..], &block, &sized("a"), &[0]].concat())
}

fn assert_closed(reason: u8, packet: impl Fn(Version) -> Vec<u8> + Sync) {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        peer.send(&packet(version));
        peer.expect_closed_with(reason);
    });
}

fn assert_v5_closed(reason: u8, packet: &[u8]) {
    let case = Case::new();
    let mut peer = case.connect(Version::V5, "peer");
    peer.send(packet);
    peer.expect_closed_with(reason);
}

/// [MQTT-3.8.3-2], [MQTT-3.8.3-3 of 3.1.1]
#[test]
fn d01_subscribe_without_filters_closes() {
    assert_closed(0x82, |version| raw(SUBSCRIBE, &[&[0, 1][..], no_properties(version)].concat()));
}

/// [MQTT-3.8.3-4 of 3.1.1], and 3.8.3.1 of MQTT 5.0
#[test]
fn d02_qos_3_closes() {
    assert_closed(0x82, |version| raw_subscribe(version, "a", 3));
}

/// [MQTT-3.8.3-5], [MQTT-3.8.3-4 of 3.1.1]: in MQTT 3.1.1 all but the QoS is reserved.
#[test]
fn d03_reserved_option_bits_close() {
    for bit in [0x40, 0x80, 0xC0] {
        assert_closed(0x81, |version| raw_subscribe(version, "a", bit));
    }
    for bit in [0x04, 0x08, 0x10, 0x20] {
        let case = Case::new();
        let mut peer = case.connect(Version::V3_1_1, "peer");
        peer.send(&raw_subscribe(Version::V3_1_1, "a", bit));
        peer.expect_closed();
    }
}

/// [MQTT-2.2.1-3], [MQTT-2.3.1-1 of 3.1.1]
#[test]
fn d04_subscribe_with_packet_identifier_0_closes() {
    assert_closed(0x82, |version| {
        let rest = [no_properties(version), &sized("a"), &[0]].concat();
        raw(SUBSCRIBE, &[&[0, 0][..], &rest].concat())
    });
}

/// [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.1-2 of 3.1.1], [MQTT-4.7.1-3 of 3.1.1]
#[test]
fn d05_misplaced_wildcard_closes() {
    for filter in ["a/#/b", "a+/b", "#a", "a#", "##", "a/+b", "++"] {
        assert_closed(0x8F, |version| raw_subscribe(version, filter, 0));
        assert_closed(0x8F, |version| raw_unsubscribe(version, filter));
    }
}

/// [MQTT-4.7.3-1], [MQTT-4.7.3-1 of 3.1.1]
#[test]
fn d06_empty_filter_closes() {
    assert_closed(0x8F, |version| raw_subscribe(version, "", 0));
    assert_closed(0x8F, |version| raw_unsubscribe(version, ""));
}

/// [MQTT-4.7.3-2], [MQTT-4.7.3-2 of 3.1.1]
#[test]
fn d07_filter_with_a_null_character_closes() {
    assert_closed(0x8F, |version| raw_subscribe(version, "a\0b", 0));
    assert_closed(0x8F, |version| raw_unsubscribe(version, "a\0b"));
}

/// [MQTT-3.8.3-1], [MQTT-3.10.3-1], [MQTT-3.8.3-1 of 3.1.1], [MQTT-3.10.3-1 of 3.1.1]
#[test]
fn d08_filter_that_is_no_utf8_closes() {
    for filter in [&b"a\xFF"[..], b"a\xED\xA0\x80", b"a\xC0\x80"] {
        assert_closed(0x8F, |version| raw_subscribe(version, filter, 0));
        assert_closed(0x8F, |version| raw_unsubscribe(version, filter));
    }
}

/// [MQTT-3.10.3-2], [MQTT-3.10.3-2 of 3.1.1]
#[test]
fn d09_unsubscribe_without_filters_closes() {
    assert_closed(0x82, |version| {
        raw(UNSUBSCRIBE, &[&[0, 1][..], no_properties(version)].concat())
    });
}

/// [MQTT-2.2.1-3], [MQTT-2.3.1-1 of 3.1.1]
#[test]
fn d10_unsubscribe_with_packet_identifier_0_closes() {
    assert_closed(0x82, |version| {
        raw(UNSUBSCRIBE, &[&[0, 0][..], no_properties(version), &sized("a")].concat())
    });
}

/// [MQTT-4.13.1-1], [MQTT-4.8.0-1 of 3.1.1]: also when the filters before it were whole.
#[test]
fn d11_missing_options_byte_closes() {
    assert_closed(0x81, |version| {
        raw(SUBSCRIBE, &[&[0, 1][..], no_properties(version), &sized("a")].concat())
    });
    each_version(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        let filters = [&sized(&topic)[..], &[0], &sized("b")].concat();
        peer.send(&raw(SUBSCRIBE, &[&[0, 1][..], no_properties(version), &filters].concat()));
        peer.expect_closed_with(0x81);
    });
}

/// [MQTT-4.8.2-1], [MQTT-4.8.2-2], CVE-2025-68699: refused, and a message that such a filter might
/// match does no harm.
#[test]
fn d12_shared_filter_without_name_or_pattern_closes() {
    for filter in ["$share/g", "$share/", "$share//x", "$share/g/"] {
        assert_closed(0x8F, |version| raw_subscribe(version, filter, 0));
        assert_closed(0x8F, |version| raw_unsubscribe(version, filter));
    }
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        for topic in ["x", "$share/g", "$share//x", "$share/g/", "g"] {
            peer.publish(topic, b"x", QoS::AtLeastOnce);
        }
    });
}

/// [MQTT-4.8.2-2]
#[test]
fn d13_share_name_with_a_wildcard_closes() {
    for filter in ["$share/+/x", "$share/#/x", "$share/a+/x", "$share/a#b/x"] {
        assert_closed(0x8F, |version| raw_subscribe(version, filter, 0));
    }
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        for topic in ["x", "$share/a/x"] {
            peer.publish(topic, b"x", QoS::AtLeastOnce);
        }
    });
}

/// [MQTT-3.8.3-4]
#[test]
fn d14_no_local_on_a_shared_subscription_closes() {
    assert_v5_closed(0x82, &raw_subscribe(Version::V5, "$share/g/a", 0x04));
}

/// 3.8.3.1
#[test]
fn d15_retain_handling_3_closes() {
    assert_v5_closed(0x82, &raw_subscribe(Version::V5, "a", 0x30));
}

/// 3.8.2.1.2
#[test]
fn d16_subscription_identifier_0_closes() {
    assert_v5_closed(0x82, &subscribe_with(&[0x0B, 0]));
}

/// 3.8.2.1.2
#[test]
fn d17_two_subscription_identifiers_close() {
    assert_v5_closed(0x82, &subscribe_with(&[0x0B, 1, 0x0B, 2]));
}

/// CVE-2019-11779: the cap on levels refuses, neither slow nor deep.
#[test]
fn d18_filters_of_tens_of_thousands_of_levels_are_refused() {
    each_version(|case, version| {
        let mut peer = case.connect(version, "peer");
        let started = Instant::now();
        for filter in ["/".repeat(65_535), "+/".repeat(32_767), format!("{}#", "+/".repeat(300))] {
            peer.send(&subscribe(1, &[(&filter, options(QoS::AtMostOnce))]));
            peer.expect_suback(1, &[0x8F]);
            peer.send(&unsubscribe(2, &[&filter]));
            peer.expect_unsuback(2, &[0x11]);
        }
        peer.publish(&case.name("topic"), b"x", QoS::AtLeastOnce);
        // A millisecond on an idle machine.
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    });
}

/// 2.2.2.2: unknown, and one of another packet.
#[test]
fn d19_unknown_property_in_subscribe_closes() {
    for properties in [&[0x7F, 0][..], &[0x23, 0, 1], &[0x02, 0, 0, 0, 1], &[0x0B]] {
        assert_v5_closed(0x81, &subscribe_with(properties));
    }
    let with = |properties: &[u8]| {
        let block = crate::harness::block(properties);
        raw(UNSUBSCRIBE, &[&[0, 1][..], &block, &sized("a")].concat())
    };
    assert_v5_closed(0x81, &with(&[0x7F, 0]));
    assert_v5_closed(0x81, &with(&[0x0B, 1]));
}

/// 3.9.3: one client has a cap of its own, every filter an answer, and nothing stays behind.
#[test]
fn d20_a_million_filters_by_one_client_end_at_its_cap() {
    let case = Case::with_settings("");
    let started = Instant::now();
    assert_eq!(subscribe_to_many(&case, 50), 10_000);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    // The allocator's caches vary by tens of MiB; 300,000 leaked filters would be more.
    let before = case.broker.memory_bytes();
    for _ in 0..30 {
        assert_eq!(subscribe_to_many(&case, 1), 10_000);
    }
    let grown = case.broker.memory_bytes().saturating_sub(before);
    assert!(grown < 48 << 20, "{} KiB more for the same again", grown / 1024);
}

/// Asks for 20,000 filters per packet; how many are granted.
fn subscribe_to_many(case: &Case, packets: usize) -> usize {
    let mut peer = case.connect(Version::V5, "peer");
    let mut granted = 0;
    for packet in 0..packets {
        let filters: Vec<String> = (0..20_000).map(|n| format!("{packet}/{n}/+")).collect();
        let filters: Vec<_> =
            filters.iter().map(|filter| (filter.as_str(), options(QoS::AtLeastOnce))).collect();
        peer.send(&subscribe(1, &filters));
        let received = peer.receive();
        let Packet::SubAck(suback) = received.packet() else {
            panic!("SUBACK was to come, not {}", received.packet());
        };
        assert_eq!(suback.reasons.len(), filters.len());
        let codes = suback.reasons.iter().map(|reason| *reason as u8);
        assert!(codes.clone().all(|code| code == 1 || code == 0x97));
        granted += codes.filter(|code| *code == 1).count();
    }
    granted
}

/// [MQTT-3.9.3-1], [MQTT-3.8.4-6], [MQTT-3.8.4-7], [MQTT-3.8.4-5 of 3.1.1]: a code per filter, in order, and only the granted ones
/// deliver.
#[test]
fn d21_one_allowed_and_one_denied_filter_are_answered_in_order() {
    let case = Case::with_settings("[access]\ndeny_subscribe = [\"denied/#\"]");
    for version in [Version::V3_1_1, Version::V5] {
        let mut peer = case.connect(version, "peer");
        let filters = [
            ("denied/a", options(QoS::AtLeastOnce)),
            ("open/a", options(QoS::AtLeastOnce)),
            ("$share/g/denied/#", options(QoS::AtMostOnce)),
            ("open/b", options(QoS::ExactlyOnce)),
        ];
        peer.send(&subscribe(7, &filters));
        peer.expect_suback(7, &[0x87, 1, 0x87, 2]);
        for topic in ["denied/a", "denied/b", "open/a"] {
            peer.send(&publish(topic, b"x"));
        }
        peer.expect_message("open/a", b"x");
        peer.expect_nothing();
    }
}

/// [MQTT-3.3.4-2], [MQTT-3.3.4-3], [MQTT-3.3.4-4], [MQTT-3.3.5-1 of 3.1.1]: one copy, with the
/// highest QoS and every identifier.
#[test]
fn d22_a_thousand_overlapping_filters_get_one_copy() {
    each_version(|case, version| {
        let levels = ["l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9"];
        let root = case.name("topic");
        let filter = |mask: u32| {
            let pick = |(n, level)| if mask >> n & 1 == 1 { "+" } else { level };
            format!(
                "{root}/{}",
                levels.into_iter().enumerate().map(pick).collect::<Vec<_>>().join("/")
            )
        };
        let mut peer = case.connect(version, "peer");
        let started = Instant::now();
        for mask in 0..1000 {
            let filter = filter(mask);
            let qos = if mask == 500 { QoS::ExactlyOnce } else { QoS::AtMostOnce };
            let identifier = if version == Version::V5 { NonZeroU32::new(mask + 1) } else { None };
            peer.send(&Subscribe { identifier, ..subscribe(1, &[(&filter, options(qos))]) });
            peer.expect_suback(1, &[qos as u8]);
        }
        let topic = filter(0);
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"once", QoS::ExactlyOnce);
        let message = peer.expect_message(&topic, b"once");
        assert_eq!(message.publish().qos, QoS::ExactlyOnce);
        let mut identifiers: Vec<u32> =
            message.publish().properties.subscription_identifiers.iter().collect();
        identifiers.sort_unstable();
        let all = if version == Version::V5 { (1..=1000).collect() } else { Vec::new() };
        assert_eq!(identifiers, all);
        peer.acknowledge(&message);
        other.publish(&topic, b"twice", QoS::AtMostOnce);
        peer.expect_message(&topic, b"twice");
        peer.expect_nothing();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    });
}

/// [MQTT-3.10.4-2], CVE-2026-22040: whoever comes, goes, subscribes and unsubscribes under load is
/// sent nothing that was published after its UNSUBACK.
#[test]
fn d23_jitter_of_subscriptions_under_load_leaves_no_stale_delivery() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let sent = std::sync::atomic::AtomicU64::new(0);
        let order = std::sync::atomic::Ordering::SeqCst;
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut peer = case.connect(version, "publisher");
                while !is_over.load(order) {
                    let number = sent.fetch_add(1, order) + 1;
                    peer.publish(&topic, number.to_string().as_bytes(), QoS::AtLeastOnce);
                }
            });
            let until = Instant::now() + Duration::from_millis(1_200);
            let mut round = 0;
            while Instant::now() < until {
                round += 1;
                jitter(case, version, &topic, round, || sent.load(order));
            }
            is_over.store(true, order);
        });
        case.forget("jitter");
    });
}

/// One coming and going. `sent` counts the messages that were sent or are about to be.
fn jitter(case: &Case, version: Version, topic: &str, round: u32, sent: impl Fn() -> u64) {
    let (mut peer, _) = case.resume(version, "jitter");
    peer.subscribe(topic, QoS::AtLeastOnce);
    let first = peer.receive();
    assert_eq!(first.publish().topic.map(skein_protocol::TopicName::as_str), Some(topic));
    if round.is_multiple_of(4) {
        // Gone with the subscription and without acknowledging: the next round begins so.
        peer.cut();
        return;
    }
    peer.send(&unsubscribe(2, &[topic]));
    peer.expect_unsuback(2, &[0]);
    let at_unsuback = sent();
    // What had begun to be delivered before may still come; nothing newer may.
    let settled = Instant::now() + Duration::from_millis(3);
    loop {
        let left = settled.saturating_duration_since(Instant::now());
        let crate::harness::Heard::Packet(received) = peer.hear(left) else { break };
        let publish = received.publish();
        let number: u64 = String::from_utf8_lossy(publish.payload).parse().expect("a number");
        assert!(number <= at_unsuback, "{number} came, {at_unsuback} were sent at UNSUBACK");
        peer.acknowledge(&received);
    }
    if round.is_multiple_of(2) {
        peer.cut();
    }
}

/// [MQTT-3.8.4-3]: the same filter again replaces the subscription.
#[test]
fn d00_the_same_filter_again_replaces_the_subscription() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let mut peer = case.connect(version, "peer");
        let mut other = case.connect(version, "other");
        for qos in [QoS::ExactlyOnce, QoS::AtMostOnce, QoS::AtLeastOnce] {
            peer.subscribe(&topic, qos);
            other.publish(&topic, b"x", QoS::ExactlyOnce);
            let message = peer.expect_message(&topic, b"x");
            assert_eq!(message.publish().qos, qos);
            peer.acknowledge(&message);
        }
        peer.expect_nothing();
    });
}

/// [MQTT-3.8.4-5], [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6], [MQTT-3.11.3-1]: a packet of many filters counts as many packets of one.
#[test]
fn d00_a_packet_of_many_filters_is_many_packets_of_one() {
    each_version(|case, version| {
        let names: Vec<String> = (0..50).map(|n| case.name(&n.to_string())).collect();
        let qos_of = |n: usize| [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][n % 3];
        let filters: Vec<(&str, SubscriptionOptions)> =
            names.iter().enumerate().map(|(n, name)| (name.as_str(), options(qos_of(n)))).collect();
        let mut peer = case.connect(version, "peer");
        peer.send(&subscribe(9, &filters));
        let granted: Vec<u8> = (0..50).map(|n| qos_of(n) as u8).collect();
        peer.expect_suback(9, &granted);
        let all: Vec<&str> = names.iter().map(String::as_str).chain(["never/was"]).collect();
        peer.send(&unsubscribe(10, &all));
        let mut reasons = vec![0; 50];
        reasons.push(0x11);
        peer.expect_unsuback(10, &reasons);
        peer.publish(&names[0], b"x", QoS::AtLeastOnce);
        peer.expect_nothing();
    });
}

/// [MQTT-1.5.7-1], 3.8.2.1.3 and 3.10.2.1.2: they mean nothing to the broker, and do no harm.
#[test]
fn d00_user_properties_of_subscribe_and_unsubscribe_are_read() {
    let case = Case::new();
    let pairs = [("a", "1"), ("a", "2"), ("", "")];
    let user_properties = UserProperties::from_pairs(&pairs);
    let filter = case.name("topic");
    let mut peer = case.connect(Version::V5, "peer");
    let plain = subscribe(1, &[(&filter, options(QoS::AtMostOnce))]);
    peer.send(&Subscribe { user_properties, ..plain });
    peer.expect_suback(1, &[0]);
    peer.send(&Packet::Unsubscribe(Unsubscribe {
        packet_id: packet_id(2),
        user_properties,
        filters: std::iter::once(TopicFilter::new(&filter).expect("a filter")).collect(),
    }));
    peer.expect_unsuback(2, &[0]);
}

/// [MQTT-3.10.4-1], [MQTT-3.10.4-3], [MQTT-3.10.4-1 of 3.1.1], [MQTT-3.10.4-3 of 3.1.1]: a filter is
/// ended by its very text, and what was being delivered is delivered to its end.
#[test]
fn d00_unsubscribe_completes_what_has_begun() {
    each_shard_count(|case, version| {
        let topic = case.name("topic");
        let (mut peer, _) = case.resume(version, "peer");
        peer.subscribe(&topic, QoS::ExactlyOnce);
        let mut other = case.connect(version, "other");
        other.publish(&topic, b"begun", QoS::ExactlyOnce);
        let begun = peer.expect_message(&topic, b"begun");
        peer.send(&unsubscribe(8, &[&case.name("+"), &topic.to_uppercase()]));
        peer.expect_unsuback(8, &[0x11, 0x11]);
        peer.send(&unsubscribe(9, &[&topic]));
        peer.expect_unsuback(9, &[0]);
        other.publish(&topic, b"too late", QoS::ExactlyOnce);
        peer.cut();
        let (mut peer, _) = case.resume(version, "peer");
        let again = peer.expect_message(&topic, b"begun");
        assert_eq!((again.id(), again.publish().dup), (begun.id(), true));
        peer.acknowledge(&again);
        peer.expect_nothing();
        case.forget("peer");
    });
}
