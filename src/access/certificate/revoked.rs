//! The certificates that authorities have revoked, by their lists (RFC 5280, section 5). Whether a
//! list may be believed is for TLS, which reads it too and asks it about newcomers; here it is asked
//! about clients that are there already.

use std::sync::Arc;

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::CertificateError;
use crate::access::identity::fingerprint;
use crate::session::CertificateId;

/// What a client's certificate is found by, which is given as DER.
#[must_use]
pub fn id_of(der: &[u8]) -> CertificateId {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => id(certificate.issuer().as_raw(), certificate.raw_serial()),
        Err(_) => CertificateId::UNREADABLE,
    }
}

/// The certificates on all lists of one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedCertificates {
    /// In order.
    ids: Arc<[CertificateId]>,
}

impl RevokedCertificates {
    /// Reads one more list, which is given as DER.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] when it is none.
    pub fn add(&mut self, der: &[u8]) -> Result<(), CertificateError> {
        let Ok(([], list)) = CertificateRevocationList::from_der(der) else {
            return Err(CertificateError::Malformed);
        };
        let issuer = list.issuer().as_raw();
        let revoked = list.iter_revoked_certificates();
        let mut ids = vec![CertificateId::UNREADABLE];
        ids.extend(revoked.map(|revoked| id(issuer, revoked.raw_serial())));
        ids.extend_from_slice(&self.ids);
        ids.sort_unstable();
        ids.dedup();
        self.ids = ids.into();
        Ok(())
    }

    /// Whether a certificate is on one of the lists.
    #[must_use]
    pub fn contain(&self, certificate: CertificateId) -> bool {
        self.ids.binary_search(&certificate).is_ok()
    }
}

/// An authority gives no number twice. The issuer's name says itself where it ends.
fn id(issuer: &[u8], serial: &[u8]) -> CertificateId {
    CertificateId::of_hash(fingerprint([issuer, serial].concat()))
}

#[cfg(test)]
mod tests {
    use skein_test_authority::Authority;

    use super::*;

    fn client(authority: &Authority, serial: &[u8]) -> Vec<u8> {
        authority.numbered_client("client", serial).certificate().to_vec()
    }

    #[test]
    fn w16_a_list_names_certificates_of_its_authority_alone() {
        let (one, other) = (Authority::new("one"), Authority::new("other"));
        let long = [0x80; 20];
        let mut revoked = RevokedCertificates::default();
        for list in [one.list(&[&[5], &long]), other.list(&[&[6]])] {
            revoked.add(&list).expect("it is a list");
        }
        for (authority, serial, is_revoked) in [
            (&one, &[5][..], true),
            (&one, &long, true),
            (&one, &[6], false),
            (&other, &[5], false),
            (&other, &[6], true),
        ] {
            let id = id_of(&client(authority, serial));
            assert_eq!(revoked.contain(id), is_revoked, "{serial:?}");
        }
    }

    #[test]
    fn w16_what_cannot_be_read_is_not_vouched_for() {
        let authority = Authority::new("one");
        let certificate = client(&authority, &[5]);
        let cut = id_of(&certificate[..certificate.len() - 1]);
        let mut revoked = RevokedCertificates::default();
        assert!(!revoked.contain(cut), "there are no lists");
        let empty = authority.list(&[]);
        revoked.add(&empty).expect("it is a list");
        assert!(revoked.contain(cut) && !revoked.contain(id_of(&certificate)));
        for damaged in [&empty[..empty.len() - 1], &[&empty[..], &[0]].concat(), b"", &certificate]
        {
            assert_eq!(revoked.add(damaged), Err(CertificateError::Malformed));
        }
    }
}
