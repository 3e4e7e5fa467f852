use super::super::filter::FilterOptions;
use super::super::seen::{Direction, What};
use super::*;

const CONNECT: &[u8] = b"\x10\x0E\0\x04MQTT\x04\x02\0\x3c\0\x02me";
const CONNACK: &[u8] = b"\x20\x02\0\0";
const PUBLISH: &[u8] = b"\x30\x05\0\x01ahi";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn tracker(filter: Filter) -> Tracker {
    Tracker::new(vec![1883], filter, Detail { bytes_max: 9, has_secrets: false })
}

/// From, to, sequence number, whether it is the first, bytes.
fn found(segments: &[(&str, &str, u32, bool, &[u8])]) -> Vec<String> {
    let mut tracker = tracker(Filter::default());
    let mut found = Vec::new();
    for (from, to, sequence, is_first, bytes) in segments {
        let recorded = Recorded {
            at: Timestamp::UNIX_EPOCH,
            from: address(from),
            to: address(to),
            sequence: *sequence,
            is_first: *is_first,
            bytes,
            cut: 0,
        };
        tracker.take(&recorded, &mut found);
    }
    tracker.finish(&mut found);
    let text = |it: &Found| {
        let arrow = if it.seen.direction == Direction::ToBroker { ">" } else { "<" };
        let what = match &it.seen.what {
            What::Packet { packet_type, .. } => packet_type.to_string(),
            other => format!("{other:?}"),
        };
        format!("#{} {} {arrow} {what}", it.number, it.client)
    };
    found.iter().map(text).collect()
}

const A: &str = "10.0.0.1:50000";
const B: &str = "10.0.0.2:1883";
const C: &str = "10.0.0.2:9999";
const OTHER: &str = "10.0.0.3:50000";

#[test]
fn the_broker_is_who_has_the_port_or_gets_a_connect() {
    for broker in [B, C] {
        let seen = found(&[
            (A, broker, 99, true, b""),
            (broker, A, 999, true, b""),
            (A, broker, 100, false, CONNECT),
            (broker, A, 1_000, false, CONNACK),
        ]);
        let expected = [format!("#1 {A} > CONNECT"), format!("#1 {A} < CONNACK")];
        assert_eq!(seen, expected);
    }
    // The recording began later: only the port tells.
    assert_eq!(found(&[(B, A, 5, false, PUBLISH)]), [format!("#1 {A} < PUBLISH")]);
    assert!(found(&[(C, A, 5, false, PUBLISH), (A, C, 5, false, CONNECT)]).is_empty());
}

#[test]
fn the_same_two_ends_may_have_one_connection_after_another() {
    let seen = found(&[
        (A, B, 99, true, b""),
        (A, B, 99, true, b""),
        (A, B, 100, false, CONNECT),
        // Lost for ever, and something behind it.
        (A, B, 200, false, PUBLISH),
        (A, B, 70, true, b""),
        (A, B, 71, false, CONNECT),
    ]);
    let kinds: Vec<&str> = seen.iter().map(|text| text.rsplit(' ').next().unwrap_or("")).collect();
    assert_eq!(kinds[0], "CONNECT");
    assert!(seen[1].contains("Missing") && seen[2].ends_with("PUBLISH"), "{seen:?}");
    assert!(seen[3].starts_with("#2") && seen[3].ends_with("CONNECT"), "{seen:?}");
}

#[test]
fn a_port_tells_the_broker_though_its_connection_begins_with_a_gap() {
    let seen = found(&[(A, B, 99, true, b""), (A, B, 104, false, PUBLISH)]);
    assert!(seen.len() == 2 && seen[0].contains("Missing { count: 4 }"), "{seen:?}");
    assert_eq!(seen[1], format!("#1 {A} > PUBLISH"));
    // Elsewhere it is what comes behind the gap that tells.
    let seen = found(&[(A, C, 99, true, b""), (A, C, 101, false, CONNECT)]);
    assert!(seen.len() == 2 && seen[1] == format!("#1 {A} > CONNECT"), "{seen:?}");
}

#[test]
fn what_the_first_segment_of_a_connection_says_is_read() {
    let behind = 100 + CONNECT.len() as u32;
    let seen = found(&[(A, B, 99, true, CONNECT), (A, B, behind, false, PUBLISH)]);
    assert_eq!(seen, [format!("#1 {A} > CONNECT"), format!("#1 {A} > PUBLISH")]);
}

