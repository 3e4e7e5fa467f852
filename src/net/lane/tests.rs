//! The lane and the doorbell on real threads, and under miri.

use super::*;
use std::sync::atomic::AtomicUsize as Counter;

#[test]
fn a_lane_keeps_order_across_many_wraps() {
    let (mut producer, mut consumer) = lane(4);
    let mut expected = 0_u32;
    let mut next = 0_u32;
    for round in 0..1_000 {
        for _ in 0..=(round % 4) {
            if producer.push(next).is_ok() {
                next += 1;
            }
        }
        for _ in 0..=(round % 3) {
            if let Some(item) = consumer.pop() {
                assert_eq!(item, expected);
                expected += 1;
            }
        }
    }
    while let Some(item) = consumer.pop() {
        assert_eq!(item, expected);
        expected += 1;
    }
    assert_eq!(expected, next);
    assert!(next > 1_000);
}

#[test]
fn a_full_lane_gives_the_item_back() {
    let (mut producer, mut consumer) = lane(2);
    assert_eq!(producer.push("a"), Ok(()));
    assert_eq!(producer.push("b"), Ok(()));
    assert!(producer.is_full());
    assert_eq!(producer.push("c"), Err("c"));
    assert_eq!(producer.len(), 2);
    assert_eq!(consumer.pop(), Some("a"));
    assert_eq!(producer.len(), 1);
    assert_eq!(producer.push("c"), Ok(()));
}

#[test]
fn a_writer_knows_when_nobody_reads_any_more() {
    let (producer, consumer) = lane::<u8>(2);
    assert!(!producer.is_abandoned());
    drop(consumer);
    assert!(producer.is_abandoned());
}

#[test]
fn items_nobody_took_are_dropped_once() {
    struct Counted(Arc<Counter>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(Counter::new(0));
    let (mut producer, mut consumer) = lane(8);
    for _ in 0..5 {
        assert!(producer.push(Counted(Arc::clone(&drops))).is_ok());
    }
    drop(consumer.pop());
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    drop(producer);
    drop(consumer);
    assert_eq!(drops.load(Ordering::Relaxed), 5);
}

#[test]
fn a_lane_carries_everything_between_two_threads() {
    const ITEMS: usize = if cfg!(miri) { 200 } else { 200_000 };
    let (mut producer, mut consumer) = lane(16);
    let writer = std::thread::spawn(move || {
        for item in 0..ITEMS {
            while producer.push(item).is_err() {
                std::thread::yield_now();
            }
        }
    });
    for expected in 0..ITEMS {
        let item = loop {
            match consumer.pop() {
                Some(item) => break item,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(item, expected);
    }
    writer.join().expect("the writer only pushes");
    assert_eq!(consumer.pop(), None);
}

#[test]
fn a_doorbell_wakes_once_per_sleep_and_for_room_only_on_request() {
    let wakes = Arc::new(Counter::new(0));
    let counted = Arc::clone(&wakes);
    let doorbell = Doorbell::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let wakes = || wakes.load(Ordering::Relaxed);
    doorbell.ring();
    assert_eq!(wakes(), 0, "nobody wakes a loop that does not sleep");
    doorbell.prepare_to_sleep(false);
    doorbell.ring_for_room();
    assert_eq!(wakes(), 0, "it did not ask for room");
    doorbell.ring();
    doorbell.ring();
    assert_eq!(wakes(), 1);
    doorbell.prepare_to_sleep(true);
    doorbell.ring_for_room();
    doorbell.ring();
    assert_eq!(wakes(), 2);
    doorbell.prepare_to_sleep(true);
    doorbell.awake();
    doorbell.ring();
    assert_eq!(wakes(), 2);
}
