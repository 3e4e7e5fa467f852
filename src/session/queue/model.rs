//! The queue against a plain list, with a disk that answers late or not at all.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use proptest::prelude::*;
use skein_protocol::qos::QoS;

use super::{
    super::{Application, ApplicationRef, Matched, Payload, ShareOrigin},
    *,
};

/// A chunk is a quarter of it: few messages.
const MEMORY_BYTES: usize = 4_000;
const PAYLOAD_BYTES_MAX: usize = 600;

#[derive(Clone, Debug)]
enum Step {
    Push {
        payload_bytes: usize,
        is_shared: bool,
        expires_ms: Option<u64>,
    },
    Pop,
    /// The disk does the next thing that it was asked for, or fails at it.
    Disk {
        works: bool,
    },
    Expire {
        ms: u64,
    },
    Retry,
}

fn step() -> impl Strategy<Value = Step> {
    let expires = prop_oneof![4 => Just(None), 1 => (1..100_u64).prop_map(Some)];
    let push = (0..PAYLOAD_BYTES_MAX, prop::bool::weighted(0.1), expires).prop_map(
        |(payload_bytes, is_shared, expires_ms)| Step::Push {
            payload_bytes,
            is_shared,
            expires_ms,
        },
    );
    prop_oneof![
        6 => push,
        3 => Just(Step::Pop),
        4 => prop::bool::weighted(0.9).prop_map(|works| Step::Disk { works }),
        1 => (1..100_u64).prop_map(|ms| Step::Expire { ms }),
        1 => Just(Step::Retry),
    ]
}

/// What the list knows of a message.
#[derive(Clone, Copy, Debug)]
struct Known {
    entry: u64,
    bytes: usize,
}

struct Harness {
    queue: Queue,
    list: VecDeque<Known>,
    limits: QueueLimits,
    overflow: Overflow,
    pushed: u64,
    chunks: u64,
    asked: VecDeque<Spill>,
    disk: BTreeMap<u64, Batch>,
    /// Whether everything was written so far that was to be.
    has_failed: bool,
    has_shared: bool,
}

impl Harness {
    fn new(limits: QueueLimits, overflow: Overflow) -> Self {
        Self {
            queue: Queue::default(),
            list: VecDeque::new(),
            limits,
            overflow,
            pushed: 0,
            chunks: 0,
            asked: VecDeque::new(),
            disk: BTreeMap::new(),
            has_failed: false,
            has_shared: false,
        }
    }

    fn list_bytes(&self) -> usize {
        self.list.iter().map(|known| known.bytes).sum()
    }

    fn push(&mut self, payload_bytes: usize, is_shared: bool, expires_ms: Option<u64>) {
        self.pushed += 1;
        self.has_shared |= is_shared;
        let delivery = delivery(self.pushed, payload_bytes, is_shared, expires_ms);
        let known = Known { entry: delivery.entry, bytes: delivery.bytes() };
        let fits = self.list.len() < self.limits.messages_max
            && self.list_bytes() + known.bytes <= self.limits.bytes_max;
        let takes = self.queue.takes(known.bytes, self.limits, self.overflow);
        let was_spilled = self.queue.is_spilled();
        match self.queue.push(delivery, self.limits, self.overflow) {
            Pushed::Queued => {
                assert!(fits && takes);
                self.list.push_back(known);
            }
            Pushed::DroppedNewest(newest) => {
                assert!(!fits && !takes && newest.entry == known.entry);
                let waits_for_disk = was_spilled || known.bytes > self.limits.bytes_max;
                assert!(self.overflow != Overflow::DropOldest || waits_for_disk);
                assert!(self.overflow != Overflow::Disconnect);
            }
            Pushed::Overflowed(newest) => {
                assert!(!fits && !takes && newest.entry == known.entry);
                assert_eq!(self.overflow, Overflow::Disconnect);
            }
            Pushed::DroppedOldest(dropped) => {
                assert!(!fits && takes && self.overflow == Overflow::DropOldest);
                self.drop_oldest(&dropped);
                self.list.push_back(known);
                let over = self.list_bytes().saturating_sub(self.limits.bytes_max);
                assert!(over <= MEMORY_BYTES / 4, "no more than a chunk is over: {over}");
            }
        }
    }

    fn drop_oldest(&mut self, dropped: &[Delivery]) {
        for oldest in dropped {
            assert_eq!(self.list.pop_front().map(|known| known.entry), Some(oldest.entry));
        }
    }

    fn pop(&mut self) -> bool {
        let Some(oldest) = self.queue.pop() else { return false };
        let known = self.list.pop_front().expect("the list has as many");
        assert_eq!((oldest.entry, oldest.bytes()), (known.entry, known.bytes));
        true
    }

