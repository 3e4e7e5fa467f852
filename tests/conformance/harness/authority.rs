//! A certificate authority for one test run: what it signs, what it revokes, and clients that
//! trust it.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

pub(crate) use skein_test_authority::Identity;

/// An authority with a folder of its own.
pub(crate) struct Authority {
    signs: skein_test_authority::Authority,
    folder: PathBuf,
}

/// The serial number of the certificate that the list of the revoked names.
const REVOKED: &[u8] = &[6, 66];

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
        let signs = skein_test_authority::Authority::new(&format!("skein tests {name}"));
        let authority = Self { signs, folder };
        authority.signs.write(&authority.folder, "ca");
        authority.write_server("broker", "localhost");
        authority.write_server("other", "other.example");
        authority.write("clients.crl", &authority.signs.list_pem(&[REVOKED]));
        authority.write("empty.crl", &authority.signs.list_pem(&[]));
        authority
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Writes `NAME.pem` and `NAME.key`, a server's certificate for `host`; returns the
    /// certificate.
    pub(crate) fn write_server(&self, name: &str, host: &str) -> CertificateDer<'static> {
        let server = self.signs.server(&[host]);
        server.write(&self.folder, name);
        server.certificate()
    }

    /// A client that all is well with.
    pub(crate) fn client(&self, name: &str) -> Identity {
        self.signs.client(name)
    }

    /// One that the list of the revoked names.
    pub(crate) fn revoked_client(&self) -> Identity {
        self.signs.numbered_client("revoked", REVOKED)
    }

    /// One whose time is over.
    pub(crate) fn expired_client(&self) -> Identity {
        self.signs.expired_client("expired")
    }

    /// A server that pretends to be a client.
    pub(crate) fn server_as_client(&self) -> Identity {
        self.signs.server(&["server"])
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
        roots.add(self.signs.certificate()).expect("it is a certificate");
        let builder = ClientConfig::builder_with_protocol_versions(versions);
        let builder = builder.with_root_certificates(roots);
        let config = match identity.map(Identity::into_parts) {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key),
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
