//! Everything that can happen to a process at once, for as long as is asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::options;
use crate::round::{Drawn, Step};

/// Where packages put the library that makes clocks jump.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// K11.
#[test]
fn histories_with_kills_pauses_stops_and_jumps_of_the_clock_have_no_anomalies() {
    let faketime = FAKETIME.into_iter().find(|path| Path::new(path).exists());
    if faketime.is_none() {
        println!("NOT CHECKED: jumps of the clock: libfaketime is not installed");
    }
    let (began, mut seed) = (Instant::now(), options::seed());
    while began.elapsed() < Duration::from_secs(options::seconds()) {
        let mut drawn = Drawn::new(seed, 20, 10);
        let clock = drawn.folder.path().join("clock");
        if let Some(library) = faketime {
            let start = drawn.round.start.with("LD_PRELOAD", library);
            let start = start.with("FAKETIME_TIMESTAMP_FILE", &clock);
            // Only the calendar jumps; the kernel's own clock never does.
            drawn.round.start =
                start.with("FAKETIME_DONT_FAKE_MONOTONIC", "1").with("FAKETIME_NO_CACHE", "1");
            drawn.round.restart = drawn.round.start.clone();
            std::fs::write(&clock, "+0").expect("the folder of the run can be written to");
        }
        for _ in 0..10 {
            drawn.work(800);
            let during = Duration::from_millis(drawn.rng.u64(..700));
            let step = match drawn.rng.u8(..6) {
                0 | 1 => Step::Pause(during),
                2 => Step::Terminate,
                3 if faketime.is_some() => {
                    let seconds = drawn.rng.i64(-100_000..100_000);
                    Step::Write(clock.clone(), format!("{seconds:+}"))
                }
                _ => Step::Kill,
            };
            drawn.round.steps.push(step);
        }
        drawn.round.pass("everything");
        seed += 1;
    }
}
