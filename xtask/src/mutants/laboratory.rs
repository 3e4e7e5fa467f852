//! Where mutations are tried: a copy of the workspace with a target folder of its own, which is
//! kept, so that each mutation costs one build of the crate it is in.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::copy;
use super::list::Mutation;
use crate::job::{cargo, root, target};
use crate::process::{self, Ended};

/// How long a build may take; the first one builds everything.
const BUILD_MAX: Duration = Duration::from_secs(15 * 60);
/// How long the seeds may take: they need seconds.
const RUN_MAX: Duration = Duration::from_secs(5 * 60);
/// Lines of a failed build that are shown.
const LINES_MAX: usize = 20;

/// What became of a mutation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A seed that lives without it does not live with it.
    Caught { seed: u64, promise: String },
    /// Every seed lives with it.
    Survived,
    /// It is no mutation, for this reason.
    Broken(String),
}

/// The copy, and how it is run.
pub(super) struct Laboratory {
    folder: PathBuf,
    /// Within which a mutation must be caught that says nothing else.
    seeds: u64,
}

/// A seed that did not live, and the promise that was not kept to it.
type Failure = (u64, String);

impl Laboratory {
    /// # Errors
    /// The workspace cannot be copied.
    pub(super) fn new(seeds: u64) -> Result<Self, String> {
        let laboratory = Self { folder: target().join("mutants"), seeds };
        let copied = copy::workspace(&root(), &laboratory.code());
        copied.map_err(|error| format!("the code cannot be copied: {error}"))?;
        Ok(laboratory)
    }

    /// The seeds that fail without a mutation: they prove nothing. As many are tried as any of the
    /// mutations wants.
    ///
    /// # Errors
    /// The code does not build or run.
    pub(super) fn failing_unmutated(
        &self,
        test: &str,
        mutations: &[Mutation],
    ) -> Result<BTreeSet<u64>, String> {
        let told = |why| format!("without a mutation: {why}");
        let of_test = mutations.iter().filter(|mutation| mutation.test() == test);
        let seeds = of_test.filter_map(|mutation| mutation.seeds).max().unwrap_or(self.seeds);
        self.build(test).map_err(told)?;
        let failures = self.simulate(test, seeds.max(self.seeds), false).map_err(told)?;
        Ok(failures.into_iter().map(|(seed, _)| seed).collect())
    }

    /// Plants the mutation, runs the seeds, and takes it out again.
    ///
    /// # Errors
    /// A file of the copy cannot be read or written.
    pub(super) fn try_out(
        &self,
        mutation: &Mutation,
        failing_unmutated: &BTreeSet<u64>,
    ) -> Result<Outcome, String> {
        let path = self.code().join(&mutation.file);
        let told = |error| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(told)?;
        let mutated = match mutation.apply(&text) {
            Ok(mutated) => mutated,
            Err(why) => return Ok(Outcome::Broken(why)),
        };
        copy::write(&path, mutated.as_bytes()).map_err(told)?;
        let (test, seeds) = (mutation.test(), mutation.seeds.unwrap_or(self.seeds));
        // One seed is proof enough, if it is no known one.
        let stops = failing_unmutated.is_empty();
        let failures = self.build(test).and_then(|()| self.simulate(test, seeds, stops));
        copy::write(&path, text.as_bytes()).map_err(told)?;
        Ok(judge(failures, failing_unmutated))
    }

    fn code(&self) -> PathBuf {
        self.folder.join("src")
    }

    /// Builds the simulator. It runs for a second and is built for every mutation, so it is built
    /// as quickly as can be; what happens to a seed does not depend on that.
    fn build(&self, test: &str) -> Result<(), String> {
        let mut lines = Vec::new();
        let mut command = self.cargo();
        command.args(["build", "--locked", "--quiet", "--profile", "sim", "--test", test]);
        let ended = run(&mut command, BUILD_MAX, |line| lines.push(line.to_owned()))?;
        if ended == Ended::Well {
            return Ok(());
        }
        let is_error = |line: &&String| line.starts_with("error");
        let errors: Vec<_> = lines.iter().filter(is_error).take(LINES_MAX).cloned().collect();
        Err(format!("it does not build: {}", errors.join("; ")))
    }

