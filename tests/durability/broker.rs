//! The real process, with a folder for what it keeps: started, stopped, paused, killed and started
//! again.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::lazyfs::Forgetful;

/// How long the process may take until it listens, on a busy machine and with a store to read.
const START_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END_MAX: Duration = Duration::from_secs(30);
/// Lines of the log that are kept to be shown beside a failure.
const LOG_LINES_MAX: usize = 200;

/// How a broker is started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// What is run.
    pub(crate) binary: PathBuf,
    /// Where it keeps what is to last.
    pub(crate) data_dir: PathBuf,
    /// Whether it does; in memory otherwise.
    pub(crate) is_durable: bool,
    pub(crate) shards: usize,
    /// Settings (TOML) beside the defaults.
    pub(crate) settings: String,
    /// Variables of its environment.
    pub(crate) environment: Vec<(String, OsString)>,
    /// The file system that forgets, before each start, what was not synced.
    pub(crate) forgetful: Option<Forgetful>,
}

/// A broker process.
pub(crate) struct Broker {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Start {
    /// The binary under test, on a folder that it has for itself.
    pub(crate) fn new(data_dir: &Path, shards: usize) -> Self {
        Self {
            binary: binary(),
            data_dir: data_dir.to_owned(),
            is_durable: true,
            shards,
            settings: String::new(),
            environment: Vec::new(),
            forgetful: None,
        }
    }

    /// With this variable in its environment.
    pub(crate) fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    fn command(&self) -> Command {
        let config = self.data_dir.with_extension("toml");
        fs::write(&config, &self.settings).expect("the folder of the run can be written to");
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--shards", &self.shards.to_string()]);
        command.arg("--config").arg(config);
        if self.is_durable {
            command.arg("--data-dir").arg(&self.data_dir);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Broker {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// It has ended before, with what it has said.
    pub(crate) fn start(start: &Start) -> Result<Self, String> {
        if let Some(forgetful) = &start.forgetful {
            forgetful.forget();
        }
        let mut command = start.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("no process: {error}"))?;
        let log = Arc::default();
        keep_log(child.stderr.take().expect("it is piped"), Arc::clone(&log));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut broker = Self { child, address, log };
        broker.address = broker.wait_for_address()?;
        Ok(broker)
    }

    /// The most memory that it has ever had, in KiB.
    pub(crate) fn memory_kib_max(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process runs, on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let words = line.expect("it is there").split_whitespace().next();
        words.and_then(|it| it.parse().ok()).expect("it is a number")
    }

    fn wait_for_address(&mut self) -> Result<SocketAddr, String> {
        let began = Instant::now();
        loop {
            // Looked at before the log, in which an end would be the last thing.
            let ended = self.has_ended();
            let lines = self.log();
            if let Some(address) = address_in(&lines) {
                return Ok(address);
            }
            if ended || began.elapsed() > START_MAX {
                return Err(format!("skein does not listen; its log:\n{lines}"));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its process; valid until [`Broker::wait`].
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether the process has ended by itself, or by somebody's hand.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// SIGKILL; returns when it is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("it is our child");
    }

    /// SIGTERM; how it has ended, and how long that took.
    pub(crate) fn terminate(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        self.signal(Signal::TERM);
        let status = self.wait();
        (status, began.elapsed())
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + END_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the broker does not end; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// SIGSTOP for this long, then SIGCONT.
    pub(crate) fn pause(&mut self, during: Duration) {
        self.signal(Signal::STOP);
        thread::sleep(during);
        self.signal(Signal::CONT);
    }

    /// The last lines of its log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it").join("\n")
    }

    fn signal(&mut self, signal: Signal) {
        // One that has ended is still there to be waited for.
        let _ = kill_process(self.pid(), signal);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended, as its test wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test: `SKEIN_BIN`, or the one that was built with this test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("SKEIN_BIN").map_or_else(debug_binary, Into::into)
}

/// The binary that was built with this test: it has failpoints.
pub(crate) fn debug_binary() -> PathBuf {
    env!("CARGO_BIN_EXE_skein").into()
}

fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    rest.split([',', '\n']).next()?.trim().parse().ok()
}

/// Reads the log for as long as the broker lives, so that its pipe never fills.
fn keep_log(output: impl Read + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("nobody panics with it");
            if log.len() == LOG_LINES_MAX {
                log.drain(..LOG_LINES_MAX / 2);
            }
            log.push(line);
        }
    });
}
