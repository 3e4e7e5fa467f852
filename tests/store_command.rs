//! `skein store`, as somebody types it.

use std::fs;
use std::path::Path;
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

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("it can be listed");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_segment = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("segment-"))
    };
    paths.filter(is_segment).collect()
}

/// A folder of something else is looked at by mistake: it is told, and stays as it is.
#[test]
fn a_folder_without_a_store_is_none_and_is_not_touched() {
    use std::os::unix::fs::PermissionsExt;
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

#[test]
fn any_flipped_byte_of_a_closed_store_is_named_by_its_file_and_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    said(&["import", path(&store), "--from", MOSQUITTO_DB]);
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
        assert_eq!(segments(&store), [""; 0].map(std::path::PathBuf::from));
    }
    assert!(refusal(&["check", path(&folder.path().join("none"))]).contains("No such file"));
}
