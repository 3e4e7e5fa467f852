//! `skein passwd`: the flags of `mosquitto_passwd`, and files that Mosquitto reads.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::credential_file::{self, FileError, PasswordSource};
use super::output;
use crate::access::password::{
    HashError, PasswordHash, PasswordText, Scheme, UserNameError, check_user_name,
};

/// Add, change and remove users of a password file.
#[derive(Debug, Args)]
#[command(after_help = "\
The password is asked for twice without being shown; when standard input is no terminal, its first
line is the password. Scripts give it by --password-file or in SKEIN_PASSWORD. The file is written
anew beside itself and then put in its place, so a broker that reads it meanwhile sees all of the
old one or all of the new one. Reload the broker to use it.

Mosquitto before 2.1 reads files written with -H sha512-pbkdf2 or -H sha512 only. It hashes on its
one thread: -I 1000 there, as its own tool does.

Examples:
  skein passwd -c passwords alice       make the file, with one user
  skein passwd passwords bob            add or change another one
  skein passwd -D passwords bob         remove that one
  skein passwd -b -c - carol secret     print a line, for a script
  skein passwd -U passwords             hash passwords that stand there as plain text")]
pub(super) struct Passwd {
    /// Take the password from the command line, where others on this machine can see it
    #[arg(short = 'b', long, requires = "user")]
    batch: bool,

    /// Make a new file, which must not exist yet; with - as FILE, print the line
    #[arg(short = 'c', long, requires = "user")]
    create: bool,

    /// Remove the user
    #[arg(short = 'D', long, conflicts_with_all = ["create", "batch"], requires = "user")]
    delete: bool,

    /// Hash the passwords of the file that are plain text
    #[arg(short = 'U', long, conflicts_with_all = ["create", "batch", "delete", "user"])]
    upgrade: bool,

    /// How to hash
    #[arg(short = 'H', long, value_name = "SCHEME", default_value = "argon2id")]
    scheme: SchemeName,

    /// Iterations of sha512-pbkdf2 [default: 210000]
    #[arg(short = 'I', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    iterations: Option<u32>,

    /// The password file
    file: PathBuf,

    /// The user name
    #[arg(required_unless_present = "upgrade")]
    user: Option<String>,

    /// The password, with -b only
    #[arg(required_if_eq("batch", "true"), requires = "batch")]
    password: Option<String>,

    #[command(flatten)]
    source: PasswordSource,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemeName {
    /// Argon2id with 46 MiB, for Mosquitto 2.1 and skein
    Argon2id,
    /// PBKDF2 with HMAC-SHA-512, for Mosquitto since 2.0
    Sha512Pbkdf2,
    /// SHA-512 once, for Mosquitto 1.6: quickly broken when the file is stolen
    Sha512,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
enum PasswdError {
    #[error("{0}")]
    File(#[from] FileError),
    #[error("the user name does not do: {0}")]
    UserName(#[from] UserNameError),
    #[error("{0}")]
    Hash(#[from] HashError),
    #[error("{}: user {user:?} is not in it", file.display())]
    UnknownUser { file: PathBuf, user: String },
    #[error("{}: {error}", file.display())]
    Edit { file: PathBuf, error: crate::access::password::EditError },
}

impl Passwd {
    pub(super) fn run(&self) -> ExitCode {
        match self.try_run() {
            Ok(said) if said.is_empty() => ExitCode::SUCCESS,
            Ok(said) => output::conclude(format!("{said}\n")),
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn try_run(&self) -> Result<String, PasswdError> {
        let scheme = self.scheme();
        let Some(user) = &self.user else { return self.hash_plain(scheme) };
        check_user_name(user)?;
        if self.delete {
            return self.remove(user);
        }
        let prints = self.create && self.file == Path::new("-");
        if self.create && !prints {
            credential_file::check_new(&self.file)?;
        }
        let password = self.source.password(self.password.as_deref())?;
        let hash = make(scheme, password.as_bytes())?;
        if prints {
            return Ok(format!("{user}:{hash}"));
        }
        self.set(user, &hash)
    }

    fn set(&self, user: &str, hash: &PasswordHash) -> Result<String, PasswdError> {
        if self.create {
            credential_file::create(&self.file, &format!("{user}:{hash}\n"))?;
            return Ok(format!("Adding password for user {user}"));
        }
        let mut is_known = false;
        credential_file::rewrite(&self.file, |text| {
            let mut text = PasswordText::new(text);
            is_known = text.set(user, hash);
            Ok::<_, PasswdError>(text.text())
        })?;
        Ok(format!("{} password for user {user}", if is_known { "Updating" } else { "Adding" }))
    }

    fn remove(&self, user: &str) -> Result<String, PasswdError> {
        credential_file::rewrite(&self.file, |text| {
            let mut text = PasswordText::new(text);
            match text.remove(user) {
                true => Ok(text.text()),
                false => {
                    let (file, user) = (self.file.clone(), user.to_owned());
                    Err(PasswdError::UnknownUser { file, user })
                }
            }
        })?;
        Ok(format!("Removing user {user}"))
    }

    fn hash_plain(&self, scheme: Scheme) -> Result<String, PasswdError> {
        let mut count = 0;
        credential_file::rewrite(&self.file, |text| {
            let mut text = PasswordText::new(text);
            count = text
                .hash_plain(|password| make(scheme, password))
                .map_err(|error| PasswdError::Edit { file: self.file.clone(), error })?;
            Ok::<_, PasswdError>(text.text())
        })?;
        Ok(format!("Hashing {count} passwords that were plain text"))
    }

    fn scheme(&self) -> Scheme {
        if let (Some(_), false) = (self.iterations, matches!(self.scheme, SchemeName::Sha512Pbkdf2))
        {
            eprintln!("-I means nothing for {}", self.scheme);
        }
        match (self.scheme, self.iterations) {
            (SchemeName::Argon2id, _) => Scheme::ARGON2ID,
            (SchemeName::Sha512, _) => Scheme::Sha512,
            (SchemeName::Sha512Pbkdf2, None) => Scheme::SHA512_PBKDF2,
            (SchemeName::Sha512Pbkdf2, Some(iterations)) => Scheme::Sha512Pbkdf2 { iterations },
        }
    }
}

impl fmt::Display for SchemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2id => "argon2id",
            Self::Sha512Pbkdf2 => "sha512-pbkdf2",
            Self::Sha512 => "sha512",
        })
    }
}

fn make(scheme: Scheme, password: &[u8]) -> Result<PasswordHash, HashError> {
    PasswordHash::make(scheme, password, &credential_file::random(scheme.salt_bytes()))
}
