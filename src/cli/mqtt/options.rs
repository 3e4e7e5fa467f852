//! The options that say where to connect, and as whom.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use skein_client::session::Authenticator;
use skein_client::transport::{Dial, Proxy};
use skein_client::{Login, Options, Version, Versions};

use super::auth::{self, OneStep};
use super::property::{ConnectProperties, Properties};
use super::server::{Server, backoff, local_address};
use super::tls::TlsOptions;
use super::url::Url;
use super::usage::UsageError;
use super::values;
use super::will::WillOptions;

/// Whose place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Manner {
    /// `skein pub` and so on: MQTT 5.0, and 3.1.1 where that is refused.
    Skein,
    /// Called as `mosquitto_pub` and so on: everything as they do it, MQTT 3.1.1 first of all.
    Mosquitto,
}

/// What the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    Publish,
    Subscribe,
    Request,
    Other,
}

/// Where to connect, and as whom.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(in crate::cli) struct ConnectionOptions {
    /// The host of the broker [default: localhost]
    #[arg(short = 'h', long, value_name = "HOST")]
    host: Option<String>,

    /// The port of the broker [default: 1883, or 8883 with --cafile or --capath]
    #[arg(short = 'p', long, value_name = "PORT")]
    port: Option<u16>,

    /// All in one: mqtt://USER:PASSWORD@HOST:PORT/TOPIC; mqtts, ws and wss as well
    #[arg(short = 'L', long, value_name = "URL")]
    url: Option<String>,

    /// Connect to this socket of this machine
    #[arg(long, value_name = "PATH")]
    unix: Option<String>,

    /// Speak WebSocket
    #[arg(long)]
    ws: bool,

    /// Go out from this address of this machine
    #[arg(short = 'A', long, value_name = "ADDRESS")]
    bind: Option<String>,

    /// Send small packets at once; always so here
    #[arg(long)]
    nodelay: bool,

    /// Looking the broker up by SRV is not supported: refused, with the reason
    #[arg(short = 'S', long)]
    srv: bool,

    /// Go through this proxy: socks5h://USER:PASSWORD@HOST:PORT, socks5:// or http://
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,

    /// The client identifier [default: the broker's choice]
    #[arg(short = 'i', long, value_name = "ID", conflicts_with = "id_prefix")]
    id: Option<String>,

    /// A client identifier of this and the number of the process
    #[arg(short = 'I', long, value_name = "PREFIX")]
    id_prefix: Option<String>,

    /// The user name
    #[arg(short = 'u', long, value_name = "NAME")]
    username: Option<String>,

    /// The password; others on this machine can see it here, unlike in SKEIN_PASSWORD and
    /// --password-file
    #[arg(short = 'P', long, visible_alias = "pw", value_name = "PASSWORD")]
    password: Option<String>,

    /// Take the password from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,

    /// Take the password from this variable of the environment
    #[arg(long, value_name = "NAME", conflicts_with_all = ["password", "password_file"])]
    password_env: Option<String>,

    /// Prove the password without sending it: scram-sha-256 or scram-sha-512; MQTT 5.0
    #[arg(long, value_name = "METHOD")]
    auth: Option<String>,

    /// The longest silence in seconds, from 5 to 65535
    #[arg(short = 'k', long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(5..))]
    keepalive: u16,

    /// Find the session of an earlier connection again, and have it kept; needs an identifier
    #[arg(short = 'c', long)]
    disable_clean_session: bool,

    /// How many seconds the session outlives the connection: -1 or ∞ for ever; MQTT 5.0
    #[arg(short = 'x', long, value_name = "SECONDS", value_parser = values::parse_expiry)]
    session_expiry: Option<u32>,

    /// The version of MQTT: 31, 311 or 5 [default: 5, and 311 if the broker refuses that; as
    /// mosquitto_pub and mosquitto_sub 311]
    #[arg(short = 'V', long, value_name = "VERSION", value_parser = values::parse_version)]
    protocol_version: Option<Version>,

    /// A property of MQTT 5.0: the packet, the name, the value
    #[arg(short = 'D', long, value_name = "PACKET NAME VALUE")]
    property: Vec<String>,

    /// How many messages of QoS 1 and 2 may be on their way to the broker
    #[arg(short = 'M', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    max_inflight: u16,

    /// How many seconds connecting may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    connect_timeout: u32,

    /// Try again until the broker is there, and connect again whenever it is lost
    #[arg(long)]
    reconnect: bool,

    /// Say what is sent and received
    #[arg(short = 'd', long)]
    pub(in crate::cli) debug: bool,

    /// Print no errors
    #[arg(long)]
    pub(in crate::cli) quiet: bool,

    #[command(flatten)]
    will: WillOptions,

    #[command(flatten)]
    tls: TlsOptions,
}

