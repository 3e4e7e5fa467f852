//! One seed: a log, what was told to it, what it said, and the promise that this implies.

use fastrand::Rng;
use skein::store::disk::{Disk, DiskReader};
use skein::store::log::{Batch, Log, LogError, LogOptions, SegmentedLog, Sequence};

use crate::disk::{Faults, SimDisk};
use crate::replayed::{self, Replayed};

/// Runs one seed.
///
/// # Errors
/// The promise that was not kept, and what happened last.
pub(crate) fn run(seed: u64) -> Result<u64, String> {
    let mut world = World::new(seed)?;
    for _ in 0..world.rng.usize(20..300) {
        let done = world.step();
        done.map_err(|why| format!("{why}\n{}", world.history.join("\n")))?;
    }
    let last = world.heal_and_close();
    last.map_err(|why| format!("{why}\n{}", world.history.join("\n")))?;
    Ok(world.steps)
}

struct World {
    rng: Rng,
    disk: SimDisk,
    /// `None` only between a crash and the next start.
    log: Option<SegmentedLog<SimDisk>>,
    options: LogOptions,
    /// What was appended: the batch with sequence 1 is the first.
    appended: Vec<Vec<Vec<u8>>>,
    /// What the log has said to be durable.
    durable: u64,
    /// What it has said that the system has.
    written: u64,
    /// The sequence that a snapshot in the making stands for.
    snapshot: Option<u64>,
    /// The sequence that the newest finished snapshot stands for.
    covered: u64,
    history: Vec<String>,
    steps: u64,
}

impl World {
    fn new(seed: u64) -> Result<Self, String> {
        let mut rng = Rng::with_seed(seed);
        let disk = SimDisk::new(rng.u64(..));
        let options = LogOptions {
            segment_bytes_max: [200, 2_000, 20_000][rng.usize(..3)],
            unsynced_bytes_max: 20_000,
            seed: rng.u64(..),
        };
        let mut world = Self {
            rng,
            disk,
            log: None,
            options,
            appended: Vec::new(),
            durable: 0,
            written: 0,
            snapshot: None,
            covered: 0,
            history: Vec::new(),
            steps: 0,
        };
        world.start()?;
        Ok(world)
    }

    fn say(&mut self, text: String) {
        self.history.push(text);
        if self.history.len() > 40 {
            self.history.remove(0);
        }
    }

    fn log(&mut self) -> &mut SegmentedLog<SimDisk> {
        self.log.as_mut().expect("it was started")
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        match self.rng.u32(..100) {
            0..=44 => self.append(),
            45..=64 => self.sync(),
            65..=71 => self.write(),
            72..=75 => self.rest(),
            76..=84 => self.take_snapshot(),
            85..=91 => self.draw_faults(),
            92..=94 => self.restart(true),
            95..=96 => self.restart(false),
            _ => self.damage(),
        }
    }

    fn append(&mut self) -> Result<(), String> {
        let records = self.draw_records();
        let mut batch = Batch::default();
        records.iter().for_each(|record| batch.push(record));
        match self.log().append(&batch) {
            Ok(sequence) => {
                self.appended.push(records);
                self.say(format!("append {} ({} bytes)", sequence.0, batch.bytes()));
                expect_equal("sequence", sequence.0, self.appended.len() as u64)
            }
            Err(LogError::Full { .. }) => self.sync(),
            Err(error) => Err(format!("append: {error}")),
        }
    }

    fn draw_records(&mut self) -> Vec<Vec<u8>> {
        let rng = &mut self.rng;
        let bytes_max = [10, 100, 1_500][rng.usize(..3)];
        let mut records: Vec<Vec<u8>> = Vec::new();
        for _ in 0..rng.usize(..5) {
            let length = rng.usize(..bytes_max);
            records.push(std::iter::repeat_with(|| rng.u8(..)).take(length).collect());
        }
        // A client that knows the format puts a file of the log into a payload.
        if rng.u8(..8) == 0 && self.durable > 0 {
            let names = self.segments();
            records.push(self.disk.contents(&names[self.rng.usize(..names.len())]));
        }
        records
    }

    fn segments(&self) -> Vec<String> {
        let files = self.disk.list().unwrap_or_default();
        let names = files.into_iter().map(|(name, _)| name);
        names.filter(|name| name.starts_with("segment-")).collect()
    }

    fn sync(&mut self) -> Result<(), String> {
        let had_faults = self.disk.faults().any();
        match self.log().sync() {
            Ok(sequence) => {
                self.say(format!("synced {}", sequence.0));
                self.durable = sequence.0;
                expect_equal("durable", sequence.0, self.appended.len() as u64)
            }
            Err(error) => self.excuse("sync", had_faults, &error),
        }
    }

