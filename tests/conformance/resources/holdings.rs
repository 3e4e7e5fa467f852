//! What clients make the broker keep: each kind has an end.

use std::time::{Duration, Instant};

use skein_protocol::{Publish, QoS, ReasonCode, Version};

use super::counted;
use crate::harness::{
    Case, Heard, Peer, eventually, options, persistent, publish, publish_as, pubrel, raw_publish,
    subscribe,
};

/// CVE-2023-28366: the same message again is the same message.
#[test]
fn g03_one_qos_2_message_two_thousand_times_is_kept_once() {
    let case = Case::with_settings("");
    let topic = case.name("topic");
    let payload = vec![b'x'; 1_024];
    let grown = case.survives(|| {
        let mut peer = case.connect(Version::V5, "peer");
        for _ in 0..2_000 {
            peer.send(&Publish { dup: true, ..publish_as(QoS::ExactlyOnce, 7, &topic, &payload) });
        }
        for _ in 0..2_000 {
            assert_eq!(peer.receive().ack().packet_id.get(), 7);
        }
        peer.send(&pubrel(7));
        peer.receive();
        peer.leave();
    });
    assert!(grown < 1 << 20, "{} KiB", grown / 1024);
}

/// 65,535 topics of 65,535 bytes would be 4 GiB: neither so many nor so long.
#[test]
fn g10_topic_aliases_are_few_and_their_topics_bounded() {
    let case = Case::with_settings("");
    let long = "x".repeat(65_000);
    let set = |alias: u16| {
        let [high, low] = alias.to_be_bytes();
        raw_publish(&long, &[0x23, high, low], b"x")
    };
    let grown = case.survives(|| {
        for round in 0..10 {
            let mut peer = case.connect(Version::V5, &format!("many-{round}"));
            peer.send(&set(17));
            peer.expect_closed_with(0x94);
            let mut peer = case.connect(Version::V5, &format!("long-{round}"));
            peer.send(&set(1));
            peer.expect_nothing();
            peer.send(&set(2));
            peer.expect_closed_with(0x97);
        }
    });
    assert!(grown < 2 << 20, "{} KiB", grown / 1024);
}

/// Sessions that want to stay for ever: so many, and so long.
#[test]
fn g11_sessions_have_an_end_in_number_and_time() {
    let settings = "[limits]\nsessions_max = 40\nsession_expiry_s_max = 2\n";
    let case = Case::with_settings(settings);
    let mut refused = 0;
    for n in 0..120 {
        let name = case.name(&format!("random-{n}"));
        let mut peer = case.open(Version::V5);
        peer.send(&persistent(Version::V5, &name, u32::MAX));
        let received = peer.receive();
        let connack = received.any_connack();
        if connack.reason == ReasonCode::QuotaExceeded {
            refused += 1;
        } else {
            assert_eq!(connack.properties.session_expiry_s, Some(2));
            peer.cut();
        }
    }
    assert!((80..=110).contains(&refused), "{refused}");
    let has_room = || {
        let name = case.name("later");
        let mut peer = case.open(Version::V5);
        peer.send(&persistent(Version::V5, &name, 1));
        peer.receive().any_connack().reason == ReasonCode::Success
    };
    assert!(eventually(Duration::from_secs(8), has_room));
    std::thread::sleep(Duration::from_secs(2));
}

