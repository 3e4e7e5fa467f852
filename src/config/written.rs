//! Where a listener was written, for mistakes that only show when it is opened.

use std::collections::BTreeMap;

/// The file and the lines of one listener. Any two are equal: where something is written is no
/// part of what it says.
#[derive(Clone, Debug, Default)]
pub struct Written {
    pub(super) file: String,
    /// The line of each key that was set, by section and key.
    pub(super) lines: BTreeMap<(&'static str, &'static str), usize>,
}

impl Written {
    /// The place of a key, for the front of a message: `skein.toml:12: `, only the file where the
    /// key was not set, nothing where there is no file.
    #[must_use]
    pub fn place(&self, section: &str, key: &str) -> String {
        let mut lines = self.lines.iter();
        let line = lines.find(|((s, k), _)| *s == section && *k == key).map(|(_, line)| *line);
        match (self.file.as_str(), line) {
            ("", _) => String::new(),
            (file, None) => format!("{file}: "),
            (file, Some(line)) => format!("{file}:{line}: "),
        }
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}
