//! TLS over a socket.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::event::Source;
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Transport;
use super::key_log::KeyLogFile;
use super::socket::Socket;
use super::unverified::Lenient;
use crate::{Error, Result};

/// How to speak TLS: whom to trust, and who we are.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Files and folders of certificates to trust instead of the system's.
    roots: Vec<PathBuf>,
    /// Whether the system's are trusted as well.
    has_platform_roots: bool,
    /// Our own certificates and their key.
    client: Option<(PathBuf, PathBuf)>,
    /// The name to expect in the server's certificate, where it is not the host.
    server_name: Option<String>,
    /// Whether any certificate will do.
    is_unverified: bool,
    /// Whether the certificate may be for another name.
    is_name_unchecked: bool,
    /// Whether every handshake is a full one.
    is_resumption_off: bool,
    /// The only version that is spoken.
    version: Option<TlsVersion>,
    /// The protocols that are offered inside of TLS.
    protocols: Vec<String>,
    /// Where the secrets of each connection are written to.
    key_log: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl Tls {
    /// Trusts whom the system trusts.
    pub fn platform_roots() -> Self {
        Self::default()
    }

    /// Trusts the certificates in this file (PEM), or in the files of this folder that are named as
    /// `openssl rehash` does it, and no others.
    pub fn roots(file: impl Into<PathBuf>) -> Self {
        Self { roots: vec![file.into()], ..Self::default() }
    }

    /// Trusts these as well.
    pub fn and_roots(mut self, file: impl Into<PathBuf>) -> Self {
        self.roots.push(file.into());
        self
    }

    /// Trusts whom the system trusts as well.
    pub fn and_platform_roots(mut self) -> Self {
        self.has_platform_roots = true;
        self
    }

    /// Speaks this version and no other.
    pub fn version(mut self, version: TlsVersion) -> Self {
        self.version = Some(version);
        self
    }

    /// Offers this protocol to the server (ALPN).
    pub fn protocol(mut self, name: impl Into<String>) -> Self {
        self.protocols.push(name.into());
        self
    }

    /// Appends the secrets of each connection to this file, so that other programs can read what was
    /// recorded of it. Whoever has the file can, too.
    pub fn key_log(mut self, file: impl Into<PathBuf>) -> Self {
        self.key_log = Some(file.into());
        self
    }

    /// Takes a certificate that is trusted also if it is for another host. Whoever has such a
    /// certificate can be the server then.
    pub fn any_name(mut self) -> Self {
        self.is_name_unchecked = true;
        self
    }

    /// Shows these certificates to servers that ask, and proves them with this key (both PEM).
    pub fn client_cert(
        mut self,
        certificates: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client = Some((certificates.into(), key.into()));
        self
    }

    /// Expects this name in the server's certificate instead of the host of its address.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Takes any certificate: the bytes are encrypted, but whoever stands between can be the
    /// server. For tests, and for nothing else.
    pub fn unverified() -> Self {
        Self { is_unverified: true, ..Self::default() }
    }

    /// Shakes hands in full each time, instead of resuming the session of an earlier connection.
    pub fn without_resumption(mut self) -> Self {
        self.is_resumption_off = true;
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::Tls`]: a file cannot be read, or has nothing of use in it.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = self.verifier(&provider)?;
        let versions: &[_] = match self.version {
            None => rustls::DEFAULT_VERSIONS,
            Some(TlsVersion::V1_2) => &[&rustls::version::TLS12],
            Some(TlsVersion::V1_3) => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| failure(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => {
                let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, &error))?;
                builder
                    .with_client_auth_cert(read_certificates(certificates)?, key_der)
                    .map_err(|error| failure(&error))?
            }
        };
        config.alpn_protocols =
            self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        if let Some(file) = &self.key_log {
            config.key_log = Arc::new(KeyLogFile::open(file).map_err(|error| at(file, &error))?);
        }
        if self.is_resumption_off {
            config.resumption = Resumption::disabled();
        }
        Ok(Loaded { config: Arc::new(config), server_name: self.server_name.clone() })
    }

    /// What decides whether a server's certificate is good: rustls' own, unless any is.
    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        if self.is_unverified {
            return Ok(Arc::new(Lenient::of_anybody(provider)));
        }
        let roots = Arc::new(self.load_roots()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        let verifier = verifier.build().map_err(|error| failure(&error))?;
        Ok(match self.is_name_unchecked {
            true => Arc::new(Lenient::of_any_name(verifier, provider)),
            false => verifier,
        })
    }

    fn load_roots(&self) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        let mut certificates = Vec::new();
        for path in &self.roots {
            certificates.extend(read_roots(path)?);
        }
        if self.has_platform_roots || self.roots.is_empty() {
            certificates.extend(rustls_native_certs::load_native_certs().certs);
        }
        let (added, _) = store.add_parsable_certificates(certificates);
        match added {
            0 => Err(Error::Tls("no certificate to trust was found; name a file of some".into())),
            _ => Ok(store),
        }
    }
}

/// What was read from the files.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

impl Loaded {
    /// TLS over a socket. Hands are shaken when something is read, written or flushed.
    pub(super) fn begin(&self, host: &str, socket: Socket) -> io::Result<TlsStream> {
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let config = Arc::clone(&self.config);
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(TlsStream(Box::new(StreamOwned::new(connection, socket))))
    }
}

/// A socket with TLS over it.
#[derive(Debug)]
pub(super) struct TlsStream(Box<StreamOwned<ClientConnection, Socket>>);

impl TlsStream {
    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.0.sock
    }
}

impl Transport for TlsStream {
    fn source(&mut self) -> &mut dyn Source {
        &mut self.0.sock
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()?;
        self.0.sock.shutdown()
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            // Not every server says goodbye; what MQTT has to say has been said.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            result => result,
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes)? {
            // Its buffer is full, which means that the socket is.
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The certificates of a file, or of all files of a folder that have some.
fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    if !path.is_dir() {
        return read_certificates(path);
    }
    let loaded = rustls_native_certs::load_certs_from_paths(None, Some(path));
    match loaded.errors.first() {
        Some(error) if loaded.certs.is_empty() => Err(at(path, error)),
        _ => Ok(loaded.certs),
    }
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| at(file, &error))?;
    certificates.collect::<Result<Vec<_>, _>>().map_err(|error| at(file, &error))
}

fn at(file: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Tls(format!("{}: {error}", file.display()).into())
}

fn failure(error: &dyn std::fmt::Display) -> Error {
    Error::Tls(error.to_string().into())
}
