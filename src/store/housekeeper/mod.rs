//! The thread that owns the log. Shards hand it batches over one bounded queue and hear from it when
//! they are durable: everything that waits goes into one write and one `fdatasync`.

mod commit;
mod compaction;
mod counters;
mod failpoint;
mod groups;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use commit::{Committer, HousekeeperOptions};
pub use counters::Counters;

use super::log::{Batch, Log};
pub use crate::record::{Durability, Group};

/// A batch of one shard.
#[derive(Clone, Debug)]
pub struct Persist {
    /// Which of the askers it is from: answers go there.
    pub from: usize,
    /// The asker's own count of its batches: each is one more than the one before.
    pub ticket: u64,
    /// The records.
    pub batch: Batch,
    /// When it is to be answered.
    pub durability: Durability,
    /// Batches of other askers without which it must not be there after a crash, if there are any.
    pub groups: Vec<Group>,
}

/// What an asker hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All its batches up to this ticket are as safe as they were to be.
    Durable {
        /// The last of them.
        ticket: u64,
    },
    /// Nothing can be made durable for now. What was handed over is kept and tried again; `Durable`
    /// says that it has worked.
    Failed {
        /// Why, for the log.
        why: String,
        /// Whether room on the disk is missing, which clients can be told (0x97).
        is_disk_full: bool,
    },
}

/// Where answers go.
pub trait Answers: Send {
    /// Hands an answer over.
    fn answer(&mut self, to: usize, answer: Answer);

    /// Says what was done so far, after each round of work.
    fn count(&mut self, counters: &Counters) {
        let _ = counters;
    }
}

/// What a shard hands its batches to. Dropping all of them ends the housekeeper, which first makes
/// durable what it has.
#[derive(Clone, Debug)]
pub struct Store {
    queue: SyncSender<Persist>,
}

/// The queue has no room: the batch comes back, to be handed over later, before any other one.
#[derive(Debug)]
pub struct QueueFull(pub Persist);

impl Store {
    /// Hands a batch over, without waiting.
    ///
    /// # Errors
    /// [`QueueFull`]: the disk is slower than the shards.
    pub fn persist(&self, persist: Persist) -> Result<(), QueueFull> {
        self.queue.try_send(persist).map_err(|error| match error {
            TrySendError::Full(persist) | TrySendError::Disconnected(persist) => QueueFull(persist),
        })
    }
}

/// Starts the thread. Joining it says how the log was closed.
///
/// # Errors
/// The system gives no thread.
pub fn start<L: Log + 'static>(
    log: L,
    options: HousekeeperOptions,
    answers: impl Answers + 'static,
) -> io::Result<(Store, JoinHandle<()>)> {
    let (queue, requests) = sync_channel(options.queue_batches_max);
    let run = move || match failpoint::Trapped::new(log) {
        Ok(log) => run(Committer::new(log, options), &requests, answers),
        Err(log) => run(Committer::new(log, options), &requests, answers),
    };
    let thread = thread::Builder::new().name("housekeeper".to_owned()).spawn(run)?;
    Ok((Store { queue }, thread))
}

fn run<L: Log>(
    mut committer: Committer<L>,
    requests: &Receiver<Persist>,
    mut answers: impl Answers,
) {
    let began = Instant::now();
    let now_ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut is_open = true;
    while is_open {
        is_open = gather(&mut committer, requests, now_ms());
        let (begin, commits) = (Instant::now(), committer.counters.commits);
        committer.commit(now_ms());
        if committer.counters.commits > commits {
            committer.counters.note_commit(begin.elapsed());
        }
        for (to, answer) in committer.take_answers() {
            answers.answer(to, answer);
        }
        committer.compact_some();
        answers.count(committer.counters());
    }
    committer.finish();
    for (to, answer) in committer.take_answers() {
        answers.answer(to, answer);
    }
}

/// Takes in what waits; waits itself if nothing does. False when no asker is left.
fn gather<L: Log>(committer: &mut Committer<L>, requests: &Receiver<Persist>, now_ms: u64) -> bool {
    if !committer.has_room() {
        // The disk does not work, so the queue fills up. One at a time is taken all the same, as
        // there is no other way to learn that no asker is left.
        thread::sleep(Duration::from_millis(committer.wait_ms(now_ms)));
        return match requests.try_recv() {
            Ok(persist) => {
                committer.take(persist);
                true
            }
            Err(error) => error == TryRecvError::Empty,
        };
    }
    match requests.recv_timeout(Duration::from_millis(committer.wait_ms(now_ms))) {
        Ok(persist) => committer.take(persist),
        Err(RecvTimeoutError::Timeout) => committer.on_idle(),
        Err(RecvTimeoutError::Disconnected) => return false,
    }
    while !committer.is_loaded()
        && let Ok(persist) = requests.try_recv()
    {
        committer.take(persist);
    }
    true
}
