//! The command line: one file per subcommand, each of which parses its own arguments and returns
//! an exit code.

// `output` prints, and notices where that fails.
#![deny(clippy::print_stdout)]

mod bench;
mod called_as;
mod check_config;
mod completions;
mod conn;
mod credential_file;
mod environment;
mod machine;
mod mqtt;
mod output;
mod passwd;
mod probe;
mod progress;
mod publish;
mod request;
mod retained;
mod scram;
mod serve;
mod sniff;
mod store;
mod subscribe;
mod top;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::bench::Bench;
use self::called_as::Program;
use self::check_config::CheckConfig;
use self::completions::{Completions, ManPages};
use self::conn::Conn;
use self::mqtt::{Manner, UsageError};
use self::passwd::Passwd;
use self::probe::Probe;
use self::publish::Pub;
use self::request::Rr;
use self::retained::Retained;
use self::scram::Scram;
use self::serve::Serve;
use self::sniff::Sniff;
use self::store::Store;
use self::subscribe::Sub;
use self::top::Top;

/// `skein` and what follows it.
#[derive(Debug, Parser)]
#[command(
    name = "skein",
    version,
    about = "An MQTT 3.1, 3.1.1 and 5.0 broker for all the cores of one machine",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker; the same as `skein` without a subcommand
    #[command(after_help = EXAMPLES)]
    Serve(Serve),
    /// Publish messages
    Pub(Box<Pub>),
    /// Subscribe and print what comes
    Sub(Box<Sub>),
    /// Publish a request and print the response
    Rr(Box<Rr>),
    /// Connect, print what the broker says of itself, and stay connected
    Conn(Box<Conn>),
    /// List, print, remove, write out and bring back what a broker retains
    Retained(Box<Retained>),
    /// Find out what a broker has, and what its limits are
    Probe(Box<Probe>),
    /// Show how a broker is: messages and bytes a second, the slowest clients, what is dropped
    Top(Box<Top>),
    /// Print what clients and a broker say to one another, packet by packet
    Sniff(Box<Sniff>),
    /// Run the load test against a broker
    Bench(Bench),
    /// Check a configuration file and say what is wrong with it
    CheckConfig(CheckConfig),
    /// Add, change and remove users of a password file
    Passwd(Passwd),
    /// Make credentials for enhanced authentication by SCRAM
    Scram(Scram),
    /// Check, write out and fill the files in which a broker keeps what must not be lost
    Store(Store),
    /// Print what a shell needs to complete the options of skein
    Completions(Completions),
    /// Print the manual pages
    Man(ManPages),
}

const EXAMPLES: &str = "\
Examples:
  skein                                   listen on 127.0.0.1:1883, for this machine only
  skein --listen 0.0.0.0:1883 --anonymous
                                          listen on every IPv4 address of this machine, for
                                          everybody; with passwords: deploy/examples/secure.toml
  skein --listen 127.0.0.1:1883 --listen '[::1]:1883'
                                          listen on two addresses
  skein --config /etc/skein.toml          take everything from a file
  skein check-config /etc/skein.toml      check that file first

Try it:
  skein sub -t 'demo/#' -v &
  skein pub -t demo/hello -m world

Every flag --NAME can be given as SKEIN_NAME in the environment instead.

Signals: SIGTERM and SIGINT say goodbye to the clients and end the broker, a second one ends it at
once; SIGUSR1 writes the counters to the log; SIGHUP reads the configuration and the files that it
names again, without closing a connection.";

/// Does what the words of the command line ask for, the program's name first, and returns the exit
/// code of the process.
pub fn run(mut words: Vec<OsString>) -> ExitCode {
    if let Some(program) = words.first().and_then(|name| Program::of(name)) {
        return program.run(words.split_off(1));
    }
    match parse(words) {
        Ok(arguments) => arguments.run(),
        Err(code) => code,
    }
}

/// # Errors
/// Help or a version was asked for, or words are no options: all is said, and this is how it ends.
fn parse(mut words: Vec<OsString>) -> Result<Arguments, ExitCode> {
    let command = command();
    let path = path_of(&command, &words);
    let named = words.get(1).and_then(|name| name.to_str()).unwrap_or_default();
    if let (true, Some(subcommand)) = (SPEAKERS.contains(&named), command.find_subcommand(named)) {
        let (name, rest) = (named.to_owned(), words.split_off(2));
        let prepared = mqtt::prepare(subcommand, rest, None);
        words.extend(prepared.map_err(|error| refuse(&name, Err(error)))?);
    }
    let matches = environment::yield_to(command, &words).try_get_matches_from(words);
    let arguments = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    arguments.map_err(|error| {
        if error.use_stderr() {
            let rendered = error.render();
            let has_colors = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let text = if has_colors { rendered.ansi().to_string() } else { rendered.to_string() };
            eprint!("{}", with_path(&text, &path));
            return ExitCode::FAILURE;
        }
        output::conclude_with(error.print())
    })
}

