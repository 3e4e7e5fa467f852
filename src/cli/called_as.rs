//! The binary under other names: as `mosquitto_pub`, `mosquitto_sub` and `mosquitto_rr` it behaves as
//! they do.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Command, FromArgMatches};

use super::mqtt::{Manner, UsageError, prepare, usual_file};
use super::output;
use super::publish::Pub;
use super::request::Rr;
use super::subscribe::Sub;

/// A program of Mosquitto's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Pub,
    Sub,
    Rr,
}

impl Program {
    /// The program whose name this is, in whatever folder.
    pub(super) fn of(path: &OsStr) -> Option<Self> {
        let name = Path::new(path).file_name()?;
        [Self::Pub, Self::Sub, Self::Rr].into_iter().find(|program| name == program.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pub => "mosquitto_pub",
            Self::Sub => "mosquitto_sub",
            Self::Rr => "mosquitto_rr",
        }
    }

    fn command(self) -> Command {
        let command = Command::new(self.name()).no_binary_name(true);
        let command = match self {
            Self::Pub => Pub::augment_args(command),
            Self::Sub => Sub::augment_args(command),
            Self::Rr => Rr::augment_args(command),
        };
        lenient(command.disable_help_flag(true))
    }

    /// Does what the words say, as that program.
    pub(super) fn run(self, words: Vec<OsString>) -> ExitCode {
        let usual = usual_file(self.name(), |name| std::env::var_os(name));
        if words.iter().any(|word| word == "--version") {
            // It ends so, printed or not.
            let _ = output::conclude(format!(
                "{} of skein {}\n",
                self.name(),
                env!("CARGO_PKG_VERSION")
            ));
            return ExitCode::FAILURE;
        }
        let command = self.command();
        match prepare(&command, words, usual.as_deref()) {
            Ok(words) => self.run_prepared(command, words),
            Err(error) => self.refuse(&error),
        }
    }

    fn run_prepared(self, command: Command, words: Vec<OsString>) -> ExitCode {
        let matches = match command.try_get_matches_from(words) {
            Ok(matches) => matches,
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                let _ = output::conclude(error.render().to_string());
                return ExitCode::FAILURE;
            }
            Err(error) => return self.refuse(&in_mosquittos_words(&error)),
        };
        let run = match self {
            Self::Pub => Pub::from_arg_matches(&matches).map(|it| it.run(Manner::Mosquitto)),
            Self::Sub => Sub::from_arg_matches(&matches).map(|it| it.run(Manner::Mosquitto)),
            Self::Rr => Rr::from_arg_matches(&matches).map(|it| it.run(Manner::Mosquitto)),
        };
        match run {
            Ok(Ok(code)) => code,
            Ok(Err(error)) => self.refuse(&error),
            Err(error) => self.refuse(&in_mosquittos_words(&error)),
        }
    }

    fn refuse(self, error: &UsageError) -> ExitCode {
        eprintln!("Error: {error}\n\nUse '{} --help' to see usage.", self.name());
        ExitCode::FAILURE
    }
}

/// Lets options come twice, where the last one counts, and have values that begin with a dash.
pub(super) fn lenient(command: Command) -> Command {
    let command = command.args_override_self(true);
    command.mut_args(|arg| match arg.get_action().takes_values() && !arg.is_positional() {
        true => arg.allow_hyphen_values(true),
        false => arg,
    })
}

fn in_mosquittos_words(error: &clap::Error) -> UsageError {
    use clap::error::{ContextKind, ContextValue};
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        return UsageError::new(format!("Unknown option '{word}'."));
    }
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    UsageError::new(line.strip_prefix("error: ").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_and_not_the_folder() {
        let of = |path: &str| Program::of(OsStr::new(path));
        assert_eq!(of("/usr/local/bin/mosquitto_pub"), Some(Program::Pub));
        assert_eq!(of("mosquitto_sub"), Some(Program::Sub));
        assert_eq!(of("./mosquitto_rr"), Some(Program::Rr));
        assert_eq!((of("skein"), of("mosquitto"), of("")), (None, None, None));
    }

    /// The options of the manual pages of mosquitto_pub(1), mosquitto_sub(1) and mosquitto_rr(1), and
    /// those that the programs take without telling.
    const COMMON: &str = "-A -c --disable-clean-session --cafile --capath --cert --ciphers -d --debug \
        -D --property --help -h --host -i --id -I --id-prefix --insecure -k --keepalive --key --keyform \
        -L --url --nodelay -p --port -P --pw --proxy --psk --psk-identity -q --qos --quiet -S -t --topic \
        --tls-alpn --tls-engine --tls-engine-kpass-sha1 --tls-use-os-certs --tls-version -u --username \
        --unix -V --protocol-version -M --will-payload --will-qos --will-retain --will-topic -x";
    const PUBLISH: &str = "-f --file -m --message -n --null-message -s --stdin-file";
    const PRINT: &str = "-F -N --pretty -R -v --verbose -W --retain-as-published";

    #[test]
    fn every_option_of_mosquitto_is_one_here() {
        let own = [
            (
                Program::Pub,
                format!("{PUBLISH} -l --stdin-line -r --retain --repeat --repeat-delay"),
            ),
            (
                Program::Sub,
                format!(
                    "{PRINT} -C -E -T --filter-out -U --unsubscribe --random-filter \
                     --remove-retained --retained-only"
                ),
            ),
            (Program::Rr, format!("{PUBLISH} {PRINT} -e")),
        ];
        for (program, own) in own {
            let command = program.command();
            for option in COMMON.split_whitespace().chain(own.split_whitespace()) {
                let is_it = |arg: &clap::Arg| match option.strip_prefix("--") {
                    Some(long) => {
                        let aliases = arg.get_all_aliases().unwrap_or_default();
                        arg.get_long() == Some(long) || aliases.contains(&long)
                    }
                    None => arg.get_short() == option.chars().nth(1),
                };
                assert!(command.get_arguments().any(is_it), "{}: {option}", program.name());
            }
        }
    }

    #[test]
    fn each_command_line_is_consistent() {
        for program in [Program::Pub, Program::Sub, Program::Rr] {
            program.command().debug_assert();
        }
    }

    #[test]
    fn the_last_of_several_counts_and_values_may_begin_with_a_dash() {
        let parse = |words: &[&str]| Program::Pub.command().try_get_matches_from(words);
        let matches = parse(&["-h", "a", "-h", "b", "-m", "-5", "-t", "t"]).expect("it parses");
        assert_eq!(matches.get_one::<String>("host").map(String::as_str), Some("b"));
        let messages = matches.get_many::<OsString>("message").expect("there is one");
        assert_eq!(messages.collect::<Vec<_>>(), ["-5"]);
        let unknown = in_mosquittos_words(&parse(&["-X"]).expect_err("there is no such option"));
        assert_eq!(unknown.to_string(), "Unknown option '-X'.");
        assert!(parse(&["-m", "x", "-l"]).is_err(), "one message or the other");
    }
}
