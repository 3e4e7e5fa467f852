//! Group commit, as a function: what is told to it, it does to the log, and leaves answers behind.

use std::collections::VecDeque;

use super::{
    super::log::{Batch, Log, LogError, Sequence},
    Answer, Counters, Durability, Persist,
    compaction::Compaction,
    groups,
};

/// How often it is said that the disk does not work, while it does not.
const FAILURE_SAID_AGAIN_MS: u64 = 60_000;
/// A compaction goes through so many bytes for each that is written meanwhile. The log has to double
/// before the next one, so with two or fewer it would grow for as long as publishers go on.
const COMPACTION_PACE: usize = 4;
/// How often the last commit is tried: a sync that failed in the first round, and held back what
/// waited for room, may succeed at its end.
const FINISHING_ROUNDS: usize = 2;

/// How the housekeeper works.
#[derive(Clone, Debug)]
pub struct HousekeeperOptions {
    /// How many shards there are.
    pub askers: usize,
    /// Batches that may wait in the queue.
    pub queue_batches_max: usize,
    /// Bytes that may wait for one commit.
    pub commit_bytes_max: usize,
    /// After how many milliseconds a disk that failed is tried again.
    pub retry_ms: u64,
    /// After how many milliseconds without work all is synced and marked.
    pub idle_ms: u64,
    /// A log is compacted when it has twice what was left the last time, and so many bytes more.
    pub compaction_bytes_min: u64,
}

impl Default for HousekeeperOptions {
    fn default() -> Self {
        Self {
            askers: 1,
            queue_batches_max: 4096,
            commit_bytes_max: 16 << 20,
            retry_ms: 500,
            idle_ms: 200,
            compaction_bytes_min: 64 << 20,
        }
    }
}

/// What owns the log.
#[derive(Debug)]
pub struct Committer<L: Log> {
    log: L,
    options: HousekeeperOptions,
    queues: Vec<VecDeque<Persist>>,
    waiting_bytes: usize,
    /// Batches of the log that are not durable, and the tickets that they answer.
    appended: VecDeque<Appended>,
    /// All that is to be written next, in memory that is used again.
    batch: Batch,
    /// When the disk is tried again, after it has failed.
    retry_at_ms: Option<u64>,
    /// When it was last said that the disk has failed.
    failure_said_ms: u64,
    pub(super) counters: Counters,
    is_idle: bool,
    compaction: Option<Compaction>,
    /// Bytes that were taken into the log since the last piece of a compaction.
    bytes_since_piece: usize,
    /// The log is compacted when it has more bytes.
    compacts_above: u64,
    /// What is to be answered.
    answers: Vec<(usize, Answer)>,
}

/// The last ticket of each asker in one batch of the log.
#[derive(Debug)]
struct Appended {
    sequence: Sequence,
    tickets: Vec<(usize, u64)>,
    durability: Durability,
}

impl<L: Log> Committer<L> {
    /// A committer of a log.
    pub fn new(log: L, options: HousekeeperOptions) -> Self {
        let compacts_above = log.bytes().max(options.compaction_bytes_min);
        Self {
            log,
            queues: vec![VecDeque::new(); options.askers],
            options,
            waiting_bytes: 0,
            appended: VecDeque::new(),
            batch: Batch::default(),
            retry_at_ms: None,
            failure_said_ms: 0,
            counters: Counters::default(),
            is_idle: false,
            compaction: None,
            bytes_since_piece: 0,
            compacts_above,
            answers: Vec::new(),
        }
    }

