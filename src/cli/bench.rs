//! `skein bench`: the front door of the load test, which is a program of its own.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Args;

use super::output;

/// Run the load test against a broker.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Everything behind `bench` goes to skein-loadtest, which is looked for beside this program and then
in PATH; build it with: cargo build --release -p skein-loadtest

Examples:
  skein bench --help
  skein bench flood --help"
)]
pub(super) struct Bench {
    /// What skein-loadtest is to do
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// The load test's program.
const PROGRAM: &str = "skein-loadtest";

impl Bench {
    /// Becomes the load test; returns only if that cannot be.
    pub(super) fn run(&self) -> ExitCode {
        let mut command = Command::new(beside().unwrap_or_else(|| PROGRAM.into()));
        let error = command.args(&self.arguments).exec();
        let wants_help = matches!(&self.arguments[..], [word] if word == "--help" || word == "-h");
        match error.kind() {
            io::ErrorKind::NotFound if wants_help => {
                let own = Self::augment_args(clap::Command::new("bench").bin_name("skein bench"));
                let about = "Run the load test against a broker; it is not installed here";
                return output::conclude(own.about(about).render_help().to_string());
            }
            io::ErrorKind::NotFound => eprintln!(
                "Error: {PROGRAM} is neither beside this program nor in PATH; build it with \
                 `cargo build --release -p {PROGRAM}`, or take it from where skein came from"
            ),
            _ => eprintln!("Error: {PROGRAM}: {error}"),
        }
        ExitCode::FAILURE
    }
}

/// The load test beside this program, if it is there.
fn beside() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name(PROGRAM);
    path.is_file().then_some(path)
}
