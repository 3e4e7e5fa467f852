//! Text to [`Settings`]: the sections of the file, and what must be right about them together.

use std::fs;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::access::{Access, HttpHook, Jwt};
use super::error::{ConfigError, Problem};
use super::limits::Limits;
use super::reader::{Reader, Source};
use super::store::Store;
use super::table::{Log, Settings};
use super::{Written, bridge, listener, relations};

/// The sections of the file, beside the keys at its top.
const SECTIONS: [&str; 8] =
    ["listener", "limits", "store", "access", "jwt", "http_hook", "log", "bridge"];

/// Reads and checks the file at `path`.
///
/// # Errors
/// The file cannot be read, or is wrong: every problem with its line.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    let file = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => parse(&text, &file),
        Err(error) => {
            let text = format!("cannot read the configuration: {error}");
            Err(ConfigError { file, problems: vec![Problem { line: None, text }] })
        }
    }
}

/// Checks the text of a configuration; `file` is what the errors call it.
///
/// # Errors
/// Every problem with its line: text that is no TOML, unknown keys, wrong types, values out of
/// range, relations that do not hold.
pub fn parse(text: &str, file: &str) -> Result<Settings, ConfigError> {
    let mut source = Source::new(text, file);
    let settings = match DeTable::parse(text) {
        Ok(table) => read(table.get_ref(), &mut source),
        Err(error) => {
            source.report(error.span().unwrap_or(0..0), error.message().replace('\n', ", "));
            Settings::default()
        }
    };
    if source.problems.is_empty() {
        relations::check(&settings, &mut source);
    }
    if source.problems.is_empty() {
        return Ok(settings);
    }
    source.problems.sort_by_key(|problem| problem.line);
    Err(ConfigError { file: file.to_owned(), problems: source.problems })
}

fn read(table: &DeTable<'_>, source: &mut Source<'_>) -> Settings {
    let mut top = Reader::new("", Some(table), source);
    top.refuse_unknown_keys(&SECTIONS);
    let settings = Settings::read(&mut top);
    let store = section("store", table, source, Store::read);
    let listeners = listener::read(table, store.durability, source);
    let limits = section("limits", table, source, Limits::read);
    let mut access = section("access", table, source, Access::read);
    access.written = Written::of(source, "access");
    let mut jwt = section("jwt", table, source, Jwt::read);
    jwt.written = Written::of(source, "jwt");
    let mut http_hook = section("http_hook", table, source, HttpHook::read);
    http_hook.written = Written::of(source, "http_hook");
    let bridges = bridge::read(table, source);
    let log = section("log", table, source, Log::read);
    Settings { listeners, limits, store, access, jwt, http_hook, bridges, log, ..settings }
}

/// Reads one section with the reader its table row was expanded to.
fn section<T>(
    name: &'static str,
    table: &DeTable<'_>,
    source: &mut Source<'_>,
    read: impl FnOnce(&mut Reader<'_, '_, '_>) -> T,
) -> T {
    let inner = section_table(name, name, table, source);
    let mut reader = Reader::new(name, inner, source);
    reader.refuse_unknown_keys(&[]);
    read(&mut reader)
}

/// The section that stands under `key`, if it does. `name` is what it is called in full.
pub(super) fn section_table<'a, 'i>(
    name: &str,
    key: &str,
    table: &'a DeTable<'i>,
    source: &mut Source<'_>,
) -> Option<&'a DeTable<'i>> {
    let (span, value) = find(table, key)?;
    let inner = value.get_ref().as_table();
    if inner.is_none() {
        source.report(span, format!("{key} is a section; write [{name}]"));
    }
    inner
}

pub(super) fn find<'a, 'i>(
    table: &'a DeTable<'i>,
    key: &str,
) -> Option<(Range<usize>, &'a Spanned<DeValue<'i>>)> {
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    Some((name.span(), value))
}
