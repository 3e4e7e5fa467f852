//! `cargo xtask pages`: makes the pages anew that are made from the code and its tests.
//!
//! `tests/pages` knows which these are and how each is made; here its tests are run so that they
//! write what they would otherwise compare.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::job::{cargo, root};

/// Where the pages are, from the root of the repository.
const FOLDERS: [&str; 2] = ["docs", "deploy"];

/// Files and what is in them.
type Contents = BTreeMap<PathBuf, Vec<u8>>;

/// Makes all of them, and says which have changed. True unless a test has failed for another reason
/// than an old page.
///
/// # Errors
/// Cargo can not be started, or a page not be read.
pub(crate) fn run() -> Result<bool, String> {
    let before = read_all()?;
    let mut command = cargo();
    command.current_dir(root()).env("UPDATE_DOCS", "1");
    command.args(["test", "--quiet", "--test", "pages"]).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cargo can not be started: {error}"))?;
    if !output.status.success() {
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
    let after = read_all()?;
    let changed = changed(&before, &after);
    for path in &changed {
        println!("changed: {}", path.display());
    }
    if changed.is_empty() {
        println!("no page has changed");
    }
    Ok(output.status.success())
}

/// What stands now in the folders of the pages, by path from the root.
fn read_all() -> Result<Contents, String> {
    let mut contents = Contents::new();
    for folder in FOLDERS {
        read_folder(Path::new(folder), &mut contents)
            .map_err(|error| format!("{folder}: {error}"))?;
    }
    Ok(contents)
}

fn read_folder(folder: &Path, contents: &mut Contents) -> io::Result<()> {
    for entry in fs::read_dir(root().join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read_folder(&path, contents)?;
        } else {
            contents.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// The files that are new or other than before.
fn changed<'a>(before: &Contents, after: &'a Contents) -> Vec<&'a Path> {
    let is_other = |(path, bytes): &(&PathBuf, &Vec<u8>)| before.get(*path) != Some(bytes);
    after.iter().filter(is_other).map(|(path, _)| path.as_path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(files: &[(&str, &str)]) -> Contents {
        files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn what_is_new_or_other_has_changed() {
        let before = contents(&[("docs/a.md", "1"), ("docs/b.md", "1"), ("docs/gone.md", "1")]);
        let after = contents(&[("docs/a.md", "1"), ("docs/b.md", "2"), ("docs/new.md", "1")]);
        let expected = [Path::new("docs/b.md"), Path::new("docs/new.md")];
        assert_eq!(changed(&before, &after), expected);
        assert!(changed(&after, &after).is_empty());
    }

    /// A page elsewhere would change without a word.
    #[test]
    fn the_pages_are_where_they_are_looked_for() {
        let found = read_all().expect("the folders can be read");
        let are_there = ["docs/compliance.md", "deploy/examples/skein.toml"].map(Path::new);
        assert!(are_there.iter().all(|page| found.contains_key(*page)));
    }
}
