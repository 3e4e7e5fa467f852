//! How a program ends: its exit code, and what it says about it.

use std::io::ErrorKind;
use std::process::ExitCode;

use skein_client::{Error, ReasonCode, Version};

use super::options::Manner;
use crate::cli::output::OutputError;

/// The numbers of Mosquitto's library, as far as programs end with them.
pub(in crate::cli) mod code {
    /// The options make no sense, or there was no connection in the first place.
    pub(in crate::cli) const USAGE: u8 = 1;
    /// The broker broke the protocol.
    pub(in crate::cli) const PROTOCOL: u8 = 2;
    /// An argument of an operation is none.
    pub(in crate::cli) const INVALID: u8 = 3;
    /// There is no connection.
    pub(in crate::cli) const NO_CONNECTION: u8 = 4;
    /// The connection was lost.
    pub(in crate::cli) const LOST: u8 = 7;
    /// TLS failed.
    pub(in crate::cli) const TLS: u8 = 8;
    /// The broker does not have that.
    pub(in crate::cli) const NOT_SUPPORTED: u8 = 10;
    /// The authentication failed.
    pub(in crate::cli) const AUTH: u8 = 11;
    /// Nobody knows.
    pub(in crate::cli) const UNKNOWN: u8 = 13;
    /// The system does not do what it was asked for.
    pub(in crate::cli) const SYSTEM: u8 = 14;
    /// The broker was silent for too long.
    pub(in crate::cli) const KEEP_ALIVE: u8 = 19;
    /// The broker does not take that QoS.
    pub(in crate::cli) const QOS_NOT_SUPPORTED: u8 = 23;
    /// The message is longer than the broker takes.
    pub(in crate::cli) const TOO_LARGE: u8 = 25;
    /// The time was over.
    pub(in crate::cli) const TIMED_OUT: u8 = 27;
    /// Interrupted before there was a connection.
    pub(in crate::cli) const INTERRUPTED: u8 = 255;
}

/// How a program ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Exit {
    pub(in crate::cli) code: u8,
    /// For standard error, a line or more.
    pub(in crate::cli) text: Option<String>,
}

impl Exit {
    /// Well.
    pub(in crate::cli) const SUCCESS: Self = Self { code: 0, text: None };

    /// With this code and these words.
    pub(in crate::cli) fn with(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: Some(text.into()) }
    }

    /// The time was over.
    pub(in crate::cli) fn timed_out() -> Self {
        Self::with(code::TIMED_OUT, "Timed out")
    }

    /// The connection did not come about; `is_tls` says whether it was to be one of TLS.
    pub(in crate::cli) fn not_connected(
        error: &Error,
        version: Version,
        manner: Manner,
        is_tls: bool,
    ) -> Self {
        let has_tls_failed = is_tls && is_handshake(error);
        let code = if has_tls_failed { code::TLS } else { code_of(error, version) };
        let text = match (manner, error) {
            (_, Error::Refused { reason, .. }) if manner == Manner::Mosquitto => {
                format!("Connection error: {}", refusal(*reason, version))
            }
            (Manner::Mosquitto, Error::Dial { source, .. }) => match source.kind() {
                _ if has_tls_failed => "Error: A TLS error occurred.".to_owned(),
                _ if is_lookup(source) => "Unable to connect (Lookup error.).".to_owned(),
                _ => format!("Error: {}", without_number(&source.to_string())),
            },
            _ => with_advice(error, is_tls),
        };
        Self::with(code, text)
    }

    /// The connection was there, and is no more.
    pub(in crate::cli) fn lost(error: &Error, version: Version, manner: Manner) -> Self {
        let text = match manner {
            Manner::Mosquitto => "Error: The connection was lost.".to_owned(),
            Manner::Skein => with_advice(error, true),
        };
        Self::with(code_of(error, version), text)
    }

    /// An operation failed.
    pub(in crate::cli) fn failed(error: &Error, version: Version) -> Self {
        Self::with(code_of(error, version), format!("Error: {error}"))
    }

    /// The same, and more words.
    pub(in crate::cli) fn and(self, more: &str) -> Self {
        let text = self.text.map_or_else(|| more.to_owned(), |text| format!("{text}; {more}"));
        Self { text: Some(text), ..self }
    }

    /// Says what there is to say, and gives the code.
    pub(in crate::cli) fn end(self, is_quiet: bool) -> ExitCode {
        if let (Some(text), false) = (&self.text, is_quiet) {
            eprintln!("{text}");
        }
        ExitCode::from(self.code)
    }
}

