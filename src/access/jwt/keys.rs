//! The keys that tokens are verified with: a JSON Web Key Set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

use crate::access::identity::fingerprint;
use crate::config::{ConfigError, Problem};

/// A set of keys, as one file or one address has it.
#[derive(Clone, Default)]
pub struct JwtKeys {
    keys: Vec<Key>,
    has_secrets: bool,
    warnings: Vec<Problem>,
}

/// One key, and the algorithms that a token may name with it.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
    /// What changes when the key or its name does.
    pub(super) fingerprint: u64,
}

impl JwtKeys {
    /// Reads the text of a JWK set. `file` is what errors call it: a file or an address.
    ///
    /// Keys for encryption and of kinds that skein does not know are left out with a warning
    /// (RFC 7517, section 5).
    ///
    /// # Errors
    /// Text that is no JWK set, a key that is damaged or too weak, or no key that verifies anything.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, ConfigError> {
        let mut set = Self::default();
        let mut problems = Vec::new();
        match list(text) {
            Err(text) => problems.push(text),
            Ok(list) => {
                // RFC 7518: `k` is a shared secret, `d` what makes a key a private one.
                set.has_secrets =
                    list.iter().any(|key| key.get("k").or_else(|| key.get("d")).is_some());
                for (index, value) in list.into_iter().enumerate() {
                    match Key::read(value) {
                        Ok(key) => set.keys.push(key),
                        Err(Refusal::LeftOut(why)) => set.warnings.push(Problem {
                            line: None,
                            text: format!("key {} is left out: {why}", index + 1),
                        }),
                        Err(Refusal::Wrong(why)) => {
                            problems.push(format!("key {}: {why}", index + 1));
                        }
                    }
                }
                if set.keys.is_empty() && problems.is_empty() {
                    problems.push("there is no key for signatures in it".to_owned());
                }
            }
        }
        if problems.is_empty() {
            return Ok(set);
        }
        let problems = problems.into_iter().map(|text| Problem { line: None, text }).collect();
        Err(ConfigError { file: file.to_owned(), problems })
    }

    /// Whether whoever reads the set can sign tokens, too.
    pub fn have_secrets(&self) -> bool {
        self.has_secrets
    }

    /// Keys that were left out.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Whether a token that the key with this fingerprint has verified may still be believed. A set
    /// without keys is one that has not been fetched yet, and says nothing.
    pub(super) fn still_have(&self, fingerprint: u64) -> bool {
        self.keys.is_empty() || self.keys.iter().any(|key| key.fingerprint == fingerprint)
    }

    /// The keys a token with this header may be signed with: the one it names, or all of its kind
    /// when it names none.
    pub(super) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Key> {
        let id = id.map(str::to_owned);
        self.keys.iter().filter(move |key| {
            (id.is_none() || key.id == id) && key.algorithms.contains(&algorithm)
        })
    }
}

/// Says how many keys there are and nothing of them: some are secrets.
impl std::fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtKeys").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Why a key is not used.
enum Refusal {
    LeftOut(String),
    Wrong(String),
}

impl Key {
    fn read(value: Value) -> Result<Self, Refusal> {
        let wrong = |text: &str| Refusal::Wrong(text.to_owned());
        let jwk: Jwk = serde_json::from_value(value)
            .map_err(|error| Refusal::LeftOut(format!("skein does not know its kind ({error})")))?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Err(Refusal::LeftOut("it is not for signatures".to_owned()));
        }
        let mut algorithms = algorithms(&jwk)?;
        if let Some(named) = jwk.common.key_algorithm {
            // The names of key algorithms and of signature algorithms are the same where both exist.
            algorithms.retain(|algorithm| format!("{algorithm:?}") == named.to_string());
            if algorithms.is_empty() {
                return Err(wrong("its \"alg\" does not go with its kind, or it is too short"));
            }
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|error| wrong(&error.to_string()))?;
        let text = serde_json::to_string(&(&jwk.common.key_id, &jwk.algorithm));
        let fingerprint = fingerprint(text.map_err(|error| wrong(&error.to_string()))?);
        Ok(Self { id: jwk.common.key_id, algorithms, key, fingerprint })
    }
}

fn list(text: &[u8]) -> Result<Vec<Value>, String> {
    let value: Value =
        serde_json::from_slice(text).map_err(|error| format!("this is not JSON: {error}"))?;
    match value {
        Value::Object(mut object) => match object.remove("keys") {
            Some(Value::Array(keys)) => Ok(keys),
            _ => Err("write a JWK set: {\"keys\": [ … ]}".to_owned()),
        },
        _ => Err("write a JWK set: {\"keys\": [ … ]}".to_owned()),
    }
}

/// What a key may be used for, judged by the key alone: a token chooses among these, and so cannot
/// turn a public key into a secret.
fn algorithms(jwk: &Jwk) -> Result<Vec<Algorithm>, Refusal> {
    let bytes = |text: &str| {
        let decoded = URL_SAFE_NO_PAD.decode(text);
        decoded.map_err(|_| Refusal::Wrong("a part of it is not Base64url".to_owned()))
    };
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) if bytes(&key.n)?.len() < RSA_BYTES_MIN => {
            Err(Refusal::Wrong("an RSA key needs 2048 bits".to_owned()))
        }
        AlgorithmParameters::RSA(_) => Ok(AlgorithmFamily::Rsa.algorithms().to_vec()),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Ok(vec![Algorithm::ES256]),
            EllipticCurve::P384 => Ok(vec![Algorithm::ES384]),
            _ => Err(Refusal::LeftOut("of the curves P-256 and P-384 are known".to_owned())),
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Ok(vec![Algorithm::EdDSA])
        }
        AlgorithmParameters::OctetKey(key) => {
            let secret = bytes(&key.value)?.len();
            let strong = |(_, least): &(Algorithm, usize)| secret >= *least;
            let algorithms: Vec<Algorithm> = SECRET_BYTES_MIN
                .into_iter()
                .filter(strong)
                .map(|(algorithm, _)| algorithm)
                .collect();
            match algorithms.is_empty() {
                true => Err(Refusal::Wrong("a secret needs at least 32 bytes".to_owned())),
                false => Ok(algorithms),
            }
        }
        _ => Err(Refusal::LeftOut("skein does not know its kind".to_owned())),
    }
}

/// RFC 7518, section 3.3: 2048 bits.
const RSA_BYTES_MIN: usize = 256;
/// RFC 7518, section 3.2: as long as the hash.
const SECRET_BYTES_MIN: [(Algorithm, usize); 3] =
    [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];
