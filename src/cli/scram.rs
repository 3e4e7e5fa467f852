//! `skein scram`: credentials for SCRAM-SHA-256 and SCRAM-SHA-512.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use stringprep::saslprep;

use super::credential_file::{self, FileError, PasswordSource};
use super::output;
use crate::access::password::{UserNameError, check_user_name};
use crate::access::scram::{
    Mechanism, SALT_BYTES, ScramCredentials, ScramCredentialsError, ScramText,
};

/// Make credentials for enhanced authentication by SCRAM.
#[derive(Debug, Args)]
#[command(after_help = "\
With SCRAM the password never crosses the wire, and the broker does not know it. A user gets one
line for each mechanism; the line is NAME:SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER (RFC 5803).

The password is asked for twice without being shown; when standard input is no terminal, its first
line is the password. Scripts give it by --password-file or in SKEIN_PASSWORD. Reload the broker to use the file.

Examples:
  skein scram -c scram alice                       make the file, with one user
  skein scram scram bob                            add or change another one
  skein scram -D scram bob                         remove that one
  skein scram -b -c - carol secret                 print the lines, for a script
  skein scram --mechanism sha-512 scram dave       for one mechanism only")]
pub(super) struct Scram {
    /// Take the password from the command line, where others on this machine can see it
    #[arg(short = 'b', long)]
    batch: bool,

    /// Make a new file, which must not exist yet; with - as FILE, print the lines
    #[arg(short = 'c', long)]
    create: bool,

    /// Remove the user
    #[arg(short = 'D', long, conflicts_with_all = ["create", "batch"])]
    delete: bool,

    /// The mechanism the credentials are for
    #[arg(long, value_name = "MECHANISM", default_value = "both")]
    mechanism: MechanismName,

    /// How often the password is hashed; every login of the client costs as much
    #[arg(short = 'I', long, value_name = "N", default_value_t = 15_000)]
    iterations: u32,

    /// The file of credentials
    file: PathBuf,

    /// The user name
    user: String,

    /// The password, with -b only
    #[arg(required_if_eq("batch", "true"), requires = "batch")]
    password: Option<String>,

    #[command(flatten)]
    source: PasswordSource,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MechanismName {
    /// SCRAM-SHA-256
    #[value(name = "sha-256")]
    Sha256,
    /// SCRAM-SHA-512
    #[value(name = "sha-512")]
    Sha512,
    /// A line for each
    Both,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
enum ScramCommandError {
    #[error("{0}")]
    File(#[from] FileError),
    #[error("the user name does not do: {0}")]
    UserName(#[from] UserNameError),
    #[error("the user name holds a character that SASLprep prohibits")]
    Prohibited,
    #[error("{0}")]
    Credentials(#[from] ScramCredentialsError),
    #[error("{}: user {user:?} is not in it", file.display())]
    UnknownUser { file: PathBuf, user: String },
}

impl Scram {
    pub(super) fn run(&self) -> ExitCode {
        match self.try_run() {
            Ok(said) => output::conclude(format!("{said}\n")),
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn try_run(&self) -> Result<String, ScramCommandError> {
        // As clients write the name in their first message.
        let user = saslprep(&self.user).map_err(|_| ScramCommandError::Prohibited)?;
        check_user_name(&user)?;
        if self.delete {
            return self.remove(&user);
        }
        let prints = self.create && self.file == Path::new("-");
        if self.create && !prints {
            credential_file::check_new(&self.file)?;
        }
        let password = self.source.password(self.password.as_deref())?;
        let credentials = self.credentials(&password)?;
        if self.create {
            let mut text = ScramText::default();
            text.set(&user, &credentials);
            if prints {
                return Ok(text.text().trim_end().to_owned());
            }
            credential_file::create(&self.file, &text.text())?;
            return Ok(format!("Adding credentials for user {user}"));
        }
        self.set(&user, &credentials)
    }

    fn set(&self, user: &str, made: &[ScramCredentials]) -> Result<String, ScramCommandError> {
        let mut is_known = false;
        credential_file::rewrite(&self.file, |text| {
            let mut text = ScramText::new(text);
            is_known = text.set(user, made);
            Ok::<_, ScramCommandError>(text.text())
        })?;
        Ok(format!("{} credentials for user {user}", if is_known { "Updating" } else { "Adding" }))
    }

    fn remove(&self, user: &str) -> Result<String, ScramCommandError> {
        credential_file::rewrite(&self.file, |text| {
            let mut text = ScramText::new(text);
            match text.remove(user) {
                true => Ok(text.text()),
                false => {
                    let (file, user) = (self.file.clone(), user.to_owned());
                    Err(ScramCommandError::UnknownUser { file, user })
                }
            }
        })?;
        Ok(format!("Removing user {user}"))
    }

    fn credentials(&self, password: &str) -> Result<Vec<ScramCredentials>, ScramCredentialsError> {
        let mechanisms = match self.mechanism {
            MechanismName::Sha256 => vec![Mechanism::Sha256],
            MechanismName::Sha512 => vec![Mechanism::Sha512],
            MechanismName::Both => Mechanism::ALL.to_vec(),
        };
        let salt = || credential_file::random(SALT_BYTES);
        let make =
            |mechanism| ScramCredentials::make(mechanism, password, &salt(), self.iterations);
        mechanisms.into_iter().map(make).collect()
    }
}
