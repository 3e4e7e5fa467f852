//! The environment in the place of flags: `SKEIN_NAME` for `--name`.

use clap::builder::FalseyValueParser;
use clap::{Arg, ArgAction, Command};

/// Lets every flag of a command and of its subcommands be given in the environment.
pub(super) fn add(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    let command = command.mut_args(from_environment);
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, add))
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
    fn what_kubernetes_says_of_a_service_is_no_port() {
        assert!(is_of_a_cluster("tcp://10.0.0.1:1883"));
        assert!(!is_of_a_cluster("1883"));
    }
}
