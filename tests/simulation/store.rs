//! The store under the broker: the housekeeper as a function, on a disk that loses what was not
//! synced. Batches come late, commits happen when the dice say so, the disk fills up and fails.
//!
//! As with rules, what is drawn for it comes from a stream of its own: worlds without a store are
//! the same as if there were none anywhere.

use std::collections::VecDeque;

use skein::{
    config::DurabilityMode,
    record::state::State,
    shard::{self, Event, Time},
    store::{
        housekeeper::{Answer, Committer, HousekeeperOptions, Persist},
        log::{Log, LogOptions, Records, SegmentedLog, Sequence},
    },
};

use crate::{
    disk::{Faults, SimDisk},
    draw::Draw,
    oracle::violated,
};

/// Unix time of the beginning of every world, milliseconds.
const EPOCH_MS: u64 = 1_800_000_000_000;
const RETRY_MS: u64 = 50;
/// What acknowledgements promise, drawn for a world.
const MODES: [DurabilityMode; 4] =
    [DurabilityMode::Disk, DurabilityMode::Disk, DurabilityMode::Disk, DurabilityMode::Os];

/// The store of one world, over all lives of its broker.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) luck: Draw,
    disk: SimDisk,
    housekeeper: Committer<SegmentedLog<SimDisk>>,
    options: Options,
    /// What each shard has handed over and the housekeeper has not taken.
    handed: Vec<VecDeque<Persist>>,
    /// What each shard is to hear.
    answers: Vec<VecDeque<Answer>>,
    /// Which shards have heard that nothing can be made durable.
    pub(crate) is_failing: Vec<bool>,
    /// A step of a QoS 2 handshake was heard a moment ago.
    is_tense: bool,
    /// A client knows since a moment ago that its session is kept again.
    has_returned: bool,
    /// Something was taken, and not committed.
    is_behind: bool,
    /// The last step in which the disk or a shard had to do with a failure.
    troubled_step: u64,
    /// The broker has been killed so often.
    pub(crate) crashes: usize,
    /// What the log held at the last restart.
    kept: Option<State>,
}

/// What was drawn for it.
#[derive(Clone, Debug)]
struct Options {
    mode: DurabilityMode,
    /// Of each listener.
    modes: Vec<DurabilityMode>,
    log: LogOptions,
    compaction_bytes_min: u64,
    /// About how many steps lie between two crashes, two commits, and two faults.
    crash_every: usize,
    /// Of so many moments in which everybody hurries one ends in a crash.
    hurry_every: usize,
    commit_every: usize,
    fault_every: usize,
}

impl Store {
    /// The store of one world in three.
    pub(crate) fn draw(seed: u64, shards: usize, has_rules: bool) -> Option<Self> {
        let mut luck = Draw::new(seed ^ 0xD15C_0000_0000_0001);
        if !luck.chance(1, 3) {
            return None;
        }
        let mut options = Options {
            mode: luck.pick(&MODES),
            modes: Vec::new(),
            log: LogOptions {
                segment_bytes_max: luck.pick(&[200, 2_000, 20_000, 1 << 20]),
                unsynced_bytes_max: 64 << 20,
                seed: luck.next(),
            },
            compaction_bytes_min: luck.pick(&[100, 2_000, 50_000, 1 << 30]),
            crash_every: luck.pick(&[30, 100, 300]),
            hurry_every: 2,
            commit_every: luck.pick(&[1, 5, 20, 60]),
            fault_every: luck.pick(&[100, 1_000_000, 1_000_000]),
        };
        options.draw_modes(&mut Draw::new(seed ^ 0x000D_E500), has_rules);
        let disk = SimDisk::new(luck.next());
        let housekeeper = options.housekeeper(options.open(&disk), shards);
        Some(Self {
            luck,
            housekeeper,
            disk,
            options,
            handed: vec![VecDeque::new(); shards],
            answers: vec![VecDeque::new(); shards],
            is_failing: vec![false; shards],
            is_tense: false,
            has_returned: false,
            is_behind: false,
            troubled_step: 0,
            crashes: 0,
            kept: None,
        })
    }

    /// What each listener of this world promises.
    pub(crate) fn modes(&self) -> &[DurabilityMode] {
        &self.options.modes
    }

