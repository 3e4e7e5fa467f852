#![no_main]
//! The first byte chooses what reads the rest: whatever comes from a client before it is known, and
//! the files that say who is. None may fall over, and what is read is written and read again.

use libfuzzer_sys::fuzz_target;
use skein::access::certificate::CertificateName;
use skein::access::jwt::{Jwt, JwtKeys, JwtSettings};
use skein::access::password::{PasswordFile, PasswordHash, PasswordText};
use skein::access::scram::{Exchange, Mechanism, ScramCredentials, ScramFile, ScramText};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    match choice % 5 {
        0 => passwords(rest),
        1 => scram_file(rest),
        2 => scram_messages(rest),
        3 => tokens(rest),
        _ => certificates(rest),
    }
});

fn passwords(bytes: &[u8]) {
    let read = PasswordFile::parse(bytes, "passwords");
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(hash) = PasswordHash::parse(text) {
        assert!(PasswordHash::parse(&hash.to_string()) == Ok(hash));
    }
    if let Ok(file) = read {
        let same = PasswordFile::parse(PasswordText::new(text).text().as_bytes(), "passwords");
        assert_eq!(same.map(|same| same.len()), Ok(file.len()));
    }
}

fn scram_file(bytes: &[u8]) {
    let read = ScramFile::parse(bytes, "scram");
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(credentials) = ScramCredentials::parse(text) {
        assert!(ScramCredentials::parse(&credentials.to_string()) == Ok(credentials));
    }
    let mut edited = ScramText::new(text);
    edited.remove("user");
    if let (Ok(_), Ok(edited)) = (read, ScramFile::parse(edited.text().as_bytes(), "scram")) {
        assert!(Mechanism::ALL.iter().all(|mechanism| edited.find(*mechanism, "user").is_none()));
    }
}

/// Nobody is in the file, so no proof can be right.
fn scram_messages(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (first, last) = bytes.split_at(at);
    let started =
        Exchange::start(&ScramFile::default(), Mechanism::Sha256, first, "server", &[7; 32]);
    if let Ok((exchange, answer)) = started {
        assert!(!exchange.user_name().is_empty() && answer.starts_with(b"r="));
        assert!(exchange.finish(last.get(1..).unwrap_or_default()).is_err());
    }
}

fn tokens(bytes: &[u8]) {
    const KEYS: &[u8] = include_bytes!("../../src/access/jwt/examples/keys.json");
    // Whoever finds a signature has broken it.
    let keys = JwtKeys::parse(KEYS, "keys").expect("the example is a valid set");
    if Jwt::is_token(bytes) {
        assert!(Jwt::new(keys, JwtSettings::default()).verify(bytes, "client", 0).is_err());
    }
    let _ = JwtKeys::parse(bytes, "keys");
}

fn certificates(bytes: &[u8]) {
    for name in [
        CertificateName::CommonName,
        CertificateName::AlternativeName,
        CertificateName::DistinguishedName,
    ] {
        if let Ok(user_name) = name.of(bytes) {
            let forbidden = |character: char| character.is_control() || "+#*".contains(character);
            assert!(!user_name.is_empty() && !user_name.contains(forbidden));
        }
    }
}
