//! `skein serve --data-dir`, as somebody starts it: what it says, and when it refuses to start.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

const MOSQUITTO_DB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mosquitto.db");

/// A broker that runs, and what it says.
struct Skein {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Skein {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(2, arguments)
    }

    fn start_with(shards: usize, arguments: &[&str]) -> Self {
        let mut child = serve(shards, arguments).spawn().expect("the binary runs");
        let lines = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, lines }
    }

    /// Where it listens.
    fn address(&mut self) -> String {
        let line = self.line_with("listening on ");
        let (_, rest) = line.split_once("listening on ").expect("it is in the line");
        rest.split(',').next().unwrap_or_default().to_owned()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is everywhere").success());
    }

    /// Reads on to the line with these words.
    fn line_with(&mut self, words: &str) -> String {
        let lines = self.lines_to(words);
        lines.lines().last().expect("one has the words").to_owned()
    }

    /// All that it says, to the line with these words.
    fn lines_to(&mut self, words: &str) -> String {
        let mut lines = String::new();
        loop {
            let begins = lines.len();
            let count = self.lines.read_line(&mut lines).expect("it prints UTF-8");
            assert!(count > 0, "it ended before it said {words:?}");
            if lines[begins..].contains(words) {
                return lines;
            }
        }
    }

    /// Ends it; it must do that soon, and with 0.
    fn end(mut self) {
        self.signal("-TERM");
        let began = Instant::now();
        let status = self.child.wait().expect("it is our child");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(status.code(), Some(0));
    }
}

/// A client of 3.1.1. All its packets are short.
struct Client(TcpStream);

