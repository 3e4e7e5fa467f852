//! The two mechanisms: one algorithm, with another hash inside.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

/// Which hash SCRAM is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// SCRAM-SHA-256 (RFC 7677).
    Sha256,
    /// SCRAM-SHA-512, the same with a longer hash.
    Sha512,
}

impl Mechanism {
    /// Both of them, in the order in which they are written.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The Authentication Method of MQTT 5 (4.12), which is SCRAM's own name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// How long its hashes are.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// `H(text)` of RFC 5802, section 2.2.
    pub(super) fn hash(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    /// `HMAC(key, text)`.
    pub(super) fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "HMAC takes keys of every length";
        match self {
            Self::Sha256 => {
                let keyed = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                keyed.chain_update(text).finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let keyed = Hmac::<Sha512>::new_from_slice(key).expect(ANY_LENGTH);
                keyed.chain_update(text).finalize().into_bytes().to_vec()
            }
        }
    }

    /// `Hi(password, salt, iterations)`, which is PBKDF2. Slow on purpose.
    pub(super) fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut salted = vec![0; self.bytes()];
        match self {
            Self::Sha256 => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
            }
            Self::Sha512 => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut salted);
            }
        }
        salted
    }
}