/// Everything that is decided before connecting.
pub(in crate::cli) struct ConnectionPlan {
    pub(in crate::cli) options: Options,
    pub(in crate::cli) dial: Dial,
    pub(in crate::cli) authenticator: Option<Box<dyn Authenticator>>,
    pub(in crate::cli) properties: Properties,
    /// The topic of `--url`, if it has one.
    pub(in crate::cli) topic: Option<String>,
    pub(in crate::cli) host: String,
    pub(in crate::cli) manner: Manner,
    pub(in crate::cli) is_debug: bool,
    pub(in crate::cli) is_quiet: bool,
    pub(in crate::cli) is_tls: bool,
    /// Whether to try again where nothing has ever worked.
    pub(in crate::cli) keeps_trying: bool,
}

impl ConnectionOptions {
    /// Decides everything.
    ///
    /// # Errors
    /// Options that make no sense.
    pub(in crate::cli) fn plan(
        &self,
        kind: Kind,
        manner: Manner,
    ) -> Result<ConnectionPlan, UsageError> {
        if self.srv {
            return Err(UsageError::new("-S is not supported: name the host and port itself."));
        }
        let properties = Properties::parse(&self.property)?;
        let url = self.url.as_deref().map(Url::parse).transpose()?;
        let login = self.login(url.as_ref())?;
        let authenticator = self.authenticator(&login, &properties.connect)?;
        let version = self.version(kind, manner, authenticator.is_some());
        check_login(&login, version)?;
        let server = self.server(url.as_ref());
        let mut options = Options::new([server.address()]);
        options.client_id = self.client_id();
        options.versions = version;
        options.keep_alive_s = self.keepalive;
        options.clean_start = !self.disable_clean_session;
        options.session_expiry_s = self.expiry(version, &properties.connect)?;
        // The password of an exchange does not cross the wire.
        options.login = if self.auth.is_some() { Login::default() } else { login };
        options.will = self.will.plan(&properties)?;
        options.connect_timeout = Duration::from_secs(self.connect_timeout.into());
        options.in_flight_max = self.max_inflight;
        options.topic_aliases_max = properties.topic_alias.unwrap_or(0);
        options.farewell = properties.disconnect.clone();
        options.tap = self.debug;
        options.reconnect = Some(backoff(manner));
        properties.connect.apply(&mut options);
        Ok(ConnectionPlan {
            options,
            dial: self.dial(server.is_tls)?,
            authenticator,
            topic: url.map(|url| url.topic).filter(|topic| !topic.is_empty()),
            properties,
            is_tls: server.is_tls,
            host: server.host,
            manner,
            is_debug: self.debug && !self.quiet,
            is_quiet: self.quiet,
            keeps_trying: self.reconnect,
        })
    }

    fn client_id(&self) -> String {
        match (&self.id, &self.id_prefix) {
            (Some(id), _) => id.clone(),
            (None, Some(prefix)) => format!("{prefix}{}", std::process::id()),
            (None, None) => String::new(),
        }
    }

    fn login(&self, url: Option<&Url>) -> Result<Login, UsageError> {
        let from_url = url.map(|url| url.login.clone()).unwrap_or_default();
        let user_name = self.username.clone().or(from_url.user_name);
        Ok(Login { user_name, password: self.own_password()?.or(from_url.password) })
    }

