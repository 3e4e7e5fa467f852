//! Enhanced authentication (4.12): the steps, whatever the method.

use std::fmt;
use std::time::Duration;

use skein_protocol::{Auth, AuthProperties, Packet, ReasonCode, Version};

use super::{Outcome, Session, Token};
use crate::{Error, Feature, Result};

/// One side of an authentication method, for instance [`Scram`](crate::Scram).
///
/// Each connection, and each re-authentication, is a fresh conversation that starts with
/// [`begin`](Self::begin), so it can be repeated on every reconnect.
pub trait Authenticator: fmt::Debug + Send {
    /// The name of the method, as CONNECT carries it.
    fn method(&self) -> &str;

    /// Begins a conversation: the first thing to say. The random bytes are new each time.
    ///
    /// # Errors
    /// There is nothing to say, so no connection is tried.
    fn begin(&mut self, entropy: [u8; 32]) -> Result<Vec<u8>>;

    /// Answers the server's challenge.
    ///
    /// # Errors
    /// The challenge is none, or the server is not to be trusted.
    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>>;

    /// Checks what the server said when it accepted; nothing counts before this succeeds.
    ///
    /// # Errors
    /// The server did not prove what the method wants proved.
    fn finish(&mut self, proof: &[u8]) -> Result<()>;
}

impl Session {
    /// Uses this method from the next connection on.
    pub fn set_authenticator(&mut self, authenticator: Box<dyn Authenticator>) {
        self.authenticator = Some(authenticator);
    }

    /// Authenticates anew on the connection that is up (4.12.1), perhaps with other credentials.
    ///
    /// # Errors
    /// There is no method, no connection of MQTT 5.0, or such an exchange is going on already.
    pub fn reauthenticate(&mut self, entropy: [u8; 32], now: Duration) -> Result<Token> {
        self.check_open()?;
        if !self.is_up() || self.link.authenticating.is_some() {
            return Err(Error::NotConnected);
        }
        let Some(authenticator) = &mut self.authenticator else {
            return Err(Error::Unsupported(Feature::EnhancedAuthentication));
        };
        debug_assert_eq!(self.link.version, Version::V5, "no other version gets here with one");
        let first = authenticator.begin(entropy)?;
        let token = self.next_token();
        self.link.authenticating = Some(token);
        self.write_auth(ReasonCode::ReAuthenticate, &first, now);
        Ok(token)
    }

    /// AUTH came (3.15).
    pub(super) fn on_auth(&mut self, auth: &Auth<'_>, now: Duration) {
        if let Err(error) = self.try_auth(auth, now) {
            match error {
                Error::Protocol(error) => self.fail(error, now),
                error => self.give_up_on_server(error, now),
            }
        }
    }

    /// Checks the proof in a CONNACK, where the method has one.
    pub(super) fn check_proof(&mut self, proof: Option<&[u8]>) -> Result<()> {
        match &mut self.authenticator {
            Some(authenticator) => authenticator.finish(proof.unwrap_or_default()),
            None => Ok(()),
        }
    }

    fn try_auth(&mut self, auth: &Auth<'_>, now: Duration) -> Result<()> {
        use skein_protocol::Error as Broken;
        let data = auth.properties.data.unwrap_or_default();
        let is_due = !self.is_up() || self.link.authenticating.is_some();
        let Some(authenticator) = self.authenticator.as_mut() else {
            return Err(Broken::AuthWithoutMethod.into());
        };
        if auth.properties.method.is_some_and(|method| method != authenticator.method()) {
            return Err(Broken::AuthMethodChanged.into());
        }
        match auth.reason {
            ReasonCode::ContinueAuthentication if is_due => {
                let answer = authenticator.step(data)?;
                self.write_auth(ReasonCode::ContinueAuthentication, &answer, now);
            }
            ReasonCode::Success if self.link.authenticating.is_some() => {
                authenticator.finish(data)?;
                if let Some(token) = self.link.authenticating.take() {
                    self.complete(token, Ok(Outcome::Authenticated));
                }
            }
            _ => return Err(Broken::AuthUnexpected.into()),
        }
        Ok(())
    }

    fn write_auth(&mut self, reason: ReasonCode, data: &[u8], now: Duration) {
        let method = self.authenticator.as_ref().map(|it| it.method().to_owned());
        let properties = AuthProperties {
            method: method.as_deref(),
            data: Some(data),
            ..AuthProperties::default()
        };
        self.write(&Packet::Auth(Auth { reason, properties }), now);
    }
}
