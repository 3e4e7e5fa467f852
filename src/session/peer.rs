//! Where a connection comes from, and what it has shown of itself below MQTT.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU64;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress(Peer);

/// The usual address stands in place: every connection has one, and few are ever shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Peer {
    V4(SocketAddrV4),
    Other(Box<Other>),
}

/// Whatever does not fit in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Other {
    address: Box<str>,
    certificates: Box<[Box<[u8]>]>,
    certificate_id: Option<CertificateId>,
}

/// Which certificate of all that authorities have signed a client's is: what a list of the revoked
/// ones is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateId(NonZeroU64);

impl CertificateId {
    /// Of a certificate that cannot be read: no list can say that it is not revoked.
    pub const UNREADABLE: Self = Self(NonZeroU64::MIN);

    /// From the hash of all that tells it from others.
    pub fn of_hash(hash: u64) -> Self {
        NonZeroU64::new(hash).map_or(Self::UNREADABLE, Self)
    }
}

// Every client from an IPv6 address has one; with one byte more, glibc's allocator takes sixteen more.
const _: () = assert!(size_of::<Other>() <= 40);

const _: () = assert!(size_of::<PeerAddress>() <= 16);

impl PeerAddress {
    /// From its text, for example `127.0.0.1:4711`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(Peer::Other(Box::new(Other { address: text.into(), ..Other::default() })))
    }

    /// Its address, without the port; `None` for a unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.0 {
            Peer::V4(address) => Some(IpAddr::V4(*address.ip())),
            Peer::Other(other) => other.address.parse::<SocketAddr>().ok().map(|it| it.ip()),
        }
    }

    /// The client's certificate (DER) and those above it, verified by the listener's authorities;
    /// empty if it has shown none.
    pub fn certificates(&self) -> &[Box<[u8]>] {
        match &self.0 {
            Peer::V4(_) => &[],
            Peer::Other(other) => &other.certificates,
        }
    }

    /// Which certificate the client's is, if it has shown one.
    pub fn certificate_id(&self) -> Option<CertificateId> {
        match &self.0 {
            Peer::V4(_) => None,
            Peer::Other(other) => other.certificate_id,
        }
    }

    /// Takes in what was learned after the connection had come: its address beyond a proxy, if it
    /// came through one, and the certificates that it has shown, with what the first is found by.
    pub(crate) fn introduce(
        &mut self,
        source: Option<SocketAddr>,
        certificates: Vec<Box<[u8]>>,
        certificate_id: Option<CertificateId>,
    ) {
        if let Some(source) = source {
            *self = Self::from(source);
        }
        if !certificates.is_empty() {
            let address = self.to_string().into();
            let certificates = certificates.into_boxed_slice();
            let other = Other { address, certificates, certificate_id };
            self.0 = Peer::Other(Box::new(other));
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self(Peer::V4(address)),
            SocketAddr::V6(_) => Self::new(address.to_string()),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Peer::V4(address) => address.fmt(f),
            Peer::Other(other) => f.write_str(&other.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_peer_is_shown_as_its_address() {
        for text in ["127.0.0.1:4711", "[::1]:1883"] {
            assert_eq!(PeerAddress::from(address(text)).to_string(), text);
            assert_eq!(PeerAddress::new(text).to_string(), text);
            assert_eq!(PeerAddress::from(address(text)).ip(), Some(address(text).ip()));
        }
    }

    #[test]
    fn an_introduction_changes_what_it_knows() {
        let mut peer = PeerAddress::new("unix:/run/skein.sock");
        assert_eq!(peer.ip(), None);
        peer.introduce(None, Vec::new(), None);
        assert_eq!(peer, PeerAddress::new("unix:/run/skein.sock"));
        let certificates = vec![Box::from([1, 2]), Box::from([3])];
        peer.introduce(None, certificates.clone(), Some(CertificateId::of_hash(7)));
        assert_eq!(
            (peer.to_string().as_str(), peer.certificates().len()),
            ("unix:/run/skein.sock", 2)
        );
        let mut peer = PeerAddress::from(address("10.0.0.1:1"));
        peer.introduce(
            Some(address("192.0.2.1:4711")),
            certificates.clone(),
            Some(CertificateId::of_hash(7)),
        );
        assert_eq!(peer.to_string(), "192.0.2.1:4711");
        assert_eq!(peer.certificates(), certificates);
        assert_eq!(peer.certificate_id(), Some(CertificateId::of_hash(7)));
    }
}