    /// Where the next connection comes in.
    pub(crate) fn draw_listener(&mut self) -> u16 {
        match self.options.modes.len() {
            // All are alike, and nothing is drawn.
            2 => 0,
            count => self.luck.below(count) as u16,
        }
    }

    /// A client has heard a step of a QoS 2 handshake.
    pub(crate) fn note_handshake(&mut self) {
        self.is_tense = true;
    }

    /// A client has heard that its session is kept again, which was in memory only.
    pub(crate) fn note_return(&mut self) {
        self.has_returned = true;
    }

    /// Whether one of them has, since this was asked last.
    pub(crate) fn take_return(&mut self) -> bool {
        std::mem::take(&mut self.has_returned)
    }

    /// Which of so many clients comes back to be kept now, where there are listeners that keep nothing.
    pub(crate) fn draw_returning(&mut self, clients: usize) -> Option<usize> {
        let is_mixed = self.options.modes.len() > 2;
        (is_mixed && self.luck.chance(1, 15)).then(|| self.luck.below(clients))
    }

    /// What the shards begin with after a restart: messages stay in the files.
    pub(crate) fn take_kept(&mut self) -> Option<State> {
        self.kept.take()
    }

    /// Whether the broker is killed now: above all while something is on its way to the disk, and
    /// right after a step of a QoS 2 handshake.
    pub(crate) fn draw_crash(&mut self) -> bool {
        let waits = self.handed.iter().any(|queue| !queue.is_empty()) || self.is_behind;
        let is_tense = std::mem::take(&mut self.is_tense);
        let times = if is_tense {
            12
        } else if waits {
            6
        } else {
            1
        };
        self.luck.chance(times, 2 * self.options.crash_every)
    }

    /// Whether a moment in which everybody hurries ends in a crash.
    pub(crate) fn draw_crash_in_hurry(&mut self) -> bool {
        self.luck.chance(1, self.options.hurry_every)
    }

    /// A shard hands a batch over.
    pub(crate) fn hand_over(&mut self, from: usize, persist: shard::Persist) {
        let shard::Persist { ticket, batch, durability, groups } = persist;
        self.handed[from].push_back(Persist { from, ticket, batch, durability, groups });
    }

    /// The housekeeper does something, or all that there is. True if anything happened.
    pub(crate) fn work(&mut self, now: Time, step: u64, full: bool) -> bool {
        let mut happened = false;
        if full {
            self.disk.set_faults(Faults::default());
        } else if self.luck.chance(1, self.options.fault_every) {
            self.draw_faults();
        } else if self.disk.faults().any() && self.luck.chance(1, 20) {
            self.disk.set_faults(Faults::default());
        }
        for queue in &mut self.handed {
            let count = if full { queue.len() } else { self.luck.some_of(queue.len()) };
            for persist in queue.drain(..count) {
                self.housekeeper.take(persist);
                self.is_behind = true;
                happened = true;
            }
        }
        if full || self.luck.chance(1, self.options.commit_every) {
            self.housekeeper.commit(now.as_millis());
            self.is_behind = false;
            match self.luck.below(4) {
                0 => self.housekeeper.on_idle(),
                1 => self.housekeeper.compact_some(),
                _ => {}
            }
        }
        for (to, answer) in self.housekeeper.take_answers() {
            self.answers[to].push_back(answer);
            happened = true;
        }
        if self.disk.faults().any() || self.is_troubled() {
            self.troubled_step = step;
        }
        happened
    }

    fn draw_faults(&mut self) {
        let mut faults = Faults::default();
        match self.luck.below(4) {
            0 | 1 => faults.bytes_max = Some(self.disk.bytes() + self.luck.below(1_000)),
            2 => faults.fails_sync = true,
            _ => faults.fails_write = true,
        }
        self.disk.set_faults(faults);
    }

    fn is_troubled(&self) -> bool {
        let is_failure = |answer: &Answer| matches!(answer, Answer::Failed { .. });
        self.is_failing.contains(&true) || self.answers.iter().flatten().any(is_failure)
    }

    /// Whether the disk does not work now.
    pub(crate) fn has_faults(&self) -> bool {
        self.disk.faults().any()
    }

    /// Whether the disk may have been the reason for something since this step.
    pub(crate) fn was_troubled_since(&self, step: u64) -> bool {
        self.troubled_step >= step
    }

