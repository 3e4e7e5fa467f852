//! One hashed password, in the three forms that Mosquitto writes.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

/// How a password is hashed, with what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `$6$`: SHA-512 of password and salt, once. Good for reading old files only.
    Sha512,
    /// `$7$`: PBKDF2 with HMAC-SHA-512.
    Sha512Pbkdf2 {
        /// How often it is applied, at least once.
        iterations: u32,
    },
    /// `$argon2id$`, version 19.
    Argon2id {
        /// The memory it fills, in KiB.
        memory_kib: u32,
        /// How often it goes over that memory.
        passes: u32,
        /// Into how many lanes the memory is divided.
        lanes: u32,
    },
}

/// A password that is known only by its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    scheme: Scheme,
    salt: Box<[u8]>,
    digest: Box<[u8]>,
}

/// Why some text is no hash of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// It does not begin with `$`.
    #[error("the password is not hashed; `skein passwd -U FILE` hashes every such line")]
    Plain,
    /// It begins with `$`, and what follows is none of the three forms.
    #[error(
        "the hash is of no known form; write one of $6$SALT$HASH, $7$ITERATIONS$SALT$HASH or \
         $argon2id$v=19$m=…,t=…,p=…$SALT$HASH, or let `skein passwd` write it"
    )]
    Form,
    /// Salt or hash are not in Base64, or not as long as the form demands.
    #[error("the salt or the hash is damaged; let `skein passwd` write the line again")]
    Damaged,
    /// It would take longer or more memory than [`Scheme`] allows, or less than the form does.
    #[error(
        "the hash costs too much or nothing: at most {ITERATIONS_MAX} iterations, \
         {MEMORY_KIB_MAX} KiB, {PASSES_MAX} passes and {LANES_MAX} lanes"
    )]
    Cost,
}

impl Scheme {
    /// What Mosquitto 2.1 writes unless told otherwise, and within what OWASP asks of Argon2id.
    pub const ARGON2ID: Self = Self::Argon2id { memory_kib: 47_104, passes: 1, lanes: 1 };
    /// PBKDF2 as strong as OWASP asks. Mosquitto's own default of 1000 iterations is broken quickly.
    pub const SHA512_PBKDF2: Self = Self::Sha512Pbkdf2 { iterations: 210_000 };

    /// How many bytes of salt it is written with. Mosquitto before 2.1 takes 12 bytes only for the
    /// two older forms; 2.1 takes both.
    pub fn salt_bytes(self) -> usize {
        match self {
            Self::Sha512 | Self::Sha512Pbkdf2 { .. } => SALT_BYTES_SHORT,
            Self::Argon2id { .. } => SALT_BYTES_LONG,
        }
    }

    fn is_affordable(self) -> bool {
        match self {
            Self::Sha512 => true,
            Self::Sha512Pbkdf2 { iterations } => (1..=ITERATIONS_MAX).contains(&iterations),
            Self::Argon2id { memory_kib, passes, lanes } => {
                memory_kib <= MEMORY_KIB_MAX
                    && passes <= PASSES_MAX
                    && lanes <= LANES_MAX
                    && Params::new(memory_kib, passes, lanes, None).is_ok()
            }
        }
    }

    /// The hash of a password, `digest.len()` bytes of it. Slow on purpose.
    fn derive(self, password: &[u8], salt: &[u8], digest: &mut [u8]) -> Result<(), HashError> {
        match self {
            Self::Sha512 => {
                let once = Sha512::new().chain_update(password).chain_update(salt).finalize();
                let bytes = digest.len().min(once.len());
                digest[..bytes].copy_from_slice(&once[..bytes]);
            }
            Self::Sha512Pbkdf2 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, digest);
            }
            Self::Argon2id { memory_kib, passes, lanes } => {
                Params::new(memory_kib, passes, lanes, Some(digest.len()))
                    .and_then(|params| {
                        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                            .hash_password_into(password, salt, digest)
                    })
                    .map_err(|_| HashError::Cost)?;
            }
        }
        Ok(())
    }
}

impl PasswordHash {
    /// Hashes a password. `salt` is random and [`Scheme::salt_bytes`] long.
    ///
    /// # Errors
    /// [`HashError::Cost`] when the scheme's figures are out of bounds, [`HashError::Damaged`] when
    /// the salt has another length.
    pub fn make(scheme: Scheme, password: &[u8], salt: &[u8]) -> Result<Self, HashError> {
        let mut digest = vec![0; DIGEST_BYTES].into_boxed_slice();
        if !scheme.is_affordable() {
            return Err(HashError::Cost);
        }
        if salt.len() != scheme.salt_bytes() {
            return Err(HashError::Damaged);
        }
        scheme.derive(password, salt, &mut digest)?;
        Ok(Self { scheme, salt: salt.into(), digest })
    }

