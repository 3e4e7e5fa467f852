//! `skein store`: looks at the files of a store, writes them out and fills a new one. The broker
//! must not run on it meanwhile. Only filling changes any.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};

use super::output::{self, OutputError};
use super::progress::{Progress, Unit, file_bytes, input_bytes};
use crate::record::Record;
use crate::record::state::{State, StateError};
use crate::store::disk::{Files, FilesReader, LockError};
use crate::store::log::{
    Batch, CutTail, Log, LogError, LogFiles, LogOptions, Records, SegmentedLog, Sequence, is_of_log,
};
use crate::store::mosquitto::{self, ImportError};

/// Check, write out and fill the files in which a broker keeps what must not be lost.
#[derive(Debug, Args)]
#[command(after_help = "\
The broker must not run on the folder meanwhile; it has a lock on it. `check` and `export` change
nothing in it, so it may be a copy, or on a disk that can only be read.

Examples:
  skein store check /var/lib/skein              says what is in it, or which file is broken where
  skein store export /var/lib/skein > all.json  one record a line
  skein store import /var/lib/new < all.json
  skein store import /var/lib/new --from /var/lib/mosquitto/mosquitto.db")]
pub(super) struct Store {
    #[command(subcommand)]
    command: StoreCommand,

    /// Do not say how far it is, as is done on a terminal
    #[arg(long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Read all files and say what is in them, or which one is broken and where
    Check {
        /// The folder of the store
        folder: PathBuf,
    },
    /// Write everything to standard output, one record of JSON a line
    Export {
        /// The folder of the store
        folder: PathBuf,
    },
    /// Fill a new store from what `export` wrote, or from the mosquitto.db of Mosquitto 2
    Import {
        /// The folder of the store, which must have nothing in it
        folder: PathBuf,
        /// The file to take; standard input without it
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum StoreCommandError {
    #[error("{0}")]
    Lock(#[from] LockError),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("{}: {error}", file.display())]
    Io { file: PathBuf, error: io::Error },
    #[error("{}: there is something in it already", .0.display())]
    NotEmpty(PathBuf),
    #[error("{}: line {line}: {why}", file.display())]
    Line { file: PathBuf, line: usize, why: String },
    #[error("{}: {error}", file.display())]
    Mosquitto { file: PathBuf, error: ImportError },
    #[error("{0}")]
    Output(#[from] OutputError),
}

impl StoreCommandError {
    /// What may help.
    fn advice(&self) -> &'static str {
        match self {
            Self::Lock(LockError::InUse(_)) => "; stop the broker first",
            Self::Lock(LockError::Io { error, .. }) => match error.kind() {
                io::ErrorKind::NotFound => "; name the folder that the broker has as --data-dir",
                io::ErrorKind::PermissionDenied => "; run it as the user that the broker is",
                _ => "",
            },
            Self::Lock(LockError::NoStore(_)) => {
                "; name the folder that the broker has as --data-dir"
            }
            Self::NotEmpty(_) => "; name a new folder",
            _ => "",
        }
    }
}

impl Store {
    pub(super) fn run(&self) -> ExitCode {
        let done = match &self.command {
            StoreCommand::Check { folder } => check(folder, self.quiet),
            StoreCommand::Export { folder } => export(folder, self.quiet),
            StoreCommand::Import { folder, from } => import(folder, from.as_deref(), self.quiet),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}{}", error.advice());
                ExitCode::FAILURE
            }
        }
    }
}

fn check(folder: &Path, is_quiet: bool) -> Result<(), StoreCommandError> {
    let (state, log) = read(folder, is_quiet)?;
    let (counts, files, cut_tail) = (state.counts(), log.sources().len(), log.cut_tail());
    let verdict = if cut_tail.is_some() { "ok, with a warning" } else { "ok" };
    output::print(format!(
        "{}: {verdict}\n{files} files, {} bytes, batches up to {}\n\
         {} sessions, {} subscriptions, {} wills, {} messages on their way to clients, {} retained, \
         {} messages stored\n{}",
        folder.display(),
        log.bytes(),
        log.last().0,
        counts.sessions,
        counts.subscriptions,
        counts.wills,
        counts.entries,
        counts.retained,
        counts.messages,
        cut_tail.map(warning).unwrap_or_default()
    ))?;
    Ok(())
}

fn warning(cut_tail: &CutTail) -> String {
    format!("warning: {cut_tail}\n")
}

fn export(folder: &Path, is_quiet: bool) -> Result<(), StoreCommandError> {
    let (state, log) = read(folder, is_quiet)?;
    // Standard output is for records.
    eprint!("{}", log.cut_tail().map(warning).unwrap_or_default());
    let is_quiet = is_quiet || io::stdout().is_terminal();
    let progress = Progress::new("writing", Unit::Pieces, None, is_quiet);
    let (mut drain, mut batch) = (state.into_drain(), Batch::default());
    output::write(|out| {
        while drain.take_next(&mut batch).map_err(io::Error::other)? {
            for record in batch.records() {
                let record = Record::decode(record).map_err(io::Error::other)?;
                serde_json::to_writer(&mut *out, &record)?;
                out.write_all(b"\n")?;
                progress.add(1);
            }
            batch.clear();
        }
        Ok(())
    })?;
    Ok(())
}

/// Reads a store, and changes nothing of it: what a start would do is left to a start.
fn read(
    folder: &Path,
    is_quiet: bool,
) -> Result<(State, LogFiles<FilesReader>), StoreCommandError> {
    let log = LogFiles::open(FilesReader::open(folder, is_of_log)?)?;
    let mut state = State::with_shelf(log.shelf());
    let progress = Progress::new("reading", Unit::Bytes, Some(log.bytes()), is_quiet);
    log.replay(&mut |_: Sequence, records: Records<'_>| {
        progress.add(records.bytes() as u64);
        state.apply_all(records).map_err(|error| error.to_string())
    })?;
    Ok((state, log))
}

