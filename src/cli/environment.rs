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
    match arg.get_action() {
        // Anything but nothing, 0, false, no, off and the like is yes.
        ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()).env(name),
        ArgAction::Set | ArgAction::Append => arg.env(name),
        _ => return arg,
    }
    // Help is no place for passwords, and the rest of the names can be told from the flags.
    .hide_env(true)
}
