//! Enhanced authentication, as options have it.

use skein_client::session::Authenticator;
use skein_client::{Error, Result, Scram};

use super::usage::UsageError;

/// A method whose only words were given: `-D connect authentication-method` and
/// `authentication-data`.
#[derive(Debug)]
pub(super) struct OneStep {
    pub(super) method: String,
    pub(super) data: Vec<u8>,
}

impl Authenticator for OneStep {
    fn method(&self) -> &str {
        &self.method
    }

    fn begin(&mut self, _entropy: [u8; 32]) -> Result<Vec<u8>> {
        Ok(self.data.clone())
    }

    fn step(&mut self, _challenge: &[u8]) -> Result<Vec<u8>> {
        let why = "the server wants more than the authentication data that was given";
        Err(Error::Authentication(why.into()))
    }

    fn finish(&mut self, _proof: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// The method of `--auth`.
///
/// # Errors
/// There is no such method, or nobody to be.
pub(super) fn scram(
    method: &str,
    user_name: Option<&str>,
    password: Option<&[u8]>,
) -> Result<Box<dyn Authenticator>, UsageError> {
    let needed = || UsageError::new("--auth needs a user name (-u) and a password.");
    let (user_name, password) = (user_name.ok_or_else(needed)?, password.ok_or_else(needed)?);
    let password = str::from_utf8(password)
        .map_err(|_| UsageError::new("the password of --auth has to be UTF-8 text."))?;
    Ok(match method.to_ascii_lowercase().as_str() {
        "scram-sha-1" => Box::new(Scram::sha1(user_name, password)),
        "scram-sha-256" => Box::new(Scram::sha256(user_name, password)),
        "scram-sha-512" => Box::new(Scram::sha512(user_name, password)),
        _ => {
            let text = format!(
                "Unknown method '{method}' for --auth; use scram-sha-256 or scram-sha-512."
            );
            return Err(UsageError::new(text));
        }
    })
}
