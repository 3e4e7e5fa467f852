//! The files of the repository, and the tests as they stand in the sources.

use std::path::{Path, PathBuf};

/// A test.
pub(crate) struct Test {
    pub(crate) name: String,
    /// What the comment above it says, on one line.
    pub(crate) comment: String,
    /// Where it stands, from the root of the repository.
    pub(crate) file: String,
}

/// The tests in a folder of the repository and the folders in it, by file.
pub(crate) fn tests_below(folder: &str) -> Vec<Test> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests_in = |path: &PathBuf| {
        let source = std::fs::read_to_string(path).expect("sources are text");
        let file = path.strip_prefix(root).expect("it was found below");
        tests_of(&source, &file.display().to_string())
    };
    files_below(folder, "rs").iter().flat_map(tests_in).collect()
}

/// The files with this extension in a folder of the repository and the folders in it, in order.
pub(crate) fn files_below(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    find(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), extension, &mut files);
    files.sort();
    files
}

fn find(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.map(|entry| entry.expect("the folder can be read").path()) {
        if path.is_dir() {
            find(&path, extension, files);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
}

/// The tests of one file.
pub(crate) fn tests_of(source: &str, file: &str) -> Vec<Test> {
    let (mut tests, mut comment, mut is_test) = (Vec::new(), String::new(), false);
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]";
        } else {
            if let Some(rest) = line.strip_prefix("fn ")
                && is_test
            {
                let name = rest.split('(').next().unwrap_or(rest).to_owned();
                let comment = std::mem::take(&mut comment);
                tests.push(Test { name, comment, file: file.to_owned() });
            }
            comment.clear();
            is_test = false;
        }
    }
    tests
}
