//! A listener as Mosquitto's configuration writes it, and what it is in skein's.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::Machine;
use super::lines::{Line, Place};
use crate::config::access::{Authentication, CertificateName};
use crate::config::address::Address;
use crate::config::table::{Listener, Tls};
use crate::config::transport::{ClientCertificates, Protocol, TlsVersion};
use crate::config::written::Written;

/// Who may come in, which stands with a listener or is the same for all.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    pub(super) allow_anonymous: Option<bool>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) acl_file: Option<PathBuf>,
    /// Why the listeners must not be opened.
    pub(super) unsafe_without: Vec<(Place, String)>,
    /// The lines of the files, by skein's keys.
    pub(super) lines: BTreeMap<(&'static str, &'static str), Place>,
}

/// One listener.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) place: Place,
    pub(super) port: u16,
    /// A name or an address; none = every address of this machine.
    pub(super) host: Option<String>,
    pub(super) unix: Option<PathBuf>,
    /// Without any listener in the file, only this machine is served.
    pub(super) is_local_only: bool,
    /// `ipv4` or `ipv6` alone.
    pub(super) family: Option<Family>,
    pub(super) protocol: Protocol,
    pub(super) connections_max: usize,
    pub(super) guard: Guard,
    pub(super) tls: Tls,
    pub(super) requires_certificate: bool,
    /// What of a certificate is the user name.
    pub(super) certificate_name: Option<CertificateName>,
}

/// A kind of IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Door {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            port: 1883,
            host: None,
            unix: None,
            is_local_only: false,
            family: None,
            protocol: Protocol::Mqtt,
            connections_max: 0,
            guard: Guard::default(),
            tls: Tls::default(),
            requires_certificate: false,
            certificate_name: None,
        }
    }

    /// `listener PORT [ADDRESS]`; port 0 with a path is a Unix socket.
    pub(super) fn parse(line: &Line) -> Result<Self, String> {
        let mut door = Self::new(line.place.clone());
        let mut words = line.rest.split(' ').filter(|word| !word.is_empty());
        let port = words.next().ok_or("listener needs a port, as in: listener 1883")?;
        door.port =
            port.parse().map_err(|_| format!("listener: {port:?} is not a port of 0 to 65535"))?;
        let host = words.next().filter(|host| !host.starts_with('#'));
        match (door.port, host) {
            (0, Some(path)) if path.starts_with('/') => door.unix = Some(path.into()),
            (0, _) => return Err("listener 0 needs the path of a Unix socket".to_owned()),
            (_, host) => door.host = host.map(str::to_owned),
        }
        Ok(door)
    }

    /// What it cannot be opened without: who asks for certificates must not get a door for everybody.
    pub(super) fn misses(&self) -> Option<&'static str> {
        match (self.requires_certificate, &self.tls) {
            (true, tls) if tls.certificate.is_empty() => {
                Some("require_certificate true asks for TLS: write certfile FILE and keyfile FILE")
            }
            (true, tls) if tls.client_ca.is_empty() => {
                Some("require_certificate true needs whoever signs them: write cafile FILE")
            }
            _ => None,
        }
    }

    /// As skein's listeners: one, or one for each address that the name of its host stands for.
    pub(super) fn listeners(
        &self,
        guard: &Guard,
        machine: Machine,
    ) -> Result<Vec<Listener>, String> {
        let auth = self.authentication(guard);
        let mut tls = self.tls.clone();
        tls.client_certificates = match self.requires_certificate {
            true => ClientCertificates::Required,
            false => ClientCertificates::None,
        };
        if tls.client_certificates == ClientCertificates::None {
            (tls.client_ca, tls.crl) = (Vec::new(), Vec::new());
        }
        let listener = |address: Address| Listener {
            auth: auth.clone(),
            protocol: self.protocol,
            connections_max: self.connections_max,
            password_file: guard.password_file.clone(),
            acl_file: guard.acl_file.clone(),
            certificate_name: self.certificate_name.unwrap_or(CertificateName::Cn),
            tls: tls.clone(),
            written: self.written(guard),
            ..Listener::at(address)
        };
        Ok(self.addresses(machine)?.into_iter().map(listener).collect())
    }

    /// How clients prove who they are; empty = nobody could.
    fn authentication(&self, guard: &Guard) -> Vec<Authentication> {
        // The certificate is the user name then, and no password is looked at.
        if self.certificate_name.is_some() && self.requires_certificate {
            return vec![Authentication::Certificate];
        }
        let anonymous = guard.allow_anonymous.unwrap_or(false).then_some(Authentication::Anonymous);
        let password = guard.password_file.as_ref().map(|_| Authentication::Password);
        anonymous.into_iter().chain(password).collect()
    }

    fn written(&self, guard: &Guard) -> Written {
        let here = |place: &&Place| place.file == self.place.file;
        let lines = guard.lines.iter().chain(&self.guard.lines);
        let lines = lines.filter(|(_, place)| here(place)).map(|(key, place)| (*key, place.line));
        let address = [(("listener", "address"), self.place.line)];
        Written::at(&self.place.file, lines.chain(address).collect())
    }

    fn addresses(&self, machine: Machine) -> Result<Vec<Address>, String> {
        if let Some(path) = &self.unix {
            return Ok(vec![Address::Unix(path.clone())]);
        }
        if self.is_local_only {
            let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, self.port));
            let addresses = [Some(v4), machine.has_v6.then_some(v6)];
            return Ok(addresses.into_iter().flatten().map(Address::from).collect());
        }
        let Some(host) = &self.host else { return Ok(vec![self.everywhere(machine).into()]) };
        let found = (machine.resolve)(host, self.port)
            .map_err(|error| format!("listener: {host:?} has no address: {error}"))?;
        let is_wanted = |address: &SocketAddr| match self.family {
            None => true,
            Some(Family::V4) => address.is_ipv4(),
            Some(Family::V6) => address.is_ipv6(),
        };
        let mut addresses: Vec<SocketAddr> = found.into_iter().filter(is_wanted).collect();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(format!("listener: {host:?} has no address of the socket_domain"));
        }
        Ok(addresses.into_iter().map(Address::from).collect())
    }

    /// Every address of this machine: one IPv6 socket serves both kinds, where there is IPv6.
    fn everywhere(&self, machine: Machine) -> SocketAddr {
        match self.family {
            Some(Family::V6) => (Ipv6Addr::UNSPECIFIED, self.port).into(),
            None if machine.has_v6 => (Ipv6Addr::UNSPECIFIED, self.port).into(),
            None | Some(Family::V4) => (Ipv4Addr::UNSPECIFIED, self.port).into(),
        }
    }

    /// The oldest version of TLS that is spoken.
    pub(super) fn set_tls_version(&mut self, name: &str) -> Result<Option<&'static str>, String> {
        self.tls.versions = match name {
            "tlsv1.3" => vec![TlsVersion::V1_3],
            "tlsv1.2" => vec![TlsVersion::V1_2, TlsVersion::V1_3],
            "tlsv1.1" | "tlsv1" => {
                return Ok(Some("TLS 1.0 and 1.1 are broken and not spoken; 1.2 and 1.3 are"));
            }
            other => return Err(format!("tls_version: {other:?} is none; write tlsv1.2")),
        };
        Ok(None)
    }
}

/// The certificates in a folder, as `capath` names one.
pub(super) fn certificates_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error| format!("capath: cannot read {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let is_certificate = |extension| extension == "pem" || extension == "crt";
        if path.extension().is_some_and(is_certificate) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
