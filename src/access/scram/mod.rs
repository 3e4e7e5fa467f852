//! The server's side of SCRAM (RFC 5802, RFC 7677), which MQTT 5 carries in CONNECT and AUTH (4.12).
//!
//! ```text
//! client                                            broker
//!   CONNECT  n,,n=USER,r=NONCE            ──────▶   Exchange::start
//!            ◀──────  AUTH  r=NONCE+OURS,s=SALT,i=ITERATIONS
//!   AUTH     c=biws,r=NONCE+OURS,p=PROOF  ──────▶   Exchange::finish
//!            ◀──────  CONNACK  v=SIGNATURE
//! ```
//!
//! The password never crosses the wire, and what is stored cannot be used to log in elsewhere.
//! Checking a proof takes a few hashes, so a shard may do it itself.

mod credentials;
mod edit;
mod mechanism;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stringprep::saslprep;
use subtle::ConstantTimeEq;

pub use self::credentials::{
    ITERATIONS_MAX, ITERATIONS_MIN, SALT_BYTES, ScramCredentials, ScramCredentialsError, ScramFile,
};
pub use self::edit::ScramText;
pub use self::mechanism::Mechanism;

/// A login that waits for the client's proof.
#[derive(Clone, Debug)]
pub struct Exchange {
    user_name: Box<str>,
    /// Of a user that does not exist, credentials that no proof fits.
    credentials: ScramCredentials,
    is_known: bool,
    /// What `c=` has to repeat.
    channel_binding: String,
    /// The client's nonce and the broker's.
    nonce: String,
    /// `client-first-message-bare,server-first-message`, the first two parts of what is signed.
    messages: String,
}

/// Who logged in, and what proves to the client that the broker knew the password too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// The name of the user, prepared with SASLprep.
    pub user_name: Box<str>,
    /// What changes when the user's credentials do.
    pub fingerprint: u64,
    /// The server-final-message, the Authentication Data of CONNACK or AUTH.
    pub server_final: Box<[u8]>,
}

/// Why a login failed. The client is told no more than that it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The message is not of the form that RFC 5802, section 7, gives it.
    #[error("the SCRAM message is malformed")]
    Malformed,
    /// The client wants its TLS channel bound in, which is not offered.
    #[error("the client asks for channel binding, which is not offered")]
    ChannelBinding,
    /// The client wants to act for another user.
    #[error("the client asks to act for another user")]
    AnotherUser,
    /// A mandatory extension: the broker knows none.
    #[error("the client asks for an extension")]
    Extension,
    /// The second message belongs to another exchange.
    #[error("the nonce is not the one that was sent")]
    Nonce,
    /// The password is wrong, or there is no such user.
    #[error("wrong password or unknown user")]
    Proof,
}

