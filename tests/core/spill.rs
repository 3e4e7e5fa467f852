//! A long queue of a durable session: both its ends in memory, the middle on disk.

use skein::{
    config::{DurabilityMode, Listener, Overflow, Settings},
    record::{Pages, Records, Shelf, Spot, state::State},
    shard::DropReason,
};

use crate::{
    broker::{Broker, Peer},
    packets::{
        disconnect, expiring, lasting, puback, publish, publish2, subscribe, v5,
        with_receive_maximum,
    },
};

/// What a session may keep of its queue in memory: some twenty messages, in chunks of seven.
const MEMORY_BYTES: usize = 4_096;

fn small(settings: &mut Settings) {
    settings.limits.queue_memory_bytes = MEMORY_BYTES;
}

/// A broker whose durable client `keeper` has subscribed to `a`, and has gone. The second is a
/// publisher.
fn broker(change: impl FnOnce(&mut Settings)) -> (Broker, Peer) {
    let mut broker = Broker::durable_with(1, |settings| {
        small(settings);
        change(settings);
    });
    let keeper = broker.connect(0, lasting("keeper", 1_000));
    broker.ask(keeper, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    broker.cut(keeper);
    let publisher = broker.connect(0, v5("publisher"));
    (broker, publisher)
}

fn padded(number: usize) -> String {
    format!("{number:_<40}")
}

fn publish_all(broker: &mut Broker, publisher: Peer, numbers: std::ops::RangeInclusive<usize>) {
    for number in numbers {
        broker.send(publisher, publish(1, "a", &padded(number)));
    }
}

fn resume(broker: &mut Broker) -> Peer {
    broker.dial(0, lasting("keeper", 1_000))
}

/// The numbers that a client has received since it was last asked.
fn numbers(broker: &mut Broker, peer: Peer) -> Vec<usize> {
    let lines = broker.hear(peer);
    let words = lines.iter().filter(|line| line.starts_with("PUBLISH"));
    let texts = words.filter_map(|line| line.split(' ').nth(2));
    texts.map(|text| text.trim_end_matches('_').parse().expect("a number")).collect()
}

/// As many messages are acknowledged as were sent, and nothing is left anywhere.
#[track_caller]
fn finish(broker: &mut Broker, peer: Peer, count: u16) {
    (1..=count).for_each(|id| broker.send(peer, puback(id)));
    let audit = broker.audit(0);
    assert_eq!((audit.memory_bytes, audit.memory_bytes_counted, audit.chunks), (0, 0, 0));
    assert_eq!(broker.chunks.len(), 0);
}

#[test]
fn a_long_queue_lies_on_disk_and_comes_back_in_order() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=200);
    let audit = broker.audit(0);
    assert!(audit.memory_bytes <= MEMORY_BYTES, "{} bytes", audit.memory_bytes);
    assert_eq!(audit.memory_bytes, audit.memory_bytes_counted);
    assert!(audit.chunks > 20 && audit.chunks == broker.chunks.len());
    let keeper = resume(&mut broker);
    assert_eq!(numbers(&mut broker, keeper), (1..=200).collect::<Vec<_>>());
    assert_eq!(broker.metrics(0).chunks_read, broker.metrics(0).chunks_written);
    finish(&mut broker, keeper, 200);
}

/// Chunks are asked for while there is still something to send.
#[test]
fn a_slow_client_never_waits_long_and_little_is_in_memory() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=100);
    let keeper = broker.dial(0, with_receive_maximum(lasting("keeper", 1_000), 1));
    for number in 1..=100 {
        assert_eq!(numbers(&mut broker, keeper), [number]);
        assert!(broker.audit(0).memory_bytes <= MEMORY_BYTES + 1_000);
        let id = u16::try_from(number).expect("it is small");
        broker.send(keeper, puback(id));
    }
    finish(&mut broker, keeper, 0);
}