    /// Reads what stands behind the user name in a password file.
    ///
    /// # Errors
    /// Each way in which the text is not a hash that can be verified.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let Some(fields) = text.strip_prefix('$') else { return Err(HashError::Plain) };
        let fields: Vec<&str> = fields.split('$').collect();
        let hash = match fields[..] {
            ["6", salt, digest] => Self::of_mosquitto(Scheme::Sha512, salt, digest)?,
            ["7", iterations, salt, digest] => {
                let iterations = decimal(iterations)?;
                Self::of_mosquitto(Scheme::Sha512Pbkdf2 { iterations }, salt, digest)?
            }
            ["argon2id", "v=19", costs, salt, digest] => Self::of_argon2id(costs, salt, digest)?,
            _ => return Err(HashError::Form),
        };
        if hash.scheme.is_affordable() { Ok(hash) } else { Err(HashError::Cost) }
    }

    /// How it was hashed.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether this is the password. As slow as the scheme makes it, so nothing for a shard; equally
    /// slow for every password of one length.
    pub fn verify(&self, password: &[u8]) -> bool {
        let mut digest = vec![0; self.digest.len()];
        let derived = self.scheme.derive(password, &self.salt, &mut digest);
        derived.is_ok() & bool::from(digest.ct_eq(&self.digest))
    }

    /// `$6$` and `$7$`: Base64 with padding; Mosquitto takes salts of two lengths.
    fn of_mosquitto(scheme: Scheme, salt: &str, digest: &str) -> Result<Self, HashError> {
        let decode = |text| STANDARD.decode(text).map_err(|_| HashError::Damaged);
        let (salt, digest) = (decode(salt)?, decode(digest)?);
        let salt_fits = [SALT_BYTES_SHORT, SALT_BYTES_LONG].contains(&salt.len());
        if !salt_fits || digest.len() != DIGEST_BYTES {
            return Err(HashError::Damaged);
        }
        Ok(Self { scheme, salt: salt.into(), digest: digest.into() })
    }

    /// The PHC string, taken apart here because Mosquitto's salts are longer than the 48 bytes that
    /// ready-made parsers allow.
    fn of_argon2id(costs: &str, salt: &str, digest: &str) -> Result<Self, HashError> {
        let costs: Vec<&str> = costs.split(',').collect();
        let [memory, passes, lanes] = costs[..] else { return Err(HashError::Form) };
        let cost = |text: &str, name| decimal(text.strip_prefix(name).ok_or(HashError::Form)?);
        let scheme = Scheme::Argon2id {
            memory_kib: cost(memory, "m=")?,
            passes: cost(passes, "t=")?,
            lanes: cost(lanes, "p=")?,
        };
        let decode = |text| STANDARD_NO_PAD.decode(text).map_err(|_| HashError::Damaged);
        let (salt, digest) = (decode(salt)?, decode(digest)?);
        let lengths_fit = (argon2::MIN_SALT_LEN..=BYTES_MAX).contains(&salt.len())
            && (DIGEST_BYTES_MIN..=BYTES_MAX).contains(&digest.len());
        if !lengths_fit {
            return Err(HashError::Damaged);
        }
        Ok(Self { scheme, salt: salt.into(), digest: digest.into() })
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let padded = |bytes: &[u8]| STANDARD.encode(bytes);
        let bare = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        let (salt, digest) = (&self.salt, &self.digest);
        match self.scheme {
            Scheme::Sha512 => write!(f, "$6${}${}", padded(salt), padded(digest)),
            Scheme::Sha512Pbkdf2 { iterations } => {
                write!(f, "$7${iterations}${}${}", padded(salt), padded(digest))
            }
            Scheme::Argon2id { memory_kib, passes, lanes } => write!(
                f,
                "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${}${}",
                bare(salt),
                bare(digest)
            ),
        }
    }
}

/// Says how it was hashed, and nothing that helps to guess the password.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Digits only: `parse` alone would take a sign too.
fn decimal(text: &str) -> Result<u32, HashError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HashError::Form);
    }
    text.parse().map_err(|_| HashError::Cost)
}

/// What Mosquitto writes, in bytes.
const DIGEST_BYTES: usize = 64;
const SALT_BYTES_SHORT: usize = 12;
const SALT_BYTES_LONG: usize = 64;
/// Shorter digests can be found by trying; longer ones make no password safer.
const DIGEST_BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 1_024;

