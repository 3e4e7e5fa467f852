//! User names out of client certificates. Whether the certificate may be believed was checked by
//! TLS before; here it is only read.

mod distinguished;
mod revoked;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

pub use self::revoked::{RevokedCertificates, id_of};
use super::identity::is_user_name;

/// Which part of a certificate is the user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name of the subject; there has to be exactly one.
    CommonName,
    /// The first DNS name, e-mail address or URI among the subject alternative names.
    AlternativeName,
    /// The whole subject, written as in RFC 2253, the way Mosquitto and OpenSSL do.
    DistinguishedName,
}

/// Why a certificate gives no user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is no X.509 certificate, or the part that is asked for is damaged.
    #[error("the client certificate is malformed")]
    Malformed,
    /// It has no such name.
    #[error("the client certificate has no such name")]
    Missing,
    /// It has several, and nothing says which one counts.
    #[error("the client certificate has several common names")]
    Several,
    /// The name is not UTF-8, holds a control character or a wildcard, or is too long.
    #[error("the name in the client certificate holds a character that no user name may")]
    Forbidden,
}

impl CertificateName {
    /// The user name in a certificate, which is given as DER.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(self, der: &[u8]) -> Result<Box<str>, CertificateError> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        let name = match self {
            Self::CommonName => common_name(&certificate)?,
            Self::AlternativeName => alternative_name(&certificate)?,
            Self::DistinguishedName => distinguished::text(certificate.subject())?,
        };
        // A name with a wildcard could match rules that were written for others.
        if is_user_name(&name) && !name.contains(['+', '#', '*']) {
            Ok(name.into())
        } else {
            Err(CertificateError::Forbidden)
        }
    }
}

fn common_name(certificate: &X509Certificate<'_>) -> Result<String, CertificateError> {
    let mut names = certificate.subject().iter_common_name();
    let name = names.next().ok_or(CertificateError::Missing)?;
    if names.next().is_some() {
        return Err(CertificateError::Several);
    }
    name.as_str().map(str::to_owned).map_err(|_| CertificateError::Forbidden)
}

fn alternative_name(certificate: &X509Certificate<'_>) -> Result<String, CertificateError> {
    let extension =
        certificate.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
    let names = extension.map(|extension| &extension.value.general_names[..]).unwrap_or_default();
    for name in names {
        match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
                return Ok((*name).to_owned());
            }
            GeneralName::Invalid(..) => return Err(CertificateError::Malformed),
            _ => {}
        }
    }
    Err(CertificateError::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL, which also wrote the subject in [`SUBJECT`].
    const FULL: &[u8] = include_bytes!("examples/full.der");
    const NAMELESS: &[u8] = include_bytes!("examples/nameless.der");
    const TWO: &[u8] = include_bytes!("examples/two.der");
    const SUBJECT: &str = r#"DC=example,UID=u1,emailAddress=a@example.com,CN=device-1,OU=x\\y,OU=\ a \"b\" \<c\>\;=,O=Ex\C3\A4mple\, Inc.,ST=Nord,C=DE"#;

    /// The certificate with some bytes replaced by as many others, wherever they stand. Nobody looks
    /// at the signature here.
    fn with(certificate: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut changed = certificate.to_vec();
        let places: Vec<usize> = changed
            .windows(from.len())
            .enumerate()
            .filter(|(_, window)| *window == from)
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty(), "the bytes are in the certificate");
        for at in places {
            changed[at..at + to.len()].copy_from_slice(to);
        }
        changed
    }

    #[test]
    fn each_part_of_a_certificate_can_be_the_user_name() {
        assert_eq!(CertificateName::CommonName.of(FULL), Ok("device-1".into()));
        assert_eq!(CertificateName::AlternativeName.of(FULL), Ok("device-1.example.com".into()));
        assert_eq!(CertificateName::DistinguishedName.of(FULL), Ok(SUBJECT.into()));
        assert_eq!(CertificateName::DistinguishedName.of(TWO), Ok("CN=two,CN=one".into()));
    }

    #[test]
    fn a_certificate_without_a_clear_name_gives_none() {
        for (name, certificate, error) in [
            (CertificateName::CommonName, NAMELESS, CertificateError::Missing),
            (CertificateName::AlternativeName, NAMELESS, CertificateError::Missing),
            (CertificateName::CommonName, TWO, CertificateError::Several),
            (CertificateName::CommonName, &FULL[..FULL.len() / 2], CertificateError::Malformed),
            (CertificateName::CommonName, b"", CertificateError::Malformed),
        ] {
            assert_eq!(name.of(certificate), Err(error));
        }
    }

    /// H15: bad UTF-8, NUL, line ends and wildcards.
    #[test]
    fn names_that_could_pass_for_others_are_refused() {
        for to in [
            &b"devi\0e-1"[..],
            b"devi\ne-1",
            b"devi\x7fe-1",
            b"devi\xffe-1",
            b"devi+e-1",
            b"#evice-1",
            b"*evice-1",
        ] {
            let changed = with(FULL, b"device-1", to);
            for name in [
                CertificateName::CommonName,
                CertificateName::AlternativeName,
                CertificateName::DistinguishedName,
            ] {
                let error = name.of(&changed).expect_err("the name is refused");
                let expected = [CertificateError::Forbidden, CertificateError::Malformed];
                assert!(expected.contains(&error), "{name:?} {to:?} {error}");
            }
        }
    }
}
