//! `skein serve`, and `skein` alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::machine::this_machine;
use crate::config::{
    self, Address, Authentication, ConfigError, DurabilityMode, Imported, Listener, LogFormat,
    LogLevel, SHARDS_MAX, Settings,
};
use crate::server::{Ending, Server, raise_open_files, start_log};

/// Run the broker.
#[derive(Clone, Debug, Args)]
pub(super) struct Serve {
    /// Listen on this IP address and port, or on a Unix socket (unix:/PATH); repeat for more.
    /// Replaces the listeners of the file
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<Address>,

    /// Let everybody connect to the addresses of --listen without proving who they are; addresses
    /// that other machines can reach need this
    #[arg(long, requires = "listen")]
    anonymous: bool,

    /// Event loops to run, each on its own thread [default: 0, the cores this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=SHARDS_MAX as i64))]
    shards: Option<u16>,

    /// Keep sessions, subscriptions, queued and retained messages and wills in this folder, so that
    /// they outlive the broker; without it they are kept in memory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Read the configuration from this file; what is given here goes before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Run this configuration of Mosquitto; what is done otherwise than it asks is said at the start
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    mosquitto_conf: Option<PathBuf>,

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
        let Imported { settings, warnings } = match self.settings() {
            Ok(imported) => imported,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        let _log = start_log(&settings.log);
        warn(&warnings);
        if let Some(files) = raise_open_files() {
            tracing::debug!("up to {files} open files; each connection is one");
        }
        let server = Server::bind(settings).and_then(|mut server| {
            server.obey_signals()?;
            let serve = self.clone();
            server.reread_with(move || {
                let Imported { settings, warnings } = serve.settings()?;
                warn(&warnings);
                Ok(settings)
            });
            Ok(server)
        });
        let ending = server.and_then(|server| {
            self.announce(&server);
            say_ready();
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
    fn settings(&self) -> Result<Imported, ConfigError> {
        let Imported { mut settings, warnings } = match (&self.config, &self.mosquitto_conf) {
            (Some(file), _) => config::load(file)?.into(),
            (None, Some(file)) => config::load_mosquitto(file, this_machine())?,
            (None, None) => Settings::default().into(),
        };
        if !self.listen.is_empty() {
            let durability = settings.store.durability;
            let listeners = self.listen.iter().cloned();
            let listeners = listeners.map(|address| self.listener(address, durability));
            settings.listeners = listeners.collect();
        }
        if let Some(folder) = &self.data_dir {
            settings.store.data_dir = Some(folder.clone());
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
        Ok(Imported { settings, warnings })
    }

    fn listener(&self, address: Address, durability: DurabilityMode) -> Listener {
        let auth = if self.anonymous { vec![Authentication::Anonymous] } else { Vec::new() };
        Listener { auth, durability, ..Listener::at(address) }
    }

    /// Says where the broker listens, who may connect, and how to change that.
    fn announce(&self, server: &Server) {
        let addresses = server.local_addresses();
        let text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let access = who_may_connect(server.settings(), &addresses);
        let reach = if addresses.iter().all(Address::is_local) {
            "from this machine only"
        } else {
            "from the network"
        };
        let is_bare = self.config.is_none() && self.mosquitto_conf.is_none();
        let hint = if is_bare && self.listen.is_empty() {
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

/// Tells the supervisor that started this process, if one waits for that, that it listens.
fn say_ready() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!("cannot tell the service manager that the broker is ready: {error}");
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Who may connect, in words.
fn who_may_connect(settings: &Settings, addresses: &[Address]) -> String {
    let is_open = |listener: &Listener| match listener.auth[..] {
        [] => settings.access.anonymous,
        _ => listener.auth.contains(&Authentication::Anonymous),
    };
    let listeners = settings.listeners.iter();
    let open: Vec<String> = listeners
        .zip(addresses)
        .filter(|(listener, _)| is_open(listener))
        .map(|(_, address)| address.to_string())
        .collect();
    let nobody = settings.listeners.iter().all(|listener| listener.auth.is_empty());
    match open.len() {
        0 if nobody => "nobody may connect: access.anonymous is false and no listener says how \
                        clients prove who they are (auth)"
            .to_owned(),
        0 => "clients have to prove who they are".to_owned(),
        count if count == addresses.len() => "anyone may connect without a password".to_owned(),
        _ => format!("anyone may connect without a password to {}", open.join(" and ")),
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
        line.serve.settings().expect("no file is named").settings
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
    fn an_address_for_others_is_anonymous_only_when_that_is_said() {
        let said = settings(&["--listen", "0.0.0.0:1", "--anonymous"]);
        assert_eq!(config::check_identities(&said), Ok(()));
        let unsaid = config::check_identities(&settings(&["--listen", "0.0.0.0:1"]));
        let text = unsaid.expect_err("everybody could connect").to_string();
        assert!(text.contains("--anonymous"), "{text}");
        assert!(Line::try_parse_from(["skein", "--anonymous"]).is_err(), "it names no address");
    }

    #[test]
    fn who_may_connect_is_said_for_each_address() {
        let addresses = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().expect("one"));
        let mut settings = settings(&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"]);
        let who = |settings: &Settings| who_may_connect(settings, &addresses);
        assert_eq!(who(&settings), "anyone may connect without a password");
        settings.listeners[1].auth = vec![Authentication::Password];
        assert_eq!(who(&settings), "anyone may connect without a password to 127.0.0.1:1");
        settings.listeners[0].auth = vec![Authentication::Certificate];
        assert_eq!(who(&settings), "clients have to prove who they are");
        settings.access.anonymous = false;
        settings.listeners.iter_mut().for_each(|listener| listener.auth.clear());
        assert!(who(&settings).starts_with("nobody may connect"));
    }

    #[test]
    fn without_a_folder_all_is_kept_in_memory() {
        assert_eq!(settings(&[]).store.data_dir, None);
        let settings = settings(&["--data-dir", "/var/lib/skein"]);
        assert_eq!(settings.store.data_dir, Some("/var/lib/skein".into()));
    }

    #[test]
    fn no_broker_has_too_many_shards() {
        for shards in ["65", "-1", "x"] {
            assert!(Line::try_parse_from(["skein", "--shards", shards]).is_err());
        }
        assert_eq!(settings(&["--shards", "0"]).shards, 0);
    }
}