    /// The password of the options, from wherever they have it.
    fn own_password(&self) -> Result<Option<Bytes>, UsageError> {
        if let Some(file) = &self.password_file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                UsageError::new(format!("--password-file {}: {error}", file.display()))
            })?;
            return Ok(Some(text.lines().next().unwrap_or_default().to_owned().into()));
        }
        if let Some(name) = &self.password_env {
            let value = std::env::var_os(name).ok_or_else(|| {
                UsageError::new(format!("--password-env {name}: there is no such variable."))
            })?;
            return Ok(Some(value.into_vec().into()));
        }
        Ok(self.password.clone().map(Into::into))
    }

    fn authenticator(
        &self,
        login: &Login,
        properties: &ConnectProperties,
    ) -> Result<Option<Box<dyn Authenticator>>, UsageError> {
        let (user_name, password) = (login.user_name.as_deref(), login.password.as_deref());
        match (&self.auth, &properties.authentication_method) {
            (Some(method), _) => auth::scram(method, user_name, password).map(Some),
            (None, Some(method)) => {
                let data = properties.authentication_data.clone().unwrap_or_default().into_bytes();
                Ok(Some(Box::new(OneStep { method: method.clone(), data })))
            }
            (None, None) => Ok(None),
        }
    }

    fn version(&self, kind: Kind, manner: Manner, has_authenticator: bool) -> Versions {
        let is_v5 = !self.property.is_empty()
            // To mosquitto_pub and mosquitto_sub it says something only where 5 is spoken anyway.
            || (self.session_expiry.is_some() && manner == Manner::Skein)
            || self.will.needs_v5()
            || has_authenticator;
        match (self.protocol_version, manner) {
            // The last one to speak of it wins with Mosquitto; a property wins here.
            _ if is_v5 => Versions::Only(Version::V5),
            (Some(version), _) => Versions::Only(version),
            (None, Manner::Skein) => Versions::NewestFirst,
            (None, Manner::Mosquitto) if kind == Kind::Request => Versions::Only(Version::V5),
            (None, Manner::Mosquitto) => Versions::Only(Version::V3_1_1),
        }
    }

    fn expiry(
        &self,
        versions: Versions,
        properties: &ConnectProperties,
    ) -> Result<u32, UsageError> {
        let has_id = self.id.is_some();
        // Before MQTT 5.0 there is none: a session is kept for ever or not at all.
        let has_expiry =
            versions == Versions::NewestFirst || versions == Versions::Only(Version::V5);
        let given = self.session_expiry.or(properties.session_expiry_s).filter(|_| has_expiry);
        let expiry = given.unwrap_or(if self.disable_clean_session { u32::MAX } else { 0 });
        let refused = match has_expiry {
            _ if has_id || expiry != u32::MAX => return Ok(expiry),
            true => {
                "You must provide a client id if you are using an infinite session expiry interval."
            }
            false => "You must provide a client id if you are using the -c option.",
        };
        Err(UsageError::new(refused))
    }

    fn server(&self, url: Option<&Url>) -> Server {
        let named = self.host.clone().or_else(|| url.map(|url| url.host.clone()));
        let host = named.unwrap_or_else(|| "localhost".to_owned());
        let port = self.port.or(url.map(|url| url.port));
        let port = port.unwrap_or(if self.tls.names_authorities() { 8883 } else { 1883 });
        Server {
            unix: self.unix.clone(),
            is_ws: self.ws || url.is_some_and(|url| url.is_ws),
            is_tls: self.tls_is_wanted(url, port),
            host,
            port,
        }
    }

    fn tls_is_wanted(&self, url: Option<&Url>, port: u16) -> bool {
        let is_wanted = port == 8883 || url.is_some_and(|url| url.is_tls);
        // What makes no sense is said later.
        self.unix.is_none() && self.tls.plan(is_wanted).is_ok_and(|tls| tls.is_some())
    }

    fn dial(&self, is_tls: bool) -> Result<Dial, UsageError> {
        let refused = |error: skein_client::Error| UsageError::new(error.to_string());
        let mut dial = Dial::default();
        if let Some(tls) = self.tls.plan(is_tls)? {
            dial = dial.tls(&tls).map_err(refused)?;
        }
        if let Some(proxy) = &self.proxy {
            dial = dial.proxy(Proxy::parse(proxy).map_err(refused)?);
        }
        if let Some(bind) = &self.bind {
            dial = dial.bind(local_address(bind)?);
        }
        Ok(dial)
    }
}

/// Before MQTT 5.0 a password needs a user name [MQTT-3.1.2-22].
fn check_login(login: &Login, versions: Versions) -> Result<(), UsageError> {
    let is_old = matches!(versions, Versions::Only(version) if version != Version::V5);
    match (&login.user_name, &login.password) {
        (None, Some(_)) if is_old => Err(UsageError::new(
            "a password needs a user name (-u), unless MQTT 5.0 is spoken (-V 5).",
        )),
        _ => Ok(()),
    }
}

impl ConnectProperties {
    fn apply(&self, options: &mut Options) {
        options.user_properties = self.user_properties.clone();
        options.request_response_information = self.request_response_information == Some(true);
        options.request_problem_information = self.request_problem_information != Some(false);
        if let Some(maximum) = self.receive_maximum {
            options.receive_maximum = maximum;
        }
        if let Some(maximum) = self.maximum_packet_size {
            options.packet_bytes_max = maximum;
        }
        if let Some(maximum) = self.topic_alias_maximum {
            options.topic_aliases_max = options.topic_aliases_max.max(maximum);
        }
    }
}
