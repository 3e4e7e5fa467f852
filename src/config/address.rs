//! Addresses: those to listen on, and those of proxies that are trusted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use toml::de::DeValue;

use super::value::{Value, quote};

/// What the path of a Unix socket is written behind.
const UNIX: &str = "unix:";

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a TCP port.
    Internet(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Internet(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The IP address and port, unless it is a Unix socket.
    #[must_use]
    pub fn internet(&self) -> Option<SocketAddr> {
        match self {
            Self::Internet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether it names one place: port 0 asks the system for a free port.
    pub(super) fn is_fixed(&self) -> bool {
        match self {
            Self::Internet(address) => address.port() != 0,
            Self::Unix(_) => true,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Internet(address)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(path) => Err(format!("{} is not a path from the root", quote(path))),
            None => text
                .parse()
                .map(Self::Internet)
                .map_err(|_| format!("{} is not an address with a port", quote(text))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl Value for Address {
    const WANTED: &'static str = "an IP address and a port, like \"127.0.0.1:1883\" or \
        \"[::1]:1883\", or the path of a Unix socket, like \"unix:/run/skein.sock\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_str().ok_or_else(String::new)?.parse()
    }

    fn show(&self) -> String {
        quote(&self.to_string())
    }
}

/// An IP address, or all that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits are the same.
    bits: u8,
}

impl Network {
    /// The networks of this machine alone.
    pub(super) fn loopback() -> Vec<Self> {
        let whole = |address, bits| Self { address, bits };
        vec![
            whole(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            whole(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
        ]
    }

    /// Whether the address belongs to it. An IPv4 address in IPv6's clothes is what it is.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{} is neither an IP address nor a network", quote(text));
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(bits_max), str::parse).map_err(|_| wrong())?;
        if bits > bits_max { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["127.0.0.1:1883", "[::]:8883", "unix:/run/skein.sock"] {
            assert_eq!(text.parse().map(|address: Address| address.to_string()), Ok(text.into()));
        }
        for text in ["localhost:1883", "127.0.0.1", "unix:", "unix:skein.sock", "/run/skein.sock"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        for (network, inside, outside) in [
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/8", "10.200.0.1", "11.1.2.3"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("10.0.0.0/8", "::ffff:10.9.9.9", "::ffff:11.9.9.9"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            let parsed: Network = network.parse().expect("a network");
            assert!(parsed.contains(inside.parse().expect("an address")), "{network}");
            assert!(!parsed.contains(outside.parse().expect("an address")), "{network}");
        }
        for text in ["10.0.0.0/33", "::/129", "10.0.0/8", "host", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
