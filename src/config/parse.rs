//! Text to [`Settings`]: the sections of the file, and what must be right about them together.

use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Problem};
use super::reader::{Reader, Source};
use super::relations;
use super::table::{Access, Limits, Listener, Log, Settings};
use super::value::quote;

/// The sections of the file, beside the keys at its top.
const SECTIONS: [&str; 4] = ["listener", "limits", "access", "log"];

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
    let mut source = Source::new(text);
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
    Settings {
        listeners: listeners(table, source),
        limits: section("limits", table, source, Limits::read),
        access: section("access", table, source, Access::read),
        log: section("log", table, source, Log::read),
        ..settings
    }
}

/// Reads one section with the reader its table row was expanded to.
fn section<T>(
    name: &'static str,
    table: &DeTable<'_>,
    source: &mut Source<'_>,
    read: impl FnOnce(&mut Reader<'_, '_, '_>) -> T,
) -> T {
    let found = find(table, name);
    let inner = found.as_ref().and_then(|(_, value)| value.get_ref().as_table());
    if let (Some((span, _)), None) = (&found, inner) {
        source.report(span.clone(), format!("{name} is a section; write [{name}]"));
    }
    let mut reader = Reader::new(name, inner, source);
    reader.refuse_unknown_keys(&[]);
    read(&mut reader)
}

/// Every `[[listener]]` block, or the default listener when there is none.
fn listeners(table: &DeTable<'_>, source: &mut Source<'_>) -> Vec<Listener> {
    let Some((span, value)) = find(table, "listener") else { return vec![Listener::default()] };
    let Some(blocks) = value.get_ref().as_array() else {
        source.report(span, "there may be several listeners; write [[listener]]".to_owned());
        return Vec::new();
    };
    let mut listeners = Vec::new();
    for block in blocks.iter() {
        let Some(inner) = block.get_ref().as_table() else {
            source.report(block.span(), "a listener is a block; write [[listener]]".to_owned());
            continue;
        };
        let listener = listener(inner, block.span(), source);
        refuse_twin(&listener, &listeners, block.span(), source);
        listeners.push(listener);
    }
    listeners
}

fn listener(table: &DeTable<'_>, span: Range<usize>, source: &mut Source<'_>) -> Listener {
    let mut reader = Reader::new("listener", Some(table), source);
    reader.refuse_unknown_keys(&[]);
    let mut listener = Listener::read(&mut reader);
    if find(table, "address").is_none() {
        let text = "this listener has no address; write address = \"127.0.0.1:1883\"";
        source.report(span, text.to_owned());
    }
    if find(table, "name").is_none() {
        listener.name = listener.address.to_string();
    }
    listener
}

fn refuse_twin(
    listener: &Listener,
    others: &[Listener],
    span: Range<usize>,
    source: &mut Source<'_>,
) {
    let Listener { name, address, .. } = listener;
    if others.iter().any(|other| other.address == *address && is_fixed(*address)) {
        let text = format!("a second listener on {address}; write another port");
        source.report(span, text);
    } else if others.iter().any(|other| other.name == *name && is_fixed(*address)) {
        let text = format!("a second listener named {}; write another name", quote(name));
        source.report(span, text);
    }
}

/// Port 0 asks the system for a free port: two such listeners are two ports.
fn is_fixed(address: SocketAddr) -> bool {
    address.port() != 0
}

fn find<'a, 'i>(
    table: &'a DeTable<'i>,
    key: &str,
) -> Option<(Range<usize>, &'a Spanned<DeValue<'i>>)> {
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    Some((name.span(), value))
}