impl From<OutputError> for Exit {
    fn from(error: OutputError) -> Self {
        Self::with(code::SYSTEM, format!("Error: {error}"))
    }
}

/// The exit code of an error.
fn code_of(error: &Error, version: Version) -> u8 {
    match error {
        Error::Refused { reason, .. } if version == Version::V5 => *reason as u8,
        Error::Refused { reason, .. } => reason.connack_return_code(),
        Error::Disconnected { reason, .. } | Error::Rejected { reason, .. } => *reason as u8,
        Error::Dial { .. } | Error::Address { .. } | Error::Tls(_) | Error::Store(_) => code::USAGE,
        Error::Protocol(skein_protocol::Error::KeepAliveTimeout) => code::KEEP_ALIVE,
        Error::Protocol(_) => code::PROTOCOL,
        Error::BadTopic { .. } | Error::FieldTooLong(_) => code::INVALID,
        Error::Unsupported(skein_client::Feature::QoS(_)) => code::QOS_NOT_SUPPORTED,
        Error::Unsupported(_) => code::NOT_SUPPORTED,
        Error::TooLarge { .. } => code::TOO_LARGE,
        Error::Timeout { .. } => code::TIMED_OUT,
        Error::Authentication(_) => code::AUTH,
        Error::NotConnected => code::NO_CONNECTION,
        Error::Lost(_) | Error::SessionLost | Error::Closed | Error::Undelivered(_) => code::LOST,
        _ => code::UNKNOWN,
    }
}

/// What Mosquitto calls a refusal.
fn refusal(reason: ReasonCode, version: Version) -> &'static str {
    if version == Version::V5 {
        return match reason {
            ReasonCode::BadUserNameOrPassword => "Bad username or password",
            reason => reason.name(),
        };
    }
    match reason.connack_return_code() {
        1 => "Connection Refused: unacceptable protocol version.",
        2 => "Connection Refused: identifier rejected.",
        3 => "Connection Refused: broker unavailable.",
        4 => "Connection Refused: bad user name or password.",
        5 => "Connection Refused: not authorised.",
        _ => "Connection Refused: unknown reason.",
    }
}

/// What is wrong, and what may help.
fn with_advice(error: &Error, is_tls: bool) -> String {
    match (error, advice(error, is_tls)) {
        // Its own words end with other advice.
        (Error::Dial { server, source }, Some(advice)) => {
            format!("Error: cannot reach {server}: {source}; {advice}")
        }
        (error, Some(advice)) => format!("Error: {error}; {advice}"),
        (error, None) => format!("Error: {error}"),
    }
}

/// What may help against it, where the error does not say so itself.
fn advice(error: &Error, is_tls: bool) -> Option<&'static str> {
    let source = match error {
        Error::Dial { source, .. } => source,
        Error::Lost(why) if why.contains("CertificateRequired") => return Some(NO_CERTIFICATE),
        Error::Protocol(_) | Error::Lost(_) if !is_tls => {
            return Some(
                "does this port want TLS (--cafile FILE, --tls-use-os-certs) or WebSocket (--ws)?",
            );
        }
        _ => return None,
    };
    match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => Some(advice_on_certificate(why)),
        Some(rustls::Error::AlertReceived(_)) => Some(NO_CERTIFICATE),
        Some(_) => Some("does this port speak TLS? --no-tls goes without"),
        None if is_tls && is_handshake(error) => {
            Some("does this port speak TLS? --no-tls goes without")
        }
        None if is_lookup(source) => Some("check the name of the host (-h)"),
        None if source.to_string().contains("WebSocket") => {
            Some("does this port speak WebSocket? Leave out --ws otherwise")
        }
        None => None,
    }
}

const NO_CERTIFICATE: &str = "the broker asks for a certificate that it trusts: --cert and --key";

fn advice_on_certificate(why: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Why;
    match why {
        Why::UnknownIssuer => {
            "name who has signed it with --cafile FILE, or trust whom this machine trusts with \
             --tls-use-os-certs"
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "connect to a name that it is for (-h); for tests --insecure takes it all the same"
        }
        Why::Expired | Why::ExpiredContext { .. } => {
            "the broker needs a new one, or the clock of this machine is wrong"
        }
        _ => "ask who runs the broker for one that holds",
    }
}

