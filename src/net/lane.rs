//! The only concurrent code of the broker: lanes and doorbells.
//!
//! A *lane* is a bounded queue with one writer and one reader. There is one for each ordered pair
//! of shards and one from the acceptor to each shard. A *doorbell* wakes an event loop that sleeps
//! in its poll, and costs a loop that is awake nothing but the reading of one flag. A *tally* is
//! one number that one thread writes and another reads.
//!
//! Everything here is checked with loom; see `lane/model.rs`. No other file of the
//! broker may contain `unsafe`.
//!
//! ```text
//!            head (reader writes)             tail (writer writes)
//!              │                                │
//!   slots  [ .  m  m  m  m  m  m  m  m  m  m  m  .  .  .  . ]    capacity: a power of two
//!               └──────── filled ────────────┘
//! ```
//!
//! Both indices count up without end (they wrap at `usize::MAX`); `index & mask` is the slot. Each
//! side keeps a copy of the other's index and looks at the original only when the copy says that
//! the lane is full (writer) or empty (reader), so the usual push or pop shares one cache line.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;

use self::primitives::{Arc, AtomicU8, AtomicUsize, Ordering, UnsafeCell, fence};

/// Makes a lane for at least `capacity` items (rounded up to a power of two, at least 1) and
/// returns its two ends.
pub fn lane<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(1).next_power_of_two();
    let ring = Arc::new(Ring {
        head: Padded(AtomicUsize::new(0)),
        tail: Padded(AtomicUsize::new(0)),
        slots: (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
    });
    let producer = Producer { ring: Arc::clone(&ring), tail: 0, head_seen: 0 };
    (producer, Consumer { ring, head: 0, tail_seen: 0 })
}

/// The writing end of a lane. There is exactly one, and pushing needs it mutably.
pub struct Producer<T> {
    ring: Arc<Ring<T>>,
    /// Where the next item goes; equal to the ring's `tail`, which only this end writes.
    tail: usize,
    /// The reader's index when it was last looked at: never ahead of the true one.
    head_seen: usize,
}

impl<T> Producer<T> {
    /// Appends an item.
    ///
    /// # Errors
    /// Gives the item back when the lane is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.is_full() {
            return Err(item);
        }
        let slot = self.ring.slot(self.tail);
        // SAFETY: `tail - head < capacity`, so the reader is done with this slot (it published
        // `head` with Release after it moved the item out, and `is_full` read it with Acquire),
        // and it does not touch the slot again before `tail` is published below. There is no other
        // writer: `Producer` is not Clone and `push` takes it mutably.
        slot.with_mut(|pointer| unsafe { (*pointer).write(item) });
        self.tail = self.tail.wrapping_add(1);
        // Release: whoever sees the new tail sees the item.
        self.ring.tail.0.store(self.tail, Ordering::Release);
        Ok(())
    }

    /// Items that the reader has not taken yet. It can only become less without a push.
    pub fn len(&mut self) -> usize {
        self.head_seen = self.ring.head.0.load(Ordering::Acquire);
        self.tail.wrapping_sub(self.head_seen)
    }

    /// Whether the reader has taken everything.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// Whether the reader is gone: nobody will take anything any more.
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.ring) < 2
    }

    /// Whether the lane has no room now. Only the reader can make room.
    pub fn is_full(&mut self) -> bool {
        if self.tail.wrapping_sub(self.head_seen) < self.ring.slots.len() {
            return false;
        }
        // Acquire: the reader's move out of the slot happened before what is written there next.
        self.head_seen = self.ring.head.0.load(Ordering::Acquire);
        self.tail.wrapping_sub(self.head_seen) >= self.ring.slots.len()
    }
}

/// The reading end of a lane. There is exactly one, and popping needs it mutably.
pub struct Consumer<T> {
    ring: Arc<Ring<T>>,
    /// The next item to take; equal to the ring's `head`, which only this end writes.
    head: usize,
    /// The writer's index when it was last looked at: never ahead of the true one.
    tail_seen: usize,
}

impl<T> Consumer<T> {
    /// Takes the oldest item, or `None` if the lane is empty.
    pub fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let slot = self.ring.slot(self.head);
        // SAFETY: `head < tail`, so the writer initialised this slot before it published `tail`
        // (Release), and `is_empty` read that with Acquire. The item is moved out once: `head`
        // advances below, and the writer reuses the slot only after it has seen that.
        let item = slot.with(|pointer| unsafe { (*pointer).assume_init_read() });
        self.head = self.head.wrapping_add(1);
        // Release: the item is out of the slot before the writer may see it as free.
        self.ring.head.0.store(self.head, Ordering::Release);
        Some(item)
    }

    /// Items to take now, at least. It can only become more without a pop.
    pub fn len(&mut self) -> usize {
        self.tail_seen = self.ring.tail.0.load(Ordering::Acquire);
        self.tail_seen.wrapping_sub(self.head)
    }

    /// Whether there is nothing to take now. Only the writer can change that.
    pub fn is_empty(&mut self) -> bool {
        if self.head != self.tail_seen {
            return false;
        }
        // Acquire: the items up to this tail are initialised.
        self.tail_seen = self.ring.tail.0.load(Ordering::Acquire);
        self.head == self.tail_seen
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Producer").field("tail", &self.tail).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Consumer").field("head", &self.head).finish_non_exhaustive()
    }
}

