//! SCRAM (RFC 5802, RFC 7677) as a method of enhanced authentication: the password never leaves
//! this side, and the server proves that it knows it, too.
//!
//! ```text
//!   CONNECT   n,,n=user,r=nonce            ──▶
//!             ◀── AUTH     r=nonce+more,s=salt,i=rounds
//!   AUTH      c=biws,r=nonce+more,p=proof  ──▶
//!             ◀── CONNACK  v=signature     checked before anything else is believed
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::session::Authenticator;
use crate::{Error, Result};

/// Fewer rounds than RFC 7677 allows make a stolen database cheap to break.
const ROUNDS_MIN: u32 = 4096;
/// More rounds would let a server keep this side busy for seconds.
const ROUNDS_MAX: u32 = 1_000_000;
/// Random bytes of the nonce.
const NONCE_BYTES: usize = 24;
/// `n,,` in base64: no channel binding, no other identity.
const CHANNEL: &str = "biws";

/// A user and a password, proved by SCRAM on every connection anew.
pub struct Scram {
    hash: Hash,
    user_name: String,
    password: String,
    step: Step,
}

/// Where the conversation stands.
enum Step {
    Idle,
    First { nonce: String, bare: String },
    Final { signature: Vec<u8> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Scram {
    /// SCRAM-SHA-256, which is the one to use.
    pub fn sha256(user_name: &str, password: &str) -> Self {
        Self::new(Hash::Sha256, user_name, password)
    }

    /// SCRAM-SHA-512.
    pub fn sha512(user_name: &str, password: &str) -> Self {
        Self::new(Hash::Sha512, user_name, password)
    }

    /// SCRAM-SHA-1, for servers that know no other.
    pub fn sha1(user_name: &str, password: &str) -> Self {
        Self::new(Hash::Sha1, user_name, password)
    }

    fn new(hash: Hash, user_name: &str, password: &str) -> Self {
        let (user_name, password) = (user_name.to_owned(), password.to_owned());
        Self { hash, user_name, password, step: Step::Idle }
    }

    fn answer(&mut self, challenge: &str) -> Result<Vec<u8>> {
        let Step::First { nonce, bare } = std::mem::replace(&mut self.step, Step::Idle) else {
            return Err(failure("the server asked twice"));
        };
        let Challenge { nonce: theirs, salt, rounds } = Challenge::parse(challenge)?;
        if !theirs.starts_with(&nonce) || theirs.len() == nonce.len() {
            return Err(failure("the server's nonce is not an extension of ours"));
        }
        let password = stringprep::saslprep(&self.password)
            .map_err(|_| failure("the password has characters that SCRAM does not allow"))?;
        let salted = self.hash.salt(password.as_bytes(), &salt, rounds);
        let client_key = self.hash.mac(&salted, b"Client Key");
        let last = format!("c={CHANNEL},r={theirs}");
        let messages = format!("{bare},{challenge},{last}");
        let signature = self.hash.mac(&self.hash.digest(&client_key), messages.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, it)| key ^ it).collect();
        let server_key = self.hash.mac(&salted, b"Server Key");
        self.step = Step::Final { signature: self.hash.mac(&server_key, messages.as_bytes()) };
        Ok(format!("{last},p={}", BASE64.encode(proof)).into_bytes())
    }
}

impl Authenticator for Scram {
    fn method(&self) -> &str {
        match self.hash {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
            Hash::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn begin(&mut self, entropy: [u8; 32]) -> Result<Vec<u8>> {
        let nonce = BASE64.encode(&entropy[..NONCE_BYTES]);
        let user_name = stringprep::saslprep(&self.user_name)
            .map_err(|_| failure("the user name has characters that SCRAM does not allow"))?;
        let escaped = user_name.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={escaped},r={nonce}");
        let first = format!("n,,{bare}").into_bytes();
        self.step = Step::First { nonce, bare };
        Ok(first)
    }

    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>> {
        let challenge = str::from_utf8(challenge).map_err(|_| failure("the challenge is no text"));
        self.answer(challenge?)
    }

    fn finish(&mut self, proof: &[u8]) -> Result<()> {
        let Step::Final { signature } = std::mem::replace(&mut self.step, Step::Idle) else {
            return Err(failure("the server accepted without asking for a proof"));
        };
        let theirs = proof.strip_prefix(b"v=").and_then(|proof| BASE64.decode(proof).ok());
        let is_right = theirs.is_some_and(|theirs| theirs.ct_eq(&signature).into());
        if is_right {
            Ok(())
        } else {
            Err(failure("the server does not know the password: its signature is wrong"))
        }
    }
}

impl Hash {
    fn salt(self, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
        let mut out = vec![0; self.bytes()];
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, &mut out),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut out),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut out),
        }
        out
    }

    fn mac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        /// `new_from_slice` takes a key of any length, whatever its type says.
        const ANY_LENGTH: &str = "HMAC takes keys of any length";
        macro_rules! mac {
            ($hash:ty) => {{
                let mut mac = Hmac::<$hash>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        match self {
            Self::Sha1 => mac!(Sha1),
            Self::Sha256 => mac!(Sha256),
            Self::Sha512 => mac!(Sha512),
        }
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// What the server asks with: `r=…,s=…,i=…`.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: u32,
}

impl<'a> Challenge<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let mut fields = text.split(',');
        let mut field = |name: &str| fields.next().and_then(|field| field.strip_prefix(name));
        let (nonce, salt, rounds) = (field("r="), field("s="), field("i="));
        let (Some(nonce), Some(salt), Some(rounds)) = (nonce, salt, rounds) else {
            return Err(failure("the challenge does not have the fields r, s and i"));
        };
        let salt = BASE64.decode(salt).map_err(|_| failure("the salt is not base64"))?;
        match rounds.parse() {
            Ok(rounds) if (ROUNDS_MIN..=ROUNDS_MAX).contains(&rounds) => {
                Ok(Self { nonce, salt, rounds })
            }
            _ => Err(failure("the number of rounds is not between 4,096 and 1,000,000")),
        }
    }
}

