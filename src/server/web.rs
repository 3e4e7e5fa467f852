//! Asking web servers: the HTTP hook who a client is, and others for the keys of tokens. Blocks, so
//! it is for workers.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, http::Response};

use crate::access::provider::{HttpReply, Outside};

/// More than this of an answer is not read.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// Connections that are kept for the next question.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Asks web servers. Clones share connections.
#[derive(Clone, Debug)]
pub(super) struct Web {
    agent: Agent,
}

impl Web {
    /// Believes servers whose certificates these authorities have signed: those in the file, or
    /// those of this machine.
    ///
    /// # Errors
    /// Says why the authorities cannot be had. Without TLS none are needed.
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, String> {
        let mut config = Agent::config_builder()
            .proxy(None)
            // A password is for the server that was named, not for others that it names.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .user_agent(concat!("skein/", env!("CARGO_PKG_VERSION")));
        if url.starts_with("https:") {
            let tls = TlsConfig::builder()
                .root_certs(RootCerts::Specific(Arc::new(authorities(ca_file)?)))
                .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()));
            config = config.tls_config(tls.build());
        }
        Ok(Self { agent: config.build().new_agent() })
    }

    /// Gets a document.
    ///
    /// # Errors
    /// Says what went wrong.
    pub(super) fn document(&self, url: &str, timeout: Duration) -> Result<Vec<u8>, String> {
        let request = self.agent.get(url).config().timeout_global(Some(timeout)).build();
        let reply = reply(request.call())?;
        if reply.status == 200 {
            Ok(reply.body)
        } else {
            Err(format!("its answer has the status {}", reply.status))
        }
    }
}

impl Outside for Web {
    fn post_json(&mut self, url: &str, body: &str, timeout_ms: u64) -> Result<HttpReply, String> {
        let timeout = Duration::from_millis(timeout_ms);
        let request = self.agent.post(url).config().timeout_global(Some(timeout)).build();
        reply(request.content_type("application/json").send(body))
    }
}

fn reply(answer: Result<Response<Body>, ureq::Error>) -> Result<HttpReply, String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = body.map_err(|error| error.to_string())?;
    Ok(HttpReply { status: answer.status().as_u16(), body })
}

/// The authorities in a file, or those that this machine trusts.
fn authorities(ca_file: Option<&Path>) -> Result<Vec<Certificate<'static>>, String> {
    let Some(file) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        let from_der = |der: &rustls::pki_types::CertificateDer<'_>| {
            Certificate::from_der(der.as_ref()).to_owned()
        };
        let certificates: Vec<_> = found.certs.iter().map(from_der).collect();
        return match certificates.is_empty() {
            false => Ok(certificates),
            true => Err("this machine trusts no authorities; install ca-certificates, or write \
                         ca_file"
                .to_owned()),
        };
    };
    let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(format!(
            "{}: no certificate in PEM is in it; it has to begin with -----BEGIN CERTIFICATE-----",
            file.display()
        ));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests;
