//! Runs one piece of the way of a message once, for valgrind to count its instructions;
//! `cargo xtask instructions` does that for each and compares with the table beside this file.
//!
//! Without an argument it prints the names and how many items a run handles.

mod bodies;

use std::process::ExitCode;

use bodies::BODIES;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs before the one that counts, until every buffer has its size.
const WARM_UP_RUNS: usize = 5;

fn main() -> ExitCode {
    // Cargo gives `--bench` to whatever it takes for a bench.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let Some(wanted) = wanted else {
        for body in &BODIES {
            println!("{} {}", body.name, body.items);
        }
        return ExitCode::SUCCESS;
    };
    let Some(body) = BODIES.iter().find(|body| body.name == wanted) else {
        eprintln!("there is no body {wanted}");
        return ExitCode::FAILURE;
    };
    let mut run = (body.prepare)();
    for _ in 0..WARM_UP_RUNS {
        run();
    }
    counted(&mut run);
    ExitCode::SUCCESS
}

/// What valgrind counts: it is told this name.
#[inline(never)]
fn counted(run: &mut bodies::Run) {
    run();
    std::hint::black_box(run);
}
