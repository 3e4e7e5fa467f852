//! The lane between two shards, both ends in one thread.

use std::hint::black_box;

use skein::net::lane;

use super::Run;

/// Items that go through in one run.
pub(crate) const ITEMS: u64 = 100;

pub(crate) fn push_pop() -> Run {
    let (mut producer, mut consumer) = lane(16);
    Box::new(move || {
        for _ in 0..ITEMS / 10 {
            for item in 0..10_u64 {
                producer.push(black_box(item)).expect("there is room for 16");
            }
            while let Some(item) = consumer.pop() {
                black_box(item);
            }
        }
    })
}
