//! A copy of the workspace as it is in the working tree, so that the tree itself is never changed.

use std::fs;
use std::io;
use std::path::Path;

/// What the workspace needs to build.
const ROOTS: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "protocol",
    "client",
    "loadtest",
    "xtask",
    "tests",
    "benches",
];

/// Folders that are made by tools.
const MADE: [&str; 2] = ["target", "node_modules"];

/// Makes `to` the same as `from`. What is the same already is not touched, so that it is not built
/// again.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn workspace(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for name in ROOTS {
        copy(&from.join(name), &to.join(name))?;
    }
    Ok(())
}

/// Writes a file, if it does not hold this already.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    fs::write(path, bytes)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return write(to, &fs::read(from)?);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if !MADE.iter().any(|made| name == *made) {
            copy(&from.join(&name), &to.join(&name))?;
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if from.join(entry.file_name()).exists() {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_its_original_and_leaves_out_what_tools_made() {
        let folder = std::env::temp_dir().join(format!("skein-copy-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("deep/target")).expect("the folder can be made");
        fs::create_dir_all(to.join("old")).expect("the folder can be made");
        for name in ["deep/a", "deep/target/b", "c"] {
            fs::write(from.join(name), name).expect("the file can be written");
        }
        fs::write(to.join("c"), "changed").expect("the file can be written");
        copy(&from, &to).expect("the folder can be copied");
        let text = |name: &str| fs::read_to_string(to.join(name)).ok();
        assert_eq!(text("deep/a").as_deref(), Some("deep/a"));
        assert_eq!(text("c").as_deref(), Some("c"));
        assert!(!to.join("deep/target").exists() && !to.join("old").exists());
        fs::remove_dir_all(&folder).expect("the folder can be removed");
    }
}
