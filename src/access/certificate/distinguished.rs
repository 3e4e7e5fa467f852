//! A distinguished name as text (RFC 2253), byte for byte as OpenSSL writes it, so that lists that
//! were written for Mosquitto's `use_subject_as_username` hold here too.

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::CertificateError;

/// The name, its last part first.
pub(super) fn text(name: &X509Name<'_>) -> Result<String, CertificateError> {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut texts = Vec::new();
    for part in parts.iter().rev() {
        let attributes: Vec<String> = part.iter().map(attribute).collect::<Result<_, _>>()?;
        texts.push(attributes.join("+"));
    }
    if texts.is_empty() { Err(CertificateError::Missing) } else { Ok(texts.join(",")) }
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Result<String, CertificateError> {
    let id = attribute.attr_type().to_id_string();
    let known = KEYWORDS.iter().find(|(known, _)| *known == id);
    let (_, keyword) = known.ok_or(CertificateError::Forbidden)?;
    let value = attribute.as_str().map_err(|_| CertificateError::Forbidden)?;
    if value.contains(char::is_control) {
        return Err(CertificateError::Forbidden);
    }
    Ok(format!("{keyword}={}", escaped(value)))
}

/// The special characters of RFC 2253, section 2.4, behind a backslash, and every byte beyond ASCII
/// as two digits.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let at_the_edge = (byte == b' ' && (at == 0 || at == last)) || (byte == b'#' && at == 0);
        if !byte.is_ascii() {
            text.push_str(&format!("\\{byte:02X}"));
            continue;
        }
        if at_the_edge || b",+\"\\<>;".contains(&byte) {
            text.push('\\');
        }
        text.push(char::from(byte));
    }
    text
}

/// OpenSSL's short names of what subjects are made of.
const KEYWORDS: [(&str, &str); 17] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.46", "dnQualifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];