/// What both ends of a lane share.
struct Ring<T> {
    /// Items taken so far. Written by the reader only.
    head: Padded<AtomicUsize>,
    /// Items appended so far. Written by the writer only. `tail - head <= slots.len()`.
    tail: Padded<AtomicUsize>,
    /// A power of two of slots; those from `head` to `tail` are initialised.
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

impl<T> Ring<T> {
    fn slot(&self, index: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[index & (self.slots.len() - 1)]
    }
}

// SAFETY: items cross from the writer's thread to the reader's, hence `T: Send`. The slots are
// reached through the two ends only, whose index protocol gives each slot to one of them at a time.
unsafe impl<T: Send> Sync for Ring<T> {}
// SAFETY: as above; a ring owns its items, and dropping it elsewhere drops items that are Send.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Both ends are gone, and the count of the Arc ordered their last writes before this.
        let tail = self.tail.0.load(Ordering::Relaxed);
        let mut index = self.head.0.load(Ordering::Relaxed);
        while index != tail {
            // SAFETY: the slots from head to tail are initialised and nobody else can reach them.
            self.slot(index).with_mut(|pointer| unsafe { (*pointer).assume_init_drop() });
            index = index.wrapping_add(1);
        }
    }
}

/// Keeps what is written by different threads on different cache lines. 128 bytes, because
/// today's processors fetch lines of 64 bytes in pairs.
#[repr(align(128))]
struct Padded<T>(T);

/// Wakes one event loop, its owner, when others have something for it and it sleeps.
///
/// The owner's side, before it blocks: [`prepare_to_sleep`](Self::prepare_to_sleep), then look at
/// everything it could be woken for once more; sleep only if there is nothing; in any case
/// [`awake`](Self::awake) afterwards. The others' side: push, then [`ring`](Self::ring); or pop,
/// then [`ring_for_room`](Self::ring_for_room). Either the owner sees what was pushed, or the other
/// sees that it sleeps: a full fence stands between the two halves on both sides.
pub struct Doorbell {
    /// [`AWAKE`], [`ASLEEP`] or [`ASLEEP_FOR_ROOM`].
    state: Padded<AtomicU8>,
    wake: Box<dyn Fn() + Send + Sync>,
}

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
/// As `ASLEEP`, and the owner has items that did not fit into a lane.
const ASLEEP_FOR_ROOM: u8 = 2;

impl Doorbell {
    /// A doorbell that calls `wake` to end the owner's sleep. `wake` must make the owner's present
    /// or next wait return, as `mio::Waker` does.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { state: Padded(AtomicU8::new(AWAKE)), wake: Box::new(wake) }
    }

    /// Something was pushed into a lane that the owner reads: wakes the owner if it sleeps. Of all
    /// who ring during one sleep, one wakes.
    pub fn ring(&self) {
        self.ring_from(ASLEEP);
    }

    /// Something was taken out of a lane that the owner writes: wakes the owner if it sleeps and
    /// waits for room.
    pub fn ring_for_room(&self) {
        self.ring_from(ASLEEP_FOR_ROOM);
    }

    /// Owner: from now on those who ring will wake me. `wants_room` says that something waits
    /// for room in a lane. After this, and before blocking, the owner must look at its lanes again.
    pub fn prepare_to_sleep(&self, wants_room: bool) {
        let state = if wants_room { ASLEEP_FOR_ROOM } else { ASLEEP };
        // A swap, not a store: it follows every swap of a ringer it has read from, so that none of
        // those can be taken for a later word than this one.
        self.state.0.swap(state, Ordering::AcqRel);
        // Orders the swap above before the owner's second look at its lanes.
        fence(Ordering::SeqCst);
    }

    /// Owner: I do not sleep (any more), nobody needs to wake me.
    pub fn awake(&self) {
        self.state.0.store(AWAKE, Ordering::Relaxed);
    }

    fn ring_from(&self, threshold: u8) {
        // Orders the caller's push or pop before the load below.
        fence(Ordering::SeqCst);
        if self.state.0.load(Ordering::Relaxed) >= threshold
            && self.state.0.swap(AWAKE, Ordering::AcqRel) != AWAKE
        {
            (self.wake)();
        }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Doorbell").finish_non_exhaustive()
    }
}

/// A number that one thread writes and others read; the latest value wins. It orders nothing else.
#[derive(Debug)]
pub struct Tally(Padded<AtomicUsize>);

impl Tally {
    /// A tally of zero.
    pub fn new() -> Self {
        Self(Padded(AtomicUsize::new(0)))
    }

    /// Replaces the value. For the one writer.
    pub fn post(&self, value: usize) {
        self.0.0.store(value, Ordering::Relaxed);
    }

    /// The value posted last, as far as it has reached this thread.
    pub fn read(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Padded<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(loom)]
mod primitives {
    pub(super) use loom::cell::UnsafeCell;
    pub(super) use loom::sync::Arc;
    pub(super) use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};
}

#[cfg(not(loom))]
mod primitives {
    pub(super) use std::sync::Arc;
    pub(super) use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};

    /// `std::cell::UnsafeCell` with the interface of loom's.
    pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(super) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(super) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        pub(super) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