impl Client {
    /// Connects, with a will of QoS 1 to be retained if a topic is named.
    fn connect(address: &str, client_id: &str, clean_session: bool, will: Option<&str>) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
        let flags = if will.is_some() { 0x2c } else { 0 } | u8::from(clean_session) << 1;
        let mut body = [b"\0\x04MQTT\x04", &[flags, 0, 0][..], &text(client_id)].concat();
        if let Some(topic) = will {
            body.extend([text(topic), text("gone")].concat());
        }
        let mut client = Self(stream);
        client.send(0x10, &body);
        let (kind, answer) = client.next();
        assert!(kind == 0x20 && answer[1] == 0, "it is accepted: {answer:?}");
        client
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).expect("it is short");
        self.0.write_all(&[&[kind, length], body].concat()).expect("the broker reads");
    }

    /// The next packet: its first byte, and what follows its length.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).expect("a packet comes");
        let mut body = vec![0; usize::from(header[1])];
        self.0.read_exact(&mut body).expect("all of it comes");
        (header[0], body)
    }

    fn subscribe(&mut self, filter: &str) {
        self.send(0x82, &[&[0, 1][..], &text(filter), &[1]].concat());
        assert_eq!(self.next(), (0x90, vec![0, 1, 1]));
    }

    /// Disconnects; its will is forgotten.
    fn leave(mut self) {
        self.send(0xe0, &[]);
        let rest = self.0.read_to_end(&mut Vec::new());
        assert_eq!(rest.expect("it is closed in order"), 0);
    }

    /// The topics of so many publishes, of QoS 1 each, and of those that come at once behind them;
    /// in order.
    fn topics(&mut self, count: usize) -> Vec<String> {
        let mut topics = Vec::new();
        loop {
            let (kind, body) = self.next();
            if kind == 0xd0 {
                topics.sort();
                return topics;
            }
            assert_eq!(kind & 0xf6, 0x32, "it is a publish of QoS 1");
            let end = 2 + usize::from(body[1]);
            topics.push(String::from_utf8(body[2..end].to_vec()).expect("a topic is text"));
            assert_eq!(&body[end + 2..], b"gone");
            self.send(0x40, &body[end..end + 2]);
            if topics.len() == count {
                self.send(0xc0, &[]);
            }
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("it is short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

impl Drop for Skein {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(subcommand: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    command.arg(subcommand).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn serve(shards: usize, arguments: &[&str]) -> Command {
    let mut command = command("serve", arguments);
    command.args(["--listen", "127.0.0.1:0", "--shards", &shards.to_string()]);
    command
}

fn run(subcommand: &str, arguments: &[&str]) -> Output {
    command(subcommand, arguments).output().expect("the binary runs")
}

/// What a broker says that does not start on this folder.
fn refusal(folder: &Path) -> String {
    refusal_of(serve(2, &["--data-dir", path(folder)]))
}

fn refusal_of(mut command: Command) -> String {
    let mut child = command.spawn().expect("it runs");
    let began = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
            panic!("it was to end at once");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(child.wait().expect("it has ended").code(), Some(1));
    let mut text = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut text).expect("it prints UTF-8");
    text
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// A folder in which what Mosquitto had kept was imported: 3 sessions.
fn imported(folder: &Path) -> PathBuf {
    let store = folder.join("data");
    let output = run("store", &["import", path(&store), "--from", MOSQUITTO_DB]);
    assert!(output.status.success());
    store
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it can be listed");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let is_segment = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"segment-");
    paths.retain(|path| path.file_name().is_some_and(is_segment));
    paths.sort();
    paths
}

#[test]
fn a_start_says_what_was_recovered_and_how_long_it_took() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = imported(folder.path());
    let mut broker = Skein::start(&["--data-dir", path(&store)]);
    let line = broker.line_with("sessions and messages are kept in");
    assert!(line.contains(path(&store)) && line.contains("durability \"disk\""), "{line}");
    assert!(line.contains(": 3 sessions, ") && line.contains(" recovered in "), "{line}");
    broker.end();
    let checked = run("store", &["check", path(&store)]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    // One was to outlive its connection by an hour, which was over long ago.
    assert!(checked.status.success() && text.contains("\n2 sessions"), "{text}");
}

#[test]
fn a_start_says_that_all_is_in_memory() {
    let mut broker = Skein::start(&[]);
    let line = broker.line_with("kept in memory");
    assert!(line.contains("--data-dir"), "{line}");
    broker.end();
}

#[test]
fn two_brokers_on_one_folder_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Skein::start(&["--data-dir", path(folder.path())]);
    first.line_with("recovered in");
    let text = refusal(folder.path());
    assert!(text.contains("another process has this store open"), "{text}");
    assert!(text.contains(path(folder.path())), "{text}");
    first.end();
    let mut second = Skein::start(&["--data-dir", path(folder.path())]);
    second.line_with("recovered in");
    second.end();
}

#[test]
fn a_damaged_file_is_refused_with_its_name_and_the_offset() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = imported(folder.path());
    let segment = segments(&store).remove(0);
    let whole = fs::read(&segment).expect("it is there");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&segment, &damaged).expect("it is written");
    let text = refusal(&store);
    assert!(text.contains(&format!("{}: at byte ", segment.display())), "{text}");
    assert!(text.contains(&format!("`skein store check {}`", store.display())), "{text}");
    assert_eq!(fs::read(&segment).expect("it is there"), damaged, "nothing was changed");
    fs::write(&segment, &whole).expect("it is written");
    let mut broker = Skein::start(&["--data-dir", path(&store)]);
    broker.line_with("3 sessions");
    broker.end();
}

/// A torn write is what a crash leaves, so it is no reason to refuse; but damage looks the same.
#[test]
fn an_end_that_does_not_hold_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = imported(folder.path());
    let segment = segments(&store).remove(0);
    let mut bytes = fs::read(&segment).expect("it is there");
    // Without the mark at the end, as if the broker had been killed.
    bytes.truncate(bytes.len() - 32);
    let warning = format!("{}: at byte 36: ", segment.display());
    let start = || {
        let mut broker = Skein::start(&["--data-dir", path(&store)]);
        let said = broker.lines_to("sessions and messages are kept in");
        broker.end();
        said
    };
    fs::write(&segment, &bytes[..bytes.len() - 20]).expect("it is written");
    let said = start();
    let told: Vec<&str> = said.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(matches!(told[..], [line] if line.contains(&warning)), "{said}");
    assert!(said.contains(&format!(" {} bytes, is left out", bytes.len() - 20 - 36)), "{said}");
    let said = start();
    assert!(!said.contains(" WARN "), "the next start finds nothing that was cut: {said}");
}

#[test]
fn a_store_that_a_broker_has_is_neither_checked_nor_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = Skein::start(&["--data-dir", path(folder.path())]);
    broker.line_with("recovered in");
    for command in ["check", "export"] {
        let output = run("store", &[command, path(folder.path())]);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(why.contains("another process has this store open; "), "{why}");
        assert!(why.contains("stop the broker first"), "{why}");
    }
    broker.end();
}

