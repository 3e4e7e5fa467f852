//! A Mosquitto with files of its own, or skein with the same files, and as much of a client as asks
//! who may do what.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder for one test's files.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("skein-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("room for some lines");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a command that has to succeed.
pub(crate) fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("the program is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A running broker.
pub(crate) struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    /// Starts Mosquitto in the folder with its `mosquitto.conf`, and waits until it listens.
    pub(crate) fn mosquitto(folder: &Folder) -> Self {
        Self::start(folder, Command::new("mosquitto").arg("-c"))
    }

    /// Starts skein instead.
    pub(crate) fn skein(folder: &Folder) -> Self {
        Self::start(folder, Command::new(crate::skein()).args(["serve", "--mosquitto-conf"]))
    }

    /// The file's name is the last argument.
    fn start(folder: &Folder, command: &mut Command) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a port is free").port();
        let conf = folder.path("mosquitto.conf");
        let options = fs::read_to_string(&conf).expect("the test wrote it");
        let conf = folder.path("with-listener.conf");
        let user = Command::new("id").arg("-un").output().expect("id is everywhere").stdout;
        let user = String::from_utf8(user).expect("names of users are ASCII");
        // As root it would become another user, who cannot read the files here.
        let text = format!("listener {port} 127.0.0.1\nuser {}\n{options}", user.trim());
        fs::write(&conf, text).expect("room for some lines");
        command.arg(&conf).current_dir(&folder.0);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut broker = Self { child: child.expect("the program is there"), port };
        broker.wait();
        broker
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the broker ended: {ended:?}");
            assert!(Instant::now() < deadline, "the broker does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Connects; the return code of a refusal otherwise.
    pub(crate) fn connect(
        &self,
        client_id: &str,
        credentials: Option<(&str, &str)>,
    ) -> Result<Client, u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let mut body = b"\0\x04MQTT\x04".to_vec();
        body.push(if credentials.is_some() { 0xC2 } else { 0x02 });
        body.extend_from_slice(b"\0\x3c");
        body.extend(string(client_id));
        if let Some((user, password)) = credentials {
            body.extend(string(user));
            body.extend(string(password));
        }
        stream.write_all(&packet(0x10, &body)).expect("it reads");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("it answers");
        match answer {
            [0x20, 2, _, 0] => Ok(Client(stream)),
            [0x20, 2, _, code] => Err(code),
            other => panic!("no CONNACK: {other:?}"),
        }
    }

    /// Whether what one client publishes reaches another, which subscribes to everything. Each is a
    /// user name and a client id; the password of all is "secret".
    pub(crate) fn delivers(
        &self,
        from: (Option<&str>, &str),
        topic: &str,
        to: (Option<&str>, &str),
    ) -> bool {
        let open = |(user, id): (Option<&str>, &str)| {
            let client = self.connect(id, user.map(|user| (user, "secret")));
            client.expect("the test wrote the password file")
        };
        let mut subscriber = open(to);
        let mut body = vec![0, 1];
        for filter in ["#", "$other/#"] {
            body.extend(string(filter));
            body.push(0);
        }
        subscriber.ask(&packet(0x82, &body), 0x90);
        let mut publisher = open(from);
        publisher
            .0
            .write_all(&packet(0x30, &[&string(topic), b"x".as_slice()].concat()))
            .expect("it reads");
        // One connection's packets are handled in order: behind this answer the message is through,
        // and behind the subscriber's it has been delivered.
        publisher.ask(&[0xC0, 0], 0xD0);
        subscriber.ask(&[0xC0, 0], 0xD0)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connected client.
pub(crate) struct Client(TcpStream);

impl Client {
    /// Sends a packet and reads until one of this type answers; whether a PUBLISH came before.
    fn ask(&mut self, bytes: &[u8], answer: u8) -> bool {
        self.0.write_all(bytes).expect("it reads");
        let mut was_published = false;
        loop {
            let mut header = [0; 2];
            self.0.read_exact(&mut header).expect("it answers");
            let [first, length] = header;
            assert!(length < 0x80, "no packet here is that long");
            let mut body = vec![0; usize::from(length)];
            self.0.read_exact(&mut body).expect("the packet is whole");
            match first & 0xF0 {
                kind if kind == answer => return was_published,
                0x30 => was_published = true,
                other => panic!("an answer nobody asked for: {other:#x}"),
            }
        }
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 0x80, "no packet here is that long");
    [&[first, body.len() as u8], body].concat()
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}
