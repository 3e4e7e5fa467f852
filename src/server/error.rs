//! Why the broker could not start, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

use super::rules::RulesError;
use super::store::StoreError;
use super::tls::TlsError;
use crate::config::Address;

/// Why the broker could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: Address,
        /// What the kernel said.
        source: io::Error,
    },
    /// A listener's certificates, keys or authorities cannot be used.
    Tls(TlsError),
    /// What says who clients are and what they may do cannot be used.
    Rules(RulesError),
    /// What outlives the broker cannot be used.
    Store(StoreError),
    /// The kernel refused something every program needs: a thread, a poll, a file descriptor.
    Kernel(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => {
                write!(formatter, "cannot listen on {address}: {}", advice(address, source))
            }
            Self::Tls(error) => error.fmt(formatter),
            Self::Rules(error) => error.fmt(formatter),
            Self::Store(error) => write!(formatter, "cannot start with this store: {error}"),
            Self::Kernel(source) => write!(formatter, "cannot start: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Kernel(source) => Some(source),
            Self::Tls(_) | Self::Rules(_) | Self::Store(_) => None,
        }
    }
}

/// Adds what is wrong with the rules. A list of revoked certificates is read for TLS and for them:
/// what is wrong with it need not be said twice.
pub(super) fn add_unsaid(errors: &mut Vec<StartError>, more: Vec<StartError>) {
    let has_tls = errors.iter().any(|error| matches!(error, StartError::Tls(_)));
    let is_said =
        |error: &StartError| has_tls && matches!(error, StartError::Rules(RulesError::Revoked(_)));
    errors.extend(more.into_iter().filter(|error| !is_said(error)));
}

/// What is wrong with listening there, and what helps.
fn advice(address: &Address, error: &io::Error) -> String {
    let port = match address {
        Address::Internet(address) => address.port(),
        Address::Unix(path) => return unix_advice(path, error),
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program has this port, or another listener of this one ([::] takes IPv4 too); \
             stop it (`ss -ltnp 'sport = :{port}'` names it) or choose another with --listen \
             ADDR:PORT"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {port} needs a privilege (CAP_NET_BIND_SERVICE); grant it or choose a port above \
             1023 with --listen ADDR:PORT"
        ),
        io::ErrorKind::AddrNotAvailable => String::from(
            "this machine has no such address; 0.0.0.0 and [::] stand for all that it has",
        ),
        _ => error.to_string(),
    }
}

fn unix_advice(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse if path.exists() => String::from(
            "another program listens there, or something that is no socket lies there; stop the \
             one, remove the other or choose another path",
        ),
        io::ErrorKind::PermissionDenied => {
            String::from("this user may not write to its folder; grant it or choose another path")
        }
        io::ErrorKind::NotFound => String::from("its folder is missing; make it"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_address_and_what_to_do() {
        let text = |kind: io::ErrorKind| {
            let address = "127.0.0.1:1883".parse().expect("an address");
            StartError::Listen { address, source: io::Error::from(kind) }.to_string()
        };
        for kind in [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied] {
            assert!(text(kind).starts_with("cannot listen on 127.0.0.1:1883: "));
            assert!(text(kind).contains("--listen"));
        }
        assert!(text(io::ErrorKind::AddrNotAvailable).contains("0.0.0.0"));
    }
}