    /// What a shard hears next of its batches.
    pub(crate) fn next_answer(
        &mut self,
        shard: usize,
        step: u64,
        full: bool,
    ) -> Option<Event<'static>> {
        if !full && self.luck.chance(1, 3) {
            return None;
        }
        let answer = self.answers[shard].pop_front()?;
        let was_failing = self.is_failing[shard];
        self.is_failing[shard] = matches!(answer, Answer::Failed { .. });
        if was_failing || self.is_failing[shard] {
            self.troubled_step = step;
        }
        Some(match answer {
            Answer::Durable { ticket } => Event::Durable { ticket },
            Answer::Failed { is_disk_full, .. } => Event::StoreFailed { is_disk_full },
        })
    }

    /// Whether everything is durable that was handed over, and everybody knows.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_taken = self.handed.iter().all(VecDeque::is_empty);
        let are_told = self.answers.iter().all(VecDeque::is_empty);
        is_taken && are_told && !self.is_failing.contains(&true)
    }

    /// The broker is killed, or stops in order; what the log holds then.
    pub(crate) fn restart(&mut self, in_order: bool) -> State {
        let shards = self.handed.len();
        if in_order {
            for queue in &mut self.handed {
                queue.drain(..).for_each(|persist| self.housekeeper.take(persist));
            }
            self.housekeeper.finish();
        }
        // What is only with the system survives no power cut.
        if self.options.mode == DurabilityMode::Os || self.luck.chance(1, 3) {
            self.disk.kill();
        } else {
            self.disk.crash();
        }
        self.disk.set_faults(Faults::default());
        self.handed.iter_mut().for_each(VecDeque::clear);
        self.answers.iter_mut().for_each(VecDeque::clear);
        self.is_failing.fill(false);
        self.is_behind = false;
        self.crashes += 1;
        let mut log = self.options.open(&self.disk);
        let state = read(&mut log, State::default());
        let shelf = log.shelf();
        self.kept = Some(read(&mut log, State::with_shelf(shelf)));
        self.housekeeper = self.options.housekeeper(log, shards);
        state
    }
}

impl Options {
    /// One listener for users, and one for anybody, which promise the same; or of all modes where
    /// clients come through any.
    fn draw_modes(&mut self, luck: &mut Draw, has_rules: bool) {
        self.modes = vec![self.mode; 2];
        if !has_rules && luck.chance(1, 2) {
            self.modes.extend([DurabilityMode::Memory; 2]);
            // Time enough for sessions to go from one to the other and to be of some worth.
            self.crash_every = luck.pick(&[100, 300, 1_000, 3_000]);
            self.hurry_every = luck.pick(&[2, 10, 1_000]);
            // After a power cut nothing is known of what only the system had.
            self.modes[0] = DurabilityMode::Disk;
            // A session with something on disk stays in the log, whatever its listener. Which one
            // that is nobody knows here, nor therefore what a store that fails refuses it.
            self.fault_every = usize::MAX;
        }
    }

    fn open(&self, disk: &SimDisk) -> SegmentedLog<SimDisk> {
        match SegmentedLog::open(disk.clone(), self.log.clone()) {
            Ok(log) => log,
            Err(error) => violated!("the log opens after every crash", "{error}"),
        }
    }

    fn housekeeper(
        &self,
        log: SegmentedLog<SimDisk>,
        shards: usize,
    ) -> Committer<SegmentedLog<SimDisk>> {
        let options = HousekeeperOptions {
            askers: shards,
            retry_ms: RETRY_MS,
            compaction_bytes_min: self.compaction_bytes_min,
            ..HousekeeperOptions::default()
        };
        Committer::new(log, options)
    }
}

/// What the log adds up to.
fn read(log: &mut SegmentedLog<SimDisk>, mut state: State) -> State {
    let applied = log.replay(Sequence(0), &mut |_: Sequence, records: Records<'_>| {
        state.apply_all(records).map_err(|error| error.to_string())
    });
    if let Err(error) = applied {
        violated!("each record can follow those before it", "{error}");
    }
    state
}

/// The Unix time of a moment of a world, milliseconds.
pub(crate) fn unix_ms(now: Time) -> u64 {
    EPOCH_MS + now.as_millis()
}