    fn write(&mut self) -> Result<(), String> {
        let had_faults = self.disk.faults().any();
        let written = self.log().write();
        // A new segment is begun when the one before it is durable.
        self.durable = self.durable.max(self.log().durable().0);
        match written {
            Ok(sequence) => {
                self.say(format!("written {}", sequence.0));
                self.written = sequence.0;
                expect_equal("written", sequence.0, self.appended.len() as u64)
            }
            Err(error) => self.excuse("write", had_faults, &error),
        }
    }

    /// Only a disk that fails is a reason to fail.
    fn excuse(&mut self, what: &str, had_faults: bool, error: &LogError) -> Result<(), String> {
        self.say(format!("{what}: {error}"));
        self.durable = self.durable.max(self.log().durable().0);
        if had_faults {
            Ok(())
        } else {
            Err(format!("{what} failed on a disk that works: {error}"))
        }
    }

    fn rest(&mut self) -> Result<(), String> {
        self.say("rest".to_owned());
        self.log().rest();
        Ok(())
    }

    /// One step of a snapshot: begun, added to, or finished.
    fn take_snapshot(&mut self) -> Result<(), String> {
        let had_faults = self.disk.faults().any();
        let Some(covers) = self.snapshot else {
            let covers = self.rng.u64(self.covered..=self.durable);
            self.say(format!("snapshot of {covers} begun"));
            match self.log().begin_snapshot(Sequence(covers)) {
                Ok(()) => self.snapshot = Some(covers),
                Err(error) => return self.excuse("begin snapshot", had_faults, &error),
            }
            return Ok(());
        };
        self.snapshot = None;
        for record in digest(&self.appended, covers) {
            let mut batch = Batch::default();
            batch.push(&record);
            if let Err(error) = self.log().add_to_snapshot(&batch) {
                return self.excuse("add to snapshot", had_faults, &error);
            }
        }
        self.say(format!("snapshot of {covers} finished"));
        match self.log().finish_snapshot() {
            Ok(()) => self.covered = covers,
            Err(error) => return self.excuse("finish snapshot", had_faults, &error),
        }
        Ok(())
    }

    fn draw_faults(&mut self) -> Result<(), String> {
        let mut faults = Faults::default();
        match self.rng.u8(..9) {
            0 | 1 => faults.bytes_max = Some(self.disk.bytes() + self.rng.usize(..3_000)),
            2 => faults.fails_sync = true,
            3 => faults.fails_write = true,
            4 => (faults.fails_write, faults.fails_truncate) = (true, true),
            5 => faults.fails_folder = true,
            6 => faults.fails_remove = true,
            _ => {}
        }
        self.say(format!("{faults:?}"));
        self.disk.set_faults(faults);
        Ok(())
    }

    fn restart(&mut self, power_goes: bool) -> Result<(), String> {
        self.say(if power_goes { "power cut" } else { "killed" }.to_owned());
        if power_goes {
            self.disk.crash();
        } else {
            self.disk.kill();
            self.durable = self.durable.max(self.written);
        }
        self.log = None;
        self.disk.set_faults(Faults::default());
        self.start()
    }

    /// Opens the log and compares all of it with what was appended.
    fn start(&mut self) -> Result<(), String> {
        self.snapshot = None;
        // Now and then, as it takes as long as the rest.
        let reads_first = self.steps.is_multiple_of(4);
        let read = reads_first.then(|| replayed::read_only(&self.disk)).transpose()?;
        let opened = SegmentedLog::open(self.disk.clone(), self.options.clone());
        let mut log = opened.map_err(|error| format!("refused after a crash: {error}"))?;
        let replayed = Replayed::of(&mut log).map_err(|error| format!("replay: {error}"))?;
        if let Some(read) = read
            && read != (log.durable(), log.cut_tail().cloned(), replayed.clone())
        {
            return Err("who only reads finds something else".to_owned());
        }
        self.compare(&replayed, &log)?;
        self.say(format!("started at {}", log.durable().0));
        self.appended.truncate(usize::try_from(log.durable().0).expect("it is small"));
        self.durable = log.durable().0;
        self.written = self.durable;
        self.covered = replayed.covers;
        self.log = Some(log);
        Ok(())
    }

