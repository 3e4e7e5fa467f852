//! Parts of long queues on their way to the disk and back.
//!
//! ```text
//!   shard 0 ─┐                                       ┌─▶ answers ─▶ shard 0
//!   shard 1 ─┼─▶ one queue, bounded ─▶ one thread ───┼─▶ answers ─▶ shard 1
//!   shard n ─┘   full: waits at its shard, in order  └─▶ answers ─▶ shard n
//! ```
//!
//! A shard never waits for the disk. What waits to be written counts in its memory budget.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use super::backlog::Backlog;
use super::event_loop::EventLoop;
use super::lane::{Consumer, Doorbell, Producer};
use crate::session::{ShardId, Time};
use crate::shard::{Event, Spill, Spilled};

/// Answers taken per turn: each may be some hundred messages to be sent.
const ANSWERS_PER_TURN: usize = 8;

/// What has become of a chunk.
#[derive(Debug)]
pub struct SpillAnswer {
    /// Its number in the shard that asked.
    pub chunk: u64,
    /// What has become of it.
    pub outcome: Spilled,
}

/// The thread's side of one shard.
#[derive(Debug)]
pub struct SpillDesk {
    /// Answers go in here; ring afterwards.
    pub answers: Producer<SpillAnswer>,
    /// Wakes the shard.
    pub doorbell: Arc<Doorbell>,
}

/// A shard's side.
#[derive(Debug)]
pub(super) struct Spilling {
    /// None in a broker without a store, whose shards ask for nothing.
    requests: Option<SyncSender<(ShardId, Spill)>>,
    pub(super) answers: Consumer<SpillAnswer>,
    /// What there was no room for.
    waiting: Backlog<Spill>,
}

impl Spilling {
    pub(super) fn new(answers: Consumer<SpillAnswer>) -> Self {
        Self { requests: None, answers, waiting: Backlog::default() }
    }

    /// When [`EventLoop::obey_spills`] is wanted at the latest.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.waiting.next_deadline()
    }

    fn ask(&mut self, shard: ShardId, spills: &mut Vec<Spill>, now: Time) {
        let Some(requests) = &self.requests else { return };
        self.waiting.hand_over(spills, now, |spill| {
            requests.try_send((shard, spill)).map_err(|error| match error {
                TrySendError::Full((_, back)) | TrySendError::Disconnected((_, back)) => back,
            })
        });
    }
}

impl EventLoop {
    /// From now on parts of long queues are kept by the thread that takes these requests. To be
    /// called before [`recover`](Self::recover).
    pub fn spill_to(&mut self, requests: SyncSender<(ShardId, Spill)>) {
        self.spilling.requests = Some(requests);
    }

    /// Takes what has become of chunks, up to a bound.
    pub(super) fn take_spilled(&mut self) {
        for _ in 0..ANSWERS_PER_TURN {
            let Some(SpillAnswer { chunk, outcome }) = self.spilling.answers.pop() else { return };
            self.core.handle(Event::Spilled { chunk, outcome });
        }
        self.lanes_left = true;
    }

    /// Asks for what the core wants written, read and forgotten.
    pub(super) fn obey_spills(&mut self) {
        let spills = &mut self.core.effects.spills;
        if !(spills.is_empty() && self.spilling.waiting.is_empty()) {
            self.spilling.ask(self.id, spills, self.core.now);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::super::backlog::FULL_QUEUE_MS;
    use super::super::lane::lane;
    use super::*;

    #[test]
    fn what_finds_no_room_waits_and_nothing_overtakes_it() {
        let (sender, requests) = sync_channel(2);
        let mut spilling = Spilling::new(lane(1).1);
        spilling.requests = Some(sender);
        let (shard, at) = (ShardId::new(0), Time::from_millis);
        let reads = |chunks: std::ops::RangeInclusive<u64>| -> Vec<Spill> {
            chunks.map(|chunk| Spill::Read { chunk }).collect()
        };
        let asked = || -> Vec<u64> {
            let number = |(_, spill)| match spill {
                Spill::Write { chunk, .. } | Spill::Read { chunk } | Spill::Forget { chunk } => {
                    chunk
                }
            };
            requests.try_iter().map(number).collect()
        };
        spilling.ask(shard, &mut reads(1..=3), at(0));
        assert_eq!(spilling.next_deadline(), Some(at(FULL_QUEUE_MS)));
        assert_eq!(asked(), [1, 2]);
        spilling.ask(shard, &mut reads(4..=4), at(1));
        assert_eq!(spilling.next_deadline(), None);
        assert_eq!(asked(), [3, 4]);
    }
}
