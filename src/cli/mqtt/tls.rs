//! The options of TLS.

use std::path::PathBuf;

use clap::Args;
use skein_client::transport::{Tls, TlsVersion};

use super::usage::UsageError;

/// How to speak TLS: whom to trust, and who we are.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TLS")]
pub(in crate::cli) struct TlsOptions {
    /// Speak TLS, and trust the certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,

    /// Speak TLS, and trust the certificates in this folder, named as `openssl rehash` does it
    #[arg(long, value_name = "FOLDER")]
    capath: Option<PathBuf>,

    /// The certificate of this client (PEM), for brokers that ask for one
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// The kind of the key's file; pem is the only one
    #[arg(long, value_name = "FORM")]
    keyform: Option<String>,

    /// Ciphers are not chosen one by one here: refused, with the reason
    #[arg(long, value_name = "CIPHERS")]
    ciphers: Option<String>,

    /// Speak only this version: tlsv1.2 or tlsv1.3
    #[arg(long, value_name = "VERSION")]
    tls_version: Option<String>,

    /// Offer this protocol to the broker
    #[arg(long, value_name = "PROTOCOL")]
    tls_alpn: Option<String>,

    /// Take a certificate that is for another host. Whoever has such a certificate can be the broker
    /// then: for tests, and for nothing else
    #[arg(long)]
    insecure: bool,

    /// Speak no TLS, whatever else is said
    #[arg(long)]
    no_tls: bool,

    /// Speak TLS, and trust whom this machine trusts
    #[arg(long)]
    tls_use_os_certs: bool,

    /// Append the secrets of the connection to this file, for programs that read recorded traffic
    #[arg(long, value_name = "FILE")]
    tls_keylog: Option<PathBuf>,

    /// Keys that were shared before are not supported: refused, with the reason
    #[arg(long, value_name = "HEX")]
    psk: Option<String>,

    /// Belongs to --psk
    #[arg(long, value_name = "NAME")]
    psk_identity: Option<String>,

    /// Engines of OpenSSL are not supported: refused, with the reason
    #[arg(long, value_name = "ENGINE")]
    tls_engine: Option<String>,

    /// Belongs to --tls-engine
    #[arg(long, value_name = "SHA1")]
    tls_engine_kpass_sha1: Option<String>,
}

impl TlsOptions {
    /// How to speak TLS, if these options, the port or the address (`is_wanted`) ask for it.
    ///
    /// # Errors
    /// What cannot be done, and why.
    pub(in crate::cli) fn plan(&self, is_wanted: bool) -> Result<Option<Tls>, UsageError> {
        self.check()?;
        let is_wanted = is_wanted || self.names_authorities() || self.tls_use_os_certs;
        if self.no_tls || !is_wanted {
            return Ok(None);
        }
        let mut tls = self.trust();
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            tls = tls.client_cert(certificate, key);
        }
        if self.insecure {
            tls = tls.any_name();
        }
        if let Some(protocol) = &self.tls_alpn {
            tls = tls.protocol(protocol);
        }
        if let Some(file) = &self.tls_keylog {
            tls = tls.key_log(file);
        }
        Ok(Some(match self.version()? {
            Some(version) => tls.version(version),
            None => tls,
        }))
    }

    /// Whether they name whom to trust, which makes 8883 the usual port.
    pub(in crate::cli) fn names_authorities(&self) -> bool {
        (self.cafile.is_some() || self.capath.is_some()) && !self.no_tls
    }

    fn trust(&self) -> Tls {
        let paths = self.cafile.iter().chain(&self.capath);
        let tls = paths.fold(Tls::default(), |tls, path| tls.and_roots(path));
        if self.tls_use_os_certs { tls.and_platform_roots() } else { tls }
    }

    fn version(&self) -> Result<Option<TlsVersion>, UsageError> {
        match self.tls_version.as_deref() {
            None => Ok(None),
            Some("tlsv1.2") => Ok(Some(TlsVersion::V1_2)),
            Some("tlsv1.3") => Ok(Some(TlsVersion::V1_3)),
            Some(other) => Err(UsageError::new(format!(
                "--tls-version {other} is not supported; use tlsv1.2 or tlsv1.3."
            ))),
        }
    }

    fn check(&self) -> Result<(), UsageError> {
        self.version()?;
        let refused = |text: &str| Err(UsageError::new(text));
        if self.cert.is_some() != self.key.is_some() {
            return refused("Both certfile and keyfile must be provided if one of them is set.");
        }
        if self.psk.is_some() || self.psk_identity.is_some() {
            return refused("--psk is not supported: the TLS used here knows certificates only.");
        }
        if self.tls_engine.is_some() || self.tls_engine_kpass_sha1.is_some() {
            return refused("--tls-engine is not supported: the TLS used here is not OpenSSL.");
        }
        if self.ciphers.is_some() {
            return refused(
                "--ciphers is not supported: only ciphers that are safe are spoken at all.",
            );
        }
        match self.keyform.as_deref() {
            None => Ok(()),
            Some(_) if self.key.is_none() => {
                refused("If keyform is set, keyfile must be also specified.")
            }
            Some("pem") => Ok(()),
            Some(_) => refused("--keyform knows pem only: engines are not supported."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(change: impl FnOnce(&mut TlsOptions)) -> TlsOptions {
        let mut options = TlsOptions::default();
        change(&mut options);
        options
    }

    #[test]
    fn tls_is_spoken_where_something_asks_for_it() {
        let is_spoken = |options: &TlsOptions, is_wanted| {
            options.plan(is_wanted).expect("it makes sense").is_some()
        };
        assert!(!is_spoken(&TlsOptions::default(), false));
        assert!(is_spoken(&TlsOptions::default(), true));
        assert!(is_spoken(&set(|it| it.cafile = Some("ca.pem".into())), false));
        assert!(is_spoken(&set(|it| it.tls_use_os_certs = true), false));
        assert!(!is_spoken(&set(|it| it.no_tls = true), true));
        assert!(!is_spoken(&set(|it| it.insecure = true), false), "as with Mosquitto");
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_a_reason() {
        for (options, words) in [
            (set(|it| it.cert = Some("c".into())), "Both certfile and keyfile"),
            (set(|it| it.psk = Some("00".into())), "--psk is not supported"),
            (set(|it| it.tls_engine = Some("e".into())), "--tls-engine is not supported"),
            (set(|it| it.ciphers = Some("ALL".into())), "--ciphers is not supported"),
            (set(|it| it.keyform = Some("pem".into())), "keyfile must be also"),
            (set(|it| it.tls_version = Some("tlsv1.1".into())), "tlsv1.1 is not supported"),
        ] {
            let error = options.plan(true).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
