//! The program as others see it: what it prints, how it ends, and that it bears having too little.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";

/// A running broker and what it says.
struct Skein {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Skein {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        Self::spawn(command)
    }

    /// Starts it with a hard limit of so many open files.
    fn start_with_files(files: usize) -> Self {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_skein");
        let line = format!("ulimit -n {files}; exec '{program}' --listen 127.0.0.1:0 --shards 1");
        command.args(["-c", &line]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program was built");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut address = String::new();
        while address.is_empty() {
            let mut line = String::new();
            let count = lines.read_line(&mut line).expect("it prints UTF-8");
            assert!(count > 0, "the broker ended before it listened");
            if let Some((_, rest)) = line.split_once("listening on ") {
                address = rest.split(',').next().unwrap_or_default().to_owned();
            }
        }
        Self { child, lines, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
        stream
    }

    /// Whether a client that connects now is served.
    fn serves(&self) -> bool {
        let mut stream = self.connect();
        let mut answer = [0; 4];
        stream.write_all(CONNECT).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer == [0x20, 2, 0, 0]
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill is everywhere").success());
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the broker does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it printed since; only once it has ended.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("it prints UTF-8");
        rest
    }

    /// The processor time it has used, in clock ticks.
    fn ticks(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).expect("Linux has it");
        let (_, fields) = stat.rsplit_once(')').expect("the name stands in brackets");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        [11, 12].iter().map(|&at| fields[at].parse::<u64>().expect("a number")).sum()
    }
}

impl Drop for Skein {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for one test's files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("skein-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    /// Writes a file and returns its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("room for a line");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_skein")).args(arguments).output();
    let output = output.expect("the program was built");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("it prints UTF-8"))
}

#[test]
fn sigterm_and_sigint_end_it_with_0_after_a_goodbye() {
    for signal in ["-TERM", "-INT"] {
        let mut broker = Skein::start(&["--shards", "2"]);
        let mut client = broker.connect();
        client.write_all(b"\x10\x0d\0\x04MQTT\x05\x02\0\x3c\0\0\0").expect("it reads");
        let mut answer = [0; 256];
        assert!(client.read(&mut answer).expect("it answers") > 4);
        broker.signal(signal);
        let count = client.read(&mut answer).expect("it says goodbye");
        assert_eq!(answer[..3], [0xE0, count as u8 - 2, 0x8B]);
        drop(client);
        assert_eq!(broker.wait().code(), Some(0));
        assert!(broker.rest().contains("ended"));
    }
}

#[test]
fn a_second_signal_ends_it_at_once_with_1() {
    let mut broker = Skein::start(&["--shards", "1"]);
    // A client that does not close its side keeps the goodbye going for a quarter of a second.
    let mut client = broker.connect();
    client.write_all(CONNECT).expect("it reads");
    assert_eq!(client.read(&mut [0; 16]).expect("it answers"), 4);
    broker.signal("-TERM");
    std::thread::sleep(Duration::from_millis(50));
    broker.signal("-TERM");
    assert_eq!(broker.wait().code(), Some(1));
}

