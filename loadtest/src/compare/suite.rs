//! What is run: one scenario from the command line, or several from a file.

use std::{io, path::Path};

use serde::Deserialize;

use crate::report::read_text;

/// A name and the arguments of the load test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// What it is called in every output.
    pub(crate) name: String,
    /// The mode and its options.
    pub(crate) arguments: Vec<String>,
    /// Whether each run needs a broker of its own.
    pub(crate) restart: bool,
}

/// A file of scenarios.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    scenario: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    arguments: String,
    #[serde(default)]
    restart: bool,
}

/// The scenarios to run: the suite's, each with `extra` at its end, or the one that `extra` is.
///
/// # Errors
///
/// The suite is neither built in nor a readable file, or it is wrong; or nothing was asked for.
pub(crate) fn scenarios(suite: Option<&str>, extra: &[String]) -> io::Result<Vec<Scenario>> {
    let Some(name) = suite else {
        let [mode, ..] = extra else {
            return Err(io::Error::other("say what to run: --suite, or a mode after --"));
        };
        let (name, arguments) = (mode.clone(), extra.to_vec());
        return Ok(vec![Scenario { name, arguments, restart: false }]);
    };
    let built_in = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
    let text = match built_in {
        Some((_, text)) => (*text).to_owned(),
        None => read_text(Path::new(name))?,
    };
    parse(&text, extra).map_err(|error| io::Error::other(format!("suite {name}: {error}")))
}

fn parse(text: &str, extra: &[String]) -> Result<Vec<Scenario>, String> {
    let suite: Suite = toml::from_str(text).map_err(|error| error.to_string())?;
    let scenarios = suite.scenario.into_iter().map(|Entry { name, arguments, restart }| {
        let words = shlex::split(&arguments);
        let words = words.filter(|words| !words.is_empty());
        let mut arguments = words.ok_or(format!("{name}: these are no arguments"))?;
        arguments.extend_from_slice(extra);
        Ok(Scenario { name, arguments, restart })
    });
    scenarios.collect()
}

/// The suites that need no file.
pub(crate) const BUILT_IN: [(&str, &str); 6] = [
    ("shapes", include_str!("../../suites/shapes.toml")),
    ("payloads", include_str!("../../suites/payloads.toml")),
    ("qos", include_str!("../../suites/qos.toml")),
    ("backlog", include_str!("../../suites/backlog.toml")),
    ("connections", include_str!("../../suites/connections.toml")),
    ("latency", include_str!("../../suites/latency.toml")),
];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Arguments;

    #[test]
    fn every_suite_that_is_built_in_is_understood() {
        for (name, _) in BUILT_IN {
            let scenarios = scenarios(Some(name), &["--expect".into()]).unwrap();
            assert!(scenarios.len() > 1, "{name}");
            for Scenario { arguments, .. } in scenarios {
                let words = ["skein-loadtest".to_owned()].into_iter().chain(arguments);
                let parsed = Arguments::try_parse_from(words);
                assert!(parsed.is_ok(), "{name}: {}", parsed.err().unwrap());
            }
        }
    }

    #[test]
    fn without_a_suite_the_command_line_is_the_scenario() {
        let extra = ["flood".to_owned(), "--qos".to_owned(), "1".to_owned()];
        let (name, arguments) = ("flood".to_owned(), extra.to_vec());
        let expected = [Scenario { name, arguments, restart: false }];
        assert_eq!(scenarios(None, &extra).unwrap(), expected);
        assert!(scenarios(None, &[]).is_err());
        assert!(scenarios(Some("/nowhere/at/all"), &[]).is_err());
    }

    #[test]
    fn a_suite_that_is_wrong_is_refused() {
        for text in ["[[scenario]]\nname = 'a'", "[[scenario]]\nname='a'\narguments=\"'\"", "x = 1"]
        {
            assert!(parse(text, &[]).is_err(), "{text}");
        }
    }
}
