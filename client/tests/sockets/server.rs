//! The servers: processes that end with the test.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::eventually;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Skein,
    Mosquitto,
}

/// Each program that the client is to get on with.
pub(crate) const KINDS: [Kind; 2] = [Kind::Skein, Kind::Mosquitto];

/// A server process.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_with(kind, "")
    }

    /// With these lines in its configuration.
    pub(crate) fn start_with(kind: Kind, settings: &str) -> Self {
        let folder = folder();
        match kind {
            Kind::Skein => Self::start_skein(folder, settings),
            // A port that was free a moment ago may be taken by now.
            Kind::Mosquitto => Self::start_mosquitto(folder, free_port(), settings),
        }
    }

    /// A mosquitto on this port, perhaps that of one that was stopped.
    pub(crate) fn start_mosquitto_on(port: u16) -> Self {
        Self::start_mosquitto(folder(), port, "")
    }

    fn start_skein(folder: PathBuf, settings: &str) -> Self {
        let config = folder.join("skein.toml");
        std::fs::write(&config, settings).unwrap();
        let mut command = Command::new(skein());
        command.args(["serve", "--shards", "2"]);
        // The option takes the place of the listeners in the file.
        if !settings.contains("[[listener]]") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.arg("--config");
        let mut child = command.arg(config).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("skein ended: {log:?}")).unwrap();
            if let Some(address) = address_in(&line) {
                break address;
            }
            log.push(line);
        };
        // Somebody has to read the rest, or the pipe fills.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, folder }
    }

    fn start_mosquitto(folder: PathBuf, port: u16, settings: &str) -> Self {
        let config = folder.join("mosquitto.conf");
        let socket = folder.join("mqtt.sock");
        let text = format!(
            "listener {port} 127.0.0.1\nlistener 0 {}\nallow_anonymous true\nuser root\n{settings}\n",
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(mosquitto());
        let child = command.arg("-c").arg(config).stderr(Stdio::null()).spawn();
        let child = child.expect("mosquitto is installed, or MOSQUITTO_BIN names it");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(eventually(|| TcpStream::connect(address).is_ok()), "mosquitto listens");
        Self { child, address, folder }
    }

    /// Its address, as a client wants it.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// The path of the socket of this machine that mosquitto listens on.
    pub(crate) fn unix_socket(&self) -> String {
        format!("unix://{}", self.folder.join("mqtt.sock").display())
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn folder() -> PathBuf {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = format!("skein-client-{}-{serial}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A port that nobody uses, below those that the kernel gives to connections: mosquitto's WebSocket
/// listener cannot take one of those while any connection on the machine has it.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 26_000;
    const COUNT: u32 = 1000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Another process of these tests begins elsewhere.
    let start = std::process::id();
    let mut ports = std::iter::repeat_with(|| {
        let next = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + next % COUNT).unwrap()
    });
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    ports.by_ref().take(1000).find(is_free).expect("one of a thousand ports is free")
}

/// The address in a line of skein's log that says where it listens.
fn address_in(line: &str) -> Option<SocketAddr> {
    let start = line.find("127.0.0.1:")?;
    let text = &line[start..];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    text[..end.unwrap_or(text.len())].parse().ok().filter(|address: &SocketAddr| address.port() > 0)
}

fn mosquitto() -> PathBuf {
    let given = std::env::var_os("MOSQUITTO_BIN").map(PathBuf::from);
    given.unwrap_or_else(|| "/usr/sbin/mosquitto".into())
}

/// The binary of skein: given, or built beside this test, which takes a moment if nothing changed.
fn skein() -> &'static Path {
    static SKEIN: OnceLock<PathBuf> = OnceLock::new();
    SKEIN.get_or_init(|| {
        if let Some(given) = std::env::var_os("SKEIN_BIN") {
            return given.into();
        }
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().and_then(Path::parent).expect("tests stand in target/x/deps");
        let binary = folder.join(format!("skein{}", std::env::consts::EXE_SUFFIX));
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        build.args(["build", "--quiet", "--package", "skein", "--bin", "skein"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let target = folder.parent().expect("a profile stands in the target folder");
        let built = build.arg("--target-dir").arg(target).status();
        assert!(built.is_ok_and(|status| status.success()) && binary.exists(), "skein is built");
        binary
    })
}

/// How long a server may be silent before that means something.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);
