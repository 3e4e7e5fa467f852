//! A certificate authority for one test run: what it signs, what it revokes, and clients that
//! trust it.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

/// An authority with a folder of its own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    folder: PathBuf,
}

/// A client's certificate and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// The certificate that the list of the revoked names.
const REVOKED: u64 = 666;

impl Authority {
    /// The one that all tests share. Its folder holds `ca.pem`, `broker.pem` and `broker.key` (for
    /// `localhost`), `other.pem` and `other.key` (for `other.example`), `clients.crl` (which names
    /// one client) and `empty.crl`.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Authority> = OnceLock::new();
        SHARED.get_or_init(|| Self::new("shared"))
    }

    pub(crate) fn new(name: &str) -> Self {
        let folder = format!("skein-authority-{name}-{}", std::process::id());
        // The shared one is still there when the process ends.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder).expect("the folder of the build can be written to");
        let mut params = CertificateParams::new(Vec::new()).expect("no names to be wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("skein tests {name}"));
        let key = KeyPair::generate().expect("random numbers");
        let own = params.self_signed(&key).expect("it signs itself");
        let certificate = own.der().clone();
        let authority = Self { issuer: Issuer::new(params, key), certificate, folder };
        authority.write("ca.pem", &own.pem());
        authority.write_server("broker", "localhost");
        authority.write_server("other", "other.example");
        authority.write("clients.crl", &authority.list(&[REVOKED]));
        authority.write("empty.crl", &authority.list(&[]));
        authority
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Writes `NAME.pem` and `NAME.key`, a server's certificate for `host`; returns the
    /// certificate.
    pub(crate) fn write_server(&self, name: &str, host: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a good name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.signed_by(&key, &self.issuer).expect("it signs");
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
        certificate.der().clone()
    }

    /// A client that all is well with.
    pub(crate) fn client(&self, name: &str) -> Identity {
        self.sign(name, |_| {})
    }

    /// One that the list of the revoked names.
    pub(crate) fn revoked_client(&self) -> Identity {
        self.sign("revoked", |params| params.serial_number = Some(SerialNumber::from(REVOKED)))
    }

    /// One whose time is over.
    pub(crate) fn expired_client(&self) -> Identity {
        self.sign("expired", |params| {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        })
    }

    /// A server that pretends to be a client.
    pub(crate) fn server_as_client(&self) -> Identity {
        self.sign("server", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to be wrong");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.signed_by(&key, &self.issuer).expect("it signs");
        Identity { chain: vec![certificate.der().clone()], key: key.into() }
    }

    /// A list of the revoked, in PEM.
    fn list(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("it signs").pem().expect("it is a list")
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("the temporary directory can be written to");
    }

    /// A client that trusts this authority and looks for `host`, upon this socket.
    pub(crate) fn encrypt(
        &self,
        socket: TcpStream,
        host: &str,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<Identity>,
        alpn: &[&str],
    ) -> StreamOwned<ClientConnection, TcpStream> {
        Self::begin(socket, host, &self.configuration(versions, identity, alpn))
    }

    /// A client that looks for `host` with this configuration, upon this socket.
    pub(crate) fn begin(
        socket: TcpStream,
        host: &str,
        configuration: &Arc<ClientConfig>,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let host = ServerName::try_from(host.to_owned()).expect("a name");
        let connection = ClientConnection::new(Arc::clone(configuration), host);
        StreamOwned::new(connection.expect("a good configuration"), socket)
    }

    /// What a client that trusts this authority speaks.
    pub(crate) fn configuration(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<Identity>,
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("it is a certificate");
        let builder = ClientConfig::builder_with_protocol_versions(versions);
        let builder = builder.with_root_certificates(roots);
        let config = match identity {
            Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key),
            None => Ok(builder.with_no_client_auth()),
        };
        let mut config = config.expect("the key fits");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // What is left of a test's files harms nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A path as TOML.
pub(crate) fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_str().expect("the temporary directory has a plain name"))
}
