//! Batches on their way to the store, and what is heard of them.
//!
//! ```text
//!   shard 0 ─┐                                        ┌─▶ answers ─▶ shard 0
//!   shard 1 ─┼─▶ one queue, bounded ─▶ housekeeper ───┼─▶ answers ─▶ shard 1
//!   shard n ─┘   full: waits at its shard, in order   └─▶ answers ─▶ shard n
//! ```
//!
//! A shard never waits for the disk: what a turn has recorded is handed over at its end, and what
//! has to wait for that stays in the outboxes until the answer.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::backlog::Backlog;
use super::event_loop::EventLoop;
use super::lane::{Consumer, Doorbell, Producer};
use crate::record::state::State;
use crate::session::{ShardId, Time};
use crate::shard::{Event, Persist};

/// How soon a batch is handed over again for which the queue had no room, when nothing else is left
/// to do.
const LAST_WAIT: Duration = Duration::from_millis(1);

/// Where the shards hand their batches to.
pub trait Keeper: Send + fmt::Debug {
    /// Hands a batch over, without waiting.
    ///
    /// # Errors
    /// There is no room: the batch comes back.
    fn keep(&self, from: ShardId, persist: Persist) -> Result<(), Persist>;
}

/// What a shard hears of its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeeperAnswer {
    /// All of them up to this ticket are as safe as they were to be.
    Durable {
        /// The last of them.
        ticket: u64,
    },
    /// Nothing can be made durable for now.
    Failed {
        /// Whether room on the disk is missing.
        is_disk_full: bool,
    },
}

/// The keeper's side of one shard.
#[derive(Debug)]
pub struct KeeperDesk {
    /// Answers go in here; ring afterwards.
    pub answers: Producer<KeeperAnswer>,
    /// Wakes the shard.
    pub doorbell: Arc<Doorbell>,
}

/// What the shards of a broker with a store begin with.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// What was kept.
    pub state: Arc<State>,
    /// The zero of the broker's clock, in milliseconds since 1970.
    pub unix_ms: u64,
}

/// A shard's side.
#[derive(Debug)]
pub(super) struct Keeping {
    keeper: Option<Box<dyn Keeper>>,
    pub(super) answers: Consumer<KeeperAnswer>,
    /// Batches for which there was no room.
    waiting: Backlog<Persist>,
}

impl Keeping {
    /// Without a keeper: what is recorded goes nowhere.
    pub(super) fn new(answers: Consumer<KeeperAnswer>) -> Self {
        Self { keeper: None, answers, waiting: Backlog::default() }
    }

    /// When [`EventLoop::seal`] is wanted at the latest.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.waiting.next_deadline()
    }

    fn hand_over(&mut self, from: ShardId, persists: &mut Vec<Persist>, now: Time) {
        let Some(keeper) = &self.keeper else { return };
        self.waiting.hand_over(persists, now, |persist| keeper.keep(from, persist));
    }
}

impl EventLoop {
    /// Takes over what the store has kept, and hands to `keeper` what is to be kept from now on.
    /// Returns when all other shards know what they have to of that, or when the broker is told to
    /// shut down; [`run`](Self::run) comes after it.
    ///
    /// # Errors
    /// Which file of the store can not be read any more. Nobody may be served then.
    pub fn recover(&mut self, keeper: Box<dyn Keeper>, recovery: Recovery) -> Result<(), String> {
        let Recovery { state, unix_ms } = recovery;
        self.keeping.keeper = Some(keeper);
        self.core.now = self.clock();
        self.core.handle(Event::Recovered { state, unix_ms });
        self.run_until(|this| {
            let shard = &this.core.shard;
            shard.is_recovered() || shard.recovery_failure().is_some() || this.ends_at.is_some()
        });
        self.core.shard.recovery_failure().map_or(Ok(()), |why| Err(why.to_owned()))
    }

    /// Takes what was heard of the batches.
    pub(super) fn take_kept(&mut self) {
        while let Some(answer) = self.keeping.answers.pop() {
            self.core.handle(match answer {
                KeeperAnswer::Durable { ticket } => Event::Durable { ticket },
                KeeperAnswer::Failed { is_disk_full } => Event::StoreFailed { is_disk_full },
            });
        }
    }

    /// Makes a batch of what the turn has recorded, and hands it over.
    pub(super) fn seal(&mut self) {
        if self.keeping.keeper.is_none() {
            return;
        }
        let core = &mut self.core;
        core.shard.seal(core.now, &mut core.effects);
        if !(core.effects.persists.is_empty() && self.keeping.waiting.is_empty()) {
            self.keeping.hand_over(self.id, &mut core.effects.persists, core.now);
        }
    }

    /// Hands over what is left when the loop ends, for as long as a shutdown may take.
    pub(super) fn seal_the_rest(&mut self) {
        self.seal();
        while !self.keeping.waiting.is_empty() {
            if self.ends_at.is_none_or(|end| end <= self.clock()) {
                let batches = self.keeping.waiting.len();
                tracing::error!(
                    shard = %self.id,
                    "{batches} batches could not be handed to the store; nothing in them was acknowledged"
                );
                return;
            }
            thread::sleep(LAST_WAIT);
            self.seal();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::super::backlog::FULL_QUEUE_MS;
    use super::super::lane::lane;
    use super::*;
    use crate::record::{Batch, Durability};

    #[derive(Debug)]
    struct Queue(Mutex<SyncSender<u64>>);

    impl Keeper for Queue {
        fn keep(&self, _: ShardId, persist: Persist) -> Result<(), Persist> {
            let queue = self.0.lock().expect("nobody panics with it");
            queue.try_send(persist.ticket).map_err(|_| persist)
        }
    }

    fn persists(tickets: impl Iterator<Item = u64>) -> Vec<Persist> {
        let (durability, groups) = (Durability::Disk, Vec::new());
        let persist = |ticket| Persist {
            ticket,
            batch: Batch::default(),
            durability,
            groups: groups.clone(),
        };
        tickets.map(persist).collect()
    }

    fn keeping(slots: usize) -> (Keeping, Receiver<u64>) {
        let (sender, kept) = sync_channel(slots);
        let mut keeping = Keeping::new(lane(1).1);
        keeping.keeper = Some(Box::new(Queue(Mutex::new(sender))));
        (keeping, kept)
    }

    #[test]
    fn what_finds_no_room_waits_and_nothing_overtakes_it() {
        let (mut keeping, kept) = keeping(2);
        let (shard, at) = (ShardId::new(0), Time::from_millis);
        keeping.hand_over(shard, &mut persists(1..=3), at(0));
        assert_eq!(keeping.next_deadline(), Some(at(FULL_QUEUE_MS)));
        assert_eq!(kept.try_recv(), Ok(1));
        keeping.hand_over(shard, &mut persists(4..=5), at(1));
        assert_eq!(kept.try_iter().collect::<Vec<_>>(), [2, 3]);
        keeping.hand_over(shard, &mut Vec::new(), at(2));
        assert_eq!(kept.try_iter().collect::<Vec<_>>(), [4, 5]);
        assert_eq!(keeping.next_deadline(), None);
    }
}