    /// Runs the seeds of the simulator that was built.
    fn simulate(&self, test: &str, count: u64, stops: bool) -> Result<Vec<Failure>, String> {
        let (mut failures, mut seeds) = (Vec::new(), Vec::new());
        let mut command = self.cargo();
        command.args(["test", "--locked", "--quiet", "--profile", "sim", "--test", test]);
        command.env("SIM_SEEDS", count.to_string()).env("SIM_SHOWN", "0");
        for name in ["SIM_SEED", "SIM_START", "SIM_STOP"] {
            command.env_remove(name);
        }
        if stops {
            command.env("SIM_STOP", "1");
        }
        let ended = run(&mut command, RUN_MAX, |line| {
            failures.extend(failure(line));
            seeds.extend(failed_seeds(line));
        })?;
        // Of many failures only the first are told one by one.
        let told: BTreeSet<u64> = failures.iter().map(|(seed, _)| *seed).collect();
        let untold = seeds.into_iter().filter(|seed| !told.contains(seed));
        failures.extend(untold.map(|seed| (seed, "one of many promises".to_owned())));
        match ended {
            Ended::Well => Ok(failures),
            Ended::Badly(_) if !failures.is_empty() => Ok(failures),
            Ended::Badly(how) => Err(format!("the simulator ended without a verdict: {how}")),
            Ended::Late => Err(format!("{count} seeds were not done in {RUN_MAX:?}")),
        }
    }

    fn cargo(&self) -> Command {
        let mut command = cargo();
        command.current_dir(self.code());
        command.env("CARGO_TARGET_DIR", self.folder.join("target"));
        command.env("CARGO_INCREMENTAL", "1");
        command.env("CARGO_PROFILE_SIM_OPT_LEVEL", "1");
        command.env("CARGO_PROFILE_SIM_DEBUG", "false");
        // A mutation may leave something unused.
        command.env("RUSTFLAGS", "--cap-lints allow");
        command
    }
}

fn run(
    command: &mut Command,
    time_max: Duration,
    on_line: impl FnMut(&str),
) -> Result<Ended, String> {
    let ended = process::run(command, Instant::now() + time_max, on_line);
    ended.map_err(|error| format!("cargo cannot be started: {error}"))
}

/// What a line of the simulator says of a seed: "seed 7 failed: will once: c1 published …".
fn failure(line: &str) -> Option<Failure> {
    let (seed, what) = line.strip_prefix("seed ")?.split_once(" failed: ")?;
    let promise = what.split(": ").next().unwrap_or(what);
    Some((seed.parse().ok()?, promise.to_owned()))
}

/// The seeds in the last line of the simulator: "simulation: 2 failed: 5 589".
fn failed_seeds(line: &str) -> Vec<u64> {
    let seeds = line.strip_prefix("simulation: ").and_then(|rest| rest.split_once(" failed: "));
    let words = seeds.map_or("", |(_, seeds)| seeds).split_whitespace();
    words.filter_map(|seed| seed.parse().ok()).collect()
}

fn judge(failures: Result<Vec<Failure>, String>, failing_unmutated: &BTreeSet<u64>) -> Outcome {
    let failures = match failures {
        Ok(failures) => failures,
        Err(why) => return Outcome::Broken(why),
    };
    let proof = failures.into_iter().find(|(seed, _)| !failing_unmutated.contains(seed));
    proof.map_or(Outcome::Survived, |(seed, promise)| Outcome::Caught { seed, promise })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_read_from_the_lines_of_the_simulator() {
        let line = "seed 589 failed: what is acknowledged is delivered: c1 did not get 3: Facts";
        let promise = "what is acknowledged is delivered".to_owned();
        assert_eq!(failure(line), Some((589, promise)));
        assert_eq!(failure("simulation: 2 failed: 5 589"), None);
        assert_eq!(failed_seeds("simulation: 2 failed: 5 589"), [5, 589]);
        assert_eq!(failed_seeds(line), Vec::<u64>::new());
        assert_eq!(failure("300 seeds from 0, 9 deliveries checked"), None);
    }

    #[test]
    fn only_a_seed_that_lives_without_the_mutation_proves_it_caught() {
        let failure = |seed| (seed, "will once".to_owned());
        let known = BTreeSet::from([5]);
        let caught = Outcome::Caught { seed: 9, promise: "will once".to_owned() };
        assert_eq!(judge(Ok(vec![failure(5), failure(9)]), &known), caught);
        assert_eq!(judge(Ok(vec![failure(5)]), &known), Outcome::Survived);
        assert_eq!(judge(Err("why".to_owned()), &known), Outcome::Broken("why".to_owned()));
    }
}