#[test]
fn nothing_passes_a_chunk_that_is_being_read_or_written() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=50);
    broker.hold_chunks();
    publish_all(&mut broker, publisher, 51..=100);
    assert!(broker.audit(0).memory_bytes > 40 * 169, "what is not written is in memory");
    let keeper = resume(&mut broker);
    publish_all(&mut broker, publisher, 101..=110);
    let first = numbers(&mut broker, keeper);
    assert!(first.len() < 30 && first.iter().copied().eq(1..=first.len()));
    broker.release_chunks();
    assert_eq!(numbers(&mut broker, keeper), (first.len() + 1..=110).collect::<Vec<_>>());
    finish(&mut broker, keeper, 110);
}

#[test]
fn what_can_not_be_written_stays_in_memory() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=40);
    broker.chunks.fail = true;
    publish_all(&mut broker, publisher, 41..=80);
    broker.chunks.fail = false;
    assert!(broker.metrics(0).chunks_not_written > 3);
    assert!(broker.audit(0).memory_bytes > 30 * 169);
    publish_all(&mut broker, publisher, 81..=120);
    let keeper = resume(&mut broker);
    assert_eq!(numbers(&mut broker, keeper), (1..=120).collect::<Vec<_>>());
    finish(&mut broker, keeper, 120);
}

/// The client is sent away, and nothing is lost: not if the disk works again,
#[test]
fn what_can_not_be_read_is_asked_for_when_the_client_comes_back() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=100);
    broker.chunks.fail = true;
    let keeper = resume(&mut broker);
    let first = numbers(&mut broker, keeper);
    assert!(broker.is_closed(keeper) && first.len() < 30);
    assert_eq!(broker.metrics(0).chunks_not_read, 2, "both that were asked for");
    assert_eq!(broker.noted("chunk-not-read").len(), 1);
    publish_all(&mut broker, publisher, 101..=110);
    broker.chunks.fail = false;
    let keeper = resume(&mut broker);
    assert_eq!(numbers(&mut broker, keeper), (1..=110).collect::<Vec<_>>());
    finish(&mut broker, keeper, 110);
}

/// and not if the broker starts again.
#[test]
fn what_can_not_be_read_is_in_the_log() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=100);
    broker.chunks.fail = true;
    let keeper = resume(&mut broker);
    assert!(broker.is_closed(keeper));
    broker.crash(0, 1);
    let audit = broker.audit(0);
    assert!(audit.chunks > 5, "a long queue goes to disk while it is recovered");
    let keeper = resume(&mut broker);
    assert_eq!(numbers(&mut broker, keeper), (1..=100).collect::<Vec<_>>());
    finish(&mut broker, keeper, 100);
}

#[test]
fn a_start_takes_up_no_more_than_is_on_its_way_to_disk() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=1_500);
    broker.crash(0, 32);
    assert!(broker.chunks.len() > 200, "{} chunks", broker.chunks.len());
    // Each of the shards has its part of 4,096.
    let most = broker.chunks.asked_most;
    assert!((100..=130).contains(&most), "{most} chunks waited for the disk");
    let keeper = resume(&mut broker);
    let found = numbers(&mut broker, keeper);
    assert!(found.len() > 1_000, "a window full");
    assert!(found.iter().copied().eq(1..=found.len()), "in order");
    assert!(found.len() == 1_500 || broker.chunks.len() > 20, "the rest is there");
}

/// A folder whose files have gone since they were looked at.
#[derive(Debug)]
struct Gone;

impl Shelf for Gone {
    fn open(&self, _: u32) -> Result<Box<dyn Pages>, String> {
        Err("it is not there".to_owned())
    }

    fn name_of(&self, file: u32) -> String {
        format!("segment-{file}")
    }
}

#[test]
fn nobody_is_served_if_what_was_kept_can_not_be_read_any_more() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=3);
    let mut state = State::with_shelf(Box::new(Gone));
    let (bytes, spot) = (broker.store().bytes(), Spot { file: 7, offset: 36 });
    state.apply_all(Records::in_file(&bytes, spot)).expect("each can follow those before it");
    let mut next = Broker::with(1, small);
    let why = next.recovery_failure(state).expect("it says why");
    assert_eq!(why, "segment-7: read: it is not there");
}

fn with_policy(overflow: Overflow) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.listeners[0].overflow = overflow;
        settings.limits.queue_messages_max = 100;
    }
}

