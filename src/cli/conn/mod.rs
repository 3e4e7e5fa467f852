//! `skein conn`: connects and says what the broker says of itself.

mod crowd;

use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args};
use serde::Serialize;
use skein_client::ReasonCode;
use skein_client::session::ServerInfo;

use super::mqtt::{
    Connection, ConnectionOptions, ConnectionPlan, Exit, Incident, Kind, Manner, UsageError, code,
};
use super::output;

/// Connect, print what the broker says of itself, and stay connected.
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Exit codes: 0 when told to stop, and after --hold; the broker's own code when it refuses the connection
(1 to 5 before MQTT 5.0, 128 and above with it) or ends it; 1 when there is no broker; 7 when the
connection is lost; 27 when --timeout is over. Of many connections the first that fails counts.

Examples:
  skein conn -h broker --hold 0                   print the limits, and leave
  skein conn -h broker -u me --password-file pw   may I?
  skein conn --will-topic state --will-payload gone --json
  skein conn -h broker --connections 10000 --rate 500 --hold 60
                                                  does it bear so many?"
)]
pub(super) struct Conn {
    /// Leave after so many seconds, and do not wait for a signal
    #[arg(long, value_name = "SECONDS")]
    hold: Option<u32>,

    /// Give up if it is not there after so many seconds, with exit code 27
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    /// Connect so many times; the identifiers are -i or -I and a number behind it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,

    /// Begin so many connections a second [default: as many as the broker takes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: ConnectionOptions,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
}

/// What a broker says of itself when it accepts a connection.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Terms {
    version: String,
    client_id: String,
    session_present: bool,
    session_expiry_s: u32,
    keep_alive_s: u16,
    maximum_qos: u8,
    retain_available: bool,
    maximum_packet_size: usize,
    receive_maximum: u16,
    topic_alias_maximum: u16,
    wildcard_subscriptions: bool,
    shared_subscriptions: bool,
    subscription_identifiers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_information: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(String, String)>,
}

impl Terms {
    pub(super) fn new(server: &ServerInfo, session_present: bool) -> Self {
        let limits = server.limits;
        Self {
            version: server.version.to_string(),
            client_id: server.client_id.clone(),
            session_present,
            session_expiry_s: server.session_expiry_s,
            keep_alive_s: server.keep_alive_s,
            maximum_qos: limits.maximum_qos as u8,
            retain_available: limits.retain,
            maximum_packet_size: limits.packet_bytes_max,
            receive_maximum: limits.receive_maximum,
            topic_alias_maximum: limits.topic_alias_maximum,
            wildcard_subscriptions: limits.wildcard_subscriptions,
            shared_subscriptions: limits.shared_subscriptions,
            subscription_identifiers: limits.subscription_identifiers,
            response_information: server.response_information.clone(),
            user_properties: server.user_properties.clone(),
        }
    }

    /// A line for each, or an object.
    pub(super) fn show(&self, is_json: bool) -> String {
        let Ok(value) = serde_json::to_value(self) else { return String::new() };
        if is_json {
            return format!("{value}\n");
        }
        table(&value)
    }
}

/// The entries of an object, a line each.
pub(super) fn table(value: &serde_json::Value) -> String {
    let mut text = String::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // A String takes everything.
        let _ = writeln!(text, "{:<32}{value}", name.replace('_', " "));
    }
    text
}

impl Conn {
    pub(super) fn run(&self) -> Result<ExitCode, UsageError> {
        let plan = self.connection.plan(Kind::Other, Manner::Skein)?;
        let is_quiet = plan.is_quiet;
        let done = match self.connections {
            1 => self.hold(plan),
            _ if plan.authenticator.is_some() => {
                let text = "--auth is for one connection; leave out --connections.";
                return Err(UsageError::new(text));
            }
            size => crowd::hold(self, size, plan),
        };
        Ok(done.unwrap_or_else(|exit| exit).end(is_quiet))
    }

    /// When it is too late to be connected.
    fn deadline(&self) -> Option<Instant> {
        self.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()))
    }

    /// When it is time to leave.
    fn end(&self) -> Option<Instant> {
        self.hold.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()))
    }

    fn hold(&self, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let keeps_trying = plan.keeps_trying;
        let mut connection = Connection::start(plan)?;
        let caught = connection.catch_signals();
        caught.map_err(|error| Exit::with(code::UNKNOWN, format!("Error: {error}")))?;
        let (server, is_present) = connection.connect(self.deadline())?;
        output::print(Terms::new(&server, is_present).show(self.json))?;
        let end = self.end();
        loop {
            match connection.next(end) {
                Incident::Timeout | Incident::Signal => break,
                Incident::Over(exit) => return Err(exit),
                Incident::Lost(error) if keeps_trying => {
                    connection.warn(&format!("{error}; trying again"));
                }
                Incident::Lost(error) => {
                    return Err(Exit::lost(&error, connection.version(), Manner::Skein));
                }
                _ => {}
            }
        }
        connection.goodbye(ReasonCode::Success)?;
        Ok(Exit::SUCCESS)
    }
}
