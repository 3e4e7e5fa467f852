use proptest::prelude::*;
use skein_protocol::qos::{PacketId, QoS};
use skein_protocol::{RetainHandling, Version};

use super::{
    super::{Batch, Record},
    *,
};

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("tests use identifiers above 0")
}

fn connected(client_id: &str) -> Record<'_> {
    Record::Connected {
        client_id: client_id.into(),
        owner: Some("user".into()),
        listener: "tcp".into(),
        version: Version::V5,
        expiry_s: 60,
        at_ms: 1_000,
    }
}

fn message(message: u64, topic: &str) -> Record<'_> {
    Record::Message {
        message,
        topic: topic.into(),
        properties: vec![1, 1].into(),
        payload: b"hello".as_slice().into(),
        qos: QoS::ExactlyOnce,
        retain: false,
        expires_at_ms: None,
    }
}

fn queued(client_id: &str, entry: u64, message: u64) -> Record<'_> {
    Record::Queued {
        client_id: client_id.into(),
        entry,
        message,
        qos: QoS::ExactlyOnce,
        retain: false,
        identifiers: vec![7],
        share: None,
    }
}

fn sent(client_id: &str, entry: u64, number: u16) -> Record<'_> {
    Record::Sent { client_id: client_id.into(), entry, packet_id: id(number) }
}

fn retained(message: u64) -> Record<'static> {
    Record::Retained { message, author: Some("a".into()), user: None, listener: None }
}

fn state(records: impl IntoIterator<Item = Record<'static>>) -> State {
    let mut state = State::default();
    records.into_iter().for_each(|record| state.apply(record).expect("it can follow"));
    state
}

fn messages(state: &State) -> usize {
    assert_eq!(state.counts().messages, state.messages.len(), "none is kept for nothing");
    state.messages.len()
}

#[test]
fn a_message_goes_with_the_last_that_refers_to_it() {
    let mut state = state([connected("a"), connected("b"), message(1, "t"), retained(1)]);
    for client_id in ["a", "b"] {
        state.apply(queued(client_id, 1, 1)).expect("queued");
    }
    assert_eq!(messages(&state), 1);
    state.apply(sent("a", 1, 5)).expect("sent");
    state.apply(Record::Finished { client_id: "a".into(), packet_id: id(5) }).expect("PUBACK");
    state.apply(Record::Ended { client_id: "b".into() }).expect("ended");
    assert_eq!(messages(&state), 1);
    state.apply(Record::Unretained { topic: "t".into() }).expect("deleted");
    assert_eq!(messages(&state), 0);
    assert_eq!(state.message_max(), 1);
}

/// [MQTT-4.3.3-6]
#[test]
fn after_pubrec_only_pubrel_is_owed() {
    let mut state = state([connected("a"), message(1, "t"), queued("a", 1, 1), sent("a", 1, 5)]);
    for _ in 0..2 {
        let received = Record::Received { client_id: "a".into(), packet_id: id(5) };
        state.apply(received).expect("PUBREC");
        assert_eq!(messages(&state), 0);
    }
    let (_, session) = state.sessions().next().expect("there is one");
    assert!(session.flights[&5].is_received);
    state.apply(Record::Finished { client_id: "a".into(), packet_id: id(5) }).expect("PUBCOMP");
    assert_eq!(state.counts().entries, 0);
}

/// [MQTT-3.3.1-5]
#[test]
fn a_topic_retains_the_last_message() {
    let state = state([message(1, "t"), retained(1), message(2, "t"), retained(2)]);
    assert_eq!((messages(&state), state.counts().retained), (1, 1));
    assert_eq!(state.retained().next().map(|(_, kept)| kept.message), Some(2));
}

#[test]
fn what_can_not_follow_is_refused() {
    let mut state = state([connected("a"), message(1, "t"), queued("a", 4, 1)]);
    let refused = [
        (queued("b", 1, 1), "client \"b\" has no session"),
        (queued("a", 5, 2), "there is no message 2"),
        (queued("a", 4, 1), "number 4 is not larger than those before it"),
        (message(1, "t"), "number 1 is not larger than those before it"),
        (sent("a", 3, 1), "client \"a\" has no entry 3 in its queue"),
        (
            Record::Finished { client_id: "a".into(), packet_id: id(9) },
            "client \"a\" does not use Packet Identifier 9",
        ),
        (Record::WillDue { client_id: "a".into(), at_ms: 0 }, "client \"a\" has no will"),
        (retained(3), "there is no message 3"),
    ];
    for (record, why) in refused {
        assert_eq!(state.apply(record).expect_err(why).to_string(), why);
    }
    assert_eq!(state.counts().entries, 1);
}

#[test]
fn a_session_expires_from_its_disconnection_on() {
    let mut state = state([connected("a")]);
    let expires = |state: &State| state.sessions["a"].expires_at_ms();
    assert_eq!(expires(&state), None);
    let disconnected =
        |expiry_s| Record::Disconnected { client_id: "a".into(), expiry_s, at_ms: 5 };
    state.apply(disconnected(2)).expect("disconnected");
    assert_eq!(expires(&state), Some(2_005));
    state.apply(disconnected(u32::MAX)).expect("disconnected");
    assert_eq!(expires(&state), None);
}

