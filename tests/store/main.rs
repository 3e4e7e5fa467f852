//! The log on a disk that crashes, fills up and fails: thousands of them, all drawn from seeds.
//!
//! ```text
//! SIM_SEEDS=10000 cargo test --profile sim --test store
//! SIM_SEED=12345 cargo test --profile sim --test store
//! ```
//!
//! The promise: what was said to be durable is there after every crash, in order; nothing else but
//! a prefix of what was appended behind it; a flipped bit is named by its file, or changes nothing;
//! a disk that works again is enough to go on; and who only reads changes nothing.

mod batches;
mod disk;
mod flips;
mod full;
mod reading;
mod replayed;
mod unsynced;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

const SEEDS: u64 = 500;
/// Failing seeds that are shown with what happened last.
const SHOWN: usize = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn run(seed: u64) -> Result<u64, String> {
    let ended = catch_unwind(AssertUnwindSafe(|| world::run(seed)));
    ended.unwrap_or_else(|_| Err("it panicked".to_owned()))
}

#[test]
fn what_was_durable_is_there_after_whatever_happens_to_the_disk() {
    let (start, seeds) = match number("SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (number("SIM_START").unwrap_or(0), number("SIM_SEEDS").unwrap_or(SEEDS)),
    };
    let began = std::time::Instant::now();
    let (mut failed, mut steps) = (0, 0);
    for seed in start..start + seeds {
        match run(seed) {
            Ok(count) => steps += count,
            Err(why) => {
                failed += 1;
                let lines = if failed > SHOWN { 1 } else { usize::MAX };
                let why: Vec<&str> = why.lines().take(lines).collect();
                println!("seed {seed} failed: {}", why.join("\n"));
            }
        }
    }
    println!("store: {seeds} seeds, {steps} steps in {:.1} s", began.elapsed().as_secs_f32());
    assert_eq!(failed, 0, "replay one with SIM_SEED");
}