#[test]
fn a_newest_file_that_is_missing_is_refused_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = imported(folder.path());
    let mut broker = Skein::start(&["--data-dir", path(&store)]);
    broker.line_with("recovered in");
    broker.end();
    let segment = segments(&store).pop().expect("there are some");
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&segment, &elsewhere).expect("it is moved");
    for _ in 0..2 {
        let text = refusal(&store);
        assert!(
            text.contains(&format!("{}: at byte 0: it is missing", segment.display())),
            "{text}"
        );
    }
    fs::rename(&elsewhere, &segment).expect("it is put back");
    let mut broker = Skein::start(&["--data-dir", path(&store)]);
    broker.line_with("recovered in");
    broker.end();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("it is written");
    let inside = file.join("data");
    for place in [&file, &inside] {
        let text = refusal(place);
        assert!(text.contains("cannot start with this store"), "{text}");
        assert!(text.contains(path(place)), "{text}");
    }
}

#[test]
fn a_folder_of_another_user_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).expect("a folder");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).expect("it is ours");
    let mut broker = serve(2, &["--data-dir", path(&closed.join("data"))]);
    if fs::write(closed.join("probe"), "").is_ok() {
        // This is root, who may write everywhere; so the broker loses that right.
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set", "-dac_override"]).arg(broker.get_program());
        without.args(broker.get_args()).stderr(Stdio::piped());
        broker = without;
    }
    let text = refusal_of(broker);
    assert!(text.contains("this user may not use the folder"), "{text}");
}

#[test]
fn a_changed_store_needs_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, data) = (folder.path().join("skein.toml"), folder.path().join("data"));
    let write = |durability: &str, more: &str| {
        let data = path(&data);
        let text = format!("[store]\ndata_dir = {data:?}\ndurability = \"{durability}\"\n{more}");
        fs::write(&config, text).expect("it is written");
    };
    write("os", "");
    let mut broker = Skein::start(&["--config", path(&config)]);
    let line = broker.line_with("sessions and messages are kept in");
    assert!(line.contains("durability \"os\""), "{line}");
    write("disk", "retry_ms = 7\n");
    broker.signal("-HUP");
    for key in ["store.durability", "store.retry_ms", "listener.durability"] {
        broker.line_with(&format!("{key} cannot change while the broker runs; restart it"));
    }
    broker.line_with("reloaded");
    broker.end();
}

#[test]
fn the_counters_of_the_store_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = Skein::start(&["--data-dir", path(folder.path())]);
    broker.line_with("recovered in");
    broker.signal("-USR1");
    let line = broker.line_with("store: ");
    for name in ["batches=", "bytes=", "syncs=", "commit_us_max=", "failures=0"] {
        assert!(line.contains(name), "{line}");
    }
    broker.end();
}

/// [MQTT-3.1.2-8] Wills of clients on one shard or on all, to topics and sessions on all of them.
/// Shards without clients could end at once.
#[test]
fn a_stop_keeps_the_wills_of_all_who_are_connected() {
    for shards in [2, 4] {
        for busy in (0..2 * shards).map(|round| round % shards).map(Some).chain([None]) {
            stop_and_look_for_wills(shards, busy);
        }
    }
}

/// Clients come to the shards in turn; those stay that are on this one, or on any.
fn stop_and_look_for_wills(shards: usize, busy: Option<usize>) {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--data-dir", path(folder.path())];
    let mut broker = Skein::start_with(shards, &arguments);
    let address = broker.address();
    let mut heir = Client::connect(&address, "heir", false, None);
    heir.subscribe("wills/#");
    heir.leave();
    let mut clients = Vec::new();
    for number in 0..3 * shards {
        // The sessions of some outlive their connections.
        let (topic, is_clean) = (format!("wills/{number:02}"), number / shards != 1);
        clients.push((Client::connect(&address, &topic, is_clean, Some(&topic)), topic));
    }
    let (mut stay, mut topics) = (Vec::new(), Vec::new());
    for (number, (client, topic)) in clients.into_iter().enumerate() {
        if busy.is_some_and(|busy| number % shards != busy) {
            client.leave();
            continue;
        }
        stay.push(client);
        topics.push(topic);
    }
    broker.end();

    let mut broker = Skein::start_with(shards, &arguments);
    let address = broker.address();
    let mut heir = Client::connect(&address, "heir", false, None);
    assert_eq!(heir.topics(topics.len()), topics, "{busy:?} of {shards} shards");
    let mut late = Client::connect(&address, "late", true, None);
    late.subscribe("wills/#");
    assert_eq!(late.topics(topics.len()), topics, "{busy:?} of {shards} shards");
    broker.end();
}