/// Whether it is shaking hands that failed, and not the way to the broker.
fn is_handshake(error: &Error) -> bool {
    let Error::Dial { source, .. } = error else { return false };
    let is_hung_up = matches!(
        source.kind(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof
    );
    is_hung_up || source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

fn is_lookup(error: &std::io::Error) -> bool {
    error.raw_os_error().is_none()
        && !matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::UnexpectedEof)
        && error.to_string().contains("lookup address")
}

/// The system's words without its number behind them.
fn without_number(text: &str) -> &str {
    text.split_once(" (os error").map_or(text, |(words, _)| words)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn refused(reason: ReasonCode) -> Error {
        Error::Refused { reason, text: None }
    }

    fn dial(source: std::io::Error) -> Error {
        Error::Dial { server: "broker:1883".into(), source: Arc::new(source) }
    }

    #[test]
    fn a_refusal_ends_with_the_code_of_the_connack() {
        let exit = |reason, version| {
            Exit::not_connected(&refused(reason), version, Manner::Mosquitto, false)
        };
        let before_5 = exit(ReasonCode::NotAuthorized, Version::V3_1_1);
        let text = "Connection error: Connection Refused: not authorised.";
        assert_eq!(before_5, Exit::with(5, text));
        assert_eq!(exit(ReasonCode::BadUserNameOrPassword, Version::V3_1).code, 4);
        assert_eq!(exit(ReasonCode::UnsupportedProtocolVersion, Version::V3_1_1).code, 1);
        let in_5 = exit(ReasonCode::NotAuthorized, Version::V5);
        assert_eq!(in_5, Exit::with(135, "Connection error: Not authorized"));
    }

    #[test]
    fn no_way_to_the_broker_is_1_and_tls_is_8() {
        let exit = |error| Exit::not_connected(&error, Version::V5, Manner::Mosquitto, true);
        let nobody = exit(dial(std::io::Error::from_raw_os_error(111)));
        assert_eq!(nobody, Exit::with(1, "Error: Connection refused"));
        let tls = std::io::Error::other(rustls::Error::HandshakeNotComplete);
        assert_eq!(exit(dial(tls)), Exit::with(8, "Error: A TLS error occurred."));
        // Whoever does not speak TLS hangs up.
        let hung_up = || dial(std::io::Error::from_raw_os_error(104));
        assert_eq!(exit(hung_up()).code, 8);
        let plain = Exit::not_connected(&hung_up(), Version::V5, Manner::Mosquitto, false);
        assert_eq!(plain.code, 1);
        let lookup = std::io::Error::other("failed to lookup address information: x");
        assert_eq!(exit(dial(lookup)), Exit::with(1, "Unable to connect (Lookup error.)."));
    }

    #[test]
    fn an_error_says_what_may_help() {
        use rustls::CertificateError;
        let advice = |error: &Error, is_tls| with_advice(error, is_tls);
        let tls = |error| dial(std::io::Error::other(error));
        let unknown = tls(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        let text = advice(&unknown, true);
        assert!(text.contains("--cafile FILE") && !text.contains("is running"), "{text}");
        let other = tls(rustls::Error::InvalidCertificate(CertificateError::NotValidForName));
        assert!(advice(&other, true).contains("(-h)"));
        let plain = dial(std::io::Error::from(ErrorKind::UnexpectedEof));
        assert!(advice(&plain, true).contains("--no-tls"));
        let lost = Error::Lost("received fatal alert: CertificateRequired".into());
        assert!(advice(&lost, true).contains("--cert and --key"));
        let hung_up = Error::Lost("x".into());
        assert!(advice(&hung_up, false).contains("want TLS"));
        assert!(advice(&hung_up, true).ends_with(&hung_up.to_string()));
        let nobody = dial(std::io::Error::from_raw_os_error(111));
        assert!(advice(&nobody, true).ends_with("is running"));
        let lookup = dial(std::io::Error::other("failed to lookup address information: x"));
        assert!(advice(&lookup, false).ends_with("check the name of the host (-h)"));
    }

    #[test]
    fn each_way_to_fail_has_its_number() {
        for (error, code) in [
            (Error::Lost("x".into()), 7),
            (Error::Protocol(skein_protocol::Error::KeepAliveTimeout), 19),
            (Error::TooLarge { size: 2, max: 1 }, 25),
            (Error::Unsupported(skein_client::Feature::Retain), 10),
            (Error::Authentication("x".into()), 11),
            (Error::Disconnected { reason: ReasonCode::QuotaExceeded, text: None }, 0x97),
        ] {
            assert_eq!(Exit::failed(&error, Version::V5).code, code, "{error}");
        }
    }
}