#[test]
fn a_late_copy_of_the_first_segment_begins_no_other_connection() {
    let behind = 100 + CONNECT.len() as u32;
    let seen = found(&[
        (A, B, 99, true, b""),
        (A, B, 100, false, CONNECT),
        // The answer to the first segment comes after what follows that.
        (B, A, 199, true, b""),
        (A, B, 99, true, b""),
        (A, B, behind, false, PUBLISH),
        (B, A, 200, false, CONNACK),
    ]);
    let expected = ["> CONNECT", "> PUBLISH", "< CONNACK"];
    assert_eq!(seen, expected.map(|packet| format!("#1 {A} {packet}")));
}

#[test]
fn a_connack_that_was_recorded_before_its_connect_does_not_hide_the_connection() {
    let seen = found(&[
        (A, C, 99, true, b""),
        (C, A, 199, true, b""),
        (C, A, 200, false, CONNACK),
        (A, C, 100, false, CONNECT),
    ]);
    assert_eq!(seen, [format!("#1 {A} < CONNACK"), format!("#1 {A} > CONNECT")]);
}

#[test]
fn a_connect_is_known_however_small_its_segments_are() {
    let bytes = (0..CONNECT.len()).map(|at| (A, C, 100 + at as u32, false, &CONNECT[at..=at]));
    assert_eq!(found(&bytes.collect::<Vec<_>>()), [format!("#1 {A} > CONNECT")]);
}

/// What is not MQTT goes first, however long ago a packet of MQTT was recorded.
#[test]
fn connections_are_bounded_and_those_that_speak_mqtt_stay_longest() {
    let mut tracker = tracker(Filter::default());
    let mut found = Vec::new();
    let mut take = |tracker: &mut Tracker, from: SocketAddr, to: &str, sequence, bytes: &[u8]| {
        let (at, to, is_first) = (Timestamp::UNIX_EPOCH, address(to), bytes.is_empty());
        let recorded = Recorded { at, from, to, sequence, is_first, bytes, cut: 0 };
        tracker.take(&recorded, &mut found);
        assert!(tracker.connections.len() <= CONNECTIONS_MAX);
        found.drain(..).map(|it| it.number).collect::<Vec<_>>()
    };
    let client = |number: usize| {
        let [.., b, c, d] = (number as u32).to_be_bytes();
        SocketAddr::from(([11, b, c, d], 50_000))
    };
    assert_eq!(take(&mut tracker, address(A), B, 100, CONNECT), [1]);
    // Somebody looks for open ports.
    for number in 0..2 * CONNECTIONS_MAX {
        take(&mut tracker, client(number), C, 7, b"");
    }
    let behind = 100 + CONNECT.len() as u32;
    assert_eq!(take(&mut tracker, address(A), B, behind, PUBLISH), [1]);
    assert_eq!((tracker.count(), tracker.given_up()), (1, 0));
    // Clients in earnest: each is one, and those that have been silent longest are given up.
    for number in 0..CONNECTIONS_MAX {
        let told = take(&mut tracker, client(number), B, 7, PUBLISH);
        assert_eq!(told, [2 + number as u64]);
    }
    assert_eq!(tracker.given_up(), CONNECTIONS_GIVEN_UP as u64);
}

#[test]
fn what_waits_until_a_connection_is_decided_on_is_bounded() {
    let begin: &[u8] = b"\x20 and so on";
    let long = vec![b'x'; 70_000];
    let behind = 100 + begin.len() as u32;
    let connect = (A, C, 100, false, CONNECT);
    let (short, long) = ((C, A, behind, false, &long[..9]), (C, A, behind, false, &long[..]));
    assert_eq!(found(&[(C, A, 100, false, begin), short, connect]).len(), 1);
    assert!(found(&[(C, A, 100, false, begin), long, connect]).is_empty());
}

#[test]
fn a_connection_of_which_nothing_is_asked_for_is_not_told_of() {
    let wanted = FilterOptions { client: vec!["me".to_owned()], ..FilterOptions::default() };
    let mut tracker = tracker(wanted.check().expect("it makes sense"));
    let mut found = Vec::new();
    for (client, bytes) in [(A, PUBLISH), (OTHER, CONNECT), (OTHER, PUBLISH)] {
        let (at, from, to) = (Timestamp::UNIX_EPOCH, address(client), address(B));
        let sequence = if bytes == PUBLISH { 100 + CONNECT.len() as u32 } else { 100 };
        let recorded = Recorded { at, from, to, sequence, is_first: false, bytes, cut: 0 };
        tracker.take(&recorded, &mut found);
    }
    let told = found.iter().map(|it| (it.number, it.client, it.is_first));
    let expected = [(2, address(OTHER), true), (2, address(OTHER), false)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(tracker.count(), 2, "both speak MQTT");
}
