//! `skein check-config FILE`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config;

/// Check a configuration file and say what is wrong with it.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints \"FILE: ok\" and ends with 0, or prints what is wrong and where, and ends with 1.

Example:
  skein check-config /etc/skein.toml && systemctl restart skein")]
pub(super) struct CheckConfig {
    /// The file to check
    file: PathBuf,
}

impl CheckConfig {
    pub(super) fn run(&self) -> ExitCode {
        match config::load(&self.file) {
            Ok(_) => {
                println!("{}: ok", self.file.display());
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}
