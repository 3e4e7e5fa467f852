//! What a broker takes of the machine, as the kernel says it, and that an attack leaves nothing.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use super::{Case, eventually};

/// What an attack may leave in memory.
pub(crate) const GROWTH_BYTES_MAX: usize = 1 << 20;
/// How long the allocator may keep what was freed. Ours gives it back within some seconds.
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// The kernel counts a process's time in hundredths of a second.
const TICKS_PER_S: f64 = 100.0;

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vitals {
    pub(crate) descriptors: usize,
    pub(crate) memory_bytes: usize,
    /// Time on the cores since the start, in hundredths of a second.
    pub(super) ticks: u64,
}

impl Vitals {
    pub(super) fn of(pid: u32) -> Self {
        let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let (status, stat) = (read("status"), read("stat"));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        // The name may hold anything, and ends with the last bracket; two of the numbers behind it
        // are the times in the program and in the kernel.
        let numbers = stat.rsplit(')').next().unwrap_or("").split_whitespace().skip(11).take(2);
        let ticks = numbers.filter_map(|number| number.parse::<u64>().ok()).sum();
        Self { descriptors, memory_bytes: kib.unwrap_or(0) * 1024, ticks }
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} descriptors, {} KiB resident", self.descriptors, self.memory_bytes / 1024)
    }
}

impl Case {
    /// An attack, made once so that everything is as large as it gets, and then again: after that no
    /// descriptor is held that was not held before, and memory is back within [`GROWTH_BYTES_MAX`].
    /// Returns by how much memory was grown at the end of the second attack, before it was given
    /// time. Nobody else may use the broker meanwhile.
    #[track_caller]
    pub(crate) fn survives(&self, mut attack: impl FnMut()) -> usize {
        attack();
        let settled = self.settle(Vitals { memory_bytes: 0, ..self.broker.vitals() });
        attack();
        let grown = self.broker.memory_bytes().saturating_sub(settled.memory_bytes);
        let after = self.settle(settled);
        assert!(
            after.descriptors <= settled.descriptors,
            "leaked: {settled} before, {after} after"
        );
        let bound = settled.memory_bytes + GROWTH_BYTES_MAX;
        assert!(after.memory_bytes <= bound, "leaked: {settled} before, {after} after");
        grown
    }

    /// Waits until the broker has no more than before, or gives nothing back any more.
    fn settle(&self, before: Vitals) -> Vitals {
        let mut now = self.broker.vitals();
        let (mut least, mut since) = (now.memory_bytes, Instant::now());
        let quiet = Duration::from_millis(3_500);
        eventually(SETTLE_MAX, || {
            std::thread::sleep(Duration::from_millis(50));
            now = self.broker.vitals();
            if now.memory_bytes + 64 * 1024 < least {
                (least, since) = (now.memory_bytes, Instant::now());
            }
            let is_back = now.memory_bytes <= before.memory_bytes + GROWTH_BYTES_MAX
                && now.descriptors <= before.descriptors;
            is_back || since.elapsed() > quiet
        });
        now
    }

    /// Which part of one core the broker uses in this time.
    pub(crate) fn load_during(&self, wait: Duration) -> f64 {
        let (before, started) = (self.broker.vitals().ticks, Instant::now());
        std::thread::sleep(wait);
        let ticks = self.broker.vitals().ticks - before;
        ticks as f64 / TICKS_PER_S / started.elapsed().as_secs_f64()
    }
}
