//! The bytes of every packet, written down: `tests/golden/<version>/<packet>.bin`, and
//! `tests/golden/index.txt` with each file in hexadecimal above the line it prints as.
//!
//! `UPDATE_GOLDEN=1 cargo test -p skein-protocol --test golden` writes them anew; a difference
//! then is a change of the wire format and needs a reason.

mod cases;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::{env, fs};

use cases::{Case, cases};
use skein_protocol::{Frame, Packet, Version};

#[test]
fn every_packet_is_read_from_and_written_as_its_golden_bytes() {
    update_if_asked();
    for case in cases() {
        // Leaked, to be compared with packets that borrow for ever.
        let bytes = fs::read(path_of(&case)).expect("the golden file is there").leak();
        let (frame, consumed) = Frame::decode(bytes, bytes.len()).unwrap().expect("one packet");
        let read = Packet::decode(frame, case.version);
        assert_eq!(read.as_ref(), Ok(&case.packet), "{}", name_of(&case));
        assert_eq!(consumed, bytes.len(), "{}", name_of(&case));
        assert_eq!(encode(&case), bytes, "{}", name_of(&case));
        assert_eq!(case.packet.encoded_len(case.version), bytes.len(), "{}", name_of(&case));
    }
}

#[test]
fn the_index_says_what_the_files_hold() {
    update_if_asked();
    let written = fs::read_to_string(folder().join("index.txt")).expect("the index is there");
    assert_eq!(written, index());
}

#[test]
fn there_is_no_golden_file_without_a_case() {
    update_if_asked();
    let expected: BTreeSet<PathBuf> = cases().iter().map(path_of).collect();
    let folders = Version::ALL.map(|version| folder().join(version.to_string()));
    let entries = folders.into_iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let found: BTreeSet<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(found, expected);
}

/// Writes all files anew, once, before any test reads them.
fn update_if_asked() {
    static WRITTEN: Once = Once::new();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        WRITTEN.call_once(write_files);
    }
}

fn write_files() {
    for case in cases() {
        let path = path_of(&case);
        fs::create_dir_all(path.parent().expect("a version")).expect("the folder can be made");
        fs::write(path, encode(&case)).expect("the golden file can be written");
    }
    fs::write(folder().join("index.txt"), index()).expect("the index can be written");
}

/// Name, hexadecimal and one-line print of every case.
fn index() -> String {
    let mut text = String::new();
    for case in cases() {
        let _ = writeln!(text, "{}", name_of(&case));
        for line in encode(&case).chunks(32) {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02X}")).collect();
            let _ = writeln!(text, "    {}", hex.join(" "));
        }
        let _ = writeln!(text, "    {}\n", case.packet);
    }
    text
}

fn encode(case: &Case) -> Vec<u8> {
    let mut bytes = Vec::new();
    case.packet.encode(case.version, &mut bytes);
    bytes
}

fn path_of(case: &Case) -> PathBuf {
    folder().join(name_of(case))
}

fn name_of(case: &Case) -> String {
    format!("{}/{}.bin", case.version, case.name)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}
