//! `skein store`, as somebody types it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MOSQUITTO_DB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mosquitto.db");

fn skein(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    command.arg("store").args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it printed; it must have succeeded.
fn said(arguments: &[&str]) -> String {
    let output = skein(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Why it refused.
fn refusal(arguments: &[&str]) -> String {
    let output = skein(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// A store that was closed in order, with a lock as a broker leaves it behind.
fn imported(folder: &Path) -> PathBuf {
    let store = folder.join("store");
    said(&["import", path(&store), "--from", MOSQUITTO_DB]);
    store
}

/// The mark at the end of what was closed in order. It tells damage from a torn write, and a broker
/// that is killed right behind its last acknowledgement has not made it.
const MARK_BYTES: usize = 32;

/// Cuts the mark off, as if the broker had been killed, and flips a bit near the end of what is left.
/// Returns the file and how long it is.
fn damage_end(store: &Path) -> (PathBuf, usize) {
    let segment = segments(store).pop().expect("there is one");
    let mut bytes = fs::read(&segment).expect("read");
    bytes.truncate(bytes.len() - MARK_BYTES);
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    (segment, bytes.len())
}

/// All that can be seen of a file but when it was read.
type Seen = (PathBuf, Vec<u8>, u64, u32, (i64, i64), (i64, i64));

/// The folder and the files in it.
fn seen(folder: &Path) -> Vec<Seen> {
    let entries = fs::read_dir(folder).expect("it can be listed");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let mut all: Vec<PathBuf> = files.chain([folder.to_owned()]).collect();
    all.sort();
    let seen = all.into_iter().map(|path| {
        let it = fs::metadata(&path).expect("it is there");
        let bytes = if it.is_file() { fs::read(&path).expect("read") } else { Vec::new() };
        let (modified, changed) = ((it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec()));
        (path, bytes, it.ino(), it.mode(), modified, changed)
    });
    seen.collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it can be listed");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_segment = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("segment-"))
    };
    paths.filter(is_segment).collect()
}

/// A folder of something else is looked at by mistake: it is told, and stays as it is.
#[test]
fn a_folder_without_a_store_is_none_and_is_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let mode = || fs::metadata(folder.path()).expect("it is there").permissions().mode() & 0o777;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    for files in [0, 1] {
        for command in ["check", "export"] {
            let why = refusal(&[command, path(folder.path())]);
            assert!(why.contains("this is no store"), "{why}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), files);
        assert_eq!(mode(), 0o755);
        fs::write(folder.path().join("notes.txt"), "something else").expect("written");
    }
}

#[test]
fn what_mosquitto_kept_is_imported_checked_and_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let imported = said(&["import", path(&one), "--from", MOSQUITTO_DB]);
    assert!(imported.ends_with("3 sessions, 6 messages on their way to clients, 1 retained\n"));
    let checked = said(&["check", path(&one)]);
    assert!(checked.contains(": ok\n") && checked.contains("3 messages stored"), "{checked}");
    let lines = said(&["export", path(&one)]);
    assert!(lines.contains(r#""record":"retained""#) && lines.contains(r#"{"text":"kept"}"#));
    let file = folder.path().join("all.json");
    fs::write(&file, &lines).expect("written");
    said(&["import", path(&two), "--from", path(&file)]);
    assert_eq!(said(&["export", path(&two)]), lines);
    assert!(refusal(&["import", path(&two), "--from", path(&file)]).contains("in it already"));
}

/// What a start would do, it must not do: begin a segment, write anew what nothing calls durable,
/// remove drafts.
#[test]
fn checking_and_exporting_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = imported(folder.path());
    let all = said(&["export", path(&store)]);
    for round in ["closed", "killed", "copied", "damaged"] {
        match round {
            "killed" => {
                let segment = segments(&store).pop().expect("there is one");
                let bytes = fs::read(&segment).expect("read");
                fs::write(&segment, &bytes[..bytes.len() - MARK_BYTES]).expect("written");
                fs::write(store.join("segment.new"), "half a header").expect("written");
            }
            "copied" => fs::remove_file(store.join("lock")).expect("it was there"),
            "damaged" => drop(damage_end(&store)),
            _ => {}
        }
        let before = seen(&store);
        let checked = said(&["check", path(&store)]);
        assert!(checked.contains("\n1 files, "), "{round}: {checked}");
        let exported = said(&["export", path(&store)]);
        assert_eq!(exported == all, round != "damaged", "{round}");
        assert_eq!(seen(&store), before, "{round}");
    }
}

/// As on a disk that is mounted to be read only: nothing in the folder can be made or written.
#[test]
fn a_folder_that_can_only_be_read_is_checked_and_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = imported(folder.path());
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    for entry in fs::read_dir(&store).expect("it can be listed") {
        set_mode(&entry.expect("an entry").path(), 0o400);
    }
    set_mode(&store, 0o500);
    // Root may write everywhere, so it loses that right.
    let is_root = fs::write(store.join("lock"), "").is_ok();
    let reader = |words: &[&str]| {
        let mut command = Command::new(if is_root { "setpriv" } else { words[0] });
        if is_root {
            command.args(["--bounding-set", "-dac_override"]).args(words);
        } else {
            command.args(&words[1..]);
        }
        command.output().expect("it runs")
    };
    assert!(!reader(&["touch", path(&store.join("probe"))]).status.success(), "it is closed");
    for command in ["check", "export"] {
        let output = reader(&[env!("CARGO_BIN_EXE_skein"), "store", command, path(&store)]);
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        assert!(!output.stdout.is_empty(), "{command} says what is in it");
    }
    set_mode(&store, 0o700);
}

/// A crash leaves a torn write, so it is no reason to refuse; but damage looks the same.
#[test]
fn an_end_that_does_not_hold_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = imported(folder.path());
    assert!(!said(&["check", path(&store)]).contains("warning"));
    let (segment, bytes) = damage_end(&store);
    let start = format!("warning: {}: at byte ", segment.display());
    for _ in 0..2 {
        let checked = said(&["check", path(&store)]);
        assert!(checked.contains(": ok, with a warning\n1 files, "), "{checked}");
        let warning = checked.lines().last().expect("it says something");
        assert!(warning.starts_with(&start), "{checked}");
        // The only batch begins behind the header of the file.
        let left_out = format!(
            " 36: the checksum of a batch does not hold, so what stands from there \
                                to the end, {} bytes, is left out",
            bytes - 36
        );
        assert!(warning.contains(&left_out), "{checked}");
    }
    let exported = skein(&["export", path(&store)]);
    assert!(exported.status.success() && exported.stdout.is_empty());
    assert!(text(&exported.stderr).starts_with(&start), "{}", text(&exported.stderr));
}

#[test]
fn any_flipped_byte_of_a_closed_store_is_named_by_its_file_and_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = imported(folder.path());
    let [segment] = &segments(&store)[..] else { panic!("one segment") };
    let whole = fs::read(segment).expect("read");
    // The last 32 bytes are the mark that tells damage from a torn tail, and hold nothing else.
    for at in [0, 9, 33, 40, 70, whole.len() / 2, whole.len() - 33] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(segment, &damaged).expect("written");
        let why = refusal(&["check", path(&store)]);
        assert!(why.contains(path(segment)) && why.contains("at byte "), "{at}: {why}");
        assert_eq!(fs::read(segment).expect("read"), damaged, "nothing was changed");
    }
}

#[test]
fn a_line_that_is_no_record_is_named_and_nothing_is_imported() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, file) = (folder.path().join("store"), folder.path().join("lines.json"));
    for (line, why) in [
        ("{\"record\":\"ended\",\"client_id\":\"nobody\"}", "client \"nobody\" has no session"),
        ("{\"record\":\"nothing\"}", "unknown variant `nothing`"),
    ] {
        fs::write(&file, format!("{line}\n")).expect("written");
        let refused = refusal(&["import", path(&store), "--from", path(&file)]);
        assert!(refused.contains("lines.json: line 1: ") && refused.contains(why), "{refused}");
        assert_eq!(segments(&store), [""; 0].map(PathBuf::from));
    }
    assert!(refusal(&["check", path(&folder.path().join("none"))]).contains("No such file"));
}
