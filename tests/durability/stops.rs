//! SIGTERM when not all is well, and starts: the process ends within its bounds, and nothing is lost
//! that was acknowledged. What was not synced is gone with it, as with a power cut (`disk.c`).

use std::path::PathBuf;
use std::time::Duration;

use crate::faults::{draw, set};
use crate::options;
use crate::round::{Drawn, Step};

/// How long the shards may take, and then the store once more.
const SHUTDOWN_MS_MAX: u64 = 1_000;
/// What the acceptor adds, and a busy machine.
const SLACK: Duration = Duration::from_millis(3_000);
/// How long it has not been well when the signal comes.
const ILL: Duration = Duration::from_millis(400);

#[test]
fn a_stop_while_the_disk_is_full_is_bounded_and_loses_nothing() {
    stop_while("DISK_FULL", false);
}

#[test]
fn a_stop_while_each_sync_fails_is_bounded_and_loses_nothing() {
    stop_while("DISK_BROKEN", false);
}

#[test]
fn a_stop_while_no_sync_comes_to_an_end_is_bounded_and_loses_nothing() {
    stop_while("DISK_STUCK", true);
}

#[test]
fn a_stop_while_a_shard_hangs_is_bounded_and_loses_nothing() {
    stop_while("SHARD_STUCK", true);
}

/// What the one that stopped could not write is gone, and what it had said is there.
#[test]
fn a_start_on_a_disk_that_is_full_or_fails_loses_nothing() {
    for variable in ["DISK_FULL", "DISK_BROKEN"] {
        let (mut drawn, file) = crowd(variable);
        for end in [Step::Terminate, Step::Kill] {
            drawn.work(600);
            drawn.round.steps.push(Step::Write(file.clone(), String::new()));
            drawn.work(400);
            drawn.round.steps.extend([end.clone(), Step::Work(ILL), end]);
            drawn.round.steps.push(Step::Mark(file.clone(), ILL));
        }
        drawn.work(400);
        pass(drawn, &format!("starts with {variable}"));
    }
}

/// Stops while the file of this variable is there; whether something then takes all the time that
/// there is.
fn stop_while(variable: &str, hangs: bool) {
    let (mut drawn, file) = crowd(variable);
    let ends = 3;
    for _ in 0..ends {
        drawn.work(600);
        drawn.round.steps.push(Step::TerminateWith(file.clone(), ILL));
    }
    drawn.work(400);
    let stops = pass(drawn, variable);
    let least = Duration::from_millis(if hangs { SHUTDOWN_MS_MAX } else { 0 });
    assert!(stops[..ends].iter().all(|took| *took >= least), "{stops:?}");
}

/// A crowd, and the file that this variable of its brokers names.
fn crowd(variable: &str) -> (Drawn, PathBuf) {
    let mut drawn = draw(options::seed(), 20, 8);
    let file = drawn.folder.path().join("ill");
    set(&mut drawn, variable, &file);
    let limits = format!("[limits]\nshutdown_ms_max = {SHUTDOWN_MS_MAX}\n");
    for start in [&mut drawn.round.start, &mut drawn.round.restart] {
        // Of a shard that hangs, others are to be left.
        start.shards = start.shards.max(2);
        start.settings.push_str(&limits);
    }
    (drawn, file)
}

/// Plays it; says how long its stops have taken.
fn pass(drawn: Drawn, name: &str) -> Vec<Duration> {
    let stops = drawn.round.pass(name).stops;
    println!("stops took {stops:?}");
    let most = Duration::from_millis(2 * SHUTDOWN_MS_MAX) + SLACK;
    assert!(stops.iter().all(|took| *took < most), "{stops:?}");
    stops
}
