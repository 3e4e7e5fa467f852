//! One script, run against one broker under a hard timeout; its lines are relayed and judged.
//!
//! A script prints a line per promise: `ok NAME`, `not ok NAME: why`, or `note NAME: what` for what
//! the broker does differently but may. The last line is `1..N`, N the number of the first two: a
//! script that ends early does not pass.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed};

use crate::broker::{self, LazyBroker};
use crate::{client, environment};

/// Longest run of one script. Most take a second or two; waits inside them are shorter than this,
/// so that a script says itself what did not come.
const SCRIPT_MAX: Duration = Duration::from_secs(60);

/// Runs a script. Ignored, loudly, when its client cannot be had; with `CI=true` that is a failure.
pub(crate) fn run(name: &str, path: &Path, broker: &LazyBroker) -> Result<Completion, Failed> {
    let command = match client::of_test(name).command(path) {
        Ok(command) => command,
        Err(reason) if std::env::var("CI").is_ok_and(|value| value == "true") => {
            return Err(Failed::from(reason));
        }
        Err(reason) => {
            eprintln!("interop: {name} CANNOT RUN: {reason}");
            return Ok(Completion::ignored_with(reason));
        }
    };
    let address = broker.address()?;
    let outcome = outcome_of(name, command, address, broker)?;
    relay(name, broker.name(), &outcome.output);
    match outcome.judge() {
        Ok(()) => Ok(Completion::Completed),
        // A broker that is gone explains more than a script that met nobody.
        Err(reason) => broker.address().map_err(Failed::from).and(Err(Failed::from(reason))),
    }
}

/// What a script said, and how it ended.
struct Outcome {
    output: String,
    complaints: String,
    /// None when it was stopped at the timeout.
    success: Option<bool>,
}

fn outcome_of(
    name: &str,
    mut command: Command,
    address: SocketAddr,
    broker: &LazyBroker,
) -> Result<Outcome, String> {
    // Into files: a pipe nobody reads would block the script, and what it started could hold it.
    let stem = output_stem(name, broker.name());
    let output_path = stem.with_extension("out");
    let complaints_path = stem.with_extension("err");
    let told = |error: std::io::Error| format!("cannot run {name}: {error}");
    std::fs::create_dir_all(environment::working_folder()).map_err(told)?;
    let mut process = command
        .env("BROKER_HOST", address.ip().to_string())
        .env("BROKER_PORT", address.port().to_string())
        .env("BROKER_KIND", if broker.is_skein() { "skein" } else { "other" })
        .envs(broker.variables().iter().cloned())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&output_path).map_err(told)?)
        .stderr(std::fs::File::create(&complaints_path).map_err(told)?)
        // A group of its own, so that what it starts ends with it.
        .process_group(0)
        .spawn()
        .map_err(told)?;
    let status = broker::wait(&mut process, SCRIPT_MAX);
    let group = format!("-{}", process.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    let _ = process.wait();
    let text =
        |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Outcome {
        output: text(&output_path).map_err(told)?,
        complaints: text(&complaints_path).map_err(told)?,
        success: status.map(|status| status.success()),
    })
}

impl Outcome {
    /// Whether every promise was kept and the script came to its end.
    fn judge(&self) -> Result<(), String> {
        let lines = || self.output.lines();
        let kept = lines().filter(|line| line.starts_with("ok ")).count();
        let broken: Vec<_> = lines().filter(|line| line.starts_with("not ok ")).collect();
        let planned = format!("1..{}", kept + broken.len());
        let complete = kept > 0 && lines().last() == Some(planned.as_str());
        if complete && broken.is_empty() && self.success == Some(true) {
            return Ok(());
        }
        let mut reason = broken.join("\n");
        let end = match self.success {
            None => format!("stopped after {} s", SCRIPT_MAX.as_secs()),
            Some(_) if !complete => "ended before its last line".to_owned(),
            Some(true) => String::new(),
            Some(false) => "ended with a failure".to_owned(),
        };
        let _ = write!(reason, "\n{end}\n{}", tail(&self.complaints));
        Err(reason.trim().to_owned())
    }
}

/// Prints a script's lines at once, so that scripts that run beside each other do not mix.
fn relay(name: &str, broker: &str, output: &str) {
    let mut lines = String::new();
    for line in output.lines().filter(|line| !line.starts_with("1..")) {
        let _ = writeln!(lines, "    {name}::{broker}: {line}");
    }
    let _ = std::io::stdout().lock().write_all(lines.as_bytes());
}

fn output_stem(name: &str, broker: &str) -> PathBuf {
    environment::working_folder().join(format!("{}_{broker}", name.replace("::", "_")))
}

/// The last lines of what a script said to stderr.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
