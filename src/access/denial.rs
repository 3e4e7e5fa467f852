//! Why a client may not connect: what the log says, and what the client is told.

use skein_protocol::ReasonCode;

use super::certificate::CertificateError;
use super::jwt::JwtError;
use super::scram::ScramError;
use super::throttle::Throttled;

/// Why a client may not connect. As text it is for the log; the client learns
/// [`Denial::reason_code`] alone, which does not tell a wrong password from an unknown user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It shows nothing that any provider could look at, and may not be anonymous.
    #[error("it proves nothing, and anonymous clients may not connect here")]
    NoCredentials,
    /// No password file has this user with this password.
    #[error("wrong password or unknown user")]
    WrongPassword,
    /// Its password is a token that may not be believed.
    #[error("{0}")]
    Token(#[from] JwtError),
    /// Its certificate gives no user name.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    /// The enhanced authentication failed.
    #[error("{0}")]
    Scram(#[from] ScramError),
    /// No provider here has this Authentication Method [MQTT-4.12.0-1].
    #[error("the authentication method {0:?} is not offered here")]
    UnknownMethod(Box<str>),
    /// The HTTP hook said no.
    #[error("the HTTP hook refuses it")]
    Refused,
    /// The HTTP hook gave no answer that could be understood. That is a no, too.
    #[error("the HTTP hook did not answer: {0}")]
    NoAnswer(Box<str>),
    /// It, or its address, failed too often or has to wait before the next try.
    #[error("{}", throttled(.0))]
    Throttled(Throttled),
    /// More logins wait than may.
    #[error("too many logins wait for an answer")]
    Overloaded,
}

impl Denial {
    /// What CONNACK or DISCONNECT says; [`ReasonCode::connack_return_code`] makes it MQTT 3.
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::NoCredentials | Self::WrongPassword | Self::Token(_) | Self::Scram(_) => {
                ReasonCode::BadUserNameOrPassword
            }
            Self::Certificate(_) | Self::Refused => ReasonCode::NotAuthorized,
            Self::UnknownMethod(_) => ReasonCode::BadAuthenticationMethod,
            Self::NoAnswer(_) => ReasonCode::ServerUnavailable,
            // A guesser who comes back too early hears what every wrong guess hears.
            Self::Throttled(throttled) if throttled.is_ban => ReasonCode::Banned,
            Self::Throttled(_) => ReasonCode::BadUserNameOrPassword,
            Self::Overloaded => ReasonCode::ServerBusy,
        }
    }

    /// What an MQTT 5 client is told: no more than it may know, and nothing of how the broker finds
    /// out.
    pub fn reason(&self) -> &'static str {
        match (self, self.reason_code()) {
            (Self::NoCredentials, _) => "anonymous clients may not connect here",
            (_, ReasonCode::BadUserNameOrPassword) => "these credentials are not accepted",
            (_, ReasonCode::BadAuthenticationMethod) => {
                "[MQTT-4.12.0-1] no such authentication method"
            }
            (_, ReasonCode::Banned) => "too many logins have failed; try again later",
            (_, ReasonCode::ServerBusy) => "too many clients log in; try again later",
            (_, ReasonCode::ServerUnavailable) => "nobody can say now who you are; try again later",
            _ => "the client may not connect",
        }
    }

    /// Whether it counts as a failed login, of which nobody may have too many.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::WrongPassword | Self::Token(_) | Self::Scram(_) | Self::Refused)
    }
}

fn throttled(throttled: &Throttled) -> String {
    let what = if throttled.is_ban { "is banned" } else { "has to wait after a failure" };
    format!("{} {what} until {}", throttled.who, throttled.until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::throttle::Subject;
    use crate::session::Time;

    /// G18: the answer does not tell who exists, nor that a guess came too early.
    #[test]
    fn clients_are_told_no_more_than_they_may_know() {
        let until = Time::from_millis(1_500);
        let who = Subject::Address;
        let ban = Denial::Throttled(Throttled { who, until, is_ban: true });
        let wait = Denial::Throttled(Throttled { who, until, is_ban: false });
        assert_eq!(ban.to_string(), "the address is banned until 1.500s");
        for (denial, code, return_code) in [
            (Denial::WrongPassword, ReasonCode::BadUserNameOrPassword, 4),
            (Denial::NoCredentials, ReasonCode::BadUserNameOrPassword, 4),
            (wait, ReasonCode::BadUserNameOrPassword, 4),
            (ban, ReasonCode::Banned, 5),
            (Denial::Refused, ReasonCode::NotAuthorized, 5),
            (Denial::NoAnswer("timeout".into()), ReasonCode::ServerUnavailable, 3),
            (Denial::UnknownMethod("x".into()), ReasonCode::BadAuthenticationMethod, 4),
            (Denial::Overloaded, ReasonCode::ServerBusy, 3),
        ] {
            assert_eq!(denial.reason_code(), code, "{denial}");
            assert_eq!(denial.reason_code().connack_return_code(), return_code, "{denial}");
        }
    }
}
