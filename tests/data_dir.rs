//! `skein serve --data-dir`, as somebody starts it: what it says, and when it refuses to start.

use std::fs;
use std::io::{BufRead, BufReader, Read};
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
        let mut child = command("serve", arguments).spawn().expect("the binary runs");
        let lines = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, lines }
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
    if subcommand == "serve" {
        command.args(["--listen", "127.0.0.1:0", "--shards", "2"]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(subcommand: &str, arguments: &[&str]) -> Output {
    command(subcommand, arguments).output().expect("the binary runs")
}

/// What a broker says that does not start on this folder.
fn refusal(folder: &Path) -> String {
    refusal_of(command("serve", &["--data-dir", path(folder)]))
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
    let mut broker = command("serve", &["--data-dir", path(&closed.join("data"))]);
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