/// Has the last line say whose help it means: behind colors or not, it ends with "try '--help'".
fn with_path(text: &str, path: &str) -> String {
    match text.rsplit_once("--help") {
        Some((before, after)) if before.lines().last().is_some_and(|it| it.contains("try '")) => {
            format!("{before}{path} --help{after}")
        }
        _ => text.to_owned(),
    }
}

/// The words that lead to the subcommand that is called.
fn path_of(command: &clap::Command, words: &[OsString]) -> String {
    let (mut path, mut command) = (command.get_name().to_owned(), command);
    for word in words.iter().skip(1) {
        let Some(subcommand) = command.find_subcommand(word) else { break };
        command = subcommand;
        path = format!("{path} {}", command.get_name());
    }
    path
}

/// The subcommands whose options are those of Mosquitto's programs.
const SPEAKERS: [&str; 6] = ["pub", "sub", "rr", "conn", "probe", "top"];

/// The whole command line, with the environment behind it: what manual pages and the reference are
/// made from.
#[must_use]
pub fn command() -> clap::Command {
    let command = SPEAKERS.into_iter().fold(Arguments::command(), |command, name| {
        command.mut_subcommand(name, called_as::lenient)
    });
    environment::add(command)
}

impl Arguments {
    fn run(self) -> ExitCode {
        match self.command {
            None => self.serve.run(),
            Some(Command::Serve(serve)) => serve.run(),
            Some(Command::Pub(publish)) => refuse("pub", publish.run(Manner::Skein)),
            Some(Command::Sub(subscribe)) => refuse("sub", subscribe.run(Manner::Skein)),
            Some(Command::Rr(request)) => refuse("rr", request.run(Manner::Skein)),
            Some(Command::Conn(conn)) => refuse("conn", conn.run()),
            Some(Command::Retained(retained)) => refuse("retained", retained.run()),
            Some(Command::Probe(probe)) => refuse("probe", probe.run()),
            Some(Command::Top(top)) => refuse("top", top.run()),
            Some(Command::Sniff(sniff)) => refuse("sniff", sniff.run()),
            Some(Command::Bench(bench)) => bench.run(),
            Some(Command::Completions(completions)) => completions.run(command()),
            Some(Command::Man(pages)) => pages.run(command()),
            Some(Command::CheckConfig(check)) => check.run(),
            Some(Command::Passwd(passwd)) => passwd.run(),
            Some(Command::Scram(scram)) => scram.run(),
            Some(Command::Store(store)) => store.run(),
        }
    }
}

/// Says what makes no sense, and where it stands what does.
fn refuse(subcommand: &str, run: Result<ExitCode, UsageError>) -> ExitCode {
    run.unwrap_or_else(|error| {
        eprintln!("Error: {error}\n\nFor more information, try 'skein {subcommand} --help'.");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    /// Also those that have only a letter with Mosquitto's tools.
    #[test]
    fn every_flag_of_the_broker_and_its_files_has_a_variable() {
        let command = command();
        let mut variables = Vec::new();
        for name in ["serve", "check-config", "passwd", "scram", "store"] {
            let named = command.find_subcommand(name).expect("it is one");
            for command in std::iter::once(named).chain(named.get_subcommands()) {
                for flag in command.get_arguments().filter(|it| !it.is_positional()) {
                    let variable = flag.get_env().unwrap_or_else(|| panic!("{name} {flag}"));
                    variables.push(variable.to_string_lossy().into_owned());
                }
            }
        }
        for expected in ["SKEIN_DATA_DIR", "SKEIN_SCHEME", "SKEIN_PASSWORD_FILE", "SKEIN_FROM"] {
            assert!(variables.iter().any(|it| it == expected), "{expected}: {variables:?}");
        }
    }

    #[test]
    fn an_error_names_the_help_of_its_subcommand() {
        let words = ["skein", "store", "check", "--nonsense"].map(OsString::from);
        let (command, words) = (command(), words.to_vec());
        let path = path_of(&command, &words);
        assert_eq!(path, "skein store check");
        let error = command.try_get_matches_from(words).expect_err("there is no such option");
        let rendered = error.render();
        let text = with_path(&rendered.to_string(), &path);
        assert!(text.ends_with("try 'skein store check --help'.\n"), "{text}");
        let colored = with_path(&rendered.ansi().to_string(), &path);
        assert!(colored.contains("skein store check --help"), "{colored}");
        assert_eq!(with_path("there is no --help here", &path), "there is no --help here");
    }

    #[test]
    fn skein_alone_is_skein_serve() {
        let alone = Arguments::try_parse_from(["skein", "--shards", "2"]).expect("it parses");
        assert!(alone.command.is_none());
        let named = Arguments::try_parse_from(["skein", "serve", "--shards", "2"]);
        let Some(Command::Serve(serve)) = named.expect("it parses").command else {
            panic!("a subcommand was named")
        };
        assert_eq!(format!("{serve:?}"), format!("{:?}", alone.serve));
    }
}
