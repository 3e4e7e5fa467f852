//! The client's side of SCRAM-SHA-256, in few words.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use skein::access::{
    provider::Provider,
    scram::{Mechanism, ScramCredentials, ScramFile},
};

pub(crate) const METHOD: &str = "SCRAM-SHA-256";
const ITERATIONS: u32 = 4096;

/// Each of these users has its own name as password; the salt tells one file from another.
pub(crate) fn provider(names: &[&str], salt: u8) -> Provider {
    let line = |name: &&str| {
        let made = ScramCredentials::make(Mechanism::Sha256, name, &[salt; 16], ITERATIONS);
        format!("{name}:{}\n", made.expect("valid"))
    };
    let text: String = names.iter().map(line).collect();
    Provider::Scram(Arc::new(ScramFile::parse(text.as_bytes(), "scram").expect("valid")))
}

/// What a client says first.
pub(crate) fn first(name: &str) -> String {
    format!("n,,n={name},r=abc")
}

/// What it answers to the broker's question, with its name as password.
pub(crate) fn answer(name: &str, question: &str) -> String {
    let part = |key: &str| {
        let found = question.split(',').find_map(|part| part.strip_prefix(key));
        found.unwrap_or_else(|| panic!("{question} has {key}"))
    };
    let salt = STANDARD.decode(part("s=")).expect("Base64");
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(name.as_bytes(), &salt, ITERATIONS, &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let unsigned = format!("c=biws,r={}", part("r="));
    let signed = format!("n={name},r=abc,{question},{unsigned}");
    let signature = hmac(&Sha256::digest(&client_key), signed.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    format!("{unsigned},p={}", STANDARD.encode(proof))
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    keyed.chain_update(text).finalize().into_bytes().to_vec()
}