    fn expire(&mut self, ms: u64) {
        for expired in self.queue.take_expired(Time::from_millis(ms)) {
            assert!(expired.message.borrow().is_expired(Time::from_millis(ms)));
            let at = self.list.iter().position(|known| known.entry == expired.entry);
            self.list.remove(at.expect("it waited"));
        }
    }

    fn ask(&mut self) {
        self.queue.spill_above(MEMORY_BYTES);
        while let Some(spill) = self.queue.next_spill(self.chunks + 1) {
            self.chunks += u64::from(matches!(spill, Spill::Write { .. }));
            self.asked.push_back(spill);
        }
    }

    /// False if the disk was not asked for anything.
    fn obey(&mut self, works: bool) -> bool {
        match self.asked.pop_front() {
            None => return false,
            Some(Spill::Write { chunk, bytes }) if works => {
                self.disk.insert(chunk, bytes);
                self.queue.on_written(chunk, None);
            }
            Some(Spill::Write { chunk, bytes }) => {
                self.has_failed = true;
                self.queue.on_written(chunk, Some(&bytes));
            }
            Some(Spill::Read { chunk }) if works => {
                let bytes = self.disk.remove(&chunk).expect("only what was written is read");
                assert!(self.queue.on_read(chunk, Some(bytes.as_bytes())));
                let dropped = self.queue.take_over_limits(self.limits);
                self.drop_oldest(&dropped);
            }
            Some(Spill::Read { chunk }) => {
                assert!(self.disk.contains_key(&chunk), "only what was written is read");
                assert!(!self.queue.on_read(chunk, None));
            }
            Some(Spill::Forget { .. }) => unreachable!("a queue does not end by itself"),
        }
        true
    }

    fn check(&self) {
        assert_eq!(self.queue.len(), self.list.len());
        assert_eq!(self.queue.is_empty(), self.list.is_empty());
        assert_eq!(self.queue.bytes(), self.list_bytes());
        let in_memory: usize = self.queue.iter().map(Delivery::bytes).sum();
        assert!(in_memory <= self.queue.memory_bytes(), "what is being written counts as well");
        let mut known = self.list.iter().map(|known| known.entry);
        assert!(self.queue.iter().all(|delivery| known.any(|entry| entry == delivery.entry)));
        let written = self.asked.iter().filter(|spill| matches!(spill, Spill::Write { .. }));
        assert_eq!(self.queue.chunks().count(), self.disk.len() + written.count());
        if self.asked.is_empty() && !self.has_failed && !self.has_shared {
            // Each part may be above its share by as much as one message.
            let most = MEMORY_BYTES + 4 * (PAYLOAD_BYTES_MAX + Application::OVERHEAD_BYTES + 1);
            assert!(self.queue.memory_bytes() <= most, "{} bytes", self.queue.memory_bytes());
        }
    }
}

fn delivery(
    entry: u64,
    payload_bytes: usize,
    is_shared: bool,
    expires_ms: Option<u64>,
) -> Delivery {
    let message = ApplicationRef {
        topic: "t",
        properties: &[],
        payload: Payload::Inline(&vec![entry as u8; payload_bytes]),
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at: expires_ms.map(Time::from_millis),
    };
    let mut delivery = Delivery::new(Rc::new(message.to_owned()), QoS::AtLeastOnce);
    delivery.entry = entry;
    let origin = || Rc::new(ShareOrigin { pattern: "t".into(), group: "g".into() });
    delivery.matched = Matched::new(&[], is_shared.then(origin));
    delivery
}

proptest! {
    #[test]
    fn a_queue_is_a_list_wherever_it_lies(
        steps in prop::collection::vec(step(), 1..400),
        messages_max in prop_oneof![Just(20_usize), Just(1_000)],
        bytes_max in prop_oneof![Just(6_000_usize), Just(20_000), Just(1_000_000)],
        overflow in prop_oneof![
            Just(Overflow::DropNewest),
            Just(Overflow::DropOldest),
            Just(Overflow::Disconnect),
            Just(Overflow::Refuse),
        ],
    ) {
        let mut harness = Harness::new(QueueLimits { messages_max, bytes_max }, overflow);
        for step in steps {
            match step {
                Step::Push { payload_bytes, is_shared, expires_ms } => {
                    harness.push(payload_bytes, is_shared, expires_ms);
                }
                Step::Pop => { harness.pop(); }
                Step::Disk { works } => { harness.obey(works); }
                Step::Expire { ms } => harness.expire(ms),
                Step::Retry => harness.queue.retry(),
            }
            harness.ask();
            harness.check();
        }
        harness.queue.retry();
        harness.ask();
        while harness.pop() || harness.obey(true) {
            harness.ask();
            harness.check();
        }
        assert!(harness.list.is_empty() && harness.disk.is_empty());
        assert_eq!((harness.queue.bytes(), harness.queue.memory_bytes()), (0, 0));
        assert!(!harness.queue.is_spilled() && harness.queue.expires_from().is_none());
    }
}
