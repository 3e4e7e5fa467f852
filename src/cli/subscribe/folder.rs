//! `--out-dir`: a file for each message.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A folder in which each message becomes a file: a number, which goes on where the last run ended,
/// and the topic.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    next: u64,
}

impl Folder {
    /// # Errors
    /// The folder cannot be made or read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let mut last = 0;
        for entry in fs::read_dir(path)? {
            last = last.max(number_of(&entry?.file_name().to_string_lossy()).unwrap_or(0));
        }
        Ok(Self { path: path.to_owned(), next: last + 1 })
    }

    /// Writes a message. Under its name there is all of it or nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&mut self, topic: &str, text: &[u8]) -> io::Result<()> {
        let name = name_of(self.next, topic);
        let draft = self.path.join(format!(".{name}"));
        let written = File::create(&draft).and_then(|mut file| file.write_all(text));
        written.and_then(|()| fs::rename(&draft, self.path.join(&name)))?;
        self.next += 1;
        Ok(())
    }
}

/// The number and what can stand in a name of the topic: everything but letters, digits, `.`, `_` and
/// `-` is written as `%` and two digits, so that no topic leads out of the folder.
fn name_of(number: u64, topic: &str) -> String {
    /// Names of files may have 255 bytes on the systems there are.
    const TOPIC_BYTES_MAX: usize = 200;
    let mut name = format!("{number:08}-");
    let bytes_max = name.len() + TOPIC_BYTES_MAX;
    for byte in topic.bytes() {
        let piece = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        };
        if name.len() + piece.len() > bytes_max {
            break;
        }
        name.push_str(&piece);
    }
    name
}

/// The number in the name of a file that was written by this, or begun.
fn number_of(name: &str) -> Option<u64> {
    let name = name.strip_prefix('.').unwrap_or(name);
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_a_name_and_never_a_path() {
        assert_eq!(name_of(1, "a/b.c"), "00000001-a%2Fb.c");
        assert_eq!(name_of(2, "../../etc/é"), "00000002-..%2F..%2Fetc%2F%C3%A9");
        assert!(name_of(3, &"/".repeat(1000)).len() <= 255);
        assert_eq!(number_of(&name_of(123, "t")), Some(123));
        assert_eq!((number_of("x-1"), number_of("README")), (None, None));
    }

    #[test]
    fn each_message_is_a_file_and_none_is_written_over() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("new/messages");
        for text in [&b"one"[..], b"two"] {
            let mut folder = Folder::open(&path).expect("it can be made");
            folder.write("a/b", text).expect("there is room");
        }
        let read = |name: &str| fs::read(path.join(name)).expect("it was written");
        assert_eq!(read("00000001-a%2Fb"), b"one");
        assert_eq!(read("00000002-a%2Fb"), b"two");
        assert_eq!(fs::read_dir(&path).expect("it is a folder").count(), 2);
    }
}
