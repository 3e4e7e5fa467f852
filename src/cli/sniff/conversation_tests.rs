use super::*;

const CONNECT: &[u8] = b"\x10\x0F\0\x04MQTT\x05\x02\0\x3c\0\0\x02me";
const CONNECT_311: &[u8] = b"\x10\x0E\0\x04MQTT\x04\x02\0\x3c\0\x02me";
/// QoS 1, packet identifier 7, to `a`, alias 3.
const PUBLISH: &[u8] = b"\x32\x0B\0\x01a\0\x07\x03\x23\0\x03hi";
/// The same topic by its alias.
const ALIASED: &[u8] = b"\x30\x08\0\0\x03\x23\0\x03hi";
const PUBACK: &[u8] = b"\x40\x02\0\x07";

const DETAIL: Detail = Detail { bytes_max: 100, has_secrets: false };

fn told(seen: &[Seen]) -> Vec<String> {
    let text = |it: &Seen| match &it.what {
        What::Packet { packet_type, fields } => {
            format!("{} {} {packet_type} {fields}", it.offset, it.client_id).trim().to_owned()
        }
        What::Malformed { packet_type, error } => {
            let name = packet_type.map_or("?", PacketType::name);
            format!("{} malformed {name}: {error}", it.offset)
        }
        What::TooLong { size, .. } => format!("{} too long: {size}", it.offset),
        What::Missing { count } => format!("{} missing: {count}", it.offset),
        What::NotMqtt { guess } => format!("not MQTT: {guess}"),
    };
    seen.iter().map(text).collect()
}

fn after_connect() -> Conversation {
    let mut conversation = Conversation::new(DETAIL);
    conversation.take(Direction::ToBroker, CONNECT, &mut Vec::new());
    conversation
}

fn take(conversation: &mut Conversation, direction: Direction, bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    conversation.take(direction, bytes, &mut seen);
    told(&seen)
}

#[test]
fn packets_are_seen_once_they_are_whole_however_the_bytes_come() {
    let all = [CONNECT, PUBLISH, ALIASED].concat();
    let mut expected = None;
    for piece in [1, 2, 3, 7, all.len()] {
        let mut conversation = Conversation::new(DETAIL);
        let pieces = all.chunks(piece);
        let seen: Vec<String> =
            pieces.flat_map(|piece| take(&mut conversation, Direction::ToBroker, piece)).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert_eq!(conversation.unfinished(Direction::ToBroker), 0);
        assert_eq!(expected.get_or_insert_with(|| seen.clone()), &seen);
    }
    let seen = expected.expect("there were pieces");
    assert!(seen[0].starts_with("0 me CONNECT version=5.0 client_id=\"me\""), "{}", seen[0]);
    assert!(
        seen[1].starts_with("17 me PUBLISH topic=\"a\" qos=1 id=7 payload=\"hi\""),
        "{}",
        seen[1]
    );
    assert!(seen[2].ends_with("alias_of=\"a\""), "{}", seen[2]);
}

#[test]
fn an_answer_is_told_with_what_it_answers() {
    let mut conversation = after_connect();
    take(&mut conversation, Direction::ToBroker, PUBLISH);
    let seen = take(&mut conversation, Direction::FromBroker, PUBACK);
    assert_eq!(seen, ["0 me PUBACK id=7 reason=0x00 Success of=[\"a\"]"]);
}

/// [MQTT-3.3.1-4]
#[test]
fn a_malformed_packet_is_named_by_clause_and_offset_and_the_next_one_is_read() {
    let mut conversation = after_connect();
    let bytes = [b"\x36\x02\0\0", PUBLISH].concat();
    let seen = take(&mut conversation, Direction::ToBroker, &bytes);
    assert_eq!(seen[0], "17 malformed PUBLISH: [MQTT-3.3.1-4] QoS 3 in PUBLISH");
    assert!(seen[1].starts_with("21 me PUBLISH topic=\"a\""), "{}", seen[1]);
}

#[test]
fn where_packets_begin_no_more_nothing_is_read() {
    let mut conversation = after_connect();
    let seen = take(&mut conversation, Direction::ToBroker, b"\x30\xff\xff\xff\xff\x01");
    assert_eq!(seen, ["17 malformed PUBLISH: [2.1.4] Remaining Length of more than four bytes"]);
    assert!(take(&mut conversation, Direction::ToBroker, PUBLISH).is_empty());
    assert_eq!(take(&mut conversation, Direction::FromBroker, PUBACK).len(), 1);
}

#[test]
fn what_is_no_mqtt_is_said_once() {
    for (begin, word) in [(&b"\x16\x03\x01\x02"[..], "TLS"), (b"GET /mqtt HTTP/1.1", "WebSocket")] {
        let mut conversation = Conversation::new(DETAIL);
        let seen = take(&mut conversation, Direction::ToBroker, begin);
        assert!(seen.len() == 1 && seen[0].contains(word), "{seen:?}");
        assert!(take(&mut conversation, Direction::ToBroker, CONNECT).is_empty());
    }
}

#[test]
fn a_packet_that_is_too_long_is_named_and_passed_over() {
    let mut conversation = after_connect();
    // 2 MiB and what its header says of them.
    let long = [b"\x30\x80\x80\x80\x01", &vec![b'x'; 2 * 1024 * 1024][..]].concat();
    let mut seen = Vec::new();
    for piece in [&long, PUBLISH].concat().chunks(100_000) {
        seen.extend(take(&mut conversation, Direction::ToBroker, piece));
    }
    assert_eq!(seen[0], "17 too long: 2097157");
    assert!(seen[1].starts_with("2097174 me PUBLISH topic=\"a\""), "{}", seen[1]);
}

