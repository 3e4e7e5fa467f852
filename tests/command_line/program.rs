//! The programs under test: Mosquitto's, ours under its name, and ours under our own.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Whose program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The one that is installed.
    Mosquitto,
    /// Ours, called by the same name.
    Ours,
    /// `skein pub` and so on.
    Skein,
}

/// Both that have to do the same.
pub(crate) const BOTH: [Whose; 2] = [Whose::Mosquitto, Whose::Ours];

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    out: JoinHandle<Vec<u8>>,
    err: JoinHandle<Vec<u8>>,
}

/// A program to be run: `name` is pub, sub or rr.
pub(crate) fn command(whose: Whose, name: &str) -> Command {
    let mut command = match whose {
        Whose::Mosquitto => Command::new(format!("mosquitto_{name}")),
        Whose::Ours => Command::new(link(&format!("mosquitto_{name}"))),
        Whose::Skein => {
            let mut command = Command::new(skein());
            command.arg(name);
            command
        }
    };
    // No file of options but those of the test.
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("LC_ALL", "C").env("TZ", "UTC");
    command
}

/// Runs a program to its end.
pub(crate) fn run(whose: Whose, name: &str, port: u16, words: &[&str]) -> Ended {
    run_with(whose, name, port, words, b"")
}

/// The same with something to read.
pub(crate) fn run_with(whose: Whose, name: &str, port: u16, words: &[&str], input: &[u8]) -> Ended {
    let mut command = command(whose, name);
    command.args(["-p", &port.to_string()]).args(words);
    start(&mut command, Some(input)).wait()
}

/// Starts a program; without input its standard input stays open.
pub(crate) fn start(command: &mut Command, input: Option<&[u8]>) -> Running {
    start_onto(command, Stdio::piped(), input)
}

/// The same with another standard output; what goes there is not drained.
pub(crate) fn start_onto(command: &mut Command, out: Stdio, input: Option<&[u8]>) -> Running {
    command.stdin(Stdio::piped()).stdout(out).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is there");
    let drain = |from: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut all = Vec::new();
            if let Some(mut from) = from {
                from.read_to_end(&mut all).expect("a pipe can be read");
            }
            all
        })
    };
    let out = drain(child.stdout.take().map(|it| Box::new(it) as _));
    let err = drain(child.stderr.take().map(|it| Box::new(it) as _));
    if let Some(input) = input {
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_vec();
        // Who does not read it has ended, which is seen elsewhere.
        thread::spawn(move || stdin.write_all(&input));
    }
    Running { child, out, err }
}

impl Running {
    /// Writes to its standard input.
    pub(crate) fn say(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("it was left open");
        stdin.write_all(text.as_bytes()).expect("it reads");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(killed.expect("kill is everywhere").success());
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None if Instant::now() >= deadline => {
                    self.child.kill().expect("it is our child");
                    let _ = self.child.wait();
                    let err = self.err.join().expect("it drains");
                    panic!("the program does not end: {}", String::from_utf8_lossy(&err));
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let out = self.out.join().expect("it drains");
        let err = String::from_utf8_lossy(&self.err.join().expect("it drains")).into_owned();
        Ended { code: status.code(), out, err }
    }
}

impl Ended {
    /// Standard output, where it is text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Fails the test unless all was well.
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }
}

/// The binary under test; `SKEIN_BIN` names another one.
pub(crate) fn skein() -> OsString {
    std::env::var_os("SKEIN_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_skein").into())
}

/// A folder with the binary under the names of Mosquitto's programs, made when it is asked for.
static LINKS: Mutex<Option<TempDir>> = Mutex::new(None);

/// The binary under the name of one of those.
fn link(name: &str) -> PathBuf {
    let mut links = LINKS.lock().expect("no test panics with it");
    links.get_or_insert_with(new_links).path().join(name)
}

fn new_links() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for name in ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"] {
        symlink(skein(), folder.path().join(name)).expect("a link can be made");
    }
    folder
}

/// To be called at the end: what is static is not dropped.
pub(crate) fn remove_links() {
    drop(LINKS.lock().expect("no test panics with it").take());
}
