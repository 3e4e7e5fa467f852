//! Files of passwords: asking for one, and changing a file so that it is never half written nor
//! ever read by others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

/// The variable in which a password may be, where others on the machine can not see it.
const PASSWORD_VARIABLE: &str = "SKEIN_PASSWORD";

/// Where a password is that is not typed.
#[derive(Debug, Args)]
pub(super) struct PasswordSource {
    /// The file whose first line is the password; SKEIN_PASSWORD can hold it, too
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Why a file was not changed, or a password not had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{}: {error}", file.display())]
    Io { file: PathBuf, error: io::Error },
    #[error("{}: there is no such file; -c makes one", .0.display())]
    Missing(PathBuf),
    #[error("{}: it exists already; without -c users are added to it", .0.display())]
    Exists(PathBuf),
    #[error("{}: this is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    #[error(
        "{}: somebody is changing the file right now; if nobody is, remove {}",
        file.display(),
        new.display()
    )]
    Busy { file: PathBuf, new: PathBuf },
    #[error("{}: its owner cannot be kept ({error}); run this as its owner", file.display())]
    Owner { file: PathBuf, error: io::Error },
    #[error("the password cannot be read: {0}")]
    Password(io::Error),
    #[error("the password is empty")]
    EmptyPassword,
    #[error("the password is longer than the 65535 bytes that MQTT can carry")]
    LongPassword,
    #[error("the passwords are not the same")]
    OtherPassword,
}

/// Random bytes of the operating system.
///
/// # Panics
/// When it has none: without them no salt would be one.
pub(super) fn random(bytes: usize) -> Vec<u8> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    random
}

impl PasswordSource {
    /// The password that was given on the command line, or else that of the file, of the environment,
    /// or the one that is typed.
    pub(super) fn password(&self, given: Option<&str>) -> Result<String, FileError> {
        let password = match (given, &self.password_file) {
            (Some(given), _) => given.to_owned(),
            (None, Some(file)) => {
                let read = fs::read_to_string(file);
                let text = read.map_err(|error| FileError::Io { file: file.clone(), error })?;
                text.lines().next().unwrap_or_default().to_owned()
            }
            (None, None) => match std::env::var(PASSWORD_VARIABLE) {
                Ok(password) => {
                    eprintln!("the password is that of {PASSWORD_VARIABLE}");
                    password
                }
                Err(_) => ask_password()?,
            },
        };
        check_password(password)
    }
}

/// Asks for a password twice, without showing it. Without a terminal it is the first line of
/// standard input, and a second line has to repeat it.
fn ask_password() -> Result<String, FileError> {
    let (password, again) = if io::stdin().is_terminal() {
        let ask = |prompt| rpassword::prompt_password(prompt).map_err(FileError::Password);
        let password = ask("Password: ")?;
        (password, Some(ask("Reenter password: ")?))
    } else {
        let mut lines = io::stdin().lock().lines();
        let mut line = || lines.next().transpose().map_err(FileError::Password);
        (line()?.unwrap_or_default(), line()?)
    };
    if again.is_some_and(|again| again != password) {
        return Err(FileError::OtherPassword);
    }
    Ok(password)
}

/// Refuses what no client could send.
fn check_password(password: String) -> Result<String, FileError> {
    match password.len() {
        0 => Err(FileError::EmptyPassword),
        1..=65_535 => Ok(password),
        _ => Err(FileError::LongPassword),
    }
}

/// Refuses to take a file's place, before anybody has typed a password in vain.
pub(super) fn check_new(file: &Path) -> Result<(), FileError> {
    // A link that leads nowhere would be in the way too.
    match fs::symlink_metadata(file) {
        Ok(_) => Err(FileError::Exists(file.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Makes a file that only its owner can read, unless there is one.
pub(super) fn create(file: &Path, text: &str) -> Result<(), FileError> {
    let told = |error| FileError::Io { file: file.to_owned(), error };
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(
        |error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists(file.to_owned()),
            _ => told(error),
        },
    )?;
    new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).map_err(told)
}

/// Changes the text of a file. The new text is written beside it, with its owner and mode, and then
/// renamed to it. Who changes the same file at the same time is refused, so nothing gets lost.
pub(super) fn rewrite<E: From<FileError>>(
    file: &Path,
    change: impl FnOnce(&str) -> Result<String, E>,
) -> Result<(), E> {
    let told = |error| FileError::Io { file: file.to_owned(), error };
    // Through a link the file itself is changed, not the link replaced.
    let target = fs::canonicalize(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing(file.to_owned()),
        _ => told(error),
    })?;
    let new = Replacement::new(file, &target)?;
    let old = fs::read(&target).map_err(told)?;
    let old = String::from_utf8(old).map_err(|_| FileError::NotText(file.to_owned()))?;
    warn_of_readers(file, &target);
    let text = change(&old)?;
    if text != old {
        new.put(file, &target, &text)?;
    }
    Ok(())
}

/// The file that is to take another one's place. It goes when it is dropped before.
struct Replacement {
    path: PathBuf,
    handle: File,
    /// Whether it is in that place, and `path` no longer this one's to remove.
    is_in_place: bool,
}

impl Replacement {
    /// Waits a while for whoever is changing the file.
    fn new(file: &Path, target: &Path) -> Result<Self, FileError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = target.with_file_name(format!(".{name}.skein-new"));
        let deadline = Instant::now() + BUSY_MAX;
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(handle) => return Ok(Self { path, handle, is_in_place: false }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(FileError::Io { file: path, error });
                }
                Err(_) if Instant::now() >= deadline => {
                    return Err(FileError::Busy { file: file.to_owned(), new: path });
                }
                Err(_) => thread::sleep(BUSY_PAUSE),
            }
        }
    }

    fn put(mut self, file: &Path, target: &Path, text: &str) -> Result<(), FileError> {
        let told = |error| FileError::Io { file: file.to_owned(), error };
        let old = fs::metadata(target).map_err(told)?;
        let new = self.handle.metadata().map_err(told)?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&self.handle, Some(old.uid()), Some(old.gid()))
                .map_err(|error| FileError::Owner { file: file.to_owned(), error })?;
        }
        self.handle.write_all(text.as_bytes()).map_err(told)?;
        self.handle.set_permissions(old.permissions()).map_err(told)?;
        self.handle.sync_all().map_err(told)?;
        fs::rename(&self.path, target).map_err(told)?;
        self.is_in_place = true;
        // The new name is safe when the folder is; not every file system can be asked for that.
        if let Some(folder) = target.parent() {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_in_place {
            // Nobody is left to be told; the next one to change the file is.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn warn_of_readers(file: &Path, target: &Path) {
    let mode = fs::metadata(target).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        eprintln!("warning: everybody on this machine can open {0}; chmod 600 {0}", file.display());
    }
}

/// How long another one's change of the same file is waited for: hashing a file of plain text takes
/// seconds.
const BUSY_MAX: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);
