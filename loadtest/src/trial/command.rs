//! How a broker is started: its name, and a command line with placeholders; or where it is, if it
//! runs already.

use std::{ffi::OsString, fs, io, path::Path, process::Command, str::FromStr};

use super::certificate::{CERTIFICATE, KEY};
use crate::plan::Address;

/// `NAME=COMMAND`. The command is split into words as a shell does it, and run without one: its
/// process must be the broker itself, since its CPU time is measured. A broker that is up already,
/// in a container or on another machine, is `NAME=@ADDRESS` or `NAME=@ADDRESS#PID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerCommand {
    /// What the broker is called in every output.
    pub(crate) name: String,
    /// How it comes to be there.
    pub(super) origin: Origin,
}

/// How a broker comes to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is started: the words, with placeholders `{port}`, `{dir}`, `{cert}`, `{key}`,
    /// `{file:PATH}`.
    Started(Vec<String>),
    /// It is up already, and nobody here ends it.
    Running {
        /// Where it listens.
        address: Address,
        /// Its process, if it is on this machine.
        pid: Option<u32>,
    },
}

impl BrokerCommand {
    /// The null broker of this program: what no broker can be faster than.
    pub(crate) fn floor(load_test: &Path) -> Self {
        let program = load_test.to_string_lossy().into_owned();
        let words = [program, "floor".into(), "--listen".into(), "127.0.0.1:{port}".into()];
        Self { name: FLOOR.into(), origin: Origin::Started(words.to_vec()) }
    }

    /// Whether this is the null broker.
    pub(crate) fn is_floor(&self) -> bool {
        self.name == FLOOR
    }

    /// The words of a command with their placeholders filled: `{port}`; `{dir}`, an empty folder
    /// that is removed afterwards; `{cert}` and `{key}`, files in it. `{file:PATH}` is a copy of that file, with its own placeholders filled,
    /// for brokers whose port stands in a file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or copied.
    pub(super) fn fill(
        &self,
        templates: &[String],
        port: u16,
        folder: &Path,
    ) -> io::Result<Command> {
        let fill = |text: &str| fill(&text.replace("{port}", &port.to_string()), folder);
        let mut words = Vec::new();
        for (number, word) in templates.iter().enumerate() {
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
        match &self.origin {
            Origin::Started(words) => {
                shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
            }
            Origin::Running { address, pid: None } => format!("@{address}"),
            Origin::Running { address, pid: Some(pid) } => format!("@{address}#{pid}"),
        }
    }
}

impl FromStr for BrokerCommand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("this is not NAME=COMMAND")?;
        if name.is_empty() || command.is_empty() {
            return Err("a broker has a name and a command".into());
        }
        if name == FLOOR {
            return Err(format!("\"{FLOOR}\" is the name of the null broker: use --floor"));
        }
        let origin = match command.strip_prefix('@') {
            Some(running) => parse_running(running)?,
            None => parse_started(command)?,
        };
        Ok(Self { name: name.into(), origin })
    }
}

/// A text with the placeholders filled that stand for a folder and the files in it.
pub(super) fn fill(text: &str, folder: &Path) -> String {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    text.replace("{cert}", &path(CERTIFICATE))
        .replace("{key}", &path(KEY))
        .replace("{dir}", &folder.to_string_lossy())
}

fn parse_running(text: &str) -> Result<Origin, String> {
    let (address, pid) = text.split_once('#').map_or((text, None), |(a, pid)| (a, Some(pid)));
    let address = address.parse()?;
    let pid = pid.map(|pid| pid.parse().map_err(|_| format!("\"{pid}\" is no process id")));
    Ok(Origin::Running { address, pid: pid.transpose()? })
}

fn parse_started(command: &str) -> Result<Origin, String> {
    let words = shlex::split(command).ok_or("a quotation mark is not closed")?;
    if words.is_empty() {
        return Err("the command has no words".into());
    }
    if !words.iter().any(|word| word.contains("{port}") || file(word).is_some()) {
        return Err("the command has neither {port} nor {file:PATH}".into());
    }
    Ok(Origin::Started(words))
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

    /// The words of a command, filled for port 1884.
    fn filled(text: &str, folder: &Path) -> io::Result<Vec<String>> {
        let broker: BrokerCommand = text.parse().unwrap();
        let Origin::Started(words) = &broker.origin else { panic!("{text} is to be started") };
        let command = broker.fill(words, 1884, folder)?;
        let words = [command.get_program()].into_iter().chain(command.get_args());
        Ok(words.map(|word| word.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn placeholders_are_filled_in_words_and_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("template");
        fs::write(&file, "listener {port}\npersistence_location {dir}/data\ncertfile {cert}\n")
            .unwrap();
        let text = format!("a=broker '-c {{file:{}}}' --port={{port}}", file.display());
        let filled = filled(&text, folder.path()).unwrap();
        let copy = folder.path().join("1.conf");
        let expected = ["broker", &format!("-c {}", copy.display()), "--port=1884"];
        assert_eq!(filled, expected);
        let data = folder.path().display();
        let expected =
            format!("listener 1884\npersistence_location {data}/data\ncertfile {data}/cert.pem\n");
        assert_eq!(fs::read_to_string(copy).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = filled("a=broker {file:/nowhere/at/all}", Path::new("/")).unwrap_err();
        assert!(error.to_string().starts_with("a: /nowhere/at/all: "), "{error}");
    }

    #[test]
    fn a_broker_that_is_up_is_named_by_its_address() {
        let running = |text: &str| text.parse::<BrokerCommand>().unwrap();
        let address = "10.0.0.1:1883".parse().unwrap();
        let pid = Some(4711);
        assert_eq!(running("a=@10.0.0.1:1883#4711").origin, Origin::Running { address, pid });
        for text in ["@10.0.0.1:1883", "@[::1]:1884#12", "@localhost:1883", "@/run/mqtt.sock#7"] {
            assert_eq!(running(&format!("a={text}")).text(), text);
        }
    }

    #[test]
    fn what_is_no_broker_is_refused() {
        for text in [
            "",
            "name",
            "=x {port}",
            "a=",
            "a=x",
            "a='x {port}",
            "floor=x {port}",
            "a=@here",
            "a=@1.2.3.4:5#x",
        ] {
            assert!(text.parse::<BrokerCommand>().is_err(), "{text}");
        }
    }
}