    /// Takes out what is to be answered: to whom, and what.
    pub fn take_answers(&mut self) -> Vec<(usize, Answer)> {
        std::mem::take(&mut self.answers)
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether another batch may be taken in. On a disk that works there is always room: what is
    /// not written next waits for the rest of its group, which must be able to come.
    pub fn has_room(&self) -> bool {
        self.retry_at_ms.is_none() || self.waiting_bytes < self.options.commit_bytes_max
    }

    /// Whether enough waits for one commit.
    pub fn is_loaded(&self) -> bool {
        self.waiting_bytes >= self.options.commit_bytes_max
    }

    /// Takes a batch in.
    pub fn take(&mut self, persist: Persist) {
        self.is_idle = false;
        self.waiting_bytes += persist.batch.bytes();
        match self.queues.get_mut(persist.from) {
            Some(queue) => queue.push_back(persist),
            None => debug_assert!(false, "askers are counted when the housekeeper starts"),
        }
    }

    /// How long to wait for the next batch.
    pub fn wait_ms(&self, now_ms: u64) -> u64 {
        match self.retry_at_ms {
            Some(at) => at.saturating_sub(now_ms).clamp(1, self.options.retry_ms),
            // A compaction goes on as soon as there is nothing better to do.
            None if self.compaction.is_some() => 0,
            None => self.options.idle_ms,
        }
    }

    /// Nothing has come for a while: what was only written is synced, and damage to it can be seen
    /// from now on.
    pub fn on_idle(&mut self) {
        if !self.is_idle && self.retry_at_ms.is_none() && self.compaction.is_none() {
            self.is_idle = true;
            self.batch = Batch::default();
            match self.log.sync() {
                Ok(_) => self.log.rest(),
                Err(error) => tracing::error!(
                    "{error}; what was written and not synced is written anew with what comes next"
                ),
            }
        }
    }

    /// Writes what may be written, as one batch, and syncs it if anybody needs that. If it does not
    /// fit beside what is written and not synced, that is synced first: those who wait for nothing
    /// fill the log, too, and it need not ever come to rest.
    pub fn commit(&mut self, now_ms: u64) {
        if self.retry_at_ms.is_some_and(|at| now_ms < at) {
            return;
        }
        if self.commit_what_fits(now_ms) {
            self.commit_what_fits(now_ms);
        }
    }

    /// True if something did not fit, and all before it is durable now.
    fn commit_what_fits(&mut self, now_ms: u64) -> bool {
        let appended = self.append();
        debug_assert!(matches!(appended, Ok(()) | Err(LogError::Full { .. })));
        let is_full = appended.is_err();
        if self.appended.is_empty() && !is_full {
            return false;
        }
        let needs_disk = |appended: &Appended| appended.durability == Durability::Disk;
        let is_failing = self.retry_at_ms.is_some();
        let syncs = is_full || is_failing || self.appended.iter().any(needs_disk);
        self.counters.commits += 1;
        self.counters.syncs += u64::from(syncs);
        let done = if syncs { self.log.sync() } else { self.log.write() };
        match done {
            Ok(sequence) => self.answer(sequence),
            Err(error) => {
                self.answer(self.log.durable());
                self.fail(&error, now_ms);
                return false;
            }
        }
        is_full
    }

    fn append(&mut self) -> Result<(), LogError> {
        let ends = groups::writable(&self.queues);
        self.batch.clear();
        let mut durability = Durability::Os;
        let mut tickets = Vec::new();
        for (queue, end) in self.queues.iter().zip(&ends) {
            for persist in queue.iter().take(*end) {
                self.batch.append(&persist.batch);
                if persist.durability == Durability::Disk {
                    durability = Durability::Disk;
                }
            }
            let last = end.checked_sub(1).and_then(|at| queue.get(at));
            tickets.extend(last.map(|persist| (persist.from, persist.ticket)));
        }
        if tickets.is_empty() {
            return Ok(());
        }
        let sequence = self.log.append(&self.batch)?;
        self.counters.bytes += self.batch.bytes() as u64;
        self.bytes_since_piece += self.batch.bytes();
        for (queue, end) in self.queues.iter_mut().zip(ends) {
            self.waiting_bytes -= queue.drain(..end).map(|it| it.batch.bytes()).sum::<usize>();
            self.counters.batches += end as u64;
        }
        self.appended.push_back(Appended { sequence, tickets, durability });
        Ok(())
    }

    /// Everything up to this is as safe as it was to be.
    fn answer(&mut self, through: Sequence) {
        let is_safe = |appended: &&Appended| appended.sequence <= through;
        let count = self.appended.iter().take_while(is_safe).count();
        for (to, ticket) in self.appended.drain(..count).flat_map(|appended| appended.tickets) {
            self.answers.push((to, Answer::Durable { ticket }));
        }
        if self.appended.is_empty() && self.retry_at_ms.take().is_some() {
            tracing::warn!("the store works again: what had to wait for it is acknowledged");
        }
    }

    fn fail(&mut self, error: &LogError, now_ms: u64) {
        self.counters.failures += 1;
        let is_new = self.retry_at_ms.is_none();
        if is_new || now_ms.saturating_sub(self.failure_said_ms) >= FAILURE_SAID_AGAIN_MS {
            self.failure_said_ms = now_ms;
            let still = if is_new { "" } else { "still " };
            let helps =
                if error.is_disk_full() { "make room on the disk" } else { "look at the disk" };
            tracing::error!(
                "the store {still}does not work: {error}; what needs it is refused, and it is tried \
                 again all the time: {helps}"
            );
        }
        if is_new {
            let is_disk_full = error.is_disk_full();
            let failed = |to| (to, Answer::Failed { why: error.to_string(), is_disk_full });
            self.answers.extend((0..self.options.askers).map(failed));
        }
        self.retry_at_ms = Some(now_ms + self.options.retry_ms);
    }

    /// Does a piece of a compaction, if one is due: the larger, the more was written since the last.
    pub fn compact_some(&mut self) {
        let is_large = self.log.bytes() > self.compacts_above;
        if self.compaction.is_none() && is_large && !self.log.has_readers() {
            self.compaction = Compaction::begin(&self.log);
            self.compacts_above = u64::MAX;
        }
        let due = std::mem::take(&mut self.bytes_since_piece).saturating_mul(COMPACTION_PACE);
        let Some(compaction) = &mut self.compaction else { return };
        let mut done = 0;
        let finished = loop {
            match compaction.step(&mut self.log) {
                Ok(Some(bytes)) => done += bytes,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if done >= due {
                return;
            }
        };
        self.compaction = None;
        let left = self.log.bytes();
        let grown = match finished {
            Ok(()) => {
                self.counters.compactions += 1;
                tracing::info!("the store was compacted, to {left} bytes");
                left.saturating_mul(2)
            }
            // It is no smaller, and what it needs may become less.
            Err(error) => {
                tracing::error!(%error, "the store can not be compacted");
                left
            }
        };
        self.compacts_above = grown.saturating_add(self.options.compaction_bytes_min);
    }

    /// The last commit: what can be made durable is, and it is said if something can not.
    pub fn finish(&mut self) {
        for _ in 0..FINISHING_ROUNDS {
            self.retry_at_ms = None;
            self.commit(0);
            match self.log.sync() {
                Ok(sequence) => self.answer(sequence),
                Err(error) => {
                    tracing::error!("{error}; what is not on the disk yet may be lost");
                    return;
                }
            }
            if self.writable_batches() == 0 {
                break;
            }
        }
        self.log.rest();
        let left = self.writable_batches();
        if left > 0 {
            tracing::error!("{left} batches for the store could not be written, and are lost");
        }
    }

    fn writable_batches(&self) -> usize {
        groups::writable(&self.queues).iter().sum()
    }
}
