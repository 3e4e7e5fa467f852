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
    /// The last lines of the program that runs, for a failure's report.
    tail: Vec<String>,
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
        match ended {
            Ok(Ended::Well) => Ok(()),
            Ok(Ended::Badly(how)) => Err(Stop::Failed(format!("{how}: {shown}"))),
            Ok(Ended::Late) => Err(Stop::Failed(format!("not done in time, ended: {shown}"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Stop::Missing(format!("{} is not installed", show_word(command.get_program()))))
            }
            Err(error) => Err(Stop::Failed(format!("{error}: {shown}"))),
        }
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
