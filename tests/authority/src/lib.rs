//! A certificate authority for tests: it signs servers and clients, and lists those it has revoked.
//!
//! ```
//! let authority = skein_test_authority::Authority::new("one");
//! let folder = tempfile::tempdir().expect("a folder for the test");
//! authority.write(folder.path(), "ca");
//! authority.server(&["localhost", "127.0.0.1"]).write(folder.path(), "broker");
//! for file in ["ca.pem", "broker.pem", "broker.key"] {
//!     assert!(folder.path().join(file).is_file());
//! }
//! ```
//!
//! It is for tests: what cannot be made is a panic.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationList,
    CertificateRevocationListParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// An authority with a key of its own.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// One of this name. No name that it signs may be the same: OpenSSL takes a certificate that is
    /// signed by its own name for one that signed itself.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, new_key()).expect("it signs itself"))
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Writes its certificate to `NAME.pem`.
    pub fn write(&self, folder: &Path, name: &str) {
        write(folder, &format!("{name}.pem"), &self.pem());
    }

    /// A server with these names and addresses, of which the first one is its common name.
    #[must_use]
    pub fn server(&self, hosts: &[&str]) -> Identity {
        let mut params = params(hosts[0], hosts);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// A client with this common name.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        self.sign(&client(name))
    }

    /// A client whose certificate has this serial number, by which it can be [listed](Self::list).
    #[must_use]
    pub fn numbered_client(&self, name: &str, serial: &[u8]) -> Identity {
        let mut params = client(name);
        params.serial_number = Some(SerialNumber::from_slice(serial));
        self.sign(&params)
    }

    /// A client whose time is over.
    #[must_use]
    pub fn expired_client(&self, name: &str) -> Identity {
        let mut params = client(name);
        (params.not_before, params.not_after) =
            (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        self.sign(&params)
    }

    /// A list of the revoked: the certificates with these serial numbers. As DER.
    #[must_use]
    pub fn list(&self, serials: &[&[u8]]) -> Vec<u8> {
        self.sign_list(serials).der().to_vec()
    }

    /// The same in PEM.
    #[must_use]
    pub fn list_pem(&self, serials: &[&[u8]]) -> String {
        self.sign_list(serials).pem().expect("it is a list")
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = new_key();
        let certificate = params.signed_by(&key, &self.0).expect("it signs");
        Identity { certificate, key }
    }

    fn sign_list(&self, serials: &[&[u8]]) -> CertificateRevocationList {
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
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
        list.signed_by(&self.0).expect("it signs")
    }
}

/// A certificate that an authority has signed, and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    /// The certificate alone.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// Certificate and key, as rustls takes them.
    #[must_use]
    pub fn into_parts(self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        (self.certificate(), self.key.into())
    }

    /// Writes them to `NAME.pem` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) {
        write(folder, &format!("{name}.pem"), &self.certificate.pem());
        write(folder, &format!("{name}.key"), &self.key.serialize_pem());
    }
}

/// What most tests need, in a folder that is removed at the end: the files of an authority (`ca.pem`),
/// of a server `localhost` and of one client.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// With a client of this name, by which its files are called, too.
    #[must_use]
    pub fn new(client: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let authority = Authority::new("authority");
        authority.write(folder.path(), "ca");
        authority.server(&["localhost"]).write(folder.path(), "localhost");
        authority.client(client).write(folder.path(), client);
        Self(folder)
    }

    /// The path of a file in the folder.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// The same as text, for a configuration or a command line.
    #[must_use]
    pub fn text(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }
}

fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("good names");
    params.distinguished_name.push(DnType::CommonName, name);
    // Strict verifiers, as that of Python, ask for it.
    params.use_authority_key_identifier_extension = true;
    params
}

fn client(name: &str) -> CertificateParams {
    let mut params = params(name, &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("random numbers")
}

fn write(folder: &Path, file: &str, text: &str) {
    fs::write(folder.join(file), text).expect("the folder can be written to");
}
