//! What outlives the broker: read before anybody is served, handed to the shards, and given to the
//! thread that keeps it up.
//!
//! ```text
//!   bind: lock the folder ─▶ open the log ─▶ read it into a State
//!   run:  housekeeper ─▶ shards take the State over ─▶ the acceptor begins
//!   end:  shards hand over the rest ─▶ housekeeper syncs, marks, ends
//! ```

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::error::StartError;
use super::login_workers::random;
use super::pulse::{self, Pulse};
use super::shards::LOG_WAIT;
use crate::config::{self, DurabilityMode, Settings};
use crate::net::{Keeper, KeeperAnswer, KeeperDesk};
use crate::record::state::{Counts, State};
use crate::session::ShardId;
use crate::shard;
use crate::store::disk::{Files, LockError};
use crate::store::housekeeper::{
    self, Answer, Answers, Counters, HousekeeperOptions, Persist, QueueFull,
};
use crate::store::log::{Log, LogError, LogOptions, Records, SegmentedLog, Sequence};

/// How often a start that takes long says how far it is.
const PROGRESS: Duration = Duration::from_secs(2);
/// How long the housekeeper waits for a shard that has not taken its answers.
const FULL_DESK_WAIT: Duration = Duration::from_millis(1);

/// Why what outlives the broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be had.
    #[error("{0}{advice}", advice = advice(.0))]
    Folder(LockError),
    /// The system does not show the folder.
    #[error("{}: {error}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file in it is damaged, or the disk does not work.
    #[error("{error}. `skein store check {}` looks at all of it", folder.display())]
    Log {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with which file, and where.
        error: LogError,
    },
}

fn advice(error: &LockError) -> &'static str {
    match error {
        LockError::Io { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied => {
            "; this user may not use the folder: grant it, or choose another one with --data-dir DIR"
        }
        _ => "",
    }
}

/// What was kept, and the log that goes on with it.
pub(super) struct OpenStore {
    folder: PathBuf,
    log: SegmentedLog<Files>,
    state: State,
    began: Instant,
}

impl OpenStore {
    /// Locks the folder and reads all that is in it; `None` if the settings name none.
    pub(super) fn open(settings: &config::Store) -> Result<Option<Self>, StartError> {
        let Some(folder) = &settings.data_dir else { return Ok(None) };
        Self::read(folder, settings).map(Some).map_err(StartError::Store)
    }

    fn read(folder: &Path, settings: &config::Store) -> Result<Self, StoreError> {
        let began = Instant::now();
        let files = Files::open(folder).map_err(StoreError::Folder)?;
        // Before the log is opened, which makes a file.
        let last_change = files
            .last_change()
            .map_err(|error| StoreError::Unreadable { folder: folder.to_owned(), error })?;
        let broken = |error| StoreError::Log { folder: folder.to_owned(), error };
        let mut log = SegmentedLog::open(files, log_options(settings)).map_err(broken)?;
        if let Some(cut_tail) = log.cut_tail() {
            tracing::warn!("{cut_tail}");
        }
        let mut state = replay(&mut log, folder, began).map_err(broken)?;
        let ended_at = last_change.map(|at| pulse::ended_at(at, SystemTime::now()));
        state.set_connected_lost_at(ended_at.map_or(0, unix_ms));
        Ok(Self { folder: folder.to_owned(), log, state, began })
    }

    /// Starts the thread that keeps it up.
    pub(super) fn start(
        self,
        settings: &Settings,
        desks: Vec<KeeperDesk>,
    ) -> Result<RunningStore, StartError> {
        let Self { folder, log, state, began } = self;
        let options = housekeeper_options(settings);
        let (alive, end) = mpsc::channel();
        let counters = Arc::new(Mutex::new(Counters::default()));
        let pulse = Pulse::new(&folder, Instant::now()).map_err(|error| {
            StartError::Store(StoreError::Unreadable { folder: folder.clone(), error })
        })?;
        let answers = DeskAnswers { desks, counters: Arc::clone(&counters), pulse, _alive: alive };
        let started = housekeeper::start(log, options, answers);
        let (queue, _) = started.map_err(StartError::Kernel)?;
        let summary = Summary { folder, promise: promise(settings), counts: state.counts(), began };
        let state = Arc::new(state);
        Ok(RunningStore { state, queue: Queue(queue), summary, counters, closing: Closing { end } })
    }
}

fn log_options(settings: &config::Store) -> LogOptions {
    LogOptions {
        segment_bytes_max: settings.segment_bytes,
        unsynced_bytes_max: settings.unsynced_bytes_max,
        seed: u64::from_ne_bytes(random()),
    }
}

fn housekeeper_options(settings: &Settings) -> HousekeeperOptions {
    let store = &settings.store;
    HousekeeperOptions {
        askers: settings.shards,
        queue_batches_max: store.queue_batches_max,
        commit_bytes_max: store.commit_bytes_max,
        retry_ms: store.retry_ms,
        compaction_bytes_min: store.compaction_bytes_min,
        ..HousekeeperOptions::default()
    }
}

