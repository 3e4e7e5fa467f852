//! Stages that run code without a broker process.

use std::fs;

use super::need_test_target;
use crate::job::{Job, Stop, cargo, root, target};
use crate::tools::has_nextest;

/// Test targets of the root package that are stages of their own, or parts of one.
const OWN_STAGES: [&str; 9] = [
    "layering",
    "pages",
    "simulation",
    "conformance",
    "durability",
    "interop",
    "mosquitto",
    "command_line",
    "bridge",
];

/// nextest, told to go on after a failure and to show failures last.
const NEXTEST: &str = "nextest run --no-tests pass --no-fail-fast --status-level fail \
                       --failure-output final";

/// Payloads by content type, which nothing in the workspace turns on.
pub(super) const FORMATS: &str = "skein-client/json,skein-client/cbor,skein-client/messagepack";

pub(super) fn layering(job: &mut Job) -> Result<(), Stop> {
    job.cargo("test --test layering")
}

/// Needs hardly more than `layering` has built: the library, and no broker.
pub(super) fn pages(job: &mut Job) -> Result<(), Stop> {
    job.cargo("test --test pages")
}

/// Everything that is quick: all members, and the test targets of the root that have no stage.
pub(super) fn unit(job: &mut Job) -> Result<(), Stop> {
    let run = if has_nextest() { NEXTEST } else { "test --no-fail-fast" };
    let mut root_targets = String::new();
    for name in other_test_targets() {
        root_targets.push_str(" --test ");
        root_targets.push_str(&name);
    }
    let of_words = |words: String| {
        let mut command = cargo();
        command.args(words.split_whitespace());
        command
    };
    // What the core promises it promises with a store, too.
    let mut with_store = of_words(format!("{run} --package skein --test core"));
    with_store.env("CORE_STORE", "1");
    job.run_all([
        of_words(format!(
            "{run} --workspace --exclude skein --lib --bins --tests --features {FORMATS}"
        )),
        of_words(format!("{run} --package skein --lib --bins{root_targets}")),
        with_store,
    ])
}

pub(super) fn documentation(job: &mut Job) -> Result<(), Stop> {
    job.cargo(&format!("test --workspace --doc --features {FORMATS}"))
}

pub(super) fn loom(job: &mut Job) -> Result<(), Stop> {
    let mut command = cargo();
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target().join("loom"));
    command.args(["test", "--lib", "::model::"]);
    job.run(&mut command)?;
    if job.tally.passed == 0 {
        return Err(Stop::Failed("no loom test was found".to_owned()));
    }
    Ok(())
}

pub(super) fn simulation(job: &mut Job) -> Result<(), Stop> {
    need_test_target("simulation")?;
    let mut command = cargo();
    command.env("SIM_SEEDS", "300");
    command.args(["test", "--profile", "sim", "--test", "simulation"]);
    job.run(&mut command)
}

/// A few planted bugs, others each day; `cargo xtask mutants` plants them all.
pub(super) fn mutants(job: &mut Job) -> Result<(), Stop> {
    need_test_target("simulation")?;
    let own = std::env::current_exe()
        .map_err(|error| Stop::Failed(format!("this program is not found: {error}")))?;
    job.run(std::process::Command::new(own).args(["mutants", "--sample", "5"]))
}

/// The test targets of the root package that no other stage runs, in order.
fn other_test_targets() -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join("tests")) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            let path = entry.path();
            path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").is_file()
        })
        .filter_map(|entry| entry.path().file_stem()?.to_str().map(str::to_owned))
        .filter(|name| !OWN_STAGES.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}
