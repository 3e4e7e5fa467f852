//! Programs the tests need beside Cargo: looked for, installed where that is possible, named where
//! it is not.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::job::{Job, Stop, cargo, target};

/// A program and the Debian package that brings it.
pub(crate) struct Tool {
    program: &'static str,
    /// Arguments with which it succeeds when it is whole; none = that it is there is enough.
    probe: &'static [&'static str],
    package: &'static str,
}

/// Python with what makes virtual environments.
pub(crate) const PYTHON: Tool =
    Tool { program: "python3", probe: &["-c", "import ensurepip, venv"], package: "python3-venv" };
/// Node's package manager, and with it Node.
pub(crate) const NPM: Tool = Tool { program: "npm", probe: &["--version"], package: "npm" };
/// mosquitto's command line.
pub(crate) const MOSQUITTO: Tool =
    Tool { program: "mosquitto_pub", probe: &[], package: "mosquitto-clients" };

/// mosquitto itself, with what makes its password files.
pub(crate) const MOSQUITTO_BROKER: Tool =
    Tool { program: "mosquitto_passwd", probe: &[], package: "mosquitto" };

/// valgrind, which counts instructions.
pub(crate) const VALGRIND: Tool =
    Tool { program: "valgrind", probe: &["--version"], package: "valgrind" };

/// What makes the clock of a process jump.
pub(crate) const FAKETIME: Tool =
    Tool { program: "faketime", probe: &["--version"], package: "faketime" };

/// What C code is built with whose authors do not leave that to Cargo.
pub(crate) const MAKE: Tool = Tool { program: "make", probe: &["--version"], package: "make" };

/// What measures how much a unit of systemd allows its process.
pub(crate) const SYSTEMD: Tool =
    Tool { program: "systemd-analyze", probe: &["--version"], package: "systemd" };

/// What makes the authority for trying TLS.
pub(crate) const OPENSSL: Tool =
    Tool { program: "openssl", probe: &["version"], package: "openssl" };

impl Tool {
    fn is_there(&self) -> bool {
        if self.probe.is_empty() {
            return is_on_path(self.program);
        }
        succeeds(Command::new(self.program).args(self.probe))
    }
}

/// Sees to it that every tool is there.
///
/// # Errors
/// One is not, and cannot be installed here: how a person can.
pub(crate) fn ensure(job: &mut Job, tools: &[Tool]) -> Result<(), Stop> {
    let missing = || tools.iter().filter(|tool| !tool.is_there());
    let packages: Vec<&str> = missing().map(|tool| tool.package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    if may_install() {
        // An outdated list of packages may still do.
        let _ = job.run(Command::new("apt-get").arg("update"));
        let install = ["install", "--yes", "--no-install-recommends"];
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(install).args(&packages);
        // Whether it helped is seen below.
        let _ = job.run(&mut command);
    }
    let programs: Vec<&str> = missing().map(|tool| tool.program).collect();
    if programs.is_empty() {
        return Ok(());
    }
    Err(Stop::Missing(format!(
        "{} not installed; on Debian: sudo apt-get install {}",
        programs.join(", "),
        packages.join(" ")
    )))
}

/// Whether packages can be installed without asking anybody: Debian, as root.
fn may_install() -> bool {
    let id = Command::new("id").arg("-u").output();
    is_on_path("apt-get") && id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// `cargo deny`, built into the target folder when it is not installed.
///
/// # Errors
/// It cannot be built.
pub(crate) fn cargo_deny(job: &mut Job) -> Result<Command, Stop> {
    if succeeds(cargo().args(["deny", "--version"])) {
        let mut command = cargo();
        command.arg("deny");
        return Ok(command);
    }
    let folder = target().join("tools");
    let program = folder.join("bin").join("cargo-deny");
    if !program.is_file() {
        let mut install = cargo();
        install.env("CARGO_TARGET_DIR", folder.join("build"));
        install.args(["install", "--locked", "cargo-deny", "--root"]).arg(&folder);
        job.run(&mut install).map_err(|_| {
            Stop::Missing(
                "cargo-deny cannot be built; cargo install --locked cargo-deny".to_owned(),
            )
        })?;
        // What it was built from is of no use any more, and large.
        let _ = std::fs::remove_dir_all(folder.join("build"));
    }
    let mut command = Command::new(program);
    command.arg("deny");
    Ok(command)
}

/// Whether `cargo nextest` is there: it runs tests in parallel and names the slow ones.
pub(crate) fn has_nextest() -> bool {
    succeeds(cargo().args(["nextest", "--version"]))
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder: PathBuf| folder.join(program)).any(|file| file.is_file())
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
