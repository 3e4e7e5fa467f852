//! The command line: one file per subcommand, each of which parses its own arguments and returns
//! an exit code.

mod check_config;
mod credential_file;
mod machine;
mod passwd;
mod scram;
mod serve;
mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::check_config::CheckConfig;
use self::passwd::Passwd;
use self::scram::Scram;
use self::serve::Serve;
use self::store::Store;

/// `skein` and what follows it.
#[derive(Debug, Parser)]
#[command(
    name = "skein",
    version,
    about = "An MQTT 3.1, 3.1.1 and 5.0 broker for all the cores of one machine",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true
)]
pub struct Arguments {
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
    /// Check a configuration file and say what is wrong with it
    CheckConfig(CheckConfig),
    /// Add, change and remove users of a password file
    Passwd(Passwd),
    /// Make credentials for enhanced authentication by SCRAM
    Scram(Scram),
    /// Check, write out and fill the files in which a broker keeps what must not be lost
    Store(Store),
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
  mosquitto_sub -t 'demo/#' -v &
  mosquitto_pub -t demo/hello -m world

Signals: SIGTERM and SIGINT say goodbye to the clients and end the broker, a second one ends it at
once; SIGUSR1 writes the counters to the log; SIGHUP reads the configuration and the files that it
names again, without closing a connection.";

impl Arguments {
    /// Does what the command line asks and returns the exit code of the process.
    pub fn run(self) -> ExitCode {
        match self.command {
            None => self.serve.run(),
            Some(Command::Serve(serve)) => serve.run(),
            Some(Command::CheckConfig(check)) => check.run(),
            Some(Command::Passwd(passwd)) => passwd.run(),
            Some(Command::Scram(scram)) => scram.run(),
            Some(Command::Store(store)) => store.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
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
