//! `skein serve`, and `skein` alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config::{
    self, Address, ConfigError, Listener, LogFormat, LogLevel, SHARDS_MAX, Settings,
};
use crate::server::{Ending, Server, raise_open_files, start_log};

/// Run the broker.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Listen on this IP address and port, or on a Unix socket (unix:/PATH); repeat for more.
    /// Replaces the listeners of the file
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<Address>,

    /// Event loops to run, each on its own thread [default: 0, the cores this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=SHARDS_MAX as i64))]
    shards: Option<u16>,

    /// Read the configuration from this file; what is given here goes before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,

    /// The least important lines that are logged [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<Level>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One line of text for people
    Text,
    /// One JSON object per line for machines
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Serve {
    pub(super) fn run(&self) -> ExitCode {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        let _log = start_log(&settings.log);
        if let Some(files) = raise_open_files() {
            tracing::debug!("up to {files} open files; each connection is one");
        }
        let server = Server::bind(settings).and_then(|mut server| {
            server.obey_signals()?;
            Ok(server)
        });
        let ending = server.and_then(|server| {
            self.announce(&server);
            server.run()
        });
        match ending {
            Ok(ending) => exit_code(ending),
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    /// The file's settings, or the defaults, with the command line's in front.
    fn settings(&self) -> Result<Settings, ConfigError> {
        let mut settings = match &self.config {
            Some(file) => config::load(file)?,
            None => Settings::default(),
        };
        if !self.listen.is_empty() {
            settings.listeners = self.listen.iter().cloned().map(Listener::at).collect();
        }
        if let Some(shards) = self.shards {
            settings.shards = usize::from(shards);
        }
        if let Some(format) = self.log_format {
            settings.log.format = match format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            };
        }
        if let Some(level) = self.log_level {
            settings.log.level = match level {
                Level::Error => LogLevel::Error,
                Level::Warn => LogLevel::Warn,
                Level::Info => LogLevel::Info,
                Level::Debug => LogLevel::Debug,
                Level::Trace => LogLevel::Trace,
            };
        }
        Ok(settings)
    }

    /// Says where the broker listens, who may connect, and how to change that.
    fn announce(&self, server: &Server) {
        let addresses = server.local_addresses();
        let text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let access = if server.settings().access.anonymous {
            "anyone may connect without a password"
        } else {
            "nobody may connect: anonymous access is off, and there are no identities yet"
        };
        let reach = if addresses.iter().all(Address::is_local) {
            "from this machine only"
        } else {
            "from the network"
        };
        let hint = if self.config.is_none() && self.listen.is_empty() {
            "; nothing is configured: --listen ADDR:PORT and --config FILE change that"
        } else {
            ""
        };
        tracing::info!(
            shards = server.settings().shards,
            "listening on {text}, {reach}, {access}{hint}"
        );
    }
}

fn exit_code(ending: Ending) -> ExitCode {
    match ending {
        Ending::Finished => {
            tracing::info!("ended");
            ExitCode::SUCCESS
        }
        Ending::OutOfTime => {
            tracing::warn!("ended before every client had been written to: time was over");
            ExitCode::SUCCESS
        }
        Ending::Forced => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    fn settings(line: &[&str]) -> Settings {
        let line = Line::try_parse_from([&["skein"], line].concat()).expect("it parses");
        line.serve.settings().expect("no file is named")
    }

    #[test]
    fn nothing_configured_means_loopback_and_all_cores() {
        let settings = settings(&[]);
        assert_eq!(settings.shards, 0);
        let addresses: Vec<String> =
            settings.listeners.iter().map(|listener| listener.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:1883"]);
    }

    #[test]
    fn listen_replaces_the_default_listener_and_may_be_repeated() {
        let settings = settings(&["--listen", "0.0.0.0:1", "--listen", "[::]:2", "--shards", "3"]);
        let addresses: Vec<String> =
            settings.listeners.iter().map(|listener| listener.address.to_string()).collect();
        assert_eq!(addresses, ["0.0.0.0:1", "[::]:2"]);
        assert_eq!(settings.shards, 3);
    }

    #[test]
    fn no_broker_has_too_many_shards() {
        for shards in ["65", "-1", "x"] {
            assert!(Line::try_parse_from(["skein", "--shards", shards]).is_err());
        }
        assert_eq!(settings(&["--shards", "0"]).shards, 0);
    }
}