/// Reads the whole log, and says how far it is if that takes long.
fn replay(log: &mut SegmentedLog<Files>, folder: &Path, began: Instant) -> Result<State, LogError> {
    let (mut state, mut bytes, mut said) = (State::with_shelf(log.shelf()), 0, began);
    let all = log.bytes().max(1);
    log.replay(Sequence(0), &mut |_: Sequence, records: Records<'_>| {
        bytes += records.bytes() as u64;
        state.apply_all(records).map_err(|error| error.to_string())?;
        if said.elapsed() >= PROGRESS {
            said = Instant::now();
            tracing::info!(
                "{}: reading what was kept: {} % after {} s",
                folder.display(),
                (bytes * 100 / all).min(99),
                began.elapsed().as_secs()
            );
        }
        Ok(())
    })?;
    Ok(state)
}

/// What acknowledgements promise, in words.
fn promise(settings: &Settings) -> &'static str {
    let mut modes = settings.listeners.iter().map(|listener| listener.durability);
    let first = modes.next().unwrap_or(settings.store.durability);
    if modes.any(|mode| mode != first) {
        return "durability as each listener says";
    }
    match first {
        DurabilityMode::Disk => "durability \"disk\"",
        DurabilityMode::Os => "durability \"os\"",
        DurabilityMode::Memory => "durability \"memory\": nothing of what clients do is kept",
    }
}

/// A store whose thread runs.
pub(super) struct RunningStore {
    /// What was kept, for each shard.
    pub(super) state: Arc<State>,
    /// For each shard, and for nobody else.
    pub(super) queue: Queue,
    pub(super) summary: Summary,
    pub(super) counters: Arc<Mutex<Counters>>,
    pub(super) closing: Closing,
}

/// What is said once all shards have taken over what was kept.
#[derive(Debug)]
pub(super) struct Summary {
    folder: PathBuf,
    promise: &'static str,
    counts: Counts,
    began: Instant,
}

impl Summary {
    pub(super) fn say(&self) {
        let Self { folder, promise, counts, began } = self;
        tracing::info!(
            "sessions and messages are kept in {} ({promise}): {} sessions, {} subscriptions, {} \
             messages on their way to clients, {} retained and {} wills recovered in {} ms",
            folder.display(),
            counts.sessions,
            counts.subscriptions,
            counts.entries,
            counts.retained,
            counts.wills,
            began.elapsed().as_millis()
        );
    }
}

/// What was done so far, for the log.
pub(super) fn counters_line(counters: &Mutex<Counters>) -> String {
    let rows = lock(counters).rows();
    rows.iter().map(|(name, count)| format!(" {name}={count}")).collect()
}

/// The housekeeper's queue, as shards know it. The thread ends when all of them are gone.
#[derive(Clone, Debug)]
pub(super) struct Queue(housekeeper::Store);

impl Keeper for Queue {
    fn keep(&self, from: ShardId, persist: shard::Persist) -> Result<(), shard::Persist> {
        let shard::Persist { ticket, batch, durability, groups } = persist;
        let persist = Persist { from: from.index(), ticket, batch, durability, groups };
        self.0.persist(persist).map_err(|QueueFull(back)| {
            let Persist { ticket, batch, durability, groups, .. } = back;
            shard::Persist { ticket, batch, durability, groups }
        })
    }
}

/// Waits for the end of the thread.
#[derive(Debug)]
pub(super) struct Closing {
    end: mpsc::Receiver<()>,
}

impl Closing {
    /// Waits until all is synced, or the time is over. The shards must have ended.
    pub(super) fn wait(self, time: Duration) {
        if self.end.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(
                "the store does not come to an end, so it is left as it is: all that was \
                 acknowledged is in it"
            );
        }
    }
}

/// Brings answers to the shards. The housekeeper's thread owns it.
struct DeskAnswers {
    /// By shard.
    desks: Vec<KeeperDesk>,
    counters: Arc<Mutex<Counters>>,
    pulse: Pulse,
    /// Gone with the thread.
    _alive: mpsc::Sender<()>,
}

impl Answers for DeskAnswers {
    fn answer(&mut self, to: usize, answer: Answer) {
        let Some(desk) = self.desks.get_mut(to) else { return };
        let mut answer = match answer {
            Answer::Durable { ticket } => KeeperAnswer::Durable { ticket },
            Answer::Failed { is_disk_full, .. } => KeeperAnswer::Failed { is_disk_full },
        };
        while let Err(back) = desk.answers.push(answer) {
            if desk.answers.is_abandoned() {
                return;
            }
            answer = back;
            desk.doorbell.ring();
            thread::sleep(FULL_DESK_WAIT);
        }
        desk.doorbell.ring();
    }

    fn count(&mut self, counters: &Counters) {
        *lock(&self.counters) = *counters;
        self.pulse.beat(Instant::now());
    }
}

impl Drop for DeskAnswers {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(
                "a bug: the store's thread has panicked (the reason stands above) and nothing can be \
                 acknowledged without it; the process ends now"
            );
            // The log is written by another thread, which needs a moment.
            thread::sleep(LOG_WAIT);
            std::process::abort();
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Nothing panics while it holds the lock.
fn lock(counters: &Mutex<Counters>) -> MutexGuard<'_, Counters> {
    counters.lock().unwrap_or_else(PoisonError::into_inner)
}
