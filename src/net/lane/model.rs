//! The lane and the doorbell under loom: every order of their atomic steps that the memory model
//! allows, for small cases.
//!
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --lib lane::model`

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{Consumer, Doorbell, lane};

/// Three items through two slots: order, no loss and no duplicate across a wrap-around.
#[test]
fn a_lane_is_first_in_first_out_across_wrap_around() {
    loom::model(|| {
        let (mut producer, mut consumer) = lane(2);
        let writer = thread::spawn(move || {
            for item in 0..3 {
                while producer.push(Box::new(item)).is_err() {
                    thread::yield_now();
                }
            }
        });
        for expected in 0..3 {
            let item = loop {
                match consumer.pop() {
                    Some(item) => break item,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(*item, expected);
        }
        assert!(consumer.pop().is_none());
        writer.join().expect("the writer only pushes");
    });
}

/// What was pushed and not popped is dropped exactly once, whichever end goes last.
#[test]
fn a_lane_drops_what_nobody_took() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut producer, mut consumer) = lane(2);
        let counted = Arc::clone(&drops);
        let writer = thread::spawn(move || {
            for _ in 0..2 {
                assert!(producer.push(Counted(Arc::clone(&counted))).is_ok());
            }
        });
        drop(consumer.pop());
        drop(consumer);
        writer.join().expect("two items fit into two slots");
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    });
}

/// A wait that a wake ends, now or at the next wait, as `mio::Waker` and `Poll` behave.
struct Sleep {
    woken: Mutex<bool>,
    changed: Condvar,
    /// Calls of `wake`.
    wakes: AtomicUsize,
}

impl Sleep {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            woken: Mutex::new(false),
            changed: Condvar::new(),
            wakes: AtomicUsize::new(0),
        })
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        *self.woken.lock().expect("nobody panics with the lock") = true;
        self.changed.notify_one();
    }

    /// Loom reports a deadlock if nobody ever wakes it: a lost wake-up.
    fn wait(&self) {
        let mut woken = self.woken.lock().expect("nobody panics with the lock");
        while !*woken {
            woken = self.changed.wait(woken).expect("nobody panics with the lock");
        }
        *woken = false;
    }
}

/// One turn of an owner: empties its lanes; sleeps if they are empty at the second look.
/// Returns how many items it took and whether it slept.
fn turn(lanes: &mut [Consumer<usize>], doorbell: &Doorbell, sleep: &Sleep) -> (usize, bool) {
    doorbell.prepare_to_sleep(false);
    let must_sleep = lanes.iter_mut().all(Consumer::is_empty);
    if must_sleep {
        sleep.wait();
    }
    doorbell.awake();
    let taken = lanes.iter_mut().map(|lane| std::iter::from_fn(|| lane.pop()).count()).sum();
    (taken, must_sleep)
}

/// Two producers, one owner that sleeps whenever it finds nothing: it always gets everything, and
/// each time it goes to sleep (or thinks better of it) it is woken at most once.
#[test]
fn a_doorbell_loses_no_wake_up_and_wakes_once_per_sleep() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let sleep = Sleep::new();
        let ears = Arc::clone(&sleep);
        let doorbell = Arc::new(Doorbell::new(move || ears.wake()));
        let mut lanes = Vec::new();
        let mut writers = Vec::new();
        for item in 0..2 {
            let (mut producer, consumer) = lane(1);
            lanes.push(consumer);
            let doorbell = Arc::clone(&doorbell);
            writers.push(thread::spawn(move || {
                assert!(producer.push(item).is_ok());
                doorbell.ring();
            }));
        }
        let (mut taken, mut preparations) = (0, 0);
        while taken < 2 {
            let (count, _) = turn(&mut lanes, &doorbell, &sleep);
            taken += count;
            preparations += 1;
        }
        for writer in writers {
            writer.join().expect("one item fits");
        }
        assert!(sleep.wakes.load(Ordering::Relaxed) <= preparations);
    });
}

/// An owner that waits for room in a full lane is woken by the one who makes room.
#[test]
fn a_doorbell_wakes_who_waits_for_room() {
    loom::model(|| {
        let sleep = Sleep::new();
        let ears = Arc::clone(&sleep);
        let doorbell = Arc::new(Doorbell::new(move || ears.wake()));
        let (mut producer, mut consumer) = lane(1);
        assert!(producer.push(1).is_ok());
        let reader = {
            let doorbell = Arc::clone(&doorbell);
            thread::spawn(move || {
                assert_eq!(consumer.pop(), Some(1));
                doorbell.ring_for_room();
                consumer
            })
        };
        doorbell.prepare_to_sleep(true);
        if producer.is_full() {
            sleep.wait();
        }
        doorbell.awake();
        assert!(producer.push(2).is_ok(), "whoever wakes for room finds room");
        let mut consumer = reader.join().expect("the reader finds the first item");
        assert_eq!(consumer.pop(), Some(2));
    });
}

/// The model is able to fail: with a ring before the push, some order loses the wake-up.
#[test]
fn a_ring_before_the_push_is_caught() {
    static LOST: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    loom::model(|| {
        let sleep = Sleep::new();
        let ears = Arc::clone(&sleep);
        let doorbell = Arc::new(Doorbell::new(move || ears.wake()));
        let (mut producer, mut consumer) = lane(1);
        let bell = Arc::clone(&doorbell);
        let writer = thread::spawn(move || {
            bell.ring();
            assert!(producer.push(1).is_ok());
        });
        doorbell.prepare_to_sleep(false);
        let sleeps = consumer.is_empty();
        writer.join().expect("one item fits");
        if sleeps && sleep.wakes.load(Ordering::Relaxed) == 0 {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(LOST.load(Ordering::Relaxed) > 0);
}