#[test]
fn sigusr1_prints_the_counters_and_sighup_ends_nothing() {
    let mut broker = Skein::start(&["--shards", "2", "--log-format", "json"]);
    assert!(broker.serves());
    broker.signal("-USR1");
    broker.signal("-HUP");
    std::thread::sleep(Duration::from_millis(100));
    broker.signal("-TERM");
    assert_eq!(broker.wait().code(), Some(0));
    let rest = broker.rest();
    assert_eq!(rest.matches("connections_opened=").count(), 2);
    assert!(rest.contains("SIGHUP"));
    assert!(rest.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
}

#[test]
fn g15_g33_without_free_files_it_neither_spins_nor_stops_and_recovers() {
    let mut broker = Skein::start_with_files(32);
    let clients: Vec<TcpStream> = (0..64).map(|_| broker.connect()).collect();
    // Long enough for the waits of the back-off to be long.
    std::thread::sleep(Duration::from_millis(700));
    let before = broker.ticks();
    std::thread::sleep(Duration::from_secs(1));
    assert!(broker.ticks() - before <= 10, "it spins");
    drop(clients);
    assert!(broker.serves());
    broker.signal("-TERM");
    assert_eq!(broker.wait().code(), Some(0));
    let rest = broker.rest();
    assert!(rest.contains("Too many open files"));
    assert!(rest.matches("cannot accept").count() < 20);
}

#[test]
fn it_costs_nothing_while_nothing_happens() {
    let broker = Skein::start(&["--shards", "4"]);
    let clients: Vec<TcpStream> = (0..50).map(|_| broker.connect()).collect();
    for mut client in &clients {
        client.write_all(CONNECT).expect("it reads");
        assert_eq!(client.read(&mut [0; 16]).expect("it answers"), 4);
    }
    let before = broker.ticks();
    std::thread::sleep(Duration::from_secs(1));
    assert!(broker.ticks() - before <= 3);
}

#[test]
fn nobody_needs_to_read_its_log() {
    let folder = Folder::new("log");
    let config = folder.write("skein.toml", "[log]\nlines_per_second_max = 1000000\n");
    // The pipe of its standard error holds 64 KiB, and each round writes two lines of more than
    // 64 bytes; this test reads nothing more of it.
    let broker = Skein::start(&["--shards", "1", "--config", &config]);
    for _ in 0..1_000 {
        let mut stream = broker.connect();
        stream.write_all(CONNECT).expect("it reads");
        assert_eq!(stream.read(&mut [0; 16]).expect("it answers"), 4);
    }
}

#[test]
fn an_address_that_cannot_be_had_is_explained() {
    let broker = Skein::start(&[]);
    let (code, text) = run(&["--listen", &broker.address]);
    assert_eq!(code, Some(1));
    assert!(text.contains(&broker.address) && text.contains("another program has this port"));
}

#[test]
fn check_config_says_ok_or_what_is_wrong() {
    let folder = Folder::new("check");
    let good = folder.write("good.toml", "shards = 2\n");
    let bad = folder.write("bad.toml", "shard = 2\n");
    assert_eq!(run(&["check-config", &good]), (Some(0), format!("{good}: ok\n")));
    let (code, text) = run(&["check-config", &bad]);
    assert_eq!(code, Some(1));
    assert!(text.contains("bad.toml:1") && text.contains("shards"), "{text}");
    let (code, text) = run(&["--config", &bad]);
    assert_eq!(code, Some(1));
    assert!(text.contains("bad.toml:1"), "{text}");
}

#[test]
fn files_of_tls_that_cannot_be_used_are_named_with_their_line() {
    let folder = Folder::new("tls");
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n";
    let no_file = folder.write(
        "no-file.toml",
        &format!("{listener}certificate = \"/missing/a.pem\"\nkey = \"/missing/a.key\"\n"),
    );
    let empty = folder.write("empty.pem", "");
    let no_pem = folder
        .write("no-pem.toml", &format!("{listener}certificate = {empty:?}\nkey = {empty:?}\n"));
    for (config, expected) in [
        (&no_file, "no-file.toml:4: certificate of listener \"127.0.0.1:0\": cannot read /missing"),
        (&no_pem, "no certificate in PEM is in it; it has to begin with -----BEGIN CERTIFICATE"),
    ] {
        for arguments in [&["check-config", config][..], &["--config", config]] {
            let (code, text) = run(arguments);
            assert_eq!(code, Some(1), "{text}");
            assert!(text.contains(expected), "{text}");
        }
    }
}

#[test]
fn log_lines_that_nobody_reads_are_left_out_and_counted() {
    let folder = Folder::new("left-out");
    let file =
        folder.write("log.toml", "[log]\nlines_per_second_max = 1000000\nlevel = \"debug\"\n");
    let mut broker = Skein::start(&["--shards", "1", "--config", &file]);
    // More lines than the pipe holds and than may wait behind it. The broker goes on all the same.
    for _ in 0..12_000 {
        let mut client = broker.connect();
        client.write_all(b"\xF0\0").expect("it reads");
        assert_eq!(client.read(&mut [0; 16]).expect("it closes"), 0);
    }
    assert!(broker.serves());
    broker.signal("-TERM");
    let text = broker.rest();
    let counts: Vec<u64> = text
        .lines()
        .filter_map(|line| {
            line.split_once("log: ")?
                .1
                .strip_suffix(" lines were left out, nobody read them in time")
        })
        .map(|count| count.parse().expect("a number"))
        .collect();
    assert!(!counts.is_empty(), "{} lines", text.lines().count());
    assert!(text.lines().count() as u64 + counts.iter().sum::<u64>() >= 12_000);
    assert_eq!(broker.wait().code(), Some(0));
}

/// What systemd asks of a service of `Type=notify`.
#[test]
fn it_tells_the_service_manager_when_it_listens() {
    let folder = Folder::new("ready");
    let path = folder.0.join("notify.sock");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("a path of its own");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    command.args(["--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &path);
    let broker = Skein::spawn(command);
    let mut message = [0; 64];
    let count = socket.recv(&mut message).expect("it says something");
    assert!(message[..count].starts_with(b"READY=1"));
    assert!(broker.serves());
}

/// PUBLISH of QoS 0 with one byte.
#[cfg(debug_assertions)]
fn publish(topic: &str) -> Vec<u8> {
    let length = u8::try_from(topic.len()).expect("a short topic");
    [&[0x30, length + 3, 0, length][..], topic.as_bytes(), b"x"].concat()
}

/// Only builds with debug assertions can be asked to panic.
#[cfg(debug_assertions)]
#[test]
fn a_panic_while_a_packet_is_read_costs_its_connection_only() {
    let mut broker = Skein::start(&["--shards", "1"]);
    let mut other = broker.connect();
    other.write_all(CONNECT).expect("it reads");
    assert_eq!(other.read(&mut [0; 16]).expect("it answers"), 4);
    for _ in 0..3 {
        let mut peer = broker.connect();
        peer.write_all(CONNECT).expect("it reads");
        assert_eq!(peer.read(&mut [0; 16]).expect("it answers"), 4);
        peer.write_all(&publish("skein/failpoint/reading")).expect("it reads");
        assert!(matches!(peer.read(&mut [0; 16]), Ok(0) | Err(_)));
    }
    // The same in a CONNECT, from whoever it comes.
    let mut stranger = broker.connect();
    let client_id = b"skein/failpoint/reading";
    let head = b"\x10\x23\0\x04MQTT\x04\x02\0\x3C\0\x17";
    stranger.write_all(&[&head[..], client_id].concat()).expect("it reads");
    assert!(matches!(stranger.read(&mut [0; 16]), Ok(0) | Err(_)));
    other.write_all(b"\xC0\0").expect("it reads");
    assert_eq!(other.read(&mut [0; 16]).expect("it answers"), 2);
    assert!(broker.serves());
    broker.signal("-USR1");
    std::thread::sleep(Duration::from_millis(200));
    broker.signal("-TERM");
    assert_eq!(broker.wait().code(), Some(0));
    let rest = broker.rest();
    assert!(rest.contains("panics_contained=4"), "{rest}");
    assert_eq!(rest.matches("handling what it sent has panicked").count(), 4, "{rest}");
}

/// Nobody may go on with what a panic has left half done.
#[cfg(debug_assertions)]
#[test]
fn a_panic_in_the_middle_of_a_change_ends_the_process_and_says_so() {
    let mut broker = Skein::start(&["--shards", "2"]);
    let mut peer = broker.connect();
    peer.write_all(CONNECT).expect("it reads");
    assert_eq!(peer.read(&mut [0; 16]).expect("it answers"), 4);
    peer.write_all(&publish("skein/failpoint/changing")).expect("it reads");
    assert!(!broker.wait().success());
    let rest = broker.rest();
    assert!(rest.contains("a bug: this shard has panicked"), "{rest}");
}
