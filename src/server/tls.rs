//! From the files of a listener's TLS section to what its connections are encrypted with.

mod outdated;

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::{
    ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier,
    danger::ClientCertVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

pub(super) use self::outdated::warnings;
use crate::access::certificate::RevokedCertificates;
use crate::config::{ClientCertificates, Listener, Protocol, Tls, TlsVersion};

/// The section's name in the file.
const SECTION: &str = "listener.tls";
/// Session tickets that a client is given: one serves it until it comes again and gets the next.
const TICKETS: usize = 1;

/// Why a listener's TLS cannot be had: what is wrong, and what to do.
#[derive(Debug)]
pub struct TlsError {
    /// Where the key stands in the configuration, for the front of the message.
    place: String,
    listener: String,
    key: &'static str,
    text: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, listener, key, text } = self;
        write!(formatter, "{place}{key} of listener \"{listener}\": {text}")
    }
}

impl std::error::Error for TlsError {}

/// Reads the files of a listener's TLS section; `None` if it has no TLS.
///
/// # Errors
/// Names the key, its place in the configuration and what to do.
pub(super) fn load(listener: &Listener) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    if listener.tls.certificate.is_empty() {
        return Ok(None);
    }
    build(&listener.tls, listener.protocol).map(Some).map_err(|wrong| wrong.of(listener))
}

/// Reads which certificates of a listener's clients are revoked.
///
/// # Errors
/// As [`load`], which says the same of a list that it cannot read.
pub(super) fn load_revoked(listener: &Listener) -> Result<RevokedCertificates, TlsError> {
    revoked(&listener.tls).map_err(|wrong| wrong.of(listener))
}

fn revoked(tls: &Tls) -> Result<RevokedCertificates, Wrong> {
    let mut revoked = RevokedCertificates::default();
    for file in &tls.crl {
        for list in revocation_lists(file)? {
            revoked.add(&list).map_err(|_| {
                Wrong(
                    "crl",
                    format!(
                        "{}: a list of revoked certificates in it is malformed",
                        file.display()
                    ),
                )
            })?;
        }
    }
    Ok(revoked)
}

/// What is wrong with a key of the section.
struct Wrong(&'static str, String);

impl Wrong {
    fn of(self, listener: &Listener) -> TlsError {
        let Self(key, text) = self;
        let (place, listener) = (listener.written.place(SECTION, key), listener.name.clone());
        TlsError { place, listener, key, text }
    }
}

fn build(tls: &Tls, protocol: Protocol) -> Result<Arc<ServerConfig>, Wrong> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions: Vec<&'static SupportedProtocolVersion> =
        tls.versions.iter().map(|version| supported(*version)).collect();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| Wrong("versions", error.to_string()))?;
    let builder = match client_verifier(tls, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Certificates::load(tls, &provider)?));
    config.alpn_protocols = match (&tls.alpn[..], protocol) {
        ([], Protocol::Mqtt) => vec![b"mqtt".to_vec()],
        ([], Protocol::WebSocket) => vec![b"http/1.1".to_vec()],
        (named, _) => named.iter().map(|name| name.as_bytes().to_vec()).collect(),
    };
    // Tickets hold what is needed to resume a session, on whatever shard, so that nothing is kept
    // here. New files mean a new key for them: who was let in by the old ones shows itself again.
    config.ticketer =
        aws_lc_rs::Ticketer::new().map_err(|error| Wrong("key", error.to_string()))?;
    config.send_tls13_tickets = TICKETS;
    Ok(Arc::new(config))
}

fn supported(version: TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::V1_2 => &TLS12,
        TlsVersion::V1_3 => &TLS13,
    }
}

/// What checks the certificates of clients, if they are asked for any.
fn client_verifier(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Wrong> {
    if tls.client_certificates == ClientCertificates::None {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for file in &tls.client_ca {
        for certificate in certificates("client_ca", file)? {
            let added = roots.add(certificate);
            added.map_err(|error| Wrong("client_ca", format!("{}: {error}", file.display())))?;
        }
    }
    let mut lists = Vec::new();
    for file in &tls.crl {
        lists.extend(revocation_lists(file)?);
    }
    let has_lists = !lists.is_empty();
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .with_crls(lists);
    if has_lists {
        // What clients show is looked up, not who signed their authority: lists for those are
        // rare. A list that is out of date says nothing any more.
        builder = builder.only_check_end_entity_revocation().enforce_revocation_expiration();
    }
    if tls.client_certificates == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(|error| {
        let key = if has_lists { "crl" } else { "client_ca" };
        Wrong(key, error.to_string())
    })
}

/// The server's certificates, each with its key, and which one a client gets.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    fn load(tls: &Tls, provider: &CryptoProvider) -> Result<Self, Wrong> {
        let pairs = tls.certificate.iter().zip(&tls.key);
        pairs
            .map(|(chain, key)| certified(chain, key, provider))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl ResolvesServerCert for Certificates {
    /// The first certificate that is for the name the client asked for, or else the first.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let serves =
            |key: &&Arc<CertifiedKey>| asked.as_ref().is_some_and(|name| is_for(key, name));
        let found = if self.0.len() > 1 { self.0.iter().find(serves) } else { None };
        found.or(self.0.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

/// A certificate with those above it, and its key.
fn certified(
    chain_file: &Path,
    key_file: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, Wrong> {
    let chain = certificates("certificate", chain_file)?;
    let text = read("key", key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let text = "no private key in PEM is in it; it has to begin with -----BEGIN PRIVATE KEY----- \
             (a key with a password must be decrypted first: openssl pkey -in OLD -out NEW)";
        Wrong("key", format!("{}: {text}", key_file.display()))
    })?;
    match CertifiedKey::from_der(chain, key, provider) {
        Ok(key) => Ok(Arc::new(key)),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Wrong(
            "key",
            format!(
                "the key in {} does not belong to the first certificate in {}; write the file with \
                 its key, and put the server's certificate first",
                key_file.display(),
                chain_file.display()
            ),
        )),
        Err(error) => Err(Wrong("key", format!("{}: {error}", key_file.display()))),
    }
}

/// The certificates in a file, at least one.
fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let text = read(key, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
        let text =
            "no certificate in PEM is in it; it has to begin with -----BEGIN CERTIFICATE-----";
        Wrong(key, format!("{}: {text}", file.display()))
    })
}

fn revocation_lists(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Wrong> {
    let text = read("crl", file)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
        let text = "no list in PEM is in it; it has to begin with -----BEGIN X509 CRL-----";
        Wrong("crl", format!("{}: {text}", file.display()))
    })
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, Wrong> {
    fs::read(file).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; write the path of a file that is there",
            std::io::ErrorKind::PermissionDenied => "; let the user that runs skein read it",
            _ => "",
        };
        Wrong(key, format!("cannot read {}: {error}{hint}", file.display()))
    })
}

#[cfg(test)]
mod tests;