/// Retained topics: so many, and so many bytes; the others go on.
#[test]
fn g12_retained_topics_have_an_end_in_number_and_bytes() {
    for settings in
        ["[limits]\nretained_messages_max = 100\n", "[limits]\nretained_bytes_max = 1048576\n"]
    {
        let case = Case::with_settings(settings);
        let payload = vec![b'x'; 20_000];
        let mut peer = case.connect(Version::V5, "hoarder");
        let mut outcomes = [0, 0];
        for n in 0..400 {
            let topic = case.name(&format!("retained/{n}"));
            let message =
                Publish { qos: QoS::AtLeastOnce, retain: true, ..publish(&topic, &payload) };
            match peer.say(&message) {
                ReasonCode::QuotaExceeded => outcomes[1] += 1,
                _ => outcomes[0] += 1,
            }
        }
        assert!((30..200).contains(&outcomes[0]) && outcomes[1] > 100, "{outcomes:?}");
        // Those who come in later versions of the protocol are told; that it happened is counted.
        let mut old = case.connect(Version::V3_1_1, "old");
        let topic = case.name("retained/old");
        old.say(&Publish { qos: QoS::AtLeastOnce, retain: true, ..publish(&topic, &payload) });
        let refused = counted(&case, "publishes_refused") + counted(&case, "retained_refused");
        assert!(refused > 100, "{refused}");
        for n in 0..400 {
            let topic = case.name(&format!("retained/{n}"));
            peer.publish_retained(&topic, b"");
        }
        peer.publish_retained(&topic, b"");
        peer.publish_retained(&case.name("retained/new"), &payload);
        peer.publish_retained(&case.name("retained/new"), b"");
        peer.leave();
        old.leave();
    }
}

/// Filters of one client take so many bytes, however few they are.
#[test]
fn g12_the_bytes_of_all_filters_have_an_end() {
    let case = Case::with_settings("[limits]\nsubscription_bytes_max = 200000\n");
    let mut peer = case.connect(Version::V5, "hoarder");
    let mut codes = Vec::new();
    for n in 1..=6 {
        let filter = format!("{n}{}", "x".repeat(30_000));
        peer.send(&subscribe(n, &[(&filter, options(QoS::AtMostOnce))]));
        let received = peer.receive();
        let skein_protocol::Packet::SubAck(suback) = received.packet() else {
            panic!("SUBACK was to come, not {}", received.packet());
        };
        codes.push(suback.reasons[0] as u8);
    }
    assert_eq!(codes, [0, 0, 0, 0x97, 0x97, 0x97]);
    assert_eq!(counted(&case, "subscriptions_refused"), 3);
    peer.leave();
}

fn deep(levels: usize, word: &str) -> String {
    vec![word; levels].join("/")
}

/// Filters made of wildcards against topics as deep as they may be: what a publish costs grows with
/// those who match, not with two to the number of levels.
#[test]
fn g13_wildcards_against_deep_topics_cost_what_matches() {
    let case = Case::with_settings("");
    let mut greedy = case.connect(Version::V5, "greedy");
    for levels in 1..=120_usize {
        for filter in [
            deep(levels, "+"),
            format!("{}/#", deep(levels, "+")),
            // Each of these doubles the ways for a naive matcher.
            deep(levels / 2 + 1, "+/a"),
        ] {
            let id = greedy.next_id();
            greedy.send(&subscribe(id, &[(&filter, options(QoS::AtMostOnce))]));
            greedy.expect_suback(id, &[0]);
        }
    }
    greedy.leave();
    let mut greedy = resubscribed(&case);
    let mut publisher = case.connect(Version::V5, "publisher");
    let started = Instant::now();
    let rounds = 100;
    for n in 0..rounds {
        // Each topic is new, so nothing is remembered of it.
        let topic = format!("{}/{n}", deep(119, "a"));
        publisher.publish(&topic, b"x", QoS::AtLeastOnce);
    }
    let each = started.elapsed() / rounds;
    assert!(each < Duration::from_millis(20), "{each:?} for each publish");
    while let Heard::Packet(_) = greedy.hear(Duration::from_millis(200)) {}
    greedy.leave();
    publisher.leave();
}

/// A client with a filter of each depth, and all ways of mixing wildcard and word in eight levels.
fn resubscribed(case: &Case) -> Peer {
    let mut peer = case.connect(Version::V5, "mixed");
    for mix in 0..256_u32 {
        let words = (0..8).map(|bit| if mix >> bit & 1 == 1 { "+" } else { "a" });
        let filter = format!("{}/#", words.collect::<Vec<_>>().join("/"));
        let id = peer.next_id();
        peer.send(&subscribe(id, &[(&filter, options(QoS::AtMostOnce))]));
        peer.expect_suback(id, &[0]);
    }
    peer
}