#[test]
fn missing_bytes_cost_the_packet_they_belong_to() {
    let mut conversation = after_connect();
    let mut seen = Vec::new();
    conversation.take(Direction::ToBroker, &PUBLISH[..4], &mut seen);
    conversation.miss(Direction::ToBroker, 3, &mut seen);
    conversation.take(Direction::ToBroker, &PUBLISH[7..], &mut seen);
    conversation.take(Direction::ToBroker, ALIASED, &mut seen);
    let seen = told(&seen);
    assert_eq!((seen.len(), seen[0].as_str()), (2, "21 missing: 3"));
    assert!(seen[1].starts_with("30 me PUBLISH"), "{seen:?}");
}

#[test]
fn after_missing_bytes_of_unknown_packets_reading_goes_on_where_one_begins() {
    let mut conversation = after_connect();
    let mut seen = Vec::new();
    conversation.miss(Direction::ToBroker, 100, &mut seen);
    // The middle of a packet, then the beginning of one.
    conversation.take(Direction::ToBroker, b"\x00\x01x", &mut seen);
    conversation.take(Direction::ToBroker, PUBLISH, &mut seen);
    let seen = told(&seen);
    assert_eq!((seen.len(), seen[0].as_str()), (2, "17 missing: 100"));
    assert!(seen[1].starts_with("120 me PUBLISH"), "{seen:?}");
}

#[test]
fn a_recording_that_begins_later_is_read_as_what_it_can_be() {
    let mut conversation = Conversation::new(DETAIL);
    // In MQTT 5.0, the h would be a length past the end.
    let seen = take(&mut conversation, Direction::ToBroker, b"\x30\x05\0\x01ahi");
    assert_eq!(seen, ["0  PUBLISH topic=\"a\" qos=0 payload=\"hi\""]);
    let seen = take(&mut conversation, Direction::ToBroker, CONNECT_311);
    assert!(seen[0].contains("version=3.1.1"), "{seen:?}");
}

#[test]
fn what_a_packet_is_about_is_told_whole() {
    let topic = "x".repeat(300);
    let publish = [b"\x32\xB3\x02\x01\x2C", topic.as_bytes(), b"\0\x07\0hi"].concat();
    let mut conversation = after_connect();
    let mut seen = Vec::new();
    conversation.take(Direction::ToBroker, &publish, &mut seen);
    conversation.take(Direction::FromBroker, PUBACK, &mut seen);
    assert_eq!(seen[0].topics, [topic.as_str()]);
    // Only what is remembered for the answer is shorter.
    assert_eq!(seen[1].topics, [&topic[..256]]);
}

/// What the fields do not tell the bytes do not tell either.
#[test]
fn bytes_that_hold_secrets_are_hidden_unless_they_are_asked_for() {
    let connect = b"\x10\x14\0\x04MQTT\x04\x42\0\x3c\0\x02me\0\x04word";
    let scram = b"\x10\x19\0\x04MQTT\x05\x02\0\x3c\x0A\x15\0\x01s\x16\0\x03key\0\x02me";
    let connack = b"\x20\x0D\0\0\x0A\x15\0\x01s\x16\0\x03key";
    let auth = b"\xF0\x0C\x18\x0A\x15\0\x01s\x16\0\x03key";
    let (up, down) = (Direction::ToBroker, Direction::FromBroker);
    let rows: [(&[u8], Direction, bool); 11] = [
        (connect, up, true),
        (scram, up, true),
        (connack, down, true),
        (auth, down, true),
        // Malformed: of another version, without a protocol, of no type, and not MQTT at all.
        (b"\x11\x02\0\0", up, true),
        (b"\x10\x04word", up, true),
        (b"\x10\xff\xff\xff\xff\x01", up, true),
        (b"\0word", down, true),
        (b"GET / HTTP/1.1\r\nAuthorization: Basic word", up, true),
        (CONNECT, up, false),
        (b"\x36\x05\0\x01ahi", up, false),
    ];
    for (bytes, direction, is_secret) in rows {
        for has_secrets in [false, true] {
            let mut conversation = Conversation::new(Detail { has_secrets, ..DETAIL });
            let mut seen = Vec::new();
            if direction == down {
                conversation.take(up, CONNECT, &mut Vec::new());
            }
            conversation.take(direction, bytes, &mut seen);
            assert_eq!(seen.len(), 1, "{bytes:x?}");
            let shown = match &seen[0].bytes {
                Bytes::Hidden => None,
                Bytes::Shown(shown, _) => Some(&bytes[..shown.len()] == shown && !shown.is_empty()),
            };
            let expected = (has_secrets || !is_secret).then_some(true);
            assert_eq!(shown, expected, "{bytes:x?} {:?}", seen[0]);
        }
    }
}

#[test]
fn another_protocol_is_known_however_small_its_pieces_are() {
    let begins: [(&[u8], &str); 4] = [
        (b"\x16\x03\x01\x02\0\x01", "TLS"),
        (b"GET /mqtt HTTP/1.1", "WebSocket"),
        (b"PROXY TCP4", "PROXY"),
        (b"\r\n\r\n\0\r\nQUIT\n", "PROXY"),
    ];
    for (begin, word) in begins {
        for size in 1..begin.len() {
            let mut conversation = Conversation::new(DETAIL);
            let pieces = begin.chunks(size);
            let seen: Vec<String> = pieces
                .flat_map(|piece| take(&mut conversation, Direction::ToBroker, piece))
                .collect();
            assert!(seen.len() == 1 && seen[0].contains(word), "{size} at once: {seen:?}");
        }
    }
}
