//! The words of a command line before they are options: files of options are read, and the words
//! of one `-D` made one.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use clap::{Arg, Command};

use super::property::WORD_END;
use super::usage::UsageError;

/// Puts the options of files in front, and makes each `-D` one word.
///
/// `-o FILE` names a file; without one `usual` is read if it is there. A file has an option a line,
/// with its value behind a space; lines that begin with `#` say nothing.
///
/// # Errors
/// A file that cannot be read, two of them, or a `-D` with too few words.
pub(in crate::cli) fn prepare(
    command: &Command,
    words: Vec<OsString>,
    usual: Option<&Path>,
) -> Result<Vec<OsString>, UsageError> {
    let (mut words, file) = take_file(command, words)?;
    let lines = match (&file, usual) {
        (Some(file), _) => read_lines(file)?,
        (None, Some(usual)) if usual.is_file() => read_lines(usual)?,
        _ => Vec::new(),
    };
    words.splice(0..0, lines);
    join_properties(command, words)
}

/// The file that Mosquitto's programs read without being told.
pub(in crate::cli) fn usual_file(
    program: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    match (variable("XDG_CONFIG_HOME"), variable("HOME")) {
        (Some(folder), _) => Some(Path::new(&folder).join(program)),
        (None, Some(home)) => Some(Path::new(&home).join(".config").join(program)),
        (None, None) => None,
    }
}

/// Takes `-o FILE` out.
fn take_file(
    command: &Command,
    words: Vec<OsString>,
) -> Result<(Vec<OsString>, Option<PathBuf>), UsageError> {
    let (mut rest, mut file) = (Vec::with_capacity(words.len()), None);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "-o" || word == "--options-file" {
            let missing = "-o argument given but no options file specified.";
            let named = words.next().ok_or_else(|| UsageError::new(missing))?;
            if file.replace(PathBuf::from(named)).is_some() {
                return Err(UsageError::new("Duplicate -o argument given."));
            }
            continue;
        }
        let has_value = takes_value(command, &word);
        rest.push(word);
        if has_value {
            rest.extend(words.next());
        }
    }
    Ok((rest, file))
}

fn read_lines(file: &Path) -> Result<Vec<OsString>, UsageError> {
    let text =
        fs::read(file).map_err(|error| UsageError::new(format!("{}: {error}", file.display())))?;
    Ok(words_of(&text))
}

fn words_of(text: &[u8]) -> Vec<OsString> {
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = Vec::new();
    for line in lines.filter(|line| !line.starts_with(b"#")) {
        let line = line.trim_ascii_start();
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        words.extend(parts.by_ref().take(1).filter(|word| !word.is_empty()).map(own));
        // A property has more words than one, but they are its own to take apart.
        words.extend(parts.filter(|value| !value.is_empty()).map(own));
    }
    words
}

fn own(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// Makes the words of each `-D` one.
fn join_properties(command: &Command, words: Vec<OsString>) -> Result<Vec<OsString>, UsageError> {
    let mut joined = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let has_value = takes_value(command, &word);
        let is_property = word == "-D" || word == "--property";
        joined.push(word);
        if is_property {
            joined.push(join_property(&mut words)?);
        } else if has_value {
            joined.extend(words.next());
        }
    }
    Ok(joined)
}

fn join_property(words: &mut impl Iterator<Item = OsString>) -> Result<OsString, UsageError> {
    let missing =
        || UsageError::new("--property argument given but not enough arguments specified.");
    let first = words.next().ok_or_else(missing)?;
    if first.as_bytes().contains(&b' ') {
        // A line of a file.
        return Ok(first);
    }
    let name = words.next().ok_or_else(missing)?;
    let count = if name == "user-property" { 2 } else { 1 };
    let mut parts = vec![first, name];
    parts.extend(words.take(count));
    if parts.len() < count + 2 {
        return Err(missing());
    }
    Ok(parts.join(OsStr::new(WORD_END.to_string().as_str())))
}

/// Whether the word is an option whose value is the next one.
fn takes_value(command: &Command, word: &OsStr) -> bool {
    let is_it = |arg: &&Arg| {
        let Some(word) = word.to_str() else { return false };
        match word.strip_prefix("--") {
            Some(long) => {
                let aliases = arg.get_all_aliases().unwrap_or_default();
                arg.get_long() == Some(long) || aliases.contains(&long)
            }
            None => {
                let mut chars = word.strip_prefix('-').unwrap_or_default().chars();
                let (short, more) = (chars.next(), chars.next());
                short.is_some() && arg.get_short() == short && more.is_none()
            }
        }
    };
    command.get_arguments().find(is_it).is_some_and(|arg| arg.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    fn command() -> Command {
        Command::new("x")
            .arg(Arg::new("message").short('m').long("message"))
            .arg(Arg::new("property").short('D').action(ArgAction::Append))
            .arg(Arg::new("retain").short('r').action(ArgAction::SetTrue))
    }

    fn prepared(words: &[&str]) -> Result<Vec<String>, UsageError> {
        let words = words.iter().map(OsString::from).collect();
        let words = prepare(&command(), words, None)?;
        Ok(words.into_iter().map(|word| word.into_string().expect("UTF-8")).collect())
    }

    #[test]
    fn the_words_of_a_property_become_one() {
        assert_eq!(
            prepared(&["-r", "-D", "publish", "user-property", "k", "-v", "-m", "-D"]),
            Ok(["-r", "-D", "publish\u{1f}user-property\u{1f}k\u{1f}-v", "-m", "-D"]
                .map(str::to_owned)
                .to_vec())
        );
        assert_eq!(
            prepared(&["-D", "publish", "content-type", "x", "-r"]),
            Ok(["-D", "publish\u{1f}content-type\u{1f}x", "-r"].map(str::to_owned).to_vec())
        );
        assert!(prepared(&["-D", "publish", "user-property", "k"]).is_err());
    }

    #[test]
    fn options_of_a_file_come_first() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "# comment\n-m two words \r\n\n-r\n-D publish content-type a b\n")
            .expect("room for a line");
        let name = file.path().to_str().expect("UTF-8");
        assert_eq!(
            prepared(&["-m", "-o", "-o", name]),
            Ok(["-m", "two words ", "-r", "-D", "publish content-type a b", "-m", "-o"]
                .map(str::to_owned)
                .to_vec())
        );
        assert!(prepared(&["-o", name, "-o", name]).is_err());
        assert!(prepared(&["-o"]).is_err());
        assert!(prepared(&["-o", "/nonexistent"]).is_err());
    }

    #[test]
    fn the_usual_file_is_where_mosquitto_has_it() {
        let only = |name: &'static str| move |asked: &str| (asked == name).then(|| "/x".into());
        assert_eq!(usual_file("p", only("XDG_CONFIG_HOME")), Some("/x/p".into()));
        assert_eq!(usual_file("p", only("HOME")), Some("/x/.config/p".into()));
        assert_eq!(usual_file("p", |_| None), None);
    }
}
