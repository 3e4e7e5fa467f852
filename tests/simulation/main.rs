//! Whole brokers in one thread, thousands of them: 1 to 4 shards of the pure core, model clients
//! and hostile ones, and every order of events drawn from a seed.
//!
//! ```text
//! SIM_SEEDS=300 cargo test --profile sim --test simulation
//! SIM_SEED=12345 cargo test --profile sim --test simulation
//! ```
//!
//! The first runs seeds 0 to 299 (`SIM_START` begins elsewhere) and ends with how many ran in a
//! second; a seed that fails is printed with what was drawn for it, the promise that was not kept
//! and what happened last. The second replays one seed and prints everything that happens.

mod alphabet;
mod client;
mod crash;
/// The disk that `tests/store` tries the log on.
#[allow(dead_code, reason = "the store's own simulator does more with it")]
#[path = "../store/disk.rs"]
mod disk;
mod draw;
mod hostile;
mod lane;
mod link;
mod oracle;
mod plan;
mod rules;
mod scene;
mod settle;
mod shell;
mod stop;
mod store;
mod world;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use oracle::{Tally, Violation};
use world::World;

const SEEDS: u64 = 100;
/// Failing seeds that are shown with what happened last, and those of which one line is shown.
const SHOWN: u64 = 2;
const LINES_MAX: usize = 50;

fn main() -> ExitCode {
    if let Some(seed) = number("SIM_SEED") {
        return replay(seed);
    }
    let start = number("SIM_START").unwrap_or(0);
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    run(start, seeds, number("SIM_THREADS").unwrap_or(threads))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs one seed, silently. What was counted; the error says what was wrong.
fn run_one(seed: u64) -> Result<Tally, String> {
    let mut world = World::new(seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    outcome.map(|()| world.scene.oracle.tally).map_err(|panic| describe(&*panic))
}

fn describe(panic: &(dyn Any + Send)) -> String {
    if let Some(violation) = panic.downcast_ref::<Violation>() {
        return violation.to_string();
    }
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the core never panics: {}", text.unwrap_or("?"))
}

/// Runs many seeds on all cores.
fn run(start: u64, seeds: u64, threads: u64) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let next = AtomicU64::new(start);
    let (deliveries, stops) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let stops_early = std::env::var_os("SIM_STOP").is_some();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= start + seeds {
                        break;
                    }
                    match run_one(seed) {
                        Ok(tally) => {
                            deliveries.fetch_add(tally.deliveries, Ordering::Relaxed);
                            stops.fetch_add(tally.stops, Ordering::Relaxed);
                        }
                        Err(text) => {
                            failures.lock().expect("nobody panics with it").push((seed, text));
                            if stops_early {
                                next.store(u64::MAX / 2, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let mut failures = failures.into_inner().expect("nobody panics with it");
    failures.sort();
    for (place, (seed, text)) in failures.iter().take(LINES_MAX).enumerate() {
        println!("seed {seed} failed: {text}");
        if (place as u64) < number("SIM_SHOWN").unwrap_or(SHOWN) {
            show_end(*seed);
        }
    }
    let all: Vec<String> = failures.iter().map(|(seed, _)| seed.to_string()).collect();
    println!(
        "\n{seeds} seeds from {start}, {} deliveries checked, {} stops, {:.0} seeds per second",
        deliveries.into_inner(),
        stops.into_inner(),
        seeds as f64 / seconds
    );
    if failures.is_empty() {
        println!("simulation: all kept every promise");
        return ExitCode::SUCCESS;
    }
    println!("simulation: {} failed: {}", failures.len(), all.join(" "));
    ExitCode::FAILURE
}

/// Runs a failing seed again, and shows what was drawn and what happened last.
fn show_end(seed: u64) {
    const LINES: usize = 30;
    let mut world = World::new(seed);
    println!("{}", world.scene.plan);
    world.scene.log.is_on = true;
    let _ = catch_unwind(AssertUnwindSafe(|| world.run()));
    let lines = &world.scene.log.lines;
    for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
        println!("    {line}");
    }
    println!("  replay it: SIM_SEED={seed} cargo test --profile sim --test simulation");
}

fn replay(seed: u64) -> ExitCode {
    let mut world = World::new(seed);
    println!("seed {seed}\n{}", world.scene.plan);
    world.scene.log.is_on = true;
    world.scene.log.is_loud = true;
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(()) => {
            println!("seed {seed} kept every promise");
            ExitCode::SUCCESS
        }
        Err(panic) => {
            println!("seed {seed} failed: {}", describe(&*panic));
            ExitCode::FAILURE
        }
    }
}