/// A full queue drops the same whether it is on disk or in memory.
#[test]
fn a_full_queue_on_disk_drops_by_its_policy() {
    for (overflow, left) in [
        (Overflow::DropNewest, 1..=100),
        (Overflow::DropOldest, 201..=300),
        (Overflow::Disconnect, 1..=100),
    ] {
        let (mut broker, publisher) = broker(with_policy(overflow));
        publish_all(&mut broker, publisher, 1..=300);
        assert!(broker.audit(0).chunks > 5);
        assert_eq!(broker.metrics(0).drops_for(DropReason::QueueFull), 200);
        let keeper = resume(&mut broker);
        assert_eq!(numbers(&mut broker, keeper), left.collect::<Vec<_>>());
        finish(&mut broker, keeper, 100);
    }
}

/// As long as the oldest have to be read to be dropped, the newest wait over the limit.
#[test]
fn the_newest_wait_until_the_oldest_are_read() {
    let (mut broker, publisher) = broker(with_policy(Overflow::DropOldest));
    publish_all(&mut broker, publisher, 1..=100);
    broker.hold_chunks();
    publish_all(&mut broker, publisher, 101..=150);
    let dropped = broker.metrics(0).drops_for(DropReason::QueueFull);
    assert!((20..50).contains(&dropped), "{dropped}");
    broker.release_chunks();
    let dropped = broker.metrics(0).drops_for(DropReason::QueueFull);
    assert_eq!(dropped, 50);
    let keeper = resume(&mut broker);
    let heard = numbers(&mut broker, keeper);
    assert!(heard.is_sorted() && heard.len() == 100);
    finish(&mut broker, keeper, 100);
}

/// MQTT 5 publishers are told that nobody takes more (policy `refuse`), and that there is room again
/// when what is on disk has expired.
#[test]
fn a_refusing_queue_on_disk_has_room_again_when_it_expires() {
    let (mut broker, publisher) = broker(with_policy(Overflow::Refuse));
    for number in 1..=100 {
        broker.send(publisher, expiring(publish(1, "a", &padded(number)), 10));
    }
    broker.hear(publisher);
    broker.ask(publisher, publish(1, "a", "full"), ["PUBACK #1 0x97"]);
    broker.wait_ms(11_000);
    assert_eq!(broker.metrics(0).drops_for(DropReason::Expired), 100);
    broker.ask(publisher, publish(1, "a", "7"), ["PUBACK #1"]);
    let keeper = resume(&mut broker);
    assert_eq!(numbers(&mut broker, keeper), [7]);
    finish(&mut broker, keeper, 1);
}

/// [MQTT-3.3.2-5]
#[test]
fn what_has_expired_on_disk_is_not_sent() {
    let (mut broker, publisher) = broker(|_| {});
    for number in 1..=100 {
        let text = padded(number);
        let packet = publish(1, "a", &text);
        let expires = number % 2 == 0;
        broker.send(publisher, if expires { expiring(packet, 10) } else { packet });
    }
    broker.wait_ms(11_000);
    let keeper = resume(&mut broker);
    assert_eq!(numbers(&mut broker, keeper), (1..=100).step_by(2).collect::<Vec<_>>());
    assert_eq!(broker.metrics(0).drops_for(DropReason::Expired), 50);
    finish(&mut broker, keeper, 50);
}

/// A session that ends leaves nothing on disk, and its messages of shared subscriptions to others,
/// wherever they stood in its queue [MQTT-4.8.2-6].
#[test]
fn the_end_of_a_session_forgets_its_chunks_and_passes_on_what_is_shared() {
    let (mut broker, publisher) = broker(|_| {});
    let keeper = resume(&mut broker);
    broker.hear(keeper);
    broker.ask(keeper, subscribe(2, "$share/group/s", 1), ["SUBACK #2 0x01"]);
    broker.send(keeper, disconnect(0, None));
    for number in 1..=200 {
        let topic = if number % 4 == 0 { "s" } else { "a" };
        broker.send(publisher, publish(1, topic, &padded(number)));
    }
    assert!(broker.chunks.len() > 15);
    let other = broker.connect(0, lasting("other", 1_000));
    broker.ask(other, subscribe(1, "$share/group/s", 1), ["SUBACK #1 0x01"]);
    broker.wait_ms(1_001_000);
    assert_eq!(broker.audit(0).chunks, 0);
    assert_eq!(broker.chunks.len(), 0);
    assert_eq!(numbers(&mut broker, other), (4..=200).step_by(4).collect::<Vec<_>>());
    finish(&mut broker, other, 50);
}

