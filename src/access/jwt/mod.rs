//! Signed tokens in place of passwords: JSON Web Tokens (RFC 7519) with HS, RS, PS, ES and EdDSA
//! signatures. The claims say who the client is, what it may do, and until when.

mod keys;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::{Map, Value};
use skein_protocol::TopicFilter;

pub use self::keys::JwtKeys;
use super::identity::is_user_name;
use super::permissions::Permissions;

/// What is asked of a token besides a signature by a known key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSettings {
    /// Whose tokens are accepted: the claim `iss`. `None`: everybody's whose key is known.
    pub issuer: Option<Box<str>>,
    /// Whom the tokens have to be for: one of the claim `aud`. `None`: only tokens without it.
    pub audience: Option<Box<str>>,
    /// How far the clocks of the issuer and the broker may differ.
    pub leeway_s: u64,
    /// The claim that holds the user name.
    pub user_name_claim: Box<str>,
    /// The claim that holds the filters the client may publish to.
    pub publish_claim: Box<str>,
    /// The claim that holds the filters the client may subscribe to.
    pub subscribe_claim: Box<str>,
    /// The claim that has to hold the client identifier, if the token is for one client only.
    pub client_id_claim: Option<Box<str>>,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            leeway_s: 30,
            user_name_claim: "sub".into(),
            publish_claim: "publish".into(),
            subscribe_claim: "subscribe".into(),
            client_id_claim: None,
        }
    }
}

/// Verifies tokens.
#[derive(Clone, Debug)]
pub struct Jwt {
    keys: JwtKeys,
    settings: JwtSettings,
}

/// What a token that was accepted says.
#[derive(Clone, Debug)]
pub struct Token {
    /// Who the client is.
    pub user_name: Box<str>,
    /// What it may do. `None` when the token says nothing about it.
    pub permissions: Option<Permissions>,
    /// When the session has to end, leeway included, in seconds since the Unix epoch.
    pub expiry_s: u64,
    /// The fingerprint of the key that has signed it; see [`Jwt::still_has`].
    pub key: u64,
}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts, or parts that are not what RFC 7519 says.
    #[error("the token is malformed")]
    Malformed,
    /// Its header demands something to be understood that is not (RFC 7515, section 4.1.11).
    #[error("the token has a critical header that skein does not know")]
    Critical,
    /// No key fits its header.
    #[error("no key is known for the token's algorithm and key id")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature of the token is wrong")]
    Signature,
    /// The signature is right, and yet the claims cannot be read: they are no JSON object, or one of
    /// those that RFC 7519, section 4.1, registers is there twice or is of another kind.
    #[error("the claims of the token cannot be read: {0}")]
    Claims(Box<str>),
    /// The claim `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// The claim `nbf` has not been reached.
    #[error("the token is not valid yet")]
    NotYet,
    /// A claim is missing or has a value that does not fit.
    #[error("the claim {0:?} of the token is missing or does not fit")]
    Claim(Box<str>),
}

impl Jwt {
    /// Tokens signed with these keys.
    pub fn new(keys: JwtKeys, settings: JwtSettings) -> Self {
        Self { keys, settings }
    }

    /// Whether text looks like a token: three parts, of which the first is a header.
    pub fn is_token(text: &[u8]) -> bool {
        text.iter().filter(|byte| **byte == b'.').count() == 2
            && jsonwebtoken::decode_header(text).is_ok()
    }

