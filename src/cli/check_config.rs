//! `skein check-config FILE`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::machine::this_machine;
use super::output;
use crate::config::{self, Imported};
use crate::server::check_files;

/// Check a configuration file, and the files that it names, and say what is wrong with them.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints \"FILE: ok\" and ends with 0, or prints what is wrong and where, and ends with 1.

Example:
  skein check-config /etc/skein.toml && systemctl restart skein
  skein check-config --mosquitto /etc/mosquitto/mosquitto.conf")]
pub(super) struct CheckConfig {
    /// The file is a configuration of Mosquitto, as for `skein serve --mosquitto-conf`
    #[arg(long)]
    mosquitto: bool,

    /// The file to check
    file: PathBuf,
}

impl CheckConfig {
    pub(super) fn run(&self) -> ExitCode {
        let imported = if self.mosquitto {
            config::load_mosquitto(&self.file, this_machine())
        } else {
            config::load(&self.file).map(Imported::from)
        };
        let Imported { settings, warnings } = match imported {
            Ok(imported) => imported,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
        match check_files(&settings) {
            Ok(warnings) => {
                for warning in warnings {
                    eprintln!("warning: {warning}");
                }
                output::conclude(format!("{}: ok\n", self.file.display()))
            }
            Err(problems) => {
                for problem in problems {
                    eprintln!("{problem}");
                }
                ExitCode::FAILURE
            }
        }
    }
}
