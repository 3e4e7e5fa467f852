//! How a broker is started: its name, and a command line with placeholders.

use std::{ffi::OsString, fs, io, path::Path, process::Command, str::FromStr};

/// `NAME=COMMAND`. The command is split into words as a shell does it, and run without one: its
/// process must be the broker itself, since its CPU time is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerCommand {
    /// What the broker is called in every output.
    pub(crate) name: String,
    /// The words, with placeholders: `{port}`, `{dir}`, `{file:PATH}`.
    words: Vec<String>,
}

impl BrokerCommand {
    /// The null broker of this program: what no broker can be faster than.
    pub(crate) fn floor(load_test: &Path) -> Self {
        let program = load_test.to_string_lossy().into_owned();
        let words = [program, "floor".into(), "--listen".into(), "127.0.0.1:{port}".into()];
        Self { name: FLOOR.into(), words: words.to_vec() }
    }

    /// Whether this is the null broker.
    pub(crate) fn is_floor(&self) -> bool {
        self.name == FLOOR
    }

    /// The command with its placeholders filled: `{port}`, and `{dir}`, an empty folder that is
    /// removed afterwards. `{file:PATH}` is a copy of that file, with its own placeholders filled,
    /// for brokers whose port stands in a file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or copied.
    pub(crate) fn fill(&self, port: u16, folder: &Path) -> io::Result<Command> {
        let fill = |text: &str| {
            text.replace("{port}", &port.to_string()).replace("{dir}", &folder.to_string_lossy())
        };
        let mut words = Vec::new();
        for (number, word) in self.words.iter().enumerate() {
            words.push(match file(word) {
                None => OsString::from(fill(word)),
                Some((before, path, after)) => {
                    let text = fs::read_to_string(path).map_err(|error| {
                        io::Error::new(error.kind(), format!("{}: {path}: {error}", self.name))
                    })?;
                    let copy = folder.join(format!("{number}.conf"));
                    fs::write(&copy, fill(&text))?;
                    OsString::from(format!("{}{}{}", fill(before), copy.display(), fill(after)))
                }
            });
        }
        let (program, arguments) = words.split_first().expect("a command has a word");
        let mut command = Command::new(program);
        command.args(arguments);
        Ok(command)
    }

    /// The command as it was given.
    pub(crate) fn text(&self) -> String {
        shlex::try_join(self.words.iter().map(String::as_str)).unwrap_or_default()
    }
}

impl FromStr for BrokerCommand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("this is not NAME=COMMAND")?;
        let words = shlex::split(command).ok_or("a quotation mark is not closed")?;
        if name.is_empty() || words.is_empty() {
            return Err("a broker has a name and a command".into());
        }
        if name == FLOOR {
            return Err(format!("\"{FLOOR}\" is the name of the null broker: use --floor"));
        }
        if !words.iter().any(|word| word.contains("{port}") || file(word).is_some()) {
            return Err("the command has neither {port} nor {file:PATH}".into());
        }
        Ok(Self { name: name.into(), words })
    }
}

/// What stands before, in and after `{file:…}`.
fn file(word: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = word.split_once("{file:")?;
    let (path, after) = rest.split_once('}')?;
    Some((before, path, after))
}

const FLOOR: &str = "floor";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        let words = [command.get_program()].into_iter().chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn placeholders_are_filled_in_words_and_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("template");
        fs::write(&file, "listener {port}\npersistence_location {dir}/data\n").unwrap();
        let text = format!("a=broker '-c {{file:{}}}' --port={{port}}", file.display());
        let command: BrokerCommand = text.parse().unwrap();
        let filled = words(&command.fill(1884, folder.path()).unwrap());
        let copy = folder.path().join("1.conf");
        let expected = ["broker", &format!("-c {}", copy.display()), "--port=1884"];
        assert_eq!(filled, expected);
        let data = folder.path().display();
        let expected = format!("listener 1884\npersistence_location {data}/data\n");
        assert_eq!(fs::read_to_string(copy).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let command: BrokerCommand = "a=broker {file:/nowhere/at/all}".parse().unwrap();
        let error = command.fill(1, Path::new("/tmp")).unwrap_err();
        assert!(error.to_string().starts_with("a: /nowhere/at/all: "), "{error}");
    }

    #[test]
    fn what_is_no_broker_is_refused() {
        for text in ["", "name", "=x {port}", "a=", "a=x", "a='x {port}", "floor=x {port}"] {
            assert!(text.parse::<BrokerCommand>().is_err(), "{text}");
        }
    }
}
