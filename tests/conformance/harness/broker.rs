//! The real process: started on a port of the kernel's choice, watched through /proc, ended with
//! the test.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use skein_protocol::Version;

use super::{Peer, Vitals, connect, eventually};

/// How long the process may take until it listens.
const START_MAX: Duration = Duration::from_secs(10);
/// Lines of the log that are kept to be shown beside a failure.
const LOG_LINES_MAX: usize = 400;
/// What memory may have grown by when nobody is connected any more, after however many tests: some
/// hundreds of them leave six mebibytes that the allocator keeps. Where a packet is known to have
/// leaked elsewhere, the attack is made twice, and the bound is one mebibyte (`Case::survives`).
const MEMORY_GROWTH_BYTES_MAX: usize = 16 << 20;

/// On a port of the kernel's choice.
const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];
/// Connections that wake every shard of a broker with as many shards or fewer.
const AWAKENING_PEERS: usize = 8;

/// A broker process.
pub(crate) struct Broker {
    /// The broker itself, or the shell that ends it with this process; nobody for a broker that was
    /// there before the tests.
    child: Mutex<Option<Child>>,
    pid: u32,
    /// Of the first listener.
    pub(crate) address: SocketAddr,
    /// Of all listeners, as the log names them.
    pub(crate) addresses: Vec<String>,
    log: Arc<Mutex<Vec<String>>>,
    /// How many cases use it now.
    pub(super) users: AtomicUsize,
    /// What it held when nobody had connected yet.
    at_start: Vitals,
}

impl Broker {
    /// Starts a broker with these settings (TOML), for one test.
    pub(crate) fn start(shards: usize, settings: &str) -> Self {
        Self::start_with(shards, settings, &LISTEN)
    }

    /// The same, with the listener that the settings name; it has to be on a port of the kernel's
    /// choice.
    pub(crate) fn start_as_configured(shards: usize, settings: &str) -> Self {
        Self::start_with(shards, settings, &[])
    }

    /// The same with a file that stays where it is, to be read again: one of Mosquitto, if its name
    /// ends with `.conf`.
    pub(crate) fn start_from(shards: usize, config: &Path) -> Self {
        let mut command = Command::new(binary());
        command.args(serve_arguments(shards, config));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self::spawn(&mut command, false)
    }

    fn start_with(shards: usize, settings: &str, listen: &[&str]) -> Self {
        let config = write_config(settings);
        let mut command = Command::new(binary());
        command.args(serve_arguments(shards, &config)).args(listen);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let broker = Self::spawn(&mut command, false);
        // It has been read when the broker listens.
        let _ = fs::remove_file(config);
        broker
    }

    /// A broker with the default settings, for all tests: one that was there before them and outlives
    /// them, or one that ends with this process, whatever way that ends: a shell waits for the end
    /// of its input, which nobody else holds.
    pub(super) fn start_shared(shards: usize) -> Self {
        if let Some(broker) = Self::of_environment(shards) {
            return broker;
        }
        let script = "\"$0\" \"$@\" & pid=$!; echo $pid; read _; kill -KILL $pid";
        let config = write_config("");
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(binary());
        command.args(serve_arguments(shards, &config)).args(LISTEN);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let broker = Self::spawn(&mut command, true);
        let _ = fs::remove_file(config);
        broker
    }