fn import(folder: &Path, from: Option<&Path>, is_quiet: bool) -> Result<(), StoreCommandError> {
    let file = from.unwrap_or(Path::new("-")).to_owned();
    let because = |error| StoreCommandError::Io { file: file.clone(), error };
    let (input, all): (Box<dyn io::Read>, _) = match from {
        Some(path) => {
            let file = File::open(path).map_err(because)?;
            let all = file_bytes(file.as_fd());
            (Box::new(file), all)
        }
        None => (Box::new(io::stdin()), input_bytes()),
    };
    let progress = Progress::new("taking over", Unit::Bytes, all, is_quiet);
    let mut input = BufReader::with_capacity(1 << 16, input);
    let is_mosquitto = input.fill_buf().map_err(because)?.starts_with(&mosquitto::MAGIC);
    let mut filling = Filling::new(folder)?;
    if is_mosquitto {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut input, &mut bytes).map_err(because)?;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let imported = mosquitto::import(&bytes, now_ms, &mut |record| filling.add(record));
        let skipped = imported.map_err(|error| StoreCommandError::Mosquitto { file, error })?;
        skipped.iter().for_each(|what| eprintln!("left out: {what}"));
    } else {
        for (index, line) in input.lines().enumerate() {
            let line = line.map_err(because)?;
            progress.add(line.len() as u64 + 1);
            let refused =
                |why| StoreCommandError::Line { file: file.clone(), line: index + 1, why };
            let record = serde_json::from_str(&line).map_err(|error| refused(error.to_string()))?;
            filling.add(record).map_err(|error| refused(error.to_string()))?;
        }
    }
    drop(progress);
    filling.finish(folder)
}

/// A store that is being filled: all of it is one batch, so it is there or not.
struct Filling {
    log: SegmentedLog<Files>,
    state: State,
    batch: Batch,
}

impl Filling {
    fn new(folder: &Path) -> Result<Self, StoreCommandError> {
        let options = LogOptions { seed: random_seed(), ..LogOptions::default() };
        let log = SegmentedLog::open(Files::open(folder)?, options)?;
        if !log.sources().is_empty() {
            return Err(StoreCommandError::NotEmpty(folder.to_owned()));
        }
        Ok(Self { log, state: State::default(), batch: Batch::default() })
    }

    /// What a broker would not believe is not written.
    fn add(&mut self, record: Record<'_>) -> Result<(), StateError> {
        self.batch.push_with(|out| record.encode(out));
        self.state.apply(record)
    }

    fn finish(mut self, folder: &Path) -> Result<(), StoreCommandError> {
        self.log.append(&self.batch)?;
        self.log.close()?;
        let counts = self.state.counts();
        output::print(format!(
            "{}: {} sessions, {} messages on their way to clients, {} retained\n",
            folder.display(),
            counts.sessions,
            counts.entries,
            counts.retained
        ))?;
        Ok(())
    }
}

/// For the salts of the files, which clients should not know.
fn random_seed() -> u64 {
    getrandom::u64().unwrap_or_default()
}
