//! The environment in the place of flags: `SKEIN_NAME` for `--name`.

use std::ffi::OsString;

use clap::builder::{FalseyValueParser, Resettable};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};

/// Lets every flag of a command and of its subcommands be given in the environment.
pub(super) fn add(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    let command = command.mut_args(from_environment);
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, add))
}

/// Has the environment say nothing where it would contradict the words: what stands on the command
/// line goes before it.
pub(super) fn yield_to(command: Command, words: &[OsString]) -> Command {
    let bare = without(command.clone());
    match bare.ignore_errors(true).try_get_matches_from(words) {
        Ok(matches) => yield_to_matches(command, &matches),
        // Help is asked for.
        Err(_) => command,
    }
}

fn yield_to_matches(command: Command, matches: &ArgMatches) -> Command {
    let is_given = |arg: &&Arg| {
        let is_known = matches.try_contains_id(arg.get_id().as_str()).is_ok();
        is_known && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let given: Vec<&Arg> = command.get_arguments().filter(is_given).collect();
    let excluded = command.get_arguments().filter(|arg| {
        given.iter().any(|given| given.get_id() != arg.get_id() && exclude(&command, given, arg))
    });
    let excluded: Vec<Id> = excluded.map(|arg| arg.get_id().clone()).collect();
    let command = command.mut_args(|arg| match excluded.contains(arg.get_id()) {
        true => arg.env(Resettable::Reset),
        false => arg,
    });
    match matches.subcommand() {
        Some((name, matches)) => {
            command.mut_subcommand(name, |command| yield_to_matches(command, matches))
        }
        None => command,
    }
}

/// Whether only one of the two may be given.
fn exclude(command: &Command, one: &Arg, other: &Arg) -> bool {
    let has = |args: Vec<&Arg>, arg: &Arg| args.iter().any(|it| it.get_id() == arg.get_id());
    let is_alone =
        command.get_groups().filter(|group| !(*group).clone().is_multiple()).any(|group| {
            let holds = |arg: &Arg| group.get_args().any(|id| id == arg.get_id());
            holds(one) && holds(other)
        });
    is_alone
        || has(command.get_arg_conflicts_with(one), other)
        || has(command.get_arg_conflicts_with(other), one)
}

/// The command without the environment, with all its subcommands.
fn without(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| arg.env(Resettable::Reset));
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without))
}

fn from_environment(arg: Arg) -> Arg {
    let Some(long) = arg.get_long() else { return arg };
    let name = format!("SKEIN_{}", long.replace('-', "_").to_ascii_uppercase());
    if std::env::var(&name).is_ok_and(|value| is_of_a_cluster(&value)) {
        return arg;
    }
    match arg.get_action() {
        // Anything but nothing, 0, false, no, off and the like is yes.
        ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()).env(name),
        ArgAction::Set | ArgAction::Append => arg.env(name),
        _ => return arg,
    }
    // Help is no place for passwords, and the rest of the names can be told from the flags.
    .hide_env(true)
}

/// Whether it is what Kubernetes says to everybody of a service that is named skein: its `SKEIN_PORT`
/// is a URL.
fn is_of_a_cluster(value: &str) -> bool {
    value.starts_with("tcp://") || value.starts_with("udp://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_variable_and_nothing_else_has() {
        let command = add(Command::new("x").subcommand(
            Command::new("y")
                .arg(Arg::new("long").long("a-flag").action(ArgAction::SetTrue))
                .arg(Arg::new("short").short('s')),
        ));
        let y = command.find_subcommand("y").expect("it was given");
        let variables: Vec<_> = y.get_arguments().filter_map(Arg::get_env).collect();
        assert_eq!(variables, ["SKEIN_A_FLAG"]);
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let flag = |name: &'static str| Arg::new(name).long(name).env("PATH");
        let command = Command::new("x").subcommand(
            Command::new("y")
                .arg(flag("password"))
                .arg(flag("file").conflicts_with("password"))
                .arg(flag("one"))
                .arg(flag("two"))
                .group(clap::ArgGroup::new("either").args(["one", "two"])),
        );
        let left = |words: &[&str]| {
            let words: Vec<OsString> = ["x", "y"].iter().chain(words).map(OsString::from).collect();
            let command = yield_to(command.clone(), &words);
            let y = command.find_subcommand("y").expect("it was given");
            let with = y.get_arguments().filter(|arg| arg.get_env().is_some());
            with.map(|arg| arg.get_id().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(left(&[]), ["password", "file", "one", "two"]);
        assert_eq!(left(&["--file", "f"]), ["file", "one", "two"]);
        assert_eq!(left(&["--password", "p", "--one", "1"]), ["password", "one"]);
        assert_eq!(left(&["--nonsense"]), ["password", "file", "one", "two"]);
    }

    #[test]
    fn what_kubernetes_says_of_a_service_is_no_port() {
        assert!(is_of_a_cluster("tcp://10.0.0.1:1883"));
        assert!(!is_of_a_cluster("1883"));
    }
}
