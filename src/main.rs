//! The binary `skein`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;

// A broker allocates many small things of a few sizes on many threads; glibc's allocator keeps
// more memory for that and is slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    skein::cli::Arguments::parse().run()
}