impl Exchange {
    /// Answers the client-first-message with the server-first-message.
    ///
    /// `server_nonce` is random, printable and without a comma, at least 18 characters. `decoy_key`
    /// is random and stays the same while the process runs: it makes up the salt of users that do
    /// not exist, so that asking twice does not show that they do not.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn start(
        file: &ScramFile,
        mechanism: Mechanism,
        client_first: &[u8],
        server_nonce: &str,
        decoy_key: &[u8; 32],
    ) -> Result<(Self, Box<[u8]>), ScramError> {
        let first = ClientFirst::parse(client_first)?;
        let known = file.find(mechanism, &first.user_name).cloned();
        let is_known = known.is_some();
        let credentials =
            known.unwrap_or_else(|| decoy(file, mechanism, &first.user_name, decoy_key));
        let nonce = format!("{}{server_nonce}", first.nonce);
        let salt = STANDARD.encode(&credentials.salt);
        let server_first = format!("r={nonce},s={salt},i={}", credentials.iterations);
        let exchange = Self {
            user_name: first.user_name,
            credentials,
            is_known,
            channel_binding: STANDARD.encode(first.header),
            nonce,
            messages: format!("{},{server_first}", first.bare),
        };
        Ok((exchange, server_first.into_bytes().into()))
    }

    /// Who claims to log in; not proved yet.
    pub fn user_name(&self) -> &str {
        &self.user_name
    }

    /// Checks the client-final-message and answers with the server-final-message.
    ///
    /// # Errors
    /// What is wrong with the message, [`ScramError::Proof`] when it is all right and yet proves
    /// nothing.
    pub fn finish(self, client_final: &[u8]) -> Result<Proved, ScramError> {
        let text = str::from_utf8(client_final).map_err(|_| ScramError::Malformed)?;
        let (unsigned, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        let mut attributes = unsigned.split(',');
        let channel_binding = attribute(attributes.next(), 'c')?;
        let nonce = attribute(attributes.next(), 'r')?;
        if channel_binding != self.channel_binding {
            return Err(ScramError::ChannelBinding);
        }
        if nonce != self.nonce {
            return Err(ScramError::Nonce);
        }
        let signed = format!("{},{unsigned}", self.messages);
        self.check(signed.as_bytes(), &proof)
    }

    /// `ClientKey := ClientProof XOR ClientSignature`, and its hash is the stored key or not.
    fn check(self, signed: &[u8], proof: &[u8]) -> Result<Proved, ScramError> {
        let ScramCredentials { mechanism, stored_key, server_key, .. } = &self.credentials;
        if proof.len() != mechanism.bytes() {
            return Err(ScramError::Malformed);
        }
        let signature = mechanism.hmac(stored_key, signed);
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let is_proved = bool::from(mechanism.hash(&client_key).ct_eq(stored_key));
        if !(is_proved & self.is_known) {
            return Err(ScramError::Proof);
        }
        let signature = STANDARD.encode(mechanism.hmac(server_key, signed));
        let server_final = format!("v={signature}").into_bytes().into();
        let fingerprint = self.credentials.fingerprint();
        Ok(Proved { user_name: self.user_name, fingerprint, server_final })
    }
}

/// The client-first-message, taken apart.
struct ClientFirst<'a> {
    /// The `gs2-header`.
    header: &'a str,
    /// The `client-first-message-bare`.
    bare: &'a str,
    user_name: Box<str>,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, ScramError> {
        let text = str::from_utf8(message).map_err(|_| ScramError::Malformed)?;
        let mut parts = text.splitn(3, ',');
        let (Some(binding), Some(acts_for), Some(bare)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(ScramError::Malformed);
        };
        match binding {
            // "y": the client could, and believes that the broker cannot; it is right.
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed),
        }
        if bare.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let mut attributes = bare.split(',');
        let user_name = user_name(attribute(attributes.next(), 'n')?)?;
        let nonce = attribute(attributes.next(), 'r')?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScramError::Malformed);
        }
        if !acts_for.is_empty() && self::user_name(attribute(Some(acts_for), 'a')?)? != user_name {
            return Err(ScramError::AnotherUser);
        }
        let header = &text[..text.len() - bare.len()];
        Ok(Self { header, bare, user_name, nonce })
    }
}

/// What stands behind `name=`.
fn attribute(text: Option<&str>, name: char) -> Result<&str, ScramError> {
    let text = text.ok_or(ScramError::Malformed)?;
    text.strip_prefix(name).and_then(|text| text.strip_prefix('=')).ok_or(ScramError::Malformed)
}

/// A `saslname`: `=2C` stands for a comma, `=3D` for `=`, and nothing else may follow a `=`.
fn user_name(text: &str) -> Result<Box<str>, ScramError> {
    let mut parts = text.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError::Malformed),
        };
        name.push(character);
        name.push_str(rest);
    }
    let prepared = saslprep(&name).map_err(|_| ScramError::Malformed)?;
    if prepared.is_empty() { Err(ScramError::Malformed) } else { Ok(prepared.into()) }
}

/// What an unknown user appears to have.
fn decoy(file: &ScramFile, mechanism: Mechanism, user: &str, key: &[u8; 32]) -> ScramCredentials {
    let (iterations, salt_bytes) = file.usual(mechanism);
    let made_up = |what: &str| mechanism.hmac(key, format!("{what} of {user}").as_bytes());
    let mut salt = made_up("salt");
    salt.truncate(salt_bytes);
    ScramCredentials {
        mechanism,
        iterations,
        salt: salt.into(),
        stored_key: made_up("stored key").into(),
        server_key: made_up("server key").into(),
    }
}

#[cfg(test)]
mod tests;
