//! `cargo xtask durability`: the proof of durability, as in CI or for as long as is asked for.

use std::path::PathBuf;

use clap::Args;

use crate::broker;
use crate::job::{cargo, root};

/// How much of it.
#[derive(Args)]
pub(crate) struct Choice {
    /// Kills the broker so often at random points; other tests follow in proportion.
    #[arg(long, value_name = "COUNT")]
    kills: Option<u32>,
    /// Takes histories with everything that can happen for so many minutes.
    #[arg(long, value_name = "COUNT")]
    minutes: Option<u64>,
    /// Measures the start of a broker for whose clients so many messages are queued.
    #[arg(long, value_name = "COUNT")]
    messages: Option<u64>,
    /// Begins with this seed, which an earlier run has printed; else with another one each time.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Runs the tests on LazyFS instead: the program, of a build of your own; needs /dev/fuse.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "only")]
    lazyfs: Option<PathBuf>,
    /// Runs only the tests whose name contains this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// Runs it, showing everything as it comes. True when no promise was broken.
///
/// # Errors
/// Cargo can not be started.
pub(crate) fn run(choice: &Choice) -> Result<bool, String> {
    let not_run = |error: std::io::Error| format!("cargo can not be started: {error}");
    if !broker::build().status().map_err(not_run)?.success() {
        return Ok(false);
    }
    let mut command = cargo();
    command.current_dir(root()).env("SKEIN_BIN", broker::binary());
    let variables = [
        ("DURABILITY_KILLS", choice.kills.map(u64::from)),
        ("DURABILITY_SECONDS", choice.minutes.map(|minutes| minutes * 60)),
        ("DURABILITY_MESSAGES", choice.messages),
        ("SEED", choice.seed),
    ];
    for (name, value) in variables {
        command.envs(value.map(|value| (name, value.to_string())));
    }
    command.args(["test", "--test", "durability", "--", "--nocapture", "--test-threads", "1"]);
    command.args(&choice.only);
    if let Some(lazyfs) = &choice.lazyfs {
        command.env("LAZYFS", lazyfs).args(["--ignored", "lazyfs"]);
    }
    Ok(command.status().map_err(not_run)?.success())
}
