//! Where a broker is.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    str::FromStr,
};

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// In the network.
    Network {
        /// The name or number of the host: what its certificate must be for.
        host: String,
        /// Its number and its port.
        number: SocketAddr,
    },
    /// On this machine, at the path of a socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text));
        match path {
            Some("") => Err("the path of the socket is missing".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => network(text),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(number: SocketAddr) -> Self {
        Self::Network { host: number.ip().to_string(), number }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { host, number } if *host == number.ip().to_string() => {
                number.fmt(formatter)
            }
            Self::Network { host, number } => write!(formatter, "{host}:{}", number.port()),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

/// A number and a port, or a name and a port. Of several numbers of a name the first of IPv4 counts,
/// since that is where most brokers listen.
fn network(text: &str) -> Result<Address, String> {
    if let Ok(number) = text.parse::<SocketAddr>() {
        return Ok(number.into());
    }
    let Some((host, _)) = text.rsplit_once(':') else {
        return Err("neither HOST:PORT nor the path of a socket".to_owned());
    };
    let numbers = text.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_by_key(|number| !number.is_ipv4());
    let number = numbers.first().ok_or_else(|| format!("{host} has no address"))?;
    Ok(Address::Network { host: host.to_owned(), number: *number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_number_a_name_or_a_path() {
        for text in ["127.0.0.1:1883", "[::1]:8883", "localhost:1883", "/run/mqtt.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let expected = Address::Unix("/run/mqtt.sock".into());
        assert_eq!("unix:/run/mqtt.sock".parse(), Ok(expected));
        let named: Address = "localhost:1883".parse().unwrap();
        assert!(matches!(named, Address::Network { number, .. } if number.ip().is_loopback()));
        for text in ["", "1883", "127.0.0.1", "unix:", "localhost:", "localhost:x"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
