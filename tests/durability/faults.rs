//! Disks that lose what was not synced, fail, or are full: `disk.c` is loaded into the broker.
//!
//! It stands for LazyFS (`lazyfs.rs`), which needs a build of its own and FUSE: what was not synced is
//! kept in the broker's process and gone with it, all of it or some sectors.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use skein_protocol::{ReasonCode, Version};

use crate::options;
use crate::round::{Drawn, Step};

/// Builds the disk, once.
fn disk() -> &'static Path {
    static DISK: OnceLock<PathBuf> = OnceLock::new();
    DISK.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/durability/disk.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk.so");
        let mut command = Command::new("cc");
        command.args(["-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"]);
        let status = command.arg(&library).arg(source).arg("-ldl").status();
        assert!(status.expect("a C compiler is installed").success(), "{source}");
        library
    })
}

/// A run on a disk that loses what was not synced when the process ends, and may be slow.
pub(crate) fn draw(seed: u64, publishers: usize, subscribers: usize) -> Drawn {
    let mut drawn = Drawn::new(seed, publishers, subscribers);
    set(&mut drawn, "LD_PRELOAD", disk().as_os_str());
    set(&mut drawn, "DISK_SEED", seed.to_string());
    let slow_us = [0, 2_000, 20_000][drawn.rng.usize(..3)];
    set(&mut drawn, "DISK_SLOW", slow_us.to_string());
    drawn
}

/// Sets a variable for every broker of the run.
pub(crate) fn set(drawn: &mut Drawn, name: &str, value: impl Into<std::ffi::OsString>) {
    let value = value.into();
    for start in [&mut drawn.round.start, &mut drawn.round.restart] {
        *start = start.clone().with(name, &value);
    }
}

/// K3.
#[test]
fn what_was_acknowledged_was_on_the_disk() {
    let rounds = options::kills().div_ceil(20) as u64;
    for seed in options::seed()..options::seed() + rounds {
        let mut drawn = draw(seed, 20, 8);
        drawn.kill_at_random(options::kills().min(20));
        drawn.round.pass("kills on a disk that forgets");
    }
}

/// That the disk forgets, and the check sees it: what is only written is not on it.
#[test]
fn acknowledgements_that_do_not_wait_for_the_disk_are_found_out() {
    let seed = options::seed();
    let found_out = (seed..seed + 5).any(|seed| {
        let mut drawn = draw(seed, 20, 8);
        for start in [&mut drawn.round.start, &mut drawn.round.restart] {
            start.settings.push_str("durability = \"os\"\n");
        }
        drawn.kill_at_random(5);
        let played = drawn.round.play();
        if let Err(why) = &played {
            println!("only written: {}", why.lines().next().unwrap_or_default());
        }
        played.is_err()
    });
    assert!(found_out);
}

/// K6.
#[test]
fn a_sync_that_fails_stops_acknowledgements_until_its_data_is_written_anew() {
    let seed = options::seed();
    for seed in seed..seed + 3 {
        let mut drawn = draw(seed, 20, 8);
        let fails = format!("{}:{}", drawn.rng.usize(1..150), drawn.rng.usize(1..3));
        set(&mut drawn, "DISK_FAILS", &fails);
        drawn.kill_at_random(4);
        drawn.round.steps.push(Step::Work(Duration::from_secs(2)));
        drawn.round.steps.push(Step::Kill);
        drawn.round.pass(&format!("sync {fails} fails"));
    }
}

/// K5: the same on a real file system is a test of the process.
#[test]
fn a_full_disk_refuses_and_loses_nothing_and_goes_on_when_there_is_room() {
    let mut drawn = draw(options::seed(), 20, 8);
    // Who waits when the disk is found to be full is sent away, who comes later is refused. A slow disk
    // has somebody wait at any moment, and everybody speaks the version in which the reason is told.
    set(&mut drawn, "DISK_SLOW", "20000");
    for plan in &mut drawn.round.plans {
        plan.version = Version::V5;
        plan.pause_ms_max = plan.pause_ms_max.min(60);
    }
    let clients = drawn.round.plans.len();
    let full = drawn.folder.path().join("full");
    set(&mut drawn, "DISK_FULL", &full);
    for _ in 0..3 {
        // Long enough for all to connect and publish, however busy the machine is.
        drawn.round.steps.push(Step::Work(Duration::from_millis(700)));
        drawn.round.steps.push(Step::Mark(full.clone(), Duration::from_millis(700)));
    }
    drawn.work(400);
    drawn.round.steps.push(Step::Kill);
    let outcome = drawn.round.pass("full disk");
    let (refusals, goodbyes) = (&outcome.refusals, &outcome.goodbyes);
    let is_told = |told: &std::collections::BTreeMap<ReasonCode, usize>| {
        told.contains_key(&ReasonCode::QuotaExceeded)
    };
    assert!(is_told(refusals) && is_told(goodbyes), "{refusals:?} {goodbyes:?}");
    // But for the kill nobody is sent away without a word.
    assert!(outcome.silent_ends <= clients, "{} of {clients}", outcome.silent_ends);
}
