//! The binary `skein`: parse, run, exit code.

use std::process::ExitCode;

// What clients leave behind is decided here as much as anywhere: see docs/decisions/0012.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    skein::cli::run(std::env::args_os().collect())
}
