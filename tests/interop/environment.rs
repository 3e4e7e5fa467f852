//! What the clients need, made once under `target/interop` and kept there: a Python environment,
//! Node modules and the programs built from `rust/`. A folder carries a copy of the file that pins
//! its versions; when that file changes, the folder is made anew.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

type Prepared = LazyLock<Result<PathBuf, String>>;

/// The Python interpreter of an environment with the packages of `python/requirements.txt`.
pub(crate) fn python() -> Result<PathBuf, String> {
    static PYTHON: Prepared = LazyLock::new(|| {
        let pins = source("python/requirements.txt");
        let folder = prepare("python", &[&pins], |folder| {
            run(Command::new("python3").args(["-m", "venv"]).arg(folder), PYTHON_HINT)?;
            let python = folder.join("bin/python");
            let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
            run(Command::new(python).args(install).arg(&pins), "pip could not install the packages")
        })?;
        Ok(folder.join("bin/python"))
    });
    PYTHON.clone()
}

/// The `node_modules` folder with what `node/package-lock.json` pins.
pub(crate) fn node_modules() -> Result<PathBuf, String> {
    static MODULES: Prepared = LazyLock::new(|| {
        let pins = [source("node/package.json"), source("node/package-lock.json")];
        run(Command::new("node").arg("--version"), "Node is missing: install nodejs and npm")?;
        let folder = prepare("node", &[&pins[0], &pins[1]], |folder| {
            let quiet = ["ci", "--silent", "--no-audit", "--no-fund"];
            run(Command::new("npm").args(quiet).current_dir(folder), "npm could not install")
        })?;
        Ok(folder.join("node_modules"))
    });
    MODULES.clone()
}

/// The folder with the programs built from `rust/src/bin`.
pub(crate) fn rust_clients() -> Result<PathBuf, String> {
    static PROGRAMS: Prepared = LazyLock::new(|| {
        let target = working_folder().join("rust");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--bins", "--manifest-path"]);
        build.arg(source("rust/Cargo.toml")).arg("--target-dir").arg(&target);
        // Flags meant for our own build (loom, coverage) are not meant for the client's.
        build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        run(&mut build, "the clients on rumqttc did not build")?;
        Ok(target.join("debug"))
    });
    PROGRAMS.clone()
}

/// Checks that Mosquitto's clients can be started.
pub(crate) fn mosquitto_clients() -> Result<(), String> {
    static TOOLS: LazyLock<Result<(), String>> = LazyLock::new(|| {
        run(Command::new("python3").arg("--version"), PYTHON_HINT)?;
        for tool in ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"] {
            let hint = "Mosquitto's clients are missing: apt-get install mosquitto-clients";
            // They leave with a failure after showing their help; only that they start matters.
            let started = Command::new(tool).arg("--help").stdout(Stdio::null()).status();
            started.map_err(|error| format!("{hint} ({tool}: {error})"))?;
        }
        Ok(())
    });
    TOOLS.clone()
}

/// A path below `tests/interop`.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(path)
}

/// `target/interop`, wherever the target directory is.
pub(crate) fn working_folder() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().unwrap_or(temporary).join("interop")
}

const PYTHON_HINT: &str = "Python is missing: apt-get install python3 python3-venv";

/// Makes `target/interop/NAME` with `install` unless it is there with the same pins. Works in a
/// folder of this process and renames it at the end: what is half made is never used.
fn prepare(
    name: &str,
    pins: &[&Path],
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let folder = working_folder().join(name);
    if pins.iter().all(|pin| has_copy(&folder, pin)) {
        return Ok(folder);
    }
    eprintln!("interop: preparing {} (once)", folder.display());
    let partial = working_folder().join(format!("{name}.{}", std::process::id()));
    let told = |error: std::io::Error| format!("cannot prepare {}: {error}", folder.display());
    fs::create_dir_all(&partial).map_err(told)?;
    for pin in pins {
        fs::copy(pin, copy_path(&partial, pin)).map_err(told)?;
    }
    if let Err(reason) = install(&partial) {
        // Half an environment is of no use to anybody; the reason matters more than the rest.
        let _ = fs::remove_dir_all(&partial);
        return Err(reason);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(told)?;
    }
    fs::rename(&partial, &folder).map_err(told)?;
    Ok(folder)
}

fn has_copy(folder: &Path, pin: &Path) -> bool {
    matches!((fs::read(copy_path(folder, pin)), fs::read(pin)), (Ok(copy), Ok(own)) if copy == own)
}

fn copy_path(folder: &Path, pin: &Path) -> PathBuf {
    folder.join(pin.file_name().expect("a pin is a file"))
}

/// Runs a command to its end; its output is shown only when it fails.
fn run(command: &mut Command, hint: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{hint} ({program}: {error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{hint} ({program}: {}): {}", output.status, said.trim()))
}