fn failure(why: &str) -> Error {
    Error::Authentication(why.into())
}

/// Without the password.
impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, user_name) = (self.method(), &self.user_name);
        f.debug_struct("Scram").field("method", &method).field("user_name", user_name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conversation of RFC 7677, 3, with its nonce in the place of ours.
    #[test]
    fn the_example_of_the_rfc_holds() {
        let mut scram = Scram::sha256("user", "pencil");
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        scram.step = Step::First { bare: format!("n=user,r={nonce}"), nonce };
        let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            String::from_utf8(scram.step(challenge).unwrap()).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let proof = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert!(scram.finish(proof).is_ok());
        assert!(scram.finish(proof).is_err(), "once");
    }

    /// RFC 5802, 5.
    #[test]
    fn the_example_of_the_older_rfc_holds() {
        let mut scram = Scram::sha1("user", "pencil");
        let nonce = "fyko+d2lbbFgONRv9qkxdawL".to_owned();
        scram.step = Step::First { bare: format!("n=user,r={nonce}"), nonce };
        let challenge = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        assert!(scram.step(challenge).unwrap().ends_with(b",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="));
        assert!(scram.finish(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").is_ok());
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let nonce = BASE64.encode([1; NONCE_BYTES]);
        let challenge = format!("r={nonce}x,s=AAAA,i=4096");
        let mut scram = Scram::sha512("a=b,c", "pw");
        assert!(scram.begin([1; 32]).unwrap().starts_with(b"n,,n=a=3Db=2Cc,r="));
        scram.step(challenge.as_bytes()).unwrap();
        assert!(scram.finish(b"v=AAAA").is_err());
        scram.begin([1; 32]).unwrap();
        assert!(scram.finish(b"v=AAAA").is_err(), "nor one that does not ask at all");
    }

    #[test]
    fn bad_challenges_are_refused() {
        let nonce = BASE64.encode([1; NONCE_BYTES]);
        for challenge in [
            format!("r={nonce},s=AAAA,i=4096"),
            "r=other,s=AAAA,i=4096".to_owned(),
            format!("r={nonce}x,s=AAAA,i=4095"),
            format!("r={nonce}x,s=AAAA,i=1000001"),
            format!("r={nonce}x,s=!,i=4096"),
            format!("r={nonce}x,i=4096"),
            String::new(),
        ] {
            let mut scram = Scram::sha256("user", "pw");
            scram.begin([1; 32]).unwrap();
            assert!(scram.step(challenge.as_bytes()).is_err(), "{challenge}");
        }
    }

    #[test]
    fn the_password_is_not_printed() {
        assert!(!format!("{:?}", Scram::sha256("ada", "secret")).contains("secret"));
    }
}
