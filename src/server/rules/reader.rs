//! Reads the files that the rules are in, and remembers what was wrong with them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RulesError;
use crate::access::acl::Acl;
use crate::access::password::PasswordFile;
use crate::config::{ConfigError, Problem, Settings, Written};

/// Where the configuration names a file.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) written: &'a Written,
    pub(super) section: &'static str,
    pub(super) key: &'static str,
}

/// Whether others may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    Public,
}

/// Reads files and remembers what was wrong.
#[derive(Default)]
pub(super) struct Reader {
    /// Whether lines of password files are skipped that are no users.
    skips_lines: bool,
    pub(super) errors: Vec<RulesError>,
    pub(super) warnings: Vec<String>,
    /// What was read already, or found wrong and said: several listeners may name one file.
    password_files: BTreeMap<PathBuf, Option<Arc<PasswordFile>>>,
    acl_files: BTreeMap<PathBuf, Option<Arc<Acl>>>,
}

impl Reader {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { skips_lines: settings.access.skips_lines, ..Self::default() }
    }

    pub(super) fn passwords(&mut self, file: &Path, line: Line<'_>) -> Option<Arc<PasswordFile>> {
        if let Some(read) = self.password_files.get(file) {
            return read.clone();
        }
        let parse =
            if self.skips_lines { PasswordFile::parse_skipping } else { PasswordFile::parse };
        let passwords = self.parse(file, line, Kind::Secret, parse);
        self.warn(file, passwords.as_ref().map_or(&[], PasswordFile::warnings));
        let passwords = passwords.map(Arc::new);
        self.password_files.insert(file.to_owned(), passwords.clone());
        passwords
    }

    pub(super) fn acl(&mut self, file: &Path, line: Line<'_>) -> Option<Arc<Acl>> {
        if let Some(read) = self.acl_files.get(file) {
            return read.clone();
        }
        let acl = self.parse(file, line, Kind::Public, Acl::parse);
        self.warn(file, acl.as_ref().map_or(&[], Acl::warnings));
        let acl = acl.map(Arc::new);
        self.acl_files.insert(file.to_owned(), acl.clone());
        acl
    }

    pub(super) fn parse<T>(
        &mut self,
        file: &Path,
        line: Line<'_>,
        kind: Kind,
        parse: impl Fn(&[u8], &str) -> Result<T, ConfigError>,
    ) -> Option<T> {
        let Line { written, section, key } = line;
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) => {
                let hint = match error.kind() {
                    std::io::ErrorKind::NotFound => "; write the path of a file that is there",
                    std::io::ErrorKind::PermissionDenied => {
                        "; let the user that runs skein read it"
                    }
                    _ => "",
                };
                let text = format!("{key}: cannot read {}: {error}{hint}", file.display());
                let place = written.place(section, key);
                self.errors.push(RulesError::File { place, text });
                return None;
            }
        };
        if kind == Kind::Secret {
            self.warn_if_open(file);
        }
        match parse(&text, &file.display().to_string()) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.errors.push(RulesError::Content(error));
                None
            }
        }
    }

    /// Warns of a secret that everybody can read.
    pub(super) fn warn_if_open(&mut self, file: &Path) {
        if is_open_to_all(file) {
            self.warn_once(format!(
                "{0}: everybody on this machine can read it; chmod o= {0}",
                file.display()
            ));
        }
    }

    /// Several listeners may name one file.
    pub(super) fn warn_once(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(super) fn warn(&mut self, file: &Path, problems: &[Problem]) {
        let file = file.display();
        self.warnings.extend(problems.iter().map(|Problem { line, text }| match line {
            Some(line) => format!("{file}:{line}: {text}"),
            None => format!("{file}: {text}"),
        }));
    }
}

fn is_open_to_all(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}
