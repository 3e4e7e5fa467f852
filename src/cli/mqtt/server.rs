//! Where a connection goes to, from where, and how often it is tried.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use skein_client::Backoff;

use super::options::Manner;
use super::usage::UsageError;

/// A broker to connect to.
pub(super) struct Server {
    pub(super) unix: Option<String>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_ws: bool,
    pub(super) is_tls: bool,
}

impl Server {
    /// As the client library has it.
    pub(super) fn address(&self) -> Arc<str> {
        if let Some(path) = &self.unix {
            return format!("unix://{path}").into();
        }
        let scheme = match (self.is_ws, self.is_tls) {
            (false, false) => "mqtt",
            (false, true) => "mqtts",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        match self.host.contains(':') {
            true => format!("{scheme}://[{}]:{}", self.host, self.port).into(),
            false => format!("{scheme}://{}:{}", self.host, self.port).into(),
        }
    }
}

/// How fast a lost broker is looked for: Mosquitto's programs do it every second.
pub(super) fn backoff(manner: Manner) -> Backoff {
    let second = Duration::from_secs(1);
    match manner {
        Manner::Mosquitto => Backoff::exponential(second, second).jitter(0.0),
        Manner::Skein => Backoff::exponential(second, Duration::from_secs(30)).jitter(0.5),
    }
}

/// An address of this machine, or the name of one.
///
/// # Errors
/// It is none.
pub(super) fn local_address(text: &str) -> Result<IpAddr, UsageError> {
    let found = (text, 0).to_socket_addrs().ok().and_then(|mut found| found.next());
    let unknown = || UsageError::new(format!("-A {text}: this is no address of this machine."));
    found.map(|address| address.ip()).ok_or_else(unknown)
}