    fn spawn(command: &mut Command, is_behind_shell: bool) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("skein can be started");
        let pid = match is_behind_shell {
            true => first_number(child.stdout.take().expect("it is piped")),
            false => child.id(),
        };
        let stderr = child.stderr.take().expect("it is piped");
        let log = Arc::default();
        keep_log(stderr, Arc::clone(&log));
        let addresses = wait_for_addresses(&log);
        Self::running(Some(child), pid, addresses, log)
    }

    /// The broker that `SKEIN_BROKERS` names for so many shards, as `SHARDS=ADDRESS=PID` between
    /// commas: whoever started it wants to look at it after the tests.
    fn of_environment(shards: usize) -> Option<Self> {
        let brokers = std::env::var("SKEIN_BROKERS").ok()?;
        let fields = brokers.split(',').map(|broker| broker.split('=').collect::<Vec<_>>());
        let broker = fields.into_iter().find(|fields| fields[0] == shards.to_string())?;
        let [_, address, pid] = broker[..] else { panic!("SKEIN_BROKERS={brokers}") };
        let pid = pid.parse().expect("SKEIN_BROKERS ends with a process id");
        Some(Self::running(None, pid, vec![address.to_owned()], Arc::default()))
    }

    fn running(
        child: Option<Child>,
        pid: u32,
        addresses: Vec<String>,
        log: Arc<Mutex<Vec<String>>>,
    ) -> Self {
        let mut broker = Self {
            child: Mutex::new(child),
            pid,
            address: addresses[0].parse().expect("the first has an IP address"),
            addresses,
            log,
            users: AtomicUsize::new(0),
            at_start: Vitals::default(),
        };
        broker.at_start = broker.vitals_of_all_awake();
        broker
    }

    /// The folder that it sees under this path, whatever others see there.
    pub(crate) fn inside(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix("/").unwrap_or(path);
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(below)
    }

    /// Whether the process is there and has not become a zombie.
    pub(crate) fn is_alive(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    }

    /// Sends a signal by its name, like `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid.to_string()]).status();
        assert!(sent.expect("kill(1) is there").success());
    }

    /// What the kernel says it has in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.vitals().memory_bytes
    }

    /// What the kernel says of it now.
    pub(crate) fn vitals(&self) -> Vitals {
        Vitals::of(self.pid)
    }

    /// Starts a broker that may have so many open files.
    pub(crate) fn start_with_files(shards: usize, settings: &str, files: usize) -> Self {
        let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        Self::start_behind(shards, settings, &["sh", "-c", &script])
    }

    /// Starts a broker by a command that is followed by the broker's own, and becomes it.
    pub(crate) fn start_behind(shards: usize, settings: &str, words: &[&str]) -> Self {
        let config = write_config(settings);
        let (program, arguments) = words.split_first().expect("a command has a word");
        let mut command = Command::new(program);
        command.args(arguments).arg(binary());
        command.args(serve_arguments(shards, &config)).args(LISTEN);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let broker = Self::spawn(&mut command, false);
        let _ = fs::remove_file(config);
        broker
    }

    /// Waits for the end of a broker of [`Broker::start`].
    pub(crate) fn wait(&self) -> ExitStatus {
        let mut child = self.child.lock().expect("no test panics with it");
        child.as_mut().and_then(|child| child.wait().ok()).expect("it is our child")
    }

    /// The last lines of the log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no test panics with it").join("\n")
    }

    /// While nobody is connected, no descriptor is held that was not held at the start, and the
    /// memory is back within its bound. Gives up the check when another case begins.
    pub(super) fn assert_idle(&self) {
        let is_busy = || self.users.load(Ordering::SeqCst) > 0;
        let mut now = Vitals::of(self.pid);
        let is_idle = eventually(Duration::from_secs(4), || {
            now = Vitals::of(self.pid);
            now.descriptors <= self.at_start.descriptors || is_busy()
        });
        assert!(is_idle, "descriptors leaked: {} at the start, {}", self.at_start, now);
        let bound = self.at_start.memory_bytes + MEMORY_GROWTH_BYTES_MAX;
        // What was freed goes back a while later.
        let is_back = eventually(Duration::from_secs(10), || {
            now = Vitals::of(self.pid);
            now.memory_bytes <= bound || is_busy()
        });
        assert!(is_back, "memory leaked: {} at the start, {now}", self.at_start);
    }
}

impl Broker {
    /// Once every shard has answered: dealt out evenly, each has had one of these connections.
    fn vitals_of_all_awake(&self) -> Vitals {
        let mut peers: Vec<Peer> =
            (0..AWAKENING_PEERS).map(|_| Peer::open(self.address, Version::V5)).collect();
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.send(&connect(Version::V5, &format!("awake-{index}")));
            peer.receive().any_connack();
        }
        let vitals = self.vitals();
        Vitals { descriptors: vitals.descriptors - peers.len(), ..vitals }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself, as its test wanted.
        if let Some(child) = self.child.get_mut().expect("no test panics with it") {
            let _ = child.kill();
            let _ = child.wait();
            for socket in self.addresses.iter().filter_map(|address| address.strip_prefix("unix:"))
            {
                let _ = fs::remove_file(socket);
            }
        }
    }
}

/// The binary under test: `SKEIN_BIN`, or the release build, made once.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("SKEIN_BIN") {
        Some(path) => path.into(),
        None => build_release(),
    })
}

fn build_release() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = command.args(["build", "--quiet", "--release", "--bin", "skein"]).status();
    assert!(status.expect("cargo can be started").success(), "the release build failed");
    // This test is target/PROFILE/deps/conformance-…
    let test = std::env::current_exe().expect("the kernel knows this binary");
    let target = test.ancestors().nth(3).expect("it stands below the target directory");
    target.join("release").join("skein")
}

fn serve_arguments(shards: usize, config: &Path) -> Vec<std::ffi::OsString> {
    let shards = shards.to_string();
    let is_mosquittos = config.extension().is_some_and(|extension| extension == "conf");
    let kind = if is_mosquittos { "--mosquitto-conf" } else { "--config" };
    let fixed = ["serve", "--shards", &shards, kind];
    let mut arguments: Vec<_> = fixed.iter().map(Into::into).collect();
    arguments.push(config.into());
    arguments
}

fn write_config(settings: &str) -> PathBuf {
    let name = format!("skein-conformance-{}-{}.toml", std::process::id(), super::serial());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, settings).expect("the temporary directory can be written to");
    path
}

fn first_number(output: impl Read) -> u32 {
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("the shell writes to its pipe");
    line.trim().parse().expect("the shell prints a process id")
}

/// Reads the log for as long as the broker lives, so that its pipe never fills.
fn keep_log(output: impl Read + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("no test panics with it");
            if log.len() == LOG_LINES_MAX {
                log.drain(..LOG_LINES_MAX / 2);
            }
            log.push(line);
        }
    });
}

/// The addresses are in the line that says that the broker listens.
fn wait_for_addresses(log: &Mutex<Vec<String>>) -> Vec<String> {
    let started = Instant::now();
    loop {
        let lines = log.lock().expect("no test panics with it").join("\n");
        if let Some((_, rest)) = lines.split_once("listening on ") {
            let is_address =
                |text: &&str| text.parse::<SocketAddr>().is_ok() || text.starts_with("unix:");
            return rest.split(", ").take_while(is_address).map(str::to_owned).collect();
        }
        assert!(started.elapsed() < START_MAX, "skein does not listen; its log:\n{lines}");
        thread::sleep(Duration::from_millis(2));
    }
}
