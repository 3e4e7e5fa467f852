//! What carries MQTT to the broker.

use std::{io, path::PathBuf};

use clap::Args;
use skein_client::transport::{Scheme, Tls};

use super::Address;

/// What carries MQTT to the broker: TCP, or what is asked for here.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Transport")]
pub(crate) struct Transport {
    /// Speak TLS, and trust whom the system trusts. The certificate must be for the host of
    /// --address.
    #[arg(long)]
    tls: bool,
    /// Speak TLS, and trust the certificates in this file (PEM) and no others.
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Speak TLS, and take any certificate.
    #[arg(long, conflicts_with = "cafile")]
    insecure: bool,
    /// Speak TLS, and show this certificate (PEM) to a broker that asks for one.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of --cert (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Resume TLS sessions of earlier connections. Without it every handshake is a full one, as it is
    /// with as many devices.
    #[arg(long)]
    tls_resume: bool,
    /// Speak WebSocket, at this path [default: /mqtt].
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "/mqtt")]
    ws: Option<String>,
}

impl Transport {
    /// How to speak to a broker at `address`.
    ///
    /// # Errors
    /// TLS or WebSocket over a socket of this machine, which nobody has.
    pub(crate) fn scheme(&self, address: &Address) -> io::Result<Scheme> {
        match (address, self.is_tls(), self.ws.is_some()) {
            (Address::Unix(_), false, false) => Ok(Scheme::Unix),
            (Address::Unix(_), ..) => {
                Err(io::Error::other("TLS and WebSocket need an address in the network"))
            }
            (_, false, false) => Ok(Scheme::Tcp),
            (_, true, false) => Ok(Scheme::Tls),
            (_, false, true) => Ok(Scheme::WebSocket),
            (_, true, true) => Ok(Scheme::WebSocketTls),
        }
    }

    /// What a report calls it.
    pub(crate) fn name(&self, address: &Address) -> &'static str {
        match (address, self.is_tls(), self.ws.is_some()) {
            (Address::Unix(_), ..) => "unix",
            (_, false, false) => "tcp",
            (_, true, false) => "tls",
            (_, false, true) => "websocket",
            (_, true, true) => "websocket over tls",
        }
    }

    /// The path that WebSocket asks for.
    pub(crate) fn path(&self) -> &str {
        self.ws.as_deref().unwrap_or_default()
    }

    /// How to speak TLS, if that is to be spoken.
    pub(crate) fn tls(&self) -> Option<Tls> {
        if !self.is_tls() {
            return None;
        }
        let mut tls = match &self.cafile {
            _ if self.insecure => Tls::unverified(),
            Some(file) => Tls::roots(file),
            None => Tls::platform_roots(),
        };
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            tls = tls.client_cert(certificate, key);
        }
        Some(if self.tls_resume { tls } else { tls.without_resumption() })
    }

    fn is_tls(&self) -> bool {
        self.tls || self.insecure || self.tls_resume || self.cafile.is_some() || self.cert.is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        transport: Transport,
    }

    fn parse(words: &str) -> Result<Transport, clap::Error> {
        let words = ["test"].into_iter().chain(words.split_whitespace());
        Line::try_parse_from(words).map(|line| line.transport)
    }

    #[test]
    fn each_combination_has_its_scheme_and_name() {
        let address: Address = "127.0.0.1:1".parse().unwrap();
        for (words, scheme, name, path) in [
            ("", Scheme::Tcp, "tcp", ""),
            ("--tls", Scheme::Tls, "tls", ""),
            ("--cafile x", Scheme::Tls, "tls", ""),
            ("--cert x --key y", Scheme::Tls, "tls", ""),
            ("--ws", Scheme::WebSocket, "websocket", "/mqtt"),
            ("--ws --insecure", Scheme::WebSocketTls, "websocket over tls", "/mqtt"),
            ("--ws /a --tls", Scheme::WebSocketTls, "websocket over tls", "/a"),
        ] {
            let transport = parse(words).unwrap();
            assert_eq!(transport.scheme(&address).unwrap(), scheme, "{words}");
            assert_eq!((transport.name(&address), transport.path()), (name, path), "{words}");
            assert_eq!(transport.tls().is_some(), transport.is_tls(), "{words}");
            let unix = transport.scheme(&Address::Unix("/x".into()));
            assert_eq!(unix.is_ok(), words.is_empty(), "{words}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for words in ["--cert x", "--key y", "--insecure --cafile x"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
