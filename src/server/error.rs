//! Why the broker could not start, and what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why the broker could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused something every program needs: a thread, a poll, a file descriptor.
    Kernel(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => {
                write!(formatter, "cannot listen on {address}: {}", advice(*address, source))
            }
            Self::Kernel(source) => write!(formatter, "cannot start: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Kernel(source) => Some(source),
        }
    }
}

/// What is wrong with listening there, and what helps.
fn advice(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program has this port, or another listener of this one ([::] takes IPv4 too); \
             stop it (`ss -ltnp 'sport = :{}'` names it) or choose another with --listen ADDR:PORT",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {} needs a privilege (CAP_NET_BIND_SERVICE); grant it or choose a port above 1023 \
             with --listen ADDR:PORT",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => String::from(
            "this machine has no such address; 0.0.0.0 and [::] stand for all that it has",
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_address_and_what_to_do() {
        let address: SocketAddr = "127.0.0.1:1883".parse().expect("an address");
        let text = |kind: io::ErrorKind| {
            StartError::Listen { address, source: io::Error::from(kind) }.to_string()
        };
        for kind in [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied] {
            assert!(text(kind).starts_with("cannot listen on 127.0.0.1:1883: "));
            assert!(text(kind).contains("--listen"));
        }
        assert!(text(io::ErrorKind::AddrNotAvailable).contains("0.0.0.0"));
    }
}
