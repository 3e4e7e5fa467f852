//! Brokers as processes, with files of their own, that can be ended and started again.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skein_client::{Backoff, Client, Overflow, QoS, Subscription};
use tempfile::TempDir;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Skein,
    Mosquitto,
}

/// A broker, which may be running.
pub(crate) struct Broker {
    kind: Kind,
    pub(crate) port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Broker {
    /// Starts a skein with this after its listener.
    pub(crate) fn skein(more: &str) -> Self {
        let mut broker = Self::new(Kind::Skein);
        broker.configure(more);
        broker.start();
        broker
    }

    /// Starts a broker that other brokers have bridges to, and that keeps what it has on the disk.
    pub(crate) fn remote(kind: Kind) -> Self {
        let mut broker = Self::new(kind);
        let data = broker.path("data");
        let store = format!("[store]\ndata_dir = \"{}\"\n", data.display());
        broker.configure(if kind == Kind::Skein { &store } else { "" });
        broker.start();
        broker
    }

    /// One that is not running, and has a port.
    pub(crate) fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        Self { kind, port: free_port(), folder, child: None }
    }

    /// Writes its configuration, with this at the end.
    pub(crate) fn configure(&self, more: &str) {
        let port = self.port;
        let (name, text) = match self.kind {
            Kind::Skein => (
                "skein.toml",
                format!("shards = 2\n[[listener]]\naddress = \"127.0.0.1:{port}\"\n{more}"),
            ),
            Kind::Mosquitto => {
                let user = Command::new("id").arg("-un").output().expect("id is everywhere");
                let user = String::from_utf8(user.stdout).expect("names of users are ASCII");
                let folder = self.folder.path().display();
                // As root it would become another user, who cannot write here.
                let text = format!(
                    "listener {port} 127.0.0.1\nuser {}\nallow_anonymous true\npersistence true\n\
                     persistence_location {folder}/\nmax_queued_messages 0\n{more}",
                    user.trim()
                );
                ("mosquitto.conf", text)
            }
        };
        fs::write(self.path(name), text).expect("room for some lines");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a skein with a configuration of Mosquitto.
    pub(crate) fn run_mosquitto_conf(&mut self, text: &str) {
        fs::write(self.path("mosquitto.conf"), text).expect("room for some lines");
        let mut command = Command::new(crate::skein());
        self.spawn(command.args(["serve", "--mosquitto-conf"]).arg(self.path("mosquitto.conf")));
    }

    pub(crate) fn start(&mut self) {
        let mut command = match self.kind {
            Kind::Skein => {
                let mut command = Command::new(crate::skein());
                command.args(["serve", "--config"]).arg(self.path("skein.toml"));
                command
            }
            Kind::Mosquitto => {
                let mut command = Command::new("mosquitto");
                command.arg("-c").arg(self.path("mosquitto.conf"));
                command
            }
        };
        self.spawn(&mut command);
    }

    fn spawn(&mut self, command: &mut Command) {
        let said_before = self.says_that_it_listens();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log"));
        let log = log.expect("room for a log");
        let child = command.stdout(Stdio::null()).stderr(log).stdin(Stdio::null()).spawn();
        self.child = Some(child.expect("the program is there"));
        until("the broker listens", || {
            let says = self.kind == Kind::Mosquitto || self.says_that_it_listens() > said_before;
            says && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// How often skein has said that it listens: from then on it obeys signals.
    fn says_that_it_listens(&self) -> usize {
        self.log().matches("listening on").count()
    }

    /// Tells the process something, by a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let Some(child) = &self.child else { return };
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "it runs");
    }

    /// Ends it as a service manager does.
    pub(crate) fn stop(&mut self) {
        self.end("-TERM");
    }

    /// Ends it by this signal.
    pub(crate) fn end(&mut self, signal: &str) {
        self.signal(signal);
        if let Some(mut child) = self.child.take() {
            let ended = child.wait().expect("it is our child");
            assert!(ended.success() || signal == "-KILL", "{ended}: {}", self.log());
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The section of a bridge to this broker.
    pub(crate) fn bridge(&self, name: &str, keys: &str) -> String {
        format!(
            "[bridge.{name}]\naddresses = [\"mqtt://127.0.0.1:{}\"]\nclient_id = \"{name}\"\n\
             restart_min_ms = 50\nrestart_max_ms = 200\n{keys}\n",
            self.port
        )
    }

    /// A client of it that keeps its session and comes back.
    pub(crate) fn client(&self, id: &str) -> Client {
        self.connect(id, true)
    }

    /// As `client`, but one whose session survives the end of a Mosquitto 2.0 as well: that one forgets
    /// each session that was begun with Clean Start, however long it should last, and what waits in it.
    pub(crate) fn lasting_client(&self, id: &str) -> Client {
        self.connect(id, false)
    }

    fn connect(&self, id: &str, clean_start: bool) -> Client {
        let backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_millis(200));
        let builder = Client::builder(&format!("mqtt://127.0.0.1:{}", self.port))
            .client_id(id)
            .keep_session(Duration::from_secs(600))
            .reconnect(backoff)
            .drain(Duration::ZERO);
        let builder = if clean_start { builder.clean_start() } else { builder };
        let client = builder.start().expect("a client");
        client.wait_connected(PATIENCE).expect("the broker lets it in");
        client
    }

    /// What is published there below this filter.
    pub(crate) fn listen(&self, client: &Client, filter: &str) -> Subscription {
        let subscribing = client.subscribe(filter).qos(QoS::ExactlyOnce).retain_as_published();
        subscribing.buffer(100_000, Overflow::Pause).wait().expect("it is granted")
    }

    /// Waits until this broker says that its bridge is connected, or not.
    pub(crate) fn await_state(&self, bridge: &str, wanted: &str) {
        let client = self.client(&format!("watch-{bridge}"));
        let states = self.listen(&client, &format!("$SYS/broker/connection/{bridge}/state"));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let state = states.receive_for(Duration::from_millis(200));
            if state.is_some_and(|state| state.payload().as_ref() == wanted.as_bytes()) {
                return;
            }
        }
        panic!("bridge {bridge} does not get to {wanted}:\n{}", self.log());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- log of {:?} on port {}\n{}", self.kind, self.port, self.log());
        }
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.expect("a port is free").port()
}

/// Waits until this holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