/// [MQTT-3.1.4-4]
#[test]
fn a_clean_start_forgets_what_is_being_read() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=100);
    broker.hold_chunks();
    let keeper = resume(&mut broker);
    assert!(!numbers(&mut broker, keeper).is_empty());
    let mut clean = lasting("keeper", 1_000);
    clean.clean_start = true;
    let keeper = broker.connect(0, clean);
    broker.release_chunks();
    broker.expect_nothing(keeper);
    finish(&mut broker, keeper, 0);
}

/// What only lives as long as its connection is kept in memory: no log has it.
#[test]
fn the_queue_of_a_session_that_is_not_durable_stays_in_memory() {
    let mut broker = Broker::durable_with(1, small);
    let publisher = broker.connect(0, v5("publisher"));
    let subscriber = broker.connect(0, with_receive_maximum(v5("subscriber"), 1));
    broker.ask(subscriber, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    publish_all(&mut broker, publisher, 1..=100);
    assert_eq!((broker.audit(0).chunks, broker.metrics(0).chunks_written), (0, 0));
}

/// A listener that promises nothing does not make a session forget what the log has of it.
#[test]
fn a_queue_on_disk_is_in_the_log_whatever_listener_its_client_comes_through() {
    let (mut broker, publisher) = broker(|settings| {
        let listener = Listener { durability: DurabilityMode::Memory, ..Listener::default() };
        settings.listeners.push(listener);
    });
    publish_all(&mut broker, publisher, 1..=100);
    broker.listener = 1;
    let keeper = broker.dial(0, with_receive_maximum(lasting("keeper", 1_000), 1));
    assert_eq!(numbers(&mut broker, keeper), [1]);
    broker.cut(keeper);
    broker.listener = 0;
    broker.crash(0, 1);
    let keeper = resume(&mut broker);
    assert_eq!(numbers(&mut broker, keeper), (1..=100).collect::<Vec<_>>());
}

/// A session that ends with its connection is in the log no more, and gets what is on disk.
#[test]
fn a_queue_on_disk_is_sent_to_a_session_that_is_durable_no_longer() {
    let (mut broker, publisher) = broker(|_| {});
    publish_all(&mut broker, publisher, 1..=100);
    let keeper = broker.dial(0, lasting("keeper", 0));
    assert_eq!(numbers(&mut broker, keeper), (1..=100).collect::<Vec<_>>());
    broker.wait_ms(200);
    assert_eq!(broker.store().state().counts().entries, 0);
    broker.cut(keeper);
    finish(&mut broker, publisher, 0);
}

/// QoS 2 goes through the disk as well.
#[test]
fn every_qos_comes_back_as_it_was() {
    let mut broker = Broker::durable_with(1, small);
    let keeper = broker.connect(0, lasting("keeper", 1_000));
    broker.ask(keeper, subscribe(1, "a", 2), ["SUBACK #1 0x02"]);
    broker.cut(keeper);
    let publisher = broker.connect(0, v5("publisher"));
    for number in 1..=60 {
        let (id, text) = (u16::try_from(number).expect("it is small"), padded(number));
        let packet =
            if number % 2 == 0 { publish2(id, "a", &text) } else { publish(id, "a", &text) };
        broker.send(publisher, packet);
    }
    assert!(broker.chunks.len() > 3);
    let keeper = resume(&mut broker);
    let heard = broker.hear(keeper);
    for (number, line) in (1..=60).zip(&heard[1..]) {
        let qos = if number % 2 == 0 { "q2" } else { "q1" };
        assert_eq!(*line, format!("PUBLISH a {} {qos} #{number}", padded(number)));
    }
}
