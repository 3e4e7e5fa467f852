//! `skein-loadtest run FILE`: the flags of a run in a file.

use std::{ffi::OsString, hash::Hasher, io, path::PathBuf};

use clap::{Args, Parser};
use fnv::FnvHasher;
use toml::{Table, Value};

use super::{Arguments, Mode};
use crate::report::read_text;

/// A run whose flags stand in a TOML file.
///
/// `mode` is the mode ("flood", "rate", "storm idle"); every other key is a flag without its dashes:
/// `shape = "1:20"`, `qos = 1`, `expect = true`. What stands after `--` is added and counts instead
/// of what the file says. The report carries the file's name and hash.
#[derive(Args, Clone, Debug)]
pub(crate) struct Scenario {
    /// The file.
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// More flags of the mode.
    #[arg(last = true, value_name = "FLAGS")]
    more: Vec<OsString>,
}

impl Scenario {
    /// Runs it; whether nothing was found that is a failure.
    pub(super) fn run(&self) -> io::Result<bool> {
        self.mode()?.run()
    }

    /// What the file and the flags behind it ask for.
    ///
    /// # Errors
    /// The file cannot be read, or is no scenario.
    pub(super) fn mode(&self) -> io::Result<Mode> {
        let text = read_text(&self.file)?;
        let place = self.file.display();
        let mut words =
            words(&text).map_err(|error| io::Error::other(format!("{place}: {error}")))?;
        let name = self.file.file_stem().unwrap_or_default().to_string_lossy();
        words.push(format!("--scenario-name={name}"));
        words.push(format!("--scenario-hash={:016x}", hash(&text)));
        let words = words.into_iter().map(OsString::from).chain(self.more.iter().cloned());
        Ok(Arguments::try_parse_from(words).map_err(io::Error::other)?.mode)
    }
}

/// The command line that a file stands for.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let Some(Value::String(mode)) = table.remove("mode") else {
        return Err("mode = \"flood\", \"rate\" or a storm is missing".to_owned());
    };
    if mode == "run" {
        return Err("a scenario does not run another one".to_owned());
    }
    let mut words = vec!["skein-loadtest".to_owned()];
    words.extend(mode.split_whitespace().map(str::to_owned));
    for (key, value) in table {
        match value {
            Value::Boolean(true) => words.push(format!("--{key}")),
            Value::Boolean(false) => {}
            Value::String(text) => words.push(format!("--{key}={text}")),
            Value::Integer(_) | Value::Float(_) => words.push(format!("--{key}={value}")),
            _ => return Err(format!("{key} is neither text nor number nor true or false")),
        }
    }
    Ok(words)
}

fn hash(text: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_command_line() {
        let text = "mode = \"storm idle\"\nconnections = 10\nsettle = 0.5\nexpect = true\n";
        let expected =
            ["skein-loadtest", "storm", "idle", "--connections=10", "--expect", "--settle=0.5"];
        let mut found = words(text).unwrap();
        found[3..].sort_unstable();
        assert_eq!(found, expected);
        assert!(words("expect = false\nmode = \"flood\"").unwrap().len() == 2);
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        for text in ["shape = \"1:1\"", "mode = 1", "mode = \"run\"", "mode = \"flood\"\nqos = [1]"]
        {
            assert!(words(text).is_err(), "{text}");
        }
    }
}
