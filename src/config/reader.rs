//! Takes one section of the file apart: finds keys, reads values, remembers lines and problems.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::table::{Row, rows};
use super::value::{Allowed, Value, nearest, quote};

/// The file as a whole: where lines begin, and what was found wrong so far.
pub(super) struct Source<'t> {
    /// What the errors call it.
    pub(super) file: &'t str,
    text: &'t str,
    /// The line each key was set on, by section and key.
    lines: BTreeMap<(&'static str, &'static str), usize>,
    pub(super) problems: Vec<Problem>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str, file: &'t str) -> Self {
        Self { file, text, lines: BTreeMap::new(), problems: Vec::new() }
    }

    /// The line a byte of the file stands on, counted from one.
    pub(super) fn line_at(&self, byte: usize) -> usize {
        let before = self.text.as_bytes().iter().take(byte);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    pub(super) fn report(&mut self, at: Range<usize>, text: String) {
        let line = self.line_at(at.start);
        self.problems.push(Problem { line: Some(line), text });
    }

    /// Forgets the lines of a section and of those inside it: another block of it begins.
    pub(super) fn forget_lines(&mut self, section: &str) {
        self.lines.retain(|(name, _), _| !name.starts_with(section));
    }

    /// The lines of a section and of those inside it, by section and key.
    pub(super) fn lines_of(&self, section: &str) -> BTreeMap<(&'static str, &'static str), usize> {
        let lines = self.lines.iter().filter(|((name, _), _)| name.starts_with(section));
        lines.map(|(key, line)| (*key, *line)).collect()
    }

    /// Where the file sets this key, if it does.
    pub(super) fn line_of(&self, section: &'static str, key: &'static str) -> Option<usize> {
        self.lines.get(&(section, key)).copied()
    }
}

/// One section of the file.
pub(super) struct Reader<'a, 's, 't> {
    section: &'static str,
    table: Option<&'a DeTable<'a>>,
    source: &'s mut Source<'t>,
}

impl<'a, 's, 't> Reader<'a, 's, 't> {
    /// `table` is `None` when the file does not have the section: every value is the default.
    pub(super) fn new(
        section: &'static str,
        table: Option<&'a DeTable<'a>>,
        source: &'s mut Source<'t>,
    ) -> Self {
        Self { section, table, source }
    }

    /// The value of `key`, or the default when the file does not set it or sets it wrongly (which
    /// is reported).
    pub(super) fn value<T: Value>(
        &mut self,
        key: &'static str,
        default: T,
        allowed: &impl Allowed<T>,
    ) -> T {
        let Some((name, value)) = self.entry(key) else { return default };
        let line = self.source.line_at(name.start);
        self.source.lines.insert((self.section, key), line);
        match read(key, value.get_ref(), allowed) {
            Ok(value) => value,
            Err(text) => {
                self.source.report(name, text);
                default
            }
        }
    }

    /// Reports every key the table of settings does not know.
    pub(super) fn refuse_unknown_keys(&mut self, also_known: &[&str]) {
        let Some(table) = self.table else { return };
        for (name, _) in table {
            let key: &str = name.get_ref();
            let known = rows().iter().any(|row| row.section == self.section && row.key == key);
            if !known && !also_known.contains(&key) {
                let text = unknown(key, self.section, also_known);
                self.source.report(name.span(), text);
            }
        }
    }

    fn entry(&self, key: &str) -> Option<(Range<usize>, &'a Spanned<DeValue<'a>>)> {
        let mut entries = self.table?.iter();
        let (name, value) = entries.find(|(name, _)| name.get_ref() == key)?;
        Some((name.span(), value))
    }
}

fn read<T: Value>(key: &str, value: &DeValue<'_>, allowed: &impl Allowed<T>) -> Result<T, String> {
    let wrong = |why: String| {
        let wanted = allowed.describe();
        match why.as_str() {
            "" => format!("{key} has the wrong type ({}); write {wanted}", value.type_str()),
            why => format!("{key}: {why}; write {wanted}"),
        }
    };
    let read = T::read(value).map_err(wrong)?;
    if allowed.allows(&read) {
        Ok(read)
    } else {
        Err(wrong(format!("{} is out of range", read.show())))
    }
}

/// Names the key that was probably meant: in this section, or the same word in another one.
fn unknown(key: &str, section: &'static str, also_known: &[&str]) -> String {
    let all = rows();
    let here = all.iter().filter(|row| row.section == section).map(|row| row.key);
    let hint = if let Some(row) = all.iter().find(|row| row.key == key) {
        format!("; it belongs {}", place(row))
    } else if let Some(near) = nearest(key, here.chain(also_known.iter().copied())) {
        format!("; did you mean {}?", quote(near))
    } else if let Some(near) = nearest(key, all.iter().map(|row| row.key)) {
        let row = all.iter().find(|row| row.key == near).expect("the word came from a row");
        format!("; did you mean {} {}?", quote(near), place(row))
    } else {
        String::new()
    };
    match section {
        "" => format!("unknown key {}{hint}", quote(key)),
        "listener" => format!("unknown key {} in [[listener]]{hint}", quote(key)),
        "bridge" => format!("unknown key {} in [bridge.NAME]{hint}", quote(key)),
        _ => format!("unknown key {} in [{section}]{hint}", quote(key)),
    }
}

fn place(row: &Row) -> String {
    match row.section {
        "" => "at the top of the file, before the first section".to_owned(),
        "listener" => "in a [[listener]] block".to_owned(),
        "bridge" => "in a [bridge.NAME] section".to_owned(),
        section => format!("in [{section}]"),
    }
}
