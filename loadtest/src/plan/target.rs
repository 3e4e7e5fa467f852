//! The broker that is tested, and how connections introduce themselves to it.

use std::net::SocketAddr;

use clap::Args;
use skein_client::transport::Scheme;
use skein_protocol::Version;

use super::{Address, Transport};

/// The broker that is tested, and how connections introduce themselves to it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Broker and connections")]
pub(crate) struct Target {
    /// Where the broker is: HOST:PORT, or the path of a Unix socket.
    #[arg(long, default_value = "127.0.0.1:1883")]
    pub(crate) address: Address,
    /// The broker's process, to measure its CPU time and memory.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Version of MQTT: 3.1, 3.1.1 or 5.
    #[arg(long, default_value = "3.1.1", value_parser = version)]
    pub(crate) version: Version,
    /// Connections opened a second; without it as fast as the broker takes them.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connect_rate: Option<u32>,
    /// Keep alive of every connection, seconds; without it, or with 0, it is turned off.
    #[arg(long)]
    pub(crate) keep_alive: Option<u16>,
    /// User name of every connection.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Password of every connection.
    #[arg(long)]
    pub(crate) password: Option<String>,
    /// What the client identifiers begin with.
    #[arg(long, default_value = "loadtest")]
    pub(crate) client_id: String,
    /// Local addresses to connect from: 127.0.0.1 and those after it. Each has some 28,000 ports;
    /// for a broker that is not on this machine leave it at 0, which is the system's choice.
    #[arg(long, default_value_t = 0)]
    pub(crate) sources: u8,
    /// Whether every connection has a will; for presets.
    #[arg(skip)]
    pub(crate) has_will: bool,
    #[command(flatten)]
    pub(crate) transport: Transport,
}

impl Target {
    /// What a report calls its transport.
    pub(crate) fn transport_name(&self) -> String {
        self.transport.name(&self.address).to_owned()
    }

    /// Keep alive of every connection, seconds; 0 is off.
    pub(crate) fn keep_alive(&self) -> u16 {
        self.keep_alive.unwrap_or(0)
    }

    /// Whether nothing lies between MQTT and TCP.
    pub(crate) fn is_bare_tcp(&self) -> bool {
        matches!(self.transport.scheme(&self.address), Ok(Scheme::Tcp))
    }

    /// Where a connection comes from, if the system is not to choose.
    pub(crate) fn source(&self, connection: usize) -> Option<SocketAddr> {
        let host = 1 + connection.checked_rem(usize::from(self.sources))? as u8;
        Some(([127, 0, 0, host], 0).into())
    }

    /// The client identifier of a connection.
    pub(crate) fn client_id(&self, connection: usize) -> String {
        format!("{}-{connection}", self.client_id)
    }
}

/// `3.1`, `3.1.1` or `5`, with or without what follows it.
pub(crate) fn version(text: &str) -> Result<Version, String> {
    match text {
        "3.1" | "3" => Ok(Version::V3_1),
        "3.1.1" | "4" => Ok(Version::V3_1_1),
        "5" | "5.0" => Ok(Version::V5),
        _ => Err("a version is 3.1, 3.1.1 or 5".to_owned()),
    }
}
