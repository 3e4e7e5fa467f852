//! Where settings were written, for mistakes that only show when they are used.

use std::collections::BTreeMap;

use super::reader::Source;

/// The file and the lines of a listener or of a section. Any two are equal: where something is written is no
/// part of what it says.
#[derive(Clone, Debug, Default)]
pub struct Written {
    file: String,
    /// The line of each key that was set, by section and key.
    lines: BTreeMap<(&'static str, &'static str), usize>,
}

impl Written {
    /// Where a section, and those inside it, were written.
    pub(super) fn of(source: &Source<'_>, section: &str) -> Self {
        Self { file: source.file.to_owned(), lines: source.lines_of(section) }
    }

    /// Lines of a file, by section and key.
    pub(super) fn at(file: &str, lines: BTreeMap<(&'static str, &'static str), usize>) -> Self {
        Self { file: file.to_owned(), lines }
    }

    /// The place of a key, for the front of a message: `skein.toml:12: `, only the file where the
    /// key was not set, nothing where there is no file.
    #[must_use]
    pub fn place(&self, section: &str, key: &str) -> String {
        match (self.file.as_str(), self.line(section, key)) {
            ("", _) => String::new(),
            (file, None) => format!("{file}: "),
            (file, Some(line)) => format!("{file}:{line}: "),
        }
    }

    /// The line of a key, if it was set.
    pub(super) fn line(&self, section: &str, key: &str) -> Option<usize> {
        let mut lines = self.lines.iter();
        lines.find(|((s, k), _)| *s == section && *k == key).map(|(_, line)| *line)
    }

    /// The file; empty where there is none.
    pub(super) fn file(&self) -> &str {
        &self.file
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}
