//! What files make a listener's TLS, and how it is said that they do not.

use std::path::PathBuf;

use skein_test_authority::Authority;
use tempfile::TempDir;
use x509_parser::time::ASN1Time;

use super::*;

/// A folder of files that belong together; removed at the end.
struct Folder(TempDir);

impl Folder {
    /// With an authority, and certificates for `a.example` and `b.example`.
    fn new(name: &str) -> Self {
        let folder = TempDir::with_prefix(format!("skein-tls-{name}-"));
        let folder = Self(folder.expect("a temporary folder"));
        let authority = Authority::new("authority");
        authority.write(folder.0.path(), "ca");
        for name in ["a", "b"] {
            authority.server(&[&format!("{name}.example")]).write(folder.0.path(), name);
        }
        folder.write("list.crl", &authority.list_pem(&[]));
        folder
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.path().join(file), text).expect("room for a file");
    }

    fn files(&self, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| self.0.path().join(name)).collect()
    }

    fn settings(&self, certificates: &[&str], keys: &[&str]) -> Tls {
        let (certificate, key) = (self.files(certificates), self.files(keys));
        Tls { certificate, key, ..Tls::default() }
    }
}

fn refusal(tls: Tls) -> String {
    let error = load(&Listener { tls, ..Listener::default() }).expect_err("it is refused");
    let text = error.to_string();
    assert!(text.contains(" of listener \"default\": "), "{text}");
    text
}

#[test]
fn a_listener_without_a_certificate_has_no_tls() {
    assert!(matches!(load(&Listener::default()), Ok(None)));
}

#[test]
fn good_files_make_a_configuration_and_alpn_follows_the_protocol() {
    let folder = Folder::new("good");
    for (protocol, name) in [(Protocol::Mqtt, "mqtt"), (Protocol::WebSocket, "http/1.1")] {
        let tls = Tls {
            client_certificates: ClientCertificates::Optional,
            client_ca: folder.files(&["ca.pem"]),
            crl: folder.files(&["list.crl"]),
            ..folder.settings(&["a.pem", "b.pem"], &["a.key", "b.key"])
        };
        let config = load(&Listener { tls, protocol, ..Listener::default() });
        let config = config.expect("the files are good").expect("there is a certificate");
        assert_eq!(config.alpn_protocols, [name.as_bytes()]);
        assert_eq!(config.max_early_data_size, 0, "W15: nothing before the handshake");
        assert!(config.ticketer.enabled());
    }
}

#[test]
fn a_certificate_is_for_the_names_in_it() {
    let folder = Folder::new("names");
    let provider = aws_lc_rs::default_provider();
    let tls = folder.settings(&["a.pem", "b.pem"], &["a.key", "b.key"]);
    let Ok(Certificates(keys)) = Certificates::load(&tls, &provider) else { panic!("good files") };
    let name = |text| ServerName::try_from(text).expect("a name");
    for (index, own, other) in [(0, "a.example", "b.example"), (1, "b.example", "a.example")] {
        assert!(is_for(&keys[index], &name(own)) && !is_for(&keys[index], &name(other)));
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_key() {
    let folder = Folder::new("wrong");
    folder.write("empty.pem", "");
    folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let asks = |client_ca: &[&str], crl: &[&str]| Tls {
        client_certificates: ClientCertificates::Required,
        client_ca: folder.files(client_ca),
        crl: folder.files(crl),
        ..folder.settings(&["a.pem"], &["a.key"])
    };
    for (tls, parts) in [
        (folder.settings(&["no.pem"], &["a.key"]), ["certificate of", "a file that is there"]),
        (folder.settings(&["a.pem"], &["no.key"]), ["key of", "a file that is there"]),
        (folder.settings(&["empty.pem"], &["a.key"]), ["certificate of", "no certificate in PEM"]),
        (folder.settings(&["a.key"], &["a.key"]), ["certificate of", "no certificate in PEM"]),
        (folder.settings(&["a.pem"], &["a.pem"]), ["key of", "no private key in PEM"]),
        (folder.settings(&["a.pem"], &["b.key"]), ["key of", "does not belong to the first"]),
        (folder.settings(&["broken.pem"], &["a.key"]), ["key of", "invalid peer certificate"]),
        (asks(&["broken.pem"], &[]), ["client_ca of", "broken.pem"]),
        (asks(&["a.key"], &[]), ["client_ca of", "no certificate in PEM"]),
        (asks(&["ca.pem"], &["a.pem"]), ["crl of", "no list in PEM"]),
    ] {
        let text = refusal(tls);
        assert!(text.starts_with(parts[0]) && text.contains(parts[1]), "{text}");
    }
}

/// W16: a list that cannot be read is an error, not a list of nobody.
#[test]
fn w16_a_malformed_list_is_refused() {
    let folder = Folder::new("list");
    let good = fs::read(folder.0.path().join("list.crl")).expect("it was written");
    let der = CertificateRevocationListDer::from_pem_slice(&good).expect("it is a list");
    for length in 0..der.len() {
        folder.write("cut.crl", &pem(&der[..length]));
        let tls = Tls {
            client_certificates: ClientCertificates::Required,
            client_ca: folder.files(&["ca.pem"]),
            crl: folder.files(&["cut.crl"]),
            ..folder.settings(&["a.pem"], &["a.key"])
        };
        assert!(refusal(tls).starts_with("crl of"));
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN X509 CRL-----\n{text}\n-----END X509 CRL-----\n")
}

/// What is out of date keeps clients out, and they alone would notice.
#[test]
fn certificates_and_lists_that_are_out_of_date_are_warned_of() {
    let folder = Folder::new("outdated");
    let mut tls = folder.settings(&["a.pem"], &["a.key"]);
    tls.crl = folder.files(&["list.crl"]);
    // In the middle of the year, or nearly: the authority's dates are whole years.
    let seconds = |year: i64| (year - 1970) * 31_556_952 + 15_000_000;
    let at = |year| ASN1Time::from_timestamp(seconds(year)).expect("a time");
    assert_eq!(warnings(&tls, at(2025)), [""; 0]);
    let [list] = &warnings(&tls, at(4000))[..] else { panic!("the list alone") };
    assert!(list.contains("list.crl: the list of") && list.contains("4000"), "{list}");
    for year in [1970, 5000] {
        let found = warnings(&tls, at(year));
        assert!(found[0].contains("a.pem: the certificate of"), "{found:?}");
    }
}
