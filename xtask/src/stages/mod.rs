//! The stages of `cargo xtask test`. Adding one is adding a row.

mod check;
mod deploy;
mod instructions;
mod leaks;
mod live;
mod unit;

use crate::job::{Job, Stop, root};

/// One stage.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// What it shows when it passes.
    pub(crate) what: &'static str,
    /// How long it may take; then it is ended and has failed.
    pub(crate) minutes: u64,
    /// Lines of its output that hold one of these are shown even when it passes.
    pub(crate) shows: &'static [&'static str],
    pub(crate) run: fn(&mut Job) -> Result<(), Stop>,
}

/// The cheap ones first: who breaks the format should not wait for the simulator.
#[rustfmt::skip] // One stage a line.
pub(crate) const STAGES: [Stage; 20] = [
    Stage { name: "fmt", what: "the code has its format", minutes: 2, shows: &[], run: check::fmt },
    Stage { name: "layering", what: "layers, purity and size hold", minutes: 10, shows: &[], run: unit::layering },
    Stage { name: "pages", what: "made pages are up to date, and links lead somewhere", minutes: 10, shows: &[], run: unit::pages },
    Stage { name: "clippy", what: "the linter has nothing to say", minutes: 15, shows: &[], run: check::clippy },
    Stage { name: "image", what: "the binary of the container compiles, too", minutes: 10, shows: &[], run: check::image },
    Stage { name: "deploy", what: "the unit allows hardly anything, and the broker takes the authority for trying", minutes: 10, shows: &["Overall exposure"], run: deploy::deploy },
    Stage { name: "docs", what: "the documentation builds", minutes: 15, shows: &[], run: check::docs },
    Stage { name: "unit", what: "the tests of the workspace", minutes: 25, shows: &[], run: unit::unit },
    Stage { name: "doc", what: "the examples in the documentation", minutes: 10, shows: &[], run: unit::documentation },
    Stage { name: "loom", what: "the lane under every order of its steps", minutes: 15, shows: &[], run: unit::loom },
    Stage { name: "simulation", what: "300 seeds of whole brokers", minutes: 20, shows: &["seeds"], run: unit::simulation },
    Stage { name: "mutants", what: "a sample of planted bugs is caught", minutes: 20, shows: &["caught ", "CAUGHT", "BROKEN"], run: unit::mutants },
    Stage { name: "release", what: "the release binary builds", minutes: 20, shows: &[], run: live::release },
    Stage { name: "instructions", what: "no piece of the way of a message takes more instructions", minutes: 15, shows: &[" -> "], run: instructions::instructions },
    Stage { name: "conformance", what: "the release binary keeps the clauses", minutes: 10, shows: &[], run: live::conformance },
    Stage { name: "leaks", what: "attacks made again leave no memory behind", minutes: 10, shows: &["resident with"], run: leaks::leaks },
    Stage { name: "durability", what: "nothing acknowledged is lost when the release binary is killed or its disk fails", minutes: 10, shows: &["SEED=", ", seed ", "NOT CHECKED"], run: live::durability },
    Stage { name: "bridge", what: "bridges to skein and to Mosquitto lose nothing", minutes: 10, shows: &["CANNOT RUN"], run: live::bridge },
    Stage { name: "interop", what: "other people's clients, and ours beside Mosquitto's", minutes: 20, shows: &[], run: live::interop },
    Stage { name: "deny", what: "licences, sources and advisories of what is used", minutes: 25, shows: &[], run: check::deny },
];

/// Whether the root package has the test target: `tests/NAME.rs` or `tests/NAME/main.rs`.
fn has_test_target(name: &str) -> bool {
    let tests = root().join("tests");
    tests.join(format!("{name}.rs")).is_file() || tests.join(name).join("main.rs").is_file()
}

/// # Errors
/// The test target is not there.
fn need_test_target(name: &str) -> Result<(), Stop> {
    if has_test_target(name) {
        return Ok(());
    }
    Err(Stop::Missing(format!("there is no test target tests/{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_stages_are_words_and_different() {
        for (index, stage) in STAGES.iter().enumerate() {
            assert!(stage.name.bytes().all(|byte| byte.is_ascii_lowercase()), "{}", stage.name);
            assert!(STAGES[..index].iter().all(|other| other.name != stage.name));
        }
    }

    /// CI ends a run after ninety minutes; the bounds of the stages are for what hangs, and even
    /// the longest must leave the rest its time.
    #[test]
    fn no_stage_may_take_more_than_a_third_of_the_time() {
        assert!(STAGES.iter().all(|stage| stage.minutes <= 30));
    }

    #[test]
    fn test_targets_are_found_by_their_files() {
        assert!(has_test_target("layering"));
        assert!(!has_test_target("structure"));
    }
}
