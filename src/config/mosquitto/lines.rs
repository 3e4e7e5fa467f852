//! The files of a configuration as lines of a key and the rest, cut as Mosquitto cuts them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Fault;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    /// Counted from one; zero is the file as a whole.
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

/// One line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) key: String,
    /// Everything behind the key, without spaces around it.
    pub(super) rest: String,
}

impl Line {
    /// The next word behind the key, which is all that numbers and choices look at.
    pub(super) fn word(&self) -> Result<&str, String> {
        self.rest.split(' ').next().filter(|word| !word.is_empty()).ok_or_else(|| self.empty())
    }

    /// The whole rest, which may hold spaces.
    pub(super) fn text(&self) -> Result<&str, String> {
        if self.rest.is_empty() { Err(self.empty()) } else { Ok(&self.rest) }
    }

    pub(super) fn path(&self) -> Result<PathBuf, String> {
        self.text().map(PathBuf::from)
    }

    pub(super) fn is_on(&self) -> Result<bool, String> {
        match self.word()? {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(format!("{}: {other:?} is neither true nor false", self.key)),
        }
    }

    pub(super) fn number(&self) -> Result<i64, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("{}: {word:?} is not a number", self.key))
    }

    fn empty(&self) -> String {
        format!("{} has no value; write one behind it, or remove the line", self.key)
    }
}

/// All lines, those of included files in the place where they are included.
#[derive(Debug)]
pub(super) struct Lines {
    file: String,
    lines: Vec<Line>,
}

impl Lines {
    pub(super) fn read(path: &Path) -> Result<Self, Fault> {
        let mut lines = Vec::new();
        for line in cut_file(path)? {
            if line.key == "include_dir" {
                include(&line, &mut lines)?;
            } else {
                lines.push(line);
            }
        }
        Ok(Self { file: path.display().to_string(), lines })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// Whether any line sets this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.lines.iter().any(|line| line.key == key)
    }

    /// The configuration as a whole.
    pub(super) fn beginning(&self) -> Place {
        Place { file: self.file.clone(), line: 0 }
    }

    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Self {
        Self { file: "mosquitto.conf".to_owned(), lines: cut(text, "mosquitto.conf") }
    }
}

/// The files of a folder whose names end in `.conf`, capitals first, as Mosquitto takes them.
fn include(line: &Line, lines: &mut Vec<Line>) -> Result<(), Fault> {
    let fault = |text| (line.place.clone(), text);
    let folder = line.path().map_err(fault)?;
    let cannot = |error: &dyn fmt::Display| {
        fault(format!("include_dir: cannot read {}: {error}", folder.display()))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| cannot(&error))? {
        let path = entry.map_err(|error| cannot(&error))?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    files.sort();
    for file in files {
        let more = cut_file(&file)?;
        if let Some(nested) = more.iter().find(|line| line.key == "include_dir") {
            let text = "include_dir may stand in the main file only; remove it".to_owned();
            return Err((nested.place.clone(), text));
        }
        lines.extend(more);
    }
    Ok(())
}

fn cut_file(path: &Path) -> Result<Vec<Line>, Fault> {
    let file = path.display().to_string();
    match fs::read(path) {
        Ok(bytes) => Ok(cut(&String::from_utf8_lossy(&bytes), &file)),
        Err(error) => Err((Place { file, line: 0 }, format!("cannot read it: {error}"))),
    }
}

/// A comment has `#` as its first byte; a key ends at a space, not at a tab.
fn cut(text: &str, file: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_end_matches('\r');
        if line.starts_with('#') {
            continue;
        }
        let line = line.trim_start_matches(' ');
        let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
        if !key.is_empty() {
            let place = Place { file: file.to_owned(), line: index + 1 };
            lines.push(Line { place, key: key.to_owned(), rest: rest.trim().to_owned() });
        }
    }
    lines
}