    /// What the token says, if it may be believed. `now_s` is the time in seconds since the Unix
    /// epoch. Some public-key arithmetic: rather something for a worker than for a shard.
    ///
    /// # Errors
    /// Why it may not be believed, or not be used by this client.
    pub fn verify(&self, token: &[u8], client_id: &str, now_s: u64) -> Result<Token, JwtError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Malformed)?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        let (claims, key) = self.claims(token, &header)?;
        let expiry_s = self.check_time(&claims, now_s)?;
        self.check_parties(&claims, client_id)?;
        let user_name = text(&claims, &self.settings.user_name_claim)?;
        if !is_user_name(user_name) {
            return Err(JwtError::Claim(self.settings.user_name_claim.clone()));
        }
        let permissions = self.permissions(&claims)?;
        Ok(Token { user_name: user_name.into(), permissions, expiry_s, key })
    }

    /// Whether the key with this fingerprint still signs tokens. While no key has been fetched at
    /// all, those that had before count.
    pub fn still_has(&self, key: u64) -> bool {
        self.keys.still_have(key)
    }

    /// The claims, once a key has been found that signed them, and its fingerprint.
    fn claims(&self, token: &[u8], header: &Header) -> Result<(Map<String, Value>, u64), JwtError> {
        let validation = signature_only(header.alg);
        let mut error = JwtError::UnknownKey;
        for key in self.keys.candidates(header.kid.as_deref(), header.alg) {
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation) {
                Ok(decoded) => return Ok((decoded.claims, key.fingerprint)),
                // The library looks at the signature first, and reads JSON once that is right.
                Err(failure) => match failure.kind() {
                    ErrorKind::Json(why) => return Err(JwtError::Claims(why.to_string().into())),
                    _ => error = JwtError::Signature,
                },
            }
        }
        Err(error)
    }

    /// Checks `nbf` and `exp`, and says when the session ends. A token without an end is refused:
    /// nobody could take it back.
    fn check_time(&self, claims: &Map<String, Value>, now_s: u64) -> Result<u64, JwtError> {
        let leeway_s = self.settings.leeway_s;
        let expiry_s = seconds(claims, "exp")?.ok_or_else(|| JwtError::Claim("exp".into()))?;
        let expiry_s = expiry_s.saturating_add(leeway_s);
        if now_s >= expiry_s {
            return Err(JwtError::Expired);
        }
        let begins_s = seconds(claims, "nbf")?.unwrap_or(0);
        if begins_s > now_s.saturating_add(leeway_s) {
            return Err(JwtError::NotYet);
        }
        Ok(expiry_s)
    }

    /// Checks who issued it, whom it is for, and which client may use it.
    fn check_parties(&self, claims: &Map<String, Value>, client_id: &str) -> Result<(), JwtError> {
        if let Some(issuer) = &self.settings.issuer
            && text(claims, "iss")? != &**issuer
        {
            return Err(JwtError::Claim("iss".into()));
        }
        let audiences = texts(claims, "aud")?.unwrap_or_default();
        let is_for_us = match &self.settings.audience {
            Some(audience) => audiences.contains(&&**audience),
            // RFC 7519, section 4.1.3: who is not among the audience must refuse.
            None => !claims.contains_key("aud"),
        };
        if !is_for_us {
            return Err(JwtError::Claim("aud".into()));
        }
        match &self.settings.client_id_claim {
            Some(claim) if text(claims, claim)? != client_id => Err(JwtError::Claim(claim.clone())),
            _ => Ok(()),
        }
    }

    /// What the token allows; with one of the two claims the other allows nothing.
    fn permissions(&self, claims: &Map<String, Value>) -> Result<Option<Permissions>, JwtError> {
        let publish = filters(claims, &self.settings.publish_claim)?;
        let subscribe = filters(claims, &self.settings.subscribe_claim)?;
        if publish.is_none() && subscribe.is_none() {
            return Ok(None);
        }
        let (publish, subscribe) = (publish.unwrap_or_default(), subscribe.unwrap_or_default());
        Ok(Some(Permissions::of_filters(&publish, &subscribe)))
    }
}

/// What the library checks: the signature. The rest needs the time, which is an argument here.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<&'a str, JwtError> {
    claims.get(name).and_then(Value::as_str).ok_or_else(|| JwtError::Claim(name.into()))
}

/// One text or a list of them.
fn texts<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<Vec<&'a str>>, JwtError> {
    let wrong = || JwtError::Claim(name.into());
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(one)) => Ok(Some(vec![one])),
        Some(Value::Array(list)) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            texts.map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

/// A `NumericDate`, of which parts of a second are cut off.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, JwtError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_u64();
    // Any number that is no date is refused, below zero and beyond 2^53 as well.
    let cut = || {
        let date = value.as_f64().filter(|date| (0.0..9_007_199_254_740_992.0).contains(date))?;
        Some(date as u64)
    };
    whole.or_else(cut).map(Some).ok_or_else(|| JwtError::Claim(name.into()))
}

/// Topic filters; a share is none, since rights are about topics.
fn filters(claims: &Map<String, Value>, name: &str) -> Result<Option<Vec<Box<str>>>, JwtError> {
    let Some(texts) = texts(claims, name)? else { return Ok(None) };
    let is_filter =
        |text: &&str| TopicFilter::new(text).is_ok_and(|filter| filter.share().is_none());
    match texts.iter().all(is_filter) {
        true => Ok(Some(texts.into_iter().map(Box::from).collect())),
        false => Err(JwtError::Claim(name.into())),
    }
}

#[cfg(test)]
mod tests;
