//! Files that are right and yet keep clients out: certificates and lists that are out of date.

use std::path::Path;

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use super::{Tls, certificates, revocation_lists};

/// What an operator should hear of the files of a TLS section, which [`load`](super::load) has found
/// right: whose time is not now.
pub(in crate::server) fn warnings(tls: &Tls, now: ASN1Time) -> Vec<String> {
    let of_certificates = tls.certificate.iter().filter_map(|file| of_certificates(file, now));
    of_certificates.chain(tls.crl.iter().filter_map(|file| of_lists(file, now))).collect()
}

fn of_certificates(file: &Path, now: ASN1Time) -> Option<String> {
    let chain = certificates("certificate", file).ok()?;
    chain.iter().find_map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        (!validity.is_valid_at(now)).then(|| {
            let (file, subject) = (file.display(), certificate.subject());
            let (first, last) = (validity.not_before, validity.not_after);
            format!(
                "{file}: the certificate of {subject} is valid from {first} to {last} only, and \
                 clients refuse it now; write a new one in its place"
            )
        })
    })
}

fn of_lists(file: &Path, now: ASN1Time) -> Option<String> {
    let lists = revocation_lists(file).ok()?;
    lists.iter().find_map(|der| {
        let (_, list) = CertificateRevocationList::from_der(der).ok()?;
        let next = list.next_update().filter(|next| *next <= now)?;
        let (file, issuer) = (file.display(), list.issuer());
        Some(format!(
            "{file}: the list of {issuer} is out of date since {next}, and whoever shows a \
             certificate of that authority is refused; write a new one in its place"
        ))
    })
}