/// Above these a file could stop the broker by itself: some seconds, and a GiB, for one login.
const ITERATIONS_MAX: u32 = 10_000_000;
const MEMORY_KIB_MAX: u32 = 1_048_576;
const PASSES_MAX: u32 = 100;
const LANES_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by other programs: the first three by OpenSSL, the others by the reference
    /// implementation of Argon2. The password of all is "password".
    const HASHES: [&str; 5] = [
        "$6$AAECAwQFBgcICQoL$b4be9ENqb54sNj+csQTvm3qRtt6r5BJ4pdELhfw3543YRDKXy8YjBxqSsJubpfDSNaXeWIFnCuo6UMHsY83J5w==",
        "$7$101$AAECAwQFBgcICQoL$DEO14ViPofBJRJpN8uZINnuFUWj8eUeWhlyZ2QOQ+5LgiM0kGXMwv2HwhIvlBQTsHkd+uve2/GFOr/KZ8Y/8Hw==",
        "$7$1000$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==$seoZOd4yKp4qepnHeRnOIqoxpEevy96Tz9mouYISK2qdKKeUN6dOG8OXC4glWmhJNXlRek6qGJq0HplYtF6dcQ==",
        "$argon2id$v=19$m=47104,t=1,p=1$QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkrLw$9K5ytjl5Dn9VKcH7DQgQCoLSgx/ud9xn091yU4h57SZTuI27qjQ1AOn+zEt+VqFMonbXo+CpzsCqXemGITDawg",
        "$argon2id$v=19$m=64,t=2,p=2$QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkrLw$0PQsJFDEfem4L5MNyP3E5ZeL1Y6i+MArLSFFTGJul8M",
    ];

    #[test]
    fn hashes_of_other_programs_are_verified_and_written_back() {
        for text in HASHES {
            let hash = PasswordHash::parse(text).expect("a hash");
            assert!(hash.verify(b"password"), "{text}");
            for wrong in [&b"passworD"[..], b"", b"password1"] {
                assert!(!hash.verify(wrong), "{text}");
            }
            assert_eq!(hash.to_string(), text);
            assert!(!format!("{hash:?}").contains(&text[text.len() - 20..]), "no digest in logs");
        }
    }

    #[test]
    fn what_is_made_is_read_and_verified() {
        let cheap = Scheme::Argon2id { memory_kib: 64, passes: 1, lanes: 1 };
        for scheme in [Scheme::Sha512, Scheme::Sha512Pbkdf2 { iterations: 3 }, cheap] {
            let salt = vec![7; scheme.salt_bytes()];
            let made = PasswordHash::make(scheme, b"secret", &salt).expect("the cost is allowed");
            let read = PasswordHash::parse(&made.to_string()).expect("it was written here");
            assert!(read == made && read.scheme() == scheme);
            assert!(read.verify(b"secret") && !read.verify(b"secre"));
            assert_eq!(PasswordHash::make(scheme, b"", &salt[1..]), Err(HashError::Damaged));
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_with_the_reason() {
        let pbkdf2 = HASHES[1];
        let argon2 = HASHES[4];
        for (text, error) in [
            ("secret".to_owned(), HashError::Plain),
            (String::new(), HashError::Plain),
            ("$5$a$b".to_owned(), HashError::Form),
            ("$".to_owned(), HashError::Form),
            (pbkdf2.replace("101", "+101"), HashError::Form),
            (pbkdf2.replace("101", ""), HashError::Form),
            (pbkdf2.replace("101", "0"), HashError::Cost),
            (pbkdf2.replace("101", "4294967296"), HashError::Cost),
            (pbkdf2.replace("101", "10000001"), HashError::Cost),
            (pbkdf2.replace("AAEC", "AAECAAEC"), HashError::Damaged),
            (pbkdf2.replace("==", ""), HashError::Damaged),
            (pbkdf2[..pbkdf2.len() - 4].to_owned(), HashError::Damaged),
            (HASHES[0].replace("AAEC", "*"), HashError::Damaged),
            (argon2.replace("v=19", "v=16"), HashError::Form),
            (argon2.replace("id$", "i$"), HashError::Form),
            (argon2.replace("m=64,t=2", "t=2,m=64"), HashError::Form),
            (argon2.replace("m=64", "m=1"), HashError::Cost),
            (argon2.replace("m=64", "m=1048577"), HashError::Cost),
            (argon2.replace("t=2", "t=0"), HashError::Cost),
            (argon2.replace("p=2", "p=65"), HashError::Cost),
            (format!("{argon2}="), HashError::Damaged),
        ] {
            assert_eq!(PasswordHash::parse(&text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_default_costs_are_allowed() {
        for scheme in [Scheme::ARGON2ID, Scheme::SHA512_PBKDF2, Scheme::Sha512] {
            assert!(scheme.is_affordable());
        }
        assert!(!Scheme::Sha512Pbkdf2 { iterations: 0 }.is_affordable());
    }
}
