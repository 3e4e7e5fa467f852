//! The broker under test: skein, started here with a number of shards, or any broker that runs.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::environment;
use crate::transports::{self, Transports};

/// How many shards the broker is started with, one pass each, unless `SKEIN_SHARDS` says else.
const SHARDS: &str = "2,4";
/// A start binds one socket; more than this and the machine or the broker is in trouble.
const START_MAX: Duration = Duration::from_secs(10);
/// More than the broker gives its connections at a stop (`shutdown_ms_max`).
const STOP_MAX: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A broker that is started by the first script that needs it.
pub(crate) struct LazyBroker {
    name: String,
    kind: Kind,
    running: OnceLock<Result<Running, String>>,
}

enum Kind {
    /// Skein, with this many shards.
    Skein { binary: PathBuf, shards: usize },
    /// Whatever listens there.
    Running(SocketAddr),
}

struct Running {
    address: SocketAddr,
    /// What scripts are told of its other listeners; nothing for a broker not started here.
    variables: Vec<(&'static str, String)>,
    /// None when the broker was not started here.
    process: Mutex<Option<Child>>,
}

/// The brokers the environment asks for: `SKEIN_ADDRESS` names one that runs; otherwise skein is
/// started from `SKEIN_BIN` (or as Cargo built it with this test), once per number in
/// `SKEIN_SHARDS`.
///
/// # Errors
/// A variable that makes no sense.
pub(crate) fn from_environment() -> Result<Vec<LazyBroker>, String> {
    if let Ok(text) = std::env::var("SKEIN_ADDRESS") {
        let address = text.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = address.ok_or(format!("SKEIN_ADDRESS={text} is no HOST:PORT"))?;
        return Ok(vec![LazyBroker::new("running".to_owned(), Kind::Running(address))]);
    }
    let binary = std::env::var_os("SKEIN_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_skein")), PathBuf::from);
    let passes = std::env::var("SKEIN_SHARDS").unwrap_or_else(|_| SHARDS.to_owned());
    passes
        .split(',')
        .map(|text| {
            let shards = text.trim().parse().map_err(|_| format!("SKEIN_SHARDS={passes}: {text}?"));
            let plural = if text.trim() == "1" { "" } else { "s" };
            let name = format!("{}_shard{plural}", text.trim());
            Ok(LazyBroker::new(name, Kind::Skein { binary: binary.clone(), shards: shards? }))
        })
        .collect()
}

impl LazyBroker {
    fn new(name: String, kind: Kind) -> Self {
        Self { name, kind, running: OnceLock::new() }
    }

    /// Last part of the names of the tests against it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is skein: some promises are asked of skein only.
    pub(crate) fn is_skein(&self) -> bool {
        match self.kind {
            Kind::Skein { .. } => true,
            Kind::Running(_) => std::env::var("SKEIN_KIND").is_ok_and(|kind| kind == "skein"),
        }
    }

    /// Where it listens; starts it the first time.
    ///
    /// # Errors
    /// Why it did not start, or that it has ended since.
    pub(crate) fn address(&self) -> Result<SocketAddr, String> {
        let running = self.running.get_or_init(|| self.start()).as_ref().map_err(Clone::clone)?;
        if let Some(process) = running.process.lock().expect("no test panics with it").as_mut()
            && let Ok(Some(status)) = process.try_wait()
        {
            return Err(format!("the broker has ended ({status}); its log: {}", self.log_tail()));
        }
        Ok(running.address)
    }

    /// The environment variables that tell a script of its other listeners.
    pub(crate) fn variables(&self) -> &[(&'static str, String)] {
        match self.running.get() {
            Some(Ok(running)) => &running.variables,
            _ => &[],
        }
    }

    /// Asks a broker that was started here to end, as an operator would, and waits for it.
    ///
    /// # Errors
    /// It did not end, or not with success.
    pub(crate) fn stop(&self) -> Result<(), String> {
        let Some(Ok(running)) = self.running.get() else { return Ok(()) };
        let Some(mut process) = running.process.lock().expect("no test panics with it").take()
        else {
            return Ok(());
        };
        // The standard library has no SIGTERM of its own.
        let asked = Command::new("kill").arg(process.id().to_string()).status();
        let status = asked.ok().and_then(|_| wait(&mut process, STOP_MAX));
        let _ = process.kill();
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("{} ended with {status}: {}", self.name, self.log_tail())),
            None => Err(format!("{} did not end on SIGTERM: {}", self.name, self.log_tail())),
        }
    }

    fn start(&self) -> Result<Running, String> {
        let (binary, shards) = match &self.kind {
            Kind::Skein { binary, shards } => (binary, shards),
            Kind::Running(address) => {
                let (variables, process) = (Vec::new(), Mutex::new(None));
                return Ok(Running { address: *address, variables, process });
            }
        };
        let address = free_address().map_err(|error| format!("no free port: {error}"))?;
        let told = |error| format!("cannot start {}: {error}", binary.display());
        fs::create_dir_all(environment::working_folder()).map_err(told)?;
        let log = File::create(self.log_path()).map_err(told)?;
        let folder = environment::working_folder().join(format!("broker_{}", self.name));
        let Transports { settings, variables } = transports::prepare(&folder, address)?;
        let config = folder.join("skein.toml");
        fs::write(&config, settings).map_err(told)?;
        let mut process = Command::new(binary)
            .args(["serve", "--shards", &shards.to_string(), "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(told)?)
            .stderr(log)
            .spawn()
            .map_err(told)?;
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(address).is_err() {
            let ended = process.try_wait().map_err(told)?;
            if ended.is_some() || Instant::now() > deadline {
                let _ = process.kill();
                let how = ended.map_or_else(|| "runs".to_owned(), |status| status.to_string());
                return Err(format!("the broker does not listen ({how}): {}", self.log_tail()));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(Running { address, variables, process: Mutex::new(Some(process)) })
    }

    fn log_path(&self) -> PathBuf {
        environment::working_folder().join(format!("broker_{}.log", self.name))
    }

    /// The end of the broker's log, for a failure's text.
    fn log_tail(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// An address nobody listens at now. Somebody could take it before the broker does; the broker
/// then does not start and says so.
pub(crate) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Waits for a process to end; None if it did not in time.
pub(crate) fn wait(process: &mut Child, longest: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + longest;
    loop {
        match process.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL_INTERVAL),
            _ => return None,
        }
    }
}
