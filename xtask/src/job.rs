//! What a stage has in hand: the folders, its log, its deadline and its count of tests.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{self, Ended};
use crate::tally::Tally;

/// Why a stage stopped before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something is wrong with the code or its tests.
    Failed(String),
    /// Something it needs is not there: the text says what, and how to get it.
    Missing(String),
}

/// A stage at work.
pub(crate) struct Job {
    pub(crate) tally: Tally,
    /// What was not checked though the stage passed: said loudly at the end.
    pub(crate) unchecked: Vec<String>,
    log: File,
    log_path: PathBuf,
    /// What the program that runs has printed.
    tail: Vec<String>,
    /// The last lines of each program that has failed.
    failure: Vec<String>,
    deadline: Instant,
    shows: &'static [&'static str],
    verbose: bool,
}

impl Job {
    /// # Errors
    /// The log of the stage cannot be written.
    pub(crate) fn new(
        name: &str,
        minutes: u64,
        shows: &'static [&'static str],
        verbose: bool,
    ) -> io::Result<Self> {
        let folder = target().join("xtask");
        fs::create_dir_all(&folder)?;
        let log_path = folder.join(format!("{name}.log"));
        Ok(Self {
            tally: Tally::default(),
            unchecked: Vec::new(),
            log: File::create(&log_path)?,
            log_path,
            tail: Vec::new(),
            failure: Vec::new(),
            deadline: Instant::now() + Duration::from_secs(minutes * 60),
            shows,
            verbose,
        })
    }

    /// Where everything the stage printed can be read.
    pub(crate) fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// The last lines that were printed.
    pub(crate) fn tail(&self) -> &[String] {
        const LINES: usize = 60;
        &self.tail[self.tail.len().saturating_sub(LINES)..]
    }

    /// The last lines of what has failed; where no program has, those of the last one.
    pub(crate) fn failure(&self) -> &[String] {
        if self.failure.is_empty() { self.tail() } else { &self.failure }
    }

    /// Runs Cargo with the words of `arguments`.
    pub(crate) fn cargo(&mut self, arguments: &str) -> Result<(), Stop> {
        self.run(cargo().args(arguments.split_whitespace()))
    }

    /// Runs a program at the root of the repository, counting the tests it reports.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<(), Stop> {
        let shown = show(command);
        self.tail.clear();
        self.take_line(&format!("$ {shown}"));
        let deadline = self.deadline;
        let ended =
            process::run(command.current_dir(root()), deadline, |line| self.take_line(line));
        let why = match ended {
            Ok(Ended::Well) => return Ok(()),
            Ok(Ended::Badly(how)) => format!("{how}: {shown}"),
            Ok(Ended::Late) => format!("not done in time, ended: {shown}"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let program = show_word(command.get_program());
                return Err(Stop::Missing(format!("{program} is not installed")));
            }
            Err(error) => format!("{error}: {shown}"),
        };
        let tail = self.tail().to_vec();
        self.failure.extend(tail);
        Err(Stop::Failed(why))
    }

    /// Runs several programs, the later ones also behind one that has failed.
    pub(crate) fn run_all(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
    ) -> Result<(), Stop> {
        let mut failed = Vec::new();
        for mut command in commands {
            match self.run(&mut command) {
                Err(Stop::Failed(why)) => failed.push(why),
                done => done?,
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(Stop::Failed(failed.join("\n        "))) }
    }

    /// Adds a line to what the stage prints.
    pub(crate) fn say(&mut self, line: &str) {
        self.take_line(line);
    }

    fn take_line(&mut self, line: &str) {
        self.tally.read(line);
        // The log is a help for the reader of a failure; the run goes on without it.
        let _ = writeln!(self.log, "{line}");
        if self.verbose || self.shows.iter().any(|shown| line.contains(shown)) {
            println!("        {line}");
        }
        self.tail.push(line.to_owned());
    }
}

/// Cargo, as it started this program.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask is a folder of the repository").to_owned()
}

/// Where everything that is built or fetched goes.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}

/// Whether this is the project's CI, where nothing may be left out.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

fn show(command: &Command) -> String {
    let settings = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", show_word(name), show_word(value?))));
    let words = [command.get_program()].into_iter().chain(command.get_args()).map(show_word);
    settings.chain(words).collect::<Vec<_>>().join(" ")
}

fn show_word(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    if text.contains(' ') { format!("'{text}'") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_does_not_hide_the_next() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let name = format!("job-test-{}", std::process::id());
        let mut job = Job::new(&name, 1, &[], false).expect("the target folder can be written");
        let done = job.run_all([
            shell("echo first; echo 1 passed, 2 failed; exit 3"),
            shell("echo second; echo 4 passed, 0 failed"),
            shell("echo third; echo 0 passed, 1 failed; exit 4"),
        ]);
        fs::remove_file(job.log_path()).expect("it was written");
        let Err(Stop::Failed(why)) = done else { panic!("two of them have failed: {done:?}") };
        assert!(why.contains("status: 3: sh") && why.contains("status: 4: sh"), "{why}");
        assert_eq!((job.tally.passed, job.tally.failed), (5, 3));
        let shown = |word: &str| job.failure().iter().any(|line| line == word);
        assert_eq!((shown("first"), shown("second"), shown("third")), (true, false, true));
    }
}