/// One of everything, with a hole in each order.
fn everything() -> State {
    state([
        connected("a"),
        Record::Subscribed {
            client_id: "a".into(),
            filter: "$share/g/#".into(),
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
            identifier: Some(7),
        },
        Record::Subscribed {
            client_id: "a".into(),
            filter: "b".into(),
            qos: QoS::AtMostOnce,
            no_local: true,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
            identifier: None,
        },
        Record::Unsubscribed { client_id: "a".into(), filter: "b".into() },
        message(3, "t"),
        message(4, "r"),
        message(5, "never referred to"),
        queued("a", 1, 3),
        queued("a", 2, 3),
        queued("a", 5, 4),
        queued("a", 6, 4),
        queued("a", 7, 4),
        sent("a", 7, 11),
        sent("a", 2, 9),
        sent("a", 1, 10),
        Record::Received { client_id: "a".into(), packet_id: id(9) },
        Record::Dropped { client_id: "a".into(), entry: 5 },
        Record::Held { client_id: "a".into(), packet_id: id(1) },
        Record::Held { client_id: "a".into(), packet_id: id(2) },
        Record::Released { client_id: "a".into(), packet_id: id(1) },
        Record::WillSet {
            client_id: "a".into(),
            topic: "w".into(),
            properties: Vec::new().into(),
            payload: Vec::new().into(),
            qos: QoS::AtLeastOnce,
            retain: true,
            delay_s: 3,
            message_expiry_s: None,
        },
        Record::Disconnected { client_id: "a".into(), expiry_s: 5, at_ms: 2_000 },
        Record::WillDue { client_id: "a".into(), at_ms: 5_000 },
        connected("b"),
        retained(4),
    ])
}

#[test]
fn a_snapshot_adds_up_to_the_same_state() {
    let state = everything();
    let mut copy = State::default();
    for record in state.records() {
        copy.apply(record).expect("each can follow those before it");
    }
    let mut drained = State::default();
    let (mut drain, mut batch) = (everything().into_drain(), Batch::default());
    while drain.take_next(&mut batch).expect("all is held") {}
    drained.apply_all(batch.records()).expect("each can follow");
    assert!(drained.records().eq(state.records()));
    assert!(state.sessions().eq(copy.sessions()));
    assert!(state.retained().eq(copy.retained()));
    assert_eq!(state.counts(), copy.counts());
    assert!(state.records().eq(copy.records()));
    assert_eq!(copy.message(3).map(MessageState::payload), Some(b"hello".as_slice()));
    assert_eq!(copy.message(3).map(MessageState::properties), Some([1, 1].as_slice()));
    assert_eq!(copy.message(5), None, "what nothing refers to is not kept");
    let counts =
        Counts { sessions: 2, subscriptions: 1, messages: 2, entries: 4, retained: 1, wills: 1 };
    assert_eq!(copy.counts(), counts);
}

/// Records of few clients, messages and numbers, so that many can follow each other.
fn any_record() -> impl Strategy<Value = Record<'static>> {
    let client_id = prop_oneof![Just("a"), Just("b")];
    (0_u8..14, client_id, 1_u64..6, 1_u64..8, 1_u16..4).prop_map(
        |(kind, client_id, number, entry, packet_id)| {
            let (id, packet_id) = (client_id.into(), id(packet_id));
            match kind {
                0 => connected(client_id),
                1 | 2 => message(number, ["t", "u"][number as usize % 2]),
                3..=5 => queued(client_id, entry, number),
                6 | 7 => sent(client_id, entry, packet_id.get()),
                8 => Record::Received { client_id: id, packet_id },
                9 => Record::Finished { client_id: id, packet_id },
                10 => Record::Dropped { client_id: id, entry },
                11 => retained(number),
                12 => Record::PubRelOwed { client_id: id, entry, packet_id },
                _ => Record::Ended { client_id: id },
            }
        },
    )
}

proptest! {
    #[test]
    fn whatever_happened_a_snapshot_adds_up_to_it(
        records in proptest::collection::vec(any_record(), 0..80),
    ) {
        let mut state = State::default();
        for record in records {
            let before: Vec<_> = state.records().map(|record| format!("{record:?}")).collect();
            if state.apply(record).is_err() {
                let after: Vec<_> = state.records().map(|it| format!("{it:?}")).collect();
                prop_assert_eq!(before, after, "what is refused changes nothing");
            }
        }
        let mut copy = State::default();
        for record in state.records() {
            prop_assert_eq!(copy.apply(record), Ok(()));
        }
        prop_assert!(copy.records().eq(state.records()));
        let (mut drained, mut batch) = (State::default(), Batch::default());
        let mut drain = state.into_drain();
        while drain.take_next(&mut batch).expect("all is held") {}
        prop_assert_eq!(drained.apply_all(batch.records()), Ok(()));
        prop_assert!(drained.records().eq(copy.records()));
    }
}