    /// What was said to be durable is there, in order, and nothing else but a prefix of the rest.
    fn compare(&self, replayed: &Replayed, log: &SegmentedLog<SimDisk>) -> Result<(), String> {
        let last = log.durable().0;
        if last < self.durable {
            return Err(format!("{} were durable, {last} are there", self.durable));
        }
        if last > self.appended.len() as u64 {
            return Err(format!("{} were appended, {last} are there", self.appended.len()));
        }
        let covers = replayed.covers;
        if covers > 0 && replayed.snapshot != digest(&self.appended, covers) {
            return Err(format!("the snapshot of {covers} is another one"));
        }
        let expected = &self.appended[index(covers)..index(last)];
        expect_equal("batches", replayed.batches.len(), expected.len())?;
        for (at, (sequence, records)) in replayed.batches.iter().enumerate() {
            expect_equal("sequence", *sequence, covers + 1 + at as u64)?;
            if records != &expected[at] {
                return Err(format!("batch {sequence} is another one"));
            }
        }
        Ok(())
    }

    /// A bit flips in what was closed in order: it is noticed, or changes nothing.
    fn damage(&mut self) -> Result<(), String> {
        if !self.close()? {
            return Ok(());
        }
        self.lose_newest()?;
        let files = self.disk.list().unwrap_or_default();
        if let Some((name, bytes)) = self.rng.choice(files.iter()).filter(|(_, bytes)| *bytes > 0) {
            let bit = self.rng.usize(..usize::try_from(*bytes).expect("it is small") * 8);
            self.say(format!("bit {bit} of {name} flips"));
            self.disk.flip(name, bit);
            self.check_damaged(name)?;
            self.disk.flip(name, bit);
        }
        self.start()
    }

    /// Without its newest segment a log is refused by the name of that.
    fn lose_newest(&self) -> Result<(), String> {
        let Some(name) = self.segments().pop() else { return Ok(()) };
        let mut disk = self.disk.fork();
        let removed = disk.remove(&name);
        removed.map_err(|error| format!("{name} can not be removed: {error}"))?;
        match SegmentedLog::open(disk, self.options.clone()) {
            Err(LogError::Refused { file, .. }) if file == name => Ok(()),
            Err(error) => Err(format!("{name} is missing, but: {error}")),
            Ok(_) => Err(format!("nobody notices that {name} is missing")),
        }
    }

    /// Any prefix may be looked at, so the log that notices is asked for all of it.
    fn check_damaged(&mut self, name: &str) -> Result<(), String> {
        // Whatever is done about the damage, it is done to a copy: nothing is changed by it.
        let opened = SegmentedLog::open(self.disk.fork(), self.options.clone());
        let seen =
            opened.and_then(|mut log| Replayed::of(&mut log).map(|replayed| (log, replayed)));
        match seen {
            Ok((log, replayed)) => self.compare(&replayed, &log),
            Err(LogError::Refused { file, .. }) if file == name => Ok(()),
            Err(error) => Err(format!("{name} was damaged, but: {error}")),
        }
    }

    /// Closes the log in order; false if the disk does not let it, or it has crashed instead.
    fn close(&mut self) -> Result<bool, String> {
        self.disk.set_faults(Faults::default());
        self.snapshot = None;
        self.say("closed".to_owned());
        let closed = self.log.take().map(SegmentedLog::close);
        if let Some(Err(error)) = closed {
            return Err(format!("close failed on a disk that works: {error}"));
        }
        self.durable = self.appended.len() as u64;
        self.disk.crash();
        Ok(true)
    }

    fn heal_and_close(&mut self) -> Result<(), String> {
        self.disk.set_faults(Faults::default());
        self.sync()?;
        self.close()?;
        self.start()?;
        expect_equal("after the end", self.durable, self.appended.len() as u64)
    }
}

/// What a snapshot of the first batches holds here: a checksum for each.
fn digest(appended: &[Vec<Vec<u8>>], covers: u64) -> Vec<Vec<u8>> {
    let mut crc = 0_u32;
    let mut digest = Vec::new();
    for records in &appended[..index(covers)] {
        for byte in records.iter().flatten() {
            crc = crc.rotate_left(5).wrapping_mul(0x9E37_79B1) ^ u32::from(*byte);
        }
        digest.push(crc.to_le_bytes().to_vec());
    }
    digest
}

fn index(sequence: u64) -> usize {
    usize::try_from(sequence).expect("it is small")
}

fn expect_equal<T: Copy + PartialEq + std::fmt::Debug>(
    what: &str,
    is: T,
    due: T,
) -> Result<(), String> {
    if is == due { Ok(()) } else { Err(format!("{what}: {is:?} instead of {due:?}")) }
}
